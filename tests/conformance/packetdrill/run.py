"""Runs packetdrill scripts against the engine and compares with the list of expected failures.

    run.py --packetdrill PROGRAM --scripts FOLDER [-v] [--match PATTERN] [--all] [--family v4|v6]
           [--profile linux|rfc]

Every script runs over IPv4 and IPv6 in a network namespace of its own, where its commands may set
the system's TCP settings (the adapter reads them) and touch nothing else. A line of expected.txt is
`SCRIPT | v4, v6 or both | reason`. Exit status 1: a failure that is not on the list, or a script on
the list that passes. In a folder that has scripts of portable.txt only these are run; --all runs
the others too, which count for nothing.
"""

import argparse
import fnmatch
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
ADAPTER = HERE.parents[2] / "build/packetdrill/adapter.so"
TIMEOUT = 30  # s of real time; virtual time costs nothing

FAMILIES = {
    "v4": {
        "local": "192.168.0.1",
        "mtu": "1500",
        "options": [
            "--ip_version=ipv4",
            "--gateway_ip=192.168.0.1",
            "--netmask_ip=255.255.0.0",
            "--remote_ip=192.0.2.1",
            "-DTFO_COOKIE=3021b9d889017eeb",
            "-DCODE=host_unreachable",
            "-DCMSG_LEVEL_IP=SOL_IP",
            "-DCMSG_TYPE_RECVERR=IP_RECVERR",
        ],
    },
    # An MTU 20 above leaves scripts the MSS they were written with.
    "v6": {
        "local": "fd3d:a0b:17d6::1",
        "mtu": "1520",
        "options": [
            "--ip_version=ipv6",
            "--mtu=1520",
            "--gateway_ip=fd3d:a0b:17d6:8888::1",
            "--remote_ip=fd3d:fa7b:d17d::1",
            "-DTFO_COOKIE=c1d1e9742a47a9bc",
            "-DCMSG_LEVEL_IP=SOL_IPV6",
            "-DCMSG_TYPE_RECVERR=IPV6_RECVERR",
        ],
    },
}


def namespace() -> list[str]:
    """The command before a command that gives it a network namespace."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net"]


def run(program: Path, script: Path, family: str, profile: str, flags: str = "") -> str:
    """What went wrong, in one line; empty: the script passed."""
    text = script.read_text()
    if "--strict_segments" in text or "gso off" in text:
        flags += ",segments"
    # A script that names its version of IP is run over no other.
    version = re.search(r"^--ip_version=(\S+)", text, re.MULTILINE)
    if version:
        family = {"ipv4": "v4", "ipv6": "v6"}[version[1]]
    how = FAMILIES[family]
    # What a script says of addresses is about IPv4, and of cookies made from them.
    named = re.search(r"^--local_ip=(\S+)", text, re.MULTILINE) if family == "v4" else None
    local = named[1] if named else how["local"]
    remote = re.search(r"^--remote_ip=(\S+)", text, re.MULTILINE) if family == "v4" else None
    so_flags = f"profile={profile},local={local},mtu={how['mtu']}" + flags
    command = [
        *namespace(),
        "env",
        f"LD_PRELOAD={ADAPTER}",
        str(program),
        *how["options"],
        f"--local_ip={local}",
        *([f"--remote_ip={remote[1]}"] if remote else []),
        f"--so_filename={ADAPTER}",
        f"--so_flags={so_flags}",
        script.name,
    ]
    path = f"{HERE / 'commands'}:{os.environ['PATH']}"
    with TemporaryDirectory() as said:
        environ = {**os.environ, "PATH": path, "UT_DOOR_DIR": said}
        try:
            done = subprocess.run(
                command,
                cwd=script.parent,
                env=environ,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"still running after {TIMEOUT} s"
    if done.returncode == 0:
        return ""
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    lines = [line for line in said if not line.startswith("sysctl:")]
    return " / ".join(lines) or f"exit status {done.returncode}"


def expected() -> dict[tuple[str, str], str]:
    """(script, family) of each expected failure, and why."""
    result = {}
    for line in (HERE / "expected.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, families, reason = (part.strip() for part in line.split("|", 2))
        for family in FAMILIES if families == "both" else [families]:
            result[name, family] = reason
    return result


def portable() -> dict[str, str]:
    """Script and its class, P or S."""
    lines = (HERE / "portable.txt").read_text().splitlines()
    pairs = (line.split() for line in lines if not line.startswith("#"))
    return {name: kind for kind, name in pairs}


def report(results: dict[tuple[str, str], str], classes: dict[str, str], verbose: bool) -> int:
    """Prints what failed, and how many of each class passed; the number of surprises."""
    known = expected()
    surprises = 0
    for job, error in results.items():
        mark = "failed" if error else "passed"
        if (job[0] in classes or not classes) and bool(error) != (job in known):
            surprises += 1
            mark += ", not expected"
        if verbose or "expected" in mark:
            print(f"{job[0]} {job[1]}: {mark}{': ' + error if error else ''}")
    for kind in sorted({classes.get(name, "") for name, _ in results}):
        for family in FAMILIES:
            errors = [
                e for (n, f), e in results.items() if (classes.get(n, ""), f) == (kind, family)
            ]
            passed = errors.count("")
            title = f"class {kind}" if kind else "other scripts" if classes else "scripts"
            print(f"{title}, {family}: {passed} of {len(errors)} passed")
    print(f"{surprises} not as expected")
    return surprises


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packetdrill", type=Path, required=True)
    parser.add_argument("--scripts", type=Path, required=True)
    parser.add_argument("--profile", default="linux", choices=["linux", "rfc"])
    parser.add_argument("--match", default="*", help="of the script's path below the folder")
    parser.add_argument("--family", choices=list(FAMILIES))
    parser.add_argument("--all", action="store_true", help="also what portable.txt does not name")
    parser.add_argument("-v", "--verbose", action="store_true", help="why each failure failed")
    args = parser.parse_args()
    root = args.scripts.resolve()
    names = sorted(p.relative_to(root).with_suffix("").as_posix() for p in root.rglob("*.pkt"))
    classes = {name: kind for name, kind in portable().items() if name in names}
    if classes and not args.all:
        names = sorted(classes)
    names = [name for name in names if fnmatch.fnmatch(name, args.match)]
    families = [args.family] if args.family else list(FAMILIES)
    jobs = [(name, family) for name in names for family in families]
    if not jobs:
        print(f"no scripts below {root}", file=sys.stderr)
        return 2
    program = args.packetdrill.resolve()

    def play(job: tuple[str, str]) -> str:
        return run(program, root / f"{job[0]}.pkt", job[1], args.profile)

    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        results = dict(zip(jobs, pool.map(play, jobs), strict=True))
    return 1 if report(results, classes, args.verbose) else 0


if __name__ == "__main__":
    sys.exit(main())
