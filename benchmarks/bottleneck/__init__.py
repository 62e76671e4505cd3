"""The parts of benchmarks/paths.py: the forwarder, the processes of a flow, the networks."""
