"""The facts of one run, as they arrive from the child, and the object `--json` prints."""

import importlib.metadata
import platform
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]


@dataclass(slots=True)
class Check:
    name: str
    ok: bool
    detail: str


@dataclass(slots=True)
class Report:
    """`mode`: "veth" or "memory"; `note` says why it is memory. Throughput in Gb/s of payload."""

    mode: str = ""
    note: str = ""
    step: str = ""
    checks: list[Check] = field(default_factory=list)
    throughput: dict[str, Any] = field(default_factory=dict)
    connections: list[dict[str, Any]] = field(default_factory=list)
    retransmissions: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    pcap: str | None = None
    seconds: float = 0.0
    finished: bool = False

    @property
    def ok(self) -> bool:
        return self.finished and bool(self.checks) and all(check.ok for check in self.checks)

    def check(self, name: str, detail: str, *, ok: bool) -> None:
        self.checks.append(Check(name, ok, detail))

    def take(self, event: Event) -> None:
        """One event of the child."""
        match event["event"]:
            case "mode":
                self.mode, self.note = event["mode"], event["note"]
            case "step":
                self.step = event["name"]
            case "check":
                self.check(event["name"], event["detail"], ok=event["ok"])
            case "throughput":
                self.throughput = event["figures"]
            case "connections":
                self.connections = event["rows"]
            case "totals":
                self.retransmissions = event["retransmissions"]
                self.counters = event["counters"]
            case "finished":
                self.finished = True

    def document(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "mode": self.mode,
            "note": self.note,
            "checks": [
                {"name": check.name, "ok": check.ok, "detail": check.detail}
                for check in self.checks
            ],
            "throughput": self.throughput,
            "connections": self.connections,
            "retransmissions": self.retransmissions,
            "counters": self.counters,
            "pcap": self.pcap,
            "seconds": round(self.seconds, 2),
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "kernel": platform.release()}
    for package in ("usertcp", "anyio", "trio", "uvloop"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
