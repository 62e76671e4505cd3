"""`usertcp nc`: connects or listens, and joins the connection to standard input and output."""

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

import anyio
import click
from anyio.abc import ByteStream, SocketAttribute

import usertcp
from usertcp.cli._common import (
    Failure,
    StackOptions,
    json_option,
    opener,
    run,
    show_address,
    stack_options,
)
from usertcp.cli._pipe import Reader, Writer


@dataclass(slots=True)
class Result:
    """What `--json` tells on stderr."""

    local: str = ""
    peer: str = ""
    sent: int = 0
    received: int = 0
    error: str | None = None


class Joint:
    """One connection and the two descriptors."""

    def __init__(self, stream: ByteStream, result: Result, *, quit_at_eof: bool) -> None:
        self._stream = stream
        self._result = result
        self._quit = quit_at_eof
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Until both directions have ended; `quit_at_eof`: until the peer's has."""
        try:
            async with anyio.create_task_group() as group:
                self._scope = group.cancel_scope
                group.start_soon(self._receive)
                group.start_soon(self._send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()

    async def _send(self) -> None:
        reader = Reader(0)
        while data := await reader.read():
            await self._stream.send(data)
            self._result.sent += len(data)
        await self._stream.send_eof()

    async def _receive(self) -> None:
        writer = Writer(1)
        done = self._quit
        try:
            while True:
                data = await self._stream.receive()
                await writer.write(data)
                self._result.received += len(data)
        except anyio.EndOfStream:
            writer.close()
        except BrokenPipeError:  # as `| head` does: nobody wants more
            done = True
        if done:
            self._scope.cancel()


def _name(stream: ByteStream, attribute: Any) -> str:
    address: tuple[str, int] = stream.extra(attribute)  # noqa: S610
    return show_address(address)


async def _accept_one(stack: usertcp.Stack, host: str | None, port: int) -> ByteStream:
    listener = await stack.create_tcp_listener(local_host=host, local_port=port, backlog=1)
    address = listener.extra(SocketAttribute.local_address)  # noqa: S610
    assert isinstance(address, tuple)
    click.echo(f"listening on {show_address(address)}", err=True)
    async with listener:
        first: list[ByteStream] = []
        async with anyio.create_task_group() as group:

            async def accept(each: usertcp.TCPListener) -> None:
                stream = await each.accept()
                if first:
                    await stream.aclose()
                first.append(stream)
                group.cancel_scope.cancel()

            for each in listener.listeners:
                assert isinstance(each, usertcp.TCPListener)
                group.start_soon(accept, each)
        return first[0]


@click.command()
@click.argument("host", required=False)
@click.argument("port", type=click.IntRange(0, 65535), required=False)
@click.option("-l", "--listen", is_flag=True, help="Wait for a connection to [HOST] PORT.")
@click.option(
    "-q", "--quit", "quit_at_eof", is_flag=True, help="End when the peer has sent all it will."
)
@click.option(
    "-w", "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds to connect in."
)
@click.option("-z", "--zero", is_flag=True, help="Connect and close: whether somebody listens.")
@click.option("-v", "--verbose", is_flag=True, help="Tell on stderr who is connected.")
@json_option
@stack_options()
def nc(
    *,
    host: str | None,
    port: int | None,
    listen: bool,
    quit_at_eof: bool,
    timeout: float | None,
    zero: bool,
    verbose: bool,
    as_json: bool,
    stack: StackOptions,
) -> None:
    """Connects to HOST PORT (or listens there) over a stack; standard input and output.

    The end of standard input closes our direction (FIN) and what the peer still sends is received;
    the end of the peer's closes standard output. With --json the result is one JSON object on
    stderr, since standard output is the peer's.
    """
    if listen and port is None and host is not None and host.isdigit():
        port, host = int(host), None
    if port is None or (host is None and not listen):
        raise click.UsageError("HOST and PORT are needed; with -l at least PORT")
    result = Result()

    async def connect(the_stack: usertcp.Stack) -> ByteStream:
        if listen:
            return await _accept_one(the_stack, host, port)
        assert host is not None
        try:
            with anyio.fail_after(timeout):
                return await the_stack.connect_tcp(host, port)
        except TimeoutError:
            where = show_address((host, port))
            raise Failure(f"connect to {where}: no answer in {timeout:g} s") from None

    async def main() -> None:
        async with opener(stack) as the_stack:
            stream = await connect(the_stack)
            result.local = _name(stream, SocketAttribute.local_address)
            result.peer = _name(stream, SocketAttribute.remote_address)
            if verbose:
                click.echo(f"connected: {result.local} to {result.peer}", err=True)
            if zero:
                await stream.aclose()
                return
            await Joint(stream, result, quit_at_eof=quit_at_eof).run()

    try:
        run(stack, main)
    except Failure as failure:
        result.error = failure.message
        if not as_json:
            raise
    if as_json:
        click.echo(json.dumps(asdict(result)), err=True)
        sys.exit(0 if result.error is None else 1)
