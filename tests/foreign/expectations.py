"""The list of expectations, expected.txt. Without pytest."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from foreign.patterns import matches

Version: TypeAlias = tuple[int, ...]

LIST = Path(__file__).with_name("expected.txt")
VERDICTS = ("inapplicable", "fails", "fails-everywhere")


@dataclass(frozen=True)
class Expectation:
    suite: str
    verdict: str
    pattern: str
    reason: str

    def is_of(self, test: str) -> bool:
        return matches(self.pattern, test)

    def allows(self, verdict: str, test: str) -> bool:
        return self.verdict == verdict and self.is_of(test)

    def fails(self, mode: str, test: str) -> bool:
        """In a run over `kernel` or `ours`."""
        verdicts = ("fails", "fails-everywhere") if mode == "ours" else ("fails-everywhere",)
        return self.verdict in verdicts and self.is_of(test)


def expectations(suites: set[str], python: Version = ()) -> list[Expectation]:
    """Those that hold with that Python. `ValueError` for a line that is none, or of no suite."""
    found = []
    for line in LIST.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            suite, told, pattern, reason = (part.strip() for part in line.split("|", 3))
            verdict, _, condition = told.partition(" ")
            if verdict not in VERDICTS or suite not in suites or not reason:
                raise ValueError(f"expected.txt: {line!r}")
            if holds(condition, python):
                found.append(Expectation(suite, verdict, pattern, reason))
    return found


def holds(condition: str, python: Version) -> bool:
    """`python<X.Y.Z`, or nothing; without a version to compare with, only nothing holds."""
    _, less, limit = condition.partition("python<")
    if not less:
        return True
    return bool(python) and python < tuple(map(int, limit.split(".")))
