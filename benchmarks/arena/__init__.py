"""The parts of benchmarks/against_kernel.py: places, programs, processes, machine, report."""
