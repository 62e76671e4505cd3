"""Facts about the machine a row was measured on, and its CPU time."""

import os
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds over all CPUs since boot. `busy`: user, nice, system, irq and softirq."""

    busy: float
    steal: float

    def __sub__(self, other: "CpuTimes") -> "CpuTimes":
        return CpuTimes(self.busy - other.busy, self.steal - other.steal)


def cpu_times() -> CpuTimes:
    """The kernel's TCP works in softirq, often on the peer's CPU: only the sum over all is fair."""
    with Path("/proc/stat").open() as lines:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(
            int, lines.readline().split()[1:9]
        )
    tick = os.sysconf("SC_CLK_TCK")
    return CpuTimes((user + nice + system + irq + softirq) / tick, steal / tick)


def idle_busy(seconds: float = 0.5) -> float:
    """CPUs busy while nothing of ours runs."""
    before = cpu_times()
    time.sleep(seconds)
    return (cpu_times() - before).busy / seconds


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def facts() -> dict[str, object]:
    return {
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("usertcp", "anyio", "trio", "uvloop")},
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load": os.getloadavg()[0],
        "idle_busy_cpus": round(idle_busy(), 3),
    }
