"""What holds for the whole suite: the backends, and the account of skipped tests."""

import os
import signal
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SKIPS = Path(__file__).parent / "meta" / "skips.txt"
BACKENDS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "asyncio+uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}

# A slow machine is no failure.
settings.register_profile("usertcp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("usertcp")

# A shell that starts the suite in the background has it ignore interrupts, and so would the
# programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=BACKENDS.values(), ids=BACKENDS.keys())
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Every asynchronous test runs on all three."""
    name, options = request.param
    if options.get("use_uvloop"):
        pytest.importorskip("uvloop")
    return name, options


# -- skips: under CI each must be listed ----------------------------------------------------------

_skipped: list[tuple[str, str]] = []


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped:
        return
    if hasattr(report, "wasxfail"):
        reason = f"xfail: {report.wasxfail}"
    else:
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    _skipped.append((report.nodeid, reason.removeprefix("Skipped: ")))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note(report)


def _listed() -> Iterator[tuple[str, str]]:
    for line in SKIPS.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, _, reason = line.partition(" | ")
            yield pattern.strip(), reason.strip()


def _unlisted() -> list[str]:
    listed = list(_listed())
    return sorted(
        f"{nodeid} | {reason}"
        for nodeid, reason in set(_skipped)
        if not any(
            fnmatchcase(nodeid.replace("[", "("), pattern.replace("[", "("))
            and fnmatchcase(reason.replace("[", "("), why.replace("[", "("))
            for pattern, why in listed
        )
    )


def _must_be_listed(config: pytest.Config) -> bool:
    in_worker = hasattr(config, "workerinput")
    return not in_worker and os.environ.get("CI", "").lower() in ("1", "true", "yes")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _must_be_listed(session.config) and _unlisted() and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if _must_be_listed(config) and (unlisted := _unlisted()):
        terminalreporter.section("skips that tests/meta/skips.txt does not list", red=True)
        for line in unlisted:
            terminalreporter.line(line)
