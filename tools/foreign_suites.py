"""Other projects' test suites over our sockets, and over the kernel's in the same run.

    make foreign                # all of them
    make foreign ARGS=anyio     # one; ARGS="anyio --only ours --pytest='-x --tb=long'"

Sources come from PyPI's source distributions, into build/foreign; so do an environment and the
results, `results.json`. tests/foreign/expected.txt tells which tests do not apply or fail, and why.
Fails when a test fails or passes against that list.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "build/foreign"
VENV = BUILT / "venv-{}.{}".format(*sys.version_info)
PYTHON = VENV / "bin/python"
sys.path.insert(0, str(ROOT / "tests"))

from foreign.patterns import MARK, matches  # noqa: E402

REQUIRES = (
    *("anyio==4.16.0", "trio==0.35.0", "uvloop>=0.22.1", "cffi>=2.0", "click>=8.1", "rich>=13"),
    *("pyroute2>=0.7.12", "pytest>=9", "pytest-mock>=3.14", "pytest-timeout>=2.4"),
    *("blockbuster>=1.5.29", "psutil>=5.9", "trustme>=1.0", "truststore>=0.9.1", "pyopenssl>=24"),
)
TRIO_FILES = """
    highlevel_socket highlevel_open_tcp_stream highlevel_open_tcp_listeners highlevel_ssl_helpers
    highlevel_serve_listeners highlevel_generic socket ssl fakenet testing
