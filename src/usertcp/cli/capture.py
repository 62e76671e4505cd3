"""`usertcp capture`: pcapng of a running stack, to a file or to standard output."""

import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.status import Status

from usertcp.cli._common import Failure, json_option, print_json
from usertcp.cli._control_client import Client, connected, find_one

PACKET = 6
PIPE = 1 << 20
SHOW = 0.2
"""Seconds between two looks of the progress."""
_SET_PIPE_SIZE = 1031


class Blocks:
    """Follows a pcapng stream and counts its packets, without keeping it."""

    def __init__(self) -> None:
        self.packets: int = 0
        self.bytes: int = 0
        self._head = b""
        self._left = 0

    def have(self, most: int | None) -> bool:
        """Whether `most` packets are in, the last one whole."""
        return most is not None and self.packets >= most and not self._left and not self._head

    def cut(self, data: bytes, most: int | None = None) -> bytes:
        """What of `data` belongs to the file: ends with the block of packet number `most`."""
        at = 0
        while at < len(data) and not self.have(most):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
            else:
                need = 8 - len(self._head)
                self._head += data[at : at + need]
                at += min(need, len(data) - at)
                if len(self._head) == 8:
                    kind, length = (int.from_bytes(self._head[i : i + 4], "little") for i in (0, 4))
                    self._head, self._left = b"", max(length - 8, 0)
                    self.packets += kind == PACKET
        self.bytes += at
        return data[:at]


class Recorder:
    """Bytes from the pipe to the file, until told to end."""

    def __init__(self, client: Client, output: BinaryIO, count: int | None) -> None:
        self._client = client
        self._output = output
        self._count = count
        self.blocks: Blocks = Blocks()

    def record(self, deadline: float, stop: int, status: Status | None) -> None:
        """Until `deadline`, `count` packets, a byte at `stop`, or the program's end."""
        reading, writing = os.pipe()
        try:
            with suppress(OSError):
                fcntl.fcntl(writing, _SET_PIPE_SIZE, PIPE)
            try:
                self._client.ask("capture", pass_fd=writing)
            finally:
                os.close(writing)
            ended = False
            while not ended:
                left = min(SHOW, deadline - time.monotonic())
                ready, _, _ = select.select([reading, stop], [], [], max(left, 0))
                if reading in ready:
                    ended = not self._copy(reading)
                if stop in ready or time.monotonic() >= deadline or self._enough():
                    break
                if status:
                    status.update(f"{self.blocks.packets} packets, {self.blocks.bytes} bytes")
            self._finish(reading, ended=ended)
        finally:
            os.close(reading)

    def _enough(self) -> bool:
        return self.blocks.have(self._count)

    def _copy(self, reading: int) -> bool:
        data = os.read(reading, 1 << 18)
        self._output.write(self.blocks.cut(data, self._count))
        self._output.flush()
        return bool(data)

    def _finish(self, reading: int, *, ended: bool) -> None:
        """Ends the capture there, and takes what is still under way, statistics included."""
        with suppress(OSError):
            self._client.sock.shutdown(1)
        deadline = time.monotonic() + 3
        while not ended and not self._enough() and time.monotonic() < deadline:
            ready, _, _ = select.select([reading], [], [], 0.1)
            ended = bool(ready) and not self._copy(reading)


@contextmanager
def _interrupts() -> Iterator[int]:
    """A descriptor that becomes readable when the capture is to end: SIGINT or SIGTERM."""
    reading, writing = os.pipe()

    def note(*_: object) -> None:
        os.write(writing, b"x")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


@click.command()
@click.argument("process", required=False)
@click.option(
    "-w",
    "--write",
    "target",
    default="-",
    show_default=True,
    type=click.Path(dir_okay=False, allow_dash=True),
    help="The pcapng file; - is standard output.",
)
@click.option("-c", "--count", type=click.IntRange(min=1), help="End after this many packets.")
@click.option("-d", "--seconds", type=click.FloatRange(min=0), help="End after this time.")
@click.option(
    "--plot",
    "drawing",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the busiest connection to this file at the end, as `usertcp plot` does; needs -w.",
)
@json_option
def capture(
    *,
    process: str | None,
    target: str,
    count: int | None,
    seconds: float | None,
    drawing: Path | None,
    as_json: bool,
) -> None:
    """What a running stack sends and receives, as pcapng, until Ctrl-C.

    PROCESS is its number, or the path of its control socket. To look at once: `usertcp capture |
    tshark -r -`. With --json a summary is the last line on stderr, or on stdout when the packets go
    to a file.
    """
    to_stdout = target == "-"
    if to_stdout and drawing is not None:
        raise click.UsageError("--plot draws what is in a file: give -w FILE")
    if to_stdout and sys.stdout.isatty():
        raise click.UsageError("packets are nothing for a terminal: give -w FILE, or a pipe")
    path = find_one(process)
    deadline = time.monotonic() + (seconds if seconds is not None else 10.0**9)
    with ExitStack() as exits:
        stop = exits.enter_context(_interrupts())
        client = exits.enter_context(connected(path))
        output: BinaryIO
        try:
            output = (
                sys.stdout.buffer if to_stdout else exits.enter_context(Path(target).open("wb"))
            )
        except OSError as error:
            raise Failure(f"{target}: {error.strerror}") from None
        recorder = Recorder(client, output, count)
        show = Console(stderr=True)
        status = None
        if show.is_terminal and not as_json:
            status = exits.enter_context(show.status("waiting for packets"))
        try:
            recorder.record(deadline, stop, status)
        except BrokenPipeError:  # head, or a closed viewer: it has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    blocks = recorder.blocks
    if drawing is not None:
        from usertcp.cli.plot import picture

        picture(Path(target), drawing)
    if as_json:
        facts = {"packets": blocks.packets, "bytes": blocks.bytes, "file": None}
        if not to_stdout:
            print_json(facts | {"file": str(Path(target).absolute())})
        else:
            import json

            click.echo(json.dumps(facts), err=True)
    else:
        click.echo(f"{blocks.packets} packets, {blocks.bytes} bytes", err=True)
