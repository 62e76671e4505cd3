"""`usertcp forward`: the relay for programs that must have a kernel socket."""

import signal
from typing import Any

import anyio
import click

from usertcp.cli._common import (
    StackOptions,
    host_port,
    json_option,
    opener,
    print_json,
    run,
    stack_options,
)
from usertcp.cli._relay import Listening, Place, listen_kernel, listen_stack


def parse_place(text: str) -> Place:
    """`kernel:HOST:PORT`, `stack:HOST:PORT`, the host left out or `*` for all addresses."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in ("kernel", "stack"):
        raise ValueError(f"{text!r}: expected kernel:HOST:PORT or stack:HOST:PORT")
    host, port = host_port(rest)
    return Place(kind, None if host in (None, "", "*") else host, port)


class _PlaceType(click.ParamType[Place]):
    name = "kernel|stack:HOST:PORT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        if isinstance(value, Place):
            return value
        try:
            return parse_place(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _show(event: dict[str, Any]) -> None:
    words = " ".join(f"{key}={value}" for key, value in event.items() if key != "event")
    click.echo(f"{event['event']} {words}", err=True)


def _pairs(listens: tuple[Place, ...], targets: tuple[Place, ...]) -> list[tuple[Place, Place]]:
    if len(listens) != len(targets):
        raise click.UsageError("each --listen needs its --to, in the same order")
    for listen, target in zip(listens, targets, strict=True):
        if listen.kind == target.kind == "kernel":
            raise click.UsageError(f"{listen} to {target}: one of the two is the stack's")
        if target.host is None or not target.port:
            raise click.UsageError(f"--to {target}: a host and a port are needed")
    return list(zip(listens, targets, strict=True))


@click.command()
@click.option(
    "--listen",
    "listens",
    type=_PlaceType(),
    multiple=True,
    required=True,
    help="Where clients come.",
)
@click.option(
    "--to", "targets", type=_PlaceType(), multiple=True, required=True, help="Where they are led."
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Of a --listen at a time; more wait in its queue.",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell of every connection on stderr.")
@json_option
@stack_options()
def forward(
    *,
    listens: tuple[Place, ...],
    targets: tuple[Place, ...],
    max_connections: int,
    verbose: bool,
    as_json: bool,
    stack: StackOptions,
) -> None:
    """Relays TCP connections between kernel sockets and a stack, until interrupted.

    `--listen kernel:127.0.0.1:8080 --to stack:10.7.0.1:80` lets a kernel client reach a server
    through the stack; `--listen stack:80 --to kernel:127.0.0.1:8000` gives a kernel server a port
    of the stack. The end of a direction and a reset arrive as what they are. With --json every
    event is a line on standard output, `listening` first. SIGINT or SIGTERM end it with 0.
    """
    pairs = _pairs(listens, targets)

    def tell(event: dict[str, Any]) -> None:
        if as_json:
            print_json(event)
        elif verbose or event["event"] in ("listening", "failed", "accept failed"):
            _show(event)

    async def until_told(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                scope.cancel()
                return

    async def main() -> None:
        async with opener(stack) as the_stack, anyio.create_task_group() as group:
            group.start_soon(until_told, group.cancel_scope)
            for listen, target in pairs:
                task = Listening(target, the_stack, group, tell, most=max_connections)
                if listen.kind == "kernel":
                    where = await group.start(_start_kernel, listen, task)
                else:
                    where = await group.start(_start_stack, listen, the_stack, task)
                tell({"event": "listening", "on": f"{listen.kind}:{where}", "to": str(target)})

    run(stack, main)


async def _start_kernel(listen: Place, task: Listening, *, task_status: Any) -> None:
    await listen_kernel(listen, task, task_status)


async def _start_stack(listen: Place, stack: Any, task: Listening, *, task_status: Any) -> None:
    await listen_stack(listen, stack, task, task_status)