""".split()

Mode = Literal["ours", "kernel"]


@dataclass(frozen=True)
class Suite:
    name: str
    network: str
    """What tools/foreign_network.py makes for our side."""
    plugin: str
    arguments: tuple[str, ...]
    source: str = ""
    """The source distribution that has the tests, NAME==VERSION; they run in its directory."""


ANYIO = ("-o", "timeout=30", "-o", "addopts=", "-p", "pytest_mock", "-p", "anyio")
SUITES = (
    Suite(
        "anyio",
        "tun",
        "foreign.anyio_plugin",
        ("tests/test_sockets.py", "-k", "TestTCPStream or TestTCPListener", *ANYIO),
        "anyio==4.16.0",
    ),
    Suite(
        "trio",
        "loopback",
        "foreign.trio_plugin",
        (
            *("--pyargs", *(f"trio._tests.test_{name}" for name in TRIO_FILES)),
            *("-p", "trio._tests.pytest_plugin", "--run-slow", "-o", "timeout=60"),
        ),
    ),
)


@dataclass
class Outcome:
    tests: dict[str, str] = field(default_factory=dict)
    """By id: passed, failed, skipped or inapplicable."""
    made: str = ""
    """What the plugin counted: it tells whether our sockets were used at all."""
    seconds: float = 0.0

    def count(self, verdict: str) -> int:
        return Counter(self.tests.values())[verdict]


@dataclass(frozen=True)
class Expectation:
    suite: str
    verdict: str
    pattern: str
    reason: str


def expectations() -> list[Expectation]:
    found = []
    for line in (ROOT / "tests/foreign/expected.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            suite, verdict, pattern, reason = (part.strip() for part in line.split("|", 3))
            if verdict not in ("inapplicable", "fails", "kernel"):
                raise ValueError(f"expected.txt: {verdict!r} in {line!r}")
            found.append(Expectation(suite, verdict, pattern, reason))
    return found


# -- set-up ----------------------------------------------------------------------------------------


def pip(python: Path | str, *arguments: str) -> None:
    command = [str(python), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"foreign: pip {arguments[0]} failed\n{done.stderr}")


def environment() -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    stamp, wanted = VENV / ".made", sha256(repr((sys.version, REQUIRES)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"foreign: making {VENV.relative_to(ROOT)}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    pip(PYTHON, "install", *REQUIRES)
    stamp.write_text(wanted)


def source(requirement: str) -> Path:
    """The unpacked source distribution."""
    name = requirement.replace("==", "-")
    if not (BUILT / name).exists():
        print(f"foreign: fetching {name}", file=sys.stderr, flush=True)
        fetched = BUILT / "sdists"
        pip(
            *(PYTHON, "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"),
            *("--dest", str(fetched), requirement),
        )
        with tarfile.open(fetched / f"{name}.tar.gz") as archive:
            archive.extractall(BUILT, filter="data")
    return BUILT / name


# -- running ---------------------------------------------------------------------------------------


def run(suite: Suite, mode: Mode, expected: list[Expectation], extra: list[str]) -> Outcome:
    ours = mode == "ours"
    report = BUILT / f"{suite.name}-{mode}.xml"
    report.unlink(missing_ok=True)
    network = suite.network if ours else "loopback"
    command = [
        *(str(PYTHON), str(ROOT / "tools/foreign_network.py"), network),
        *(str(BUILT / f"{suite.name}-{mode}.hosts"), str(PYTHON), "-m", "pytest", "-q"),
        *suite.arguments,
        *("-p", "foreign.selection", "-p", "no:cacheprovider", f"--junitxml={report}"),
        *("--tb=short", "-rfE", *(("-p", suite.plugin) if ours else ()), *extra),
    ]
    left_out = "\n".join(
        f"{e.pattern}\t{e.reason}"
        for e in expected
        if e.suite == suite.name and e.verdict == "inapplicable" and ours
    )
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    done = subprocess.run(
        command, cwd=source(suite.source) if suite.source else BUILT, check=False, text=True,
        env={**os.environ, "PYTHONPATH": paths, "FOREIGN_INAPPLICABLE": left_out},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900,
    )  # fmt: skip
    (BUILT / f"{suite.name}-{mode}.log").write_text(done.stdout)
    if not report.exists():
        raise SystemExit(f"foreign: {suite.name} on {mode} gave no report\n{done.stdout[-4000:]}")
    return read(report, done.stdout)


def read(report: Path, said: str) -> Outcome:
    made = re.search(r"^usertcp (?:made|sockets): (.*)", said, re.MULTILINE)
    outcome = Outcome(made=made[1] if made else "")
    for case in ET.parse(report).iter("testcase"):
        where, name = case.get("classname", ""), case.get("name", "")
        parts = where.split(".")
        first = next((n for n, part in enumerate(parts) if part.startswith("test_")), 0)
        test = "::".join([*parts[first:], name])
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            verdict = "failed"
        elif skipped is not None:
            inapplicable = MARK in skipped.get("message", "")
            verdict = "inapplicable" if inapplicable else "skipped"
        else:
            verdict = "passed"
        if outcome.tests.get(test) != "failed":  # an error at the end of a test that passed
            outcome.tests[test] = verdict
        outcome.seconds += float(case.get("time", 0))
    return outcome


def complaints(suite: str, mode: Mode, got: Outcome, expected: list[Expectation]) -> list[str]:
    """What is not as the list says."""
    wrong = []
    mine = [e for e in expected if e.suite == suite]
    fails = [e for e in mine if e.verdict == ("fails" if mode == "ours" else "kernel")]
    for test, verdict in got.tests.items():
        allowed = any(matches(e.pattern, test) for e in fails)
        if verdict == "failed" and not allowed:
            wrong.append(f"{suite} on {mode}: {test} failed")
        elif verdict == "passed" and allowed:
            wrong.append(f"{suite} on {mode}: {test} passed, which expected.txt denies")
    if (mode == "ours") != bool(got.made and "0" not in re.findall(r"\d+", got.made)):
        wrong.append(f"{suite} on {mode}: usertcp made {got.made or 'nothing'}")
    wrong += [
        f"expected.txt: {e.pattern} is no test of {suite}"
        for e in mine
        if not any(matches(e.pattern, test) for test in got.tests)
    ]
    return wrong


# -- telling ---------------------------------------------------------------------------------------

COLUMNS = ("passed", "failed", "inapplicable", "skipped")


def table(results: dict[str, dict[str, Outcome]]) -> str:
    lines = [f"{'suite':8}{'on':8}" + "".join(f"{c:>14}" for c in COLUMNS) + f"{'seconds':>10}"]
    for suite, outcomes in results.items():
        for mode, got in outcomes.items():
            counts = "".join(f"{got.count(c):>14}" for c in COLUMNS)
            lines.append(f"{suite:8}{mode:8}{counts}{got.seconds:>10.1f}")
    return "\n".join(lines)


def as_json(results: dict[str, dict[str, Outcome]], wrong: list[str]) -> str:
    suites = {
        suite: {
            mode: {
                **{c: got.count(c) for c in COLUMNS},
                "seconds": round(got.seconds, 1),
                "made": got.made,
                "not_passed": {t: v for t, v in sorted(got.tests.items()) if v != "passed"},
            }
            for mode, got in outcomes.items()
        }
        for suite, outcomes in results.items()
    }
    return json.dumps({"suites": suites, "unexpected": wrong}, indent=2) + "\n"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="of anyio, trio")
    parser.add_argument("--only", choices=("ours", "kernel"))
    parser.add_argument("--pytest", default="", help="more arguments for pytest")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if unknown := set(args.suites) - {suite.name for suite in SUITES}:
        raise SystemExit(f"foreign: no suite {', '.join(sorted(unknown))}")
    environment()
    expected = expectations()
    results: dict[str, dict[str, Outcome]] = {}
    wrong: list[str] = []
    modes: tuple[Mode, ...] = (args.only,) if args.only else ("ours", "kernel")
    for suite in SUITES:
        if args.suites and suite.name not in args.suites:
            continue
        for mode in modes:
            got = run(suite, mode, expected, args.pytest.split())
            results.setdefault(suite.name, {})[mode] = got
            wrong += complaints(suite.name, mode, got, expected)
            made = f" (usertcp made: {got.made})" if got.made else ""
            print(f"foreign: {suite.name} on {mode} is done{made}", file=sys.stderr, flush=True)
    wrong = list(dict.fromkeys(wrong))
    print(table(results))
    (BUILT / "results.json").write_text(as_json(results, wrong))
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
