"""`usertcp demo`: real TCP between usertcp and the kernel in a private network, checked.

This process only shows. The run itself is a child's (_demo/inside.py), which can enter a namespace
because it has one thread, and whose end, however it comes, is the end of all that was made.
"""

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path

import click

from usertcp.cli._demo.report import Event, Report
from usertcp.cli._demo.run import NO_NAMESPACE, Spec
from usertcp.cli._demo.view import View

LIMIT = 120.0
"""Seconds after which the run is given up."""
GRACE = 5.0
"""Seconds a child may take to end."""
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}


def parse_size(text: str) -> int:
    """Bytes from "64MiB", "500 KiB", "1048576"; `ValueError` for anything else."""
    match = re.fullmatch(r"\s*([0-9]+)\s*([KMG]iB)?\s*", text, re.IGNORECASE)
    size = int(match[1]) * _UNITS[(match[2] or "").upper()] if match else 0
    if not 1 <= size < 1 << 32:
        raise ValueError(f"{text!r} is not a size of 1 byte to 4 GiB, like 64MiB")
    return size


class _Size(click.ParamType[int]):
    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            return value if isinstance(value, int) else parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Child:
    """One run of _demo/inside.py, in a session of its own so that all of it can be ended."""

    def __init__(self, spec: Spec, events_fd: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "usertcp.cli._demo.inside", json.dumps(asdict(spec))],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            pass_fds=[events_fd],
            start_new_session=True,
        )

    def wait(self) -> int:
        """The exit status; the child has closed its end of the pipe."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(GRACE)
        return -1

    def end(self) -> None:
        """The whole session: peers and curl too."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _follow(fd: int, report: Report, view: View | None, deadline: float) -> str:
    """Takes events until the child closes the pipe. Returns why there is no namespace, or ""."""
    rest, why = b"", ""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                report.check("the demo ends in time", f"given up after {LIMIT:g} s", ok=False)
                return why
            data = os.read(fd, 1 << 16)
            if not data:
                return why
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                event: Event = json.loads(line)
                if event["event"] == "no namespace":
                    why = event["why"]
                    continue
                report.take(event)
                if view:
                    view.show(event, report)


def _run(spec: Spec, report: Report, view: View | None) -> str:
    """One child from start to end. Returns why no namespace was to be had, or ""."""
    read_end, write_end = os.pipe()
    with ExitStack() as exits:
        exits.callback(os.close, read_end)
        try:
            child = Child(replace(spec, events=write_end), write_end)
        finally:
            os.close(write_end)
        exits.callback(child.end)
        why = _follow(read_end, report, view, time.monotonic() + LIMIT)
        status = child.wait()
        if status == NO_NAMESPACE:
            return why or "no reason was given"
        if not report.finished:
            report.check("the demo runs to its end", f"its process ended with {status}", ok=False)
    return ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option(
    "--keep-pcap",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("usertcp-demo.pcapng"),
    show_default=True,
    help="Where the capture is left.",
)
@click.option("--size", type=_Size(), default="64MiB", show_default=True, help="Of large bodies.")
@click.option(
    "--loop",
    type=click.Choice(["asyncio", "uvloop", "trio"]),
    default="asyncio",
    show_default=True,
)
@click.option("--memory", is_flag=True, help="Two stacks over a link in memory.")
def demo(*, as_json: bool, keep_pcap: Path, size: int, loop: str, memory: bool) -> None:
    """The whole thing in a private namespace, no set-up, checks itself.

    Kernel TCP and usertcp serve each other pages and large bodies, over IPv4 and IPv6. Exits with 1
    when a check fails.
    """
    report = Report(pcap=str(keep_pcap.absolute()))
    spec = Spec(
        events=-1,
        backend="trio" if loop == "trio" else "asyncio",
        uvloop=loop == "uvloop",
        size=size,
        pcap=str(keep_pcap.absolute()),
        memory=memory,
        why_memory="As asked for." if memory else "",
    )
    view = None if as_json else View()
    begun = time.monotonic()
    try:
        with view or ExitStack():
            why = _run(spec, report, view)
            if why:
                again = replace(spec, memory=True, why_memory=f"Because: {why.rstrip('.')}.")
                _run(again, report, view)
    except KeyboardInterrupt:
        click.echo("interrupted; nothing is left behind", err=True)
        raise
    report.seconds = time.monotonic() - begun
    if not keep_pcap.exists():
        report.pcap = None
    if view:
        view.finish(report)
    else:
        click.echo(json.dumps(report.document()))
    sys.exit(0 if report.ok else 1)
