"""`usertcp ping`: a TCP ping: how long a connection takes, again and again."""

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import anyio
import click

import usertcp
from usertcp.cli._common import (
    FAILURE,
    StackOptions,
    host_port,
    json_option,
    opener,
    print_json,
    reason,
    run,
    show_address,
    stack_options,
)


@dataclass(slots=True)
class Tally:
    """What came of the attempts so far."""

    host: str
    port: int
    attempts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        return [one["ms"] for one in self.attempts if one["outcome"] == "connected"]

    def document(self) -> dict[str, Any]:
        times = self.times
        return {
            "kind": "tcp-connect",
            "host": self.host,
            "port": self.port,
            "sent": len(self.attempts),
            "connected": len(times),
            "refused": sum(one["outcome"] == "refused" for one in self.attempts),
            "min_ms": min(times, default=None),
            "avg_ms": statistics.fmean(times) if times else None,
            "max_ms": max(times, default=None),
            "stdev_ms": statistics.pstdev(times) if times else None,
            "attempts": self.attempts,
        }


async def _once(stack: usertcp.Stack, tally: Tally, timeout: float) -> dict[str, Any]:
    begun = time.perf_counter_ns()

    def outcome(word: str, **more: Any) -> dict[str, Any]:
        ms = (time.perf_counter_ns() - begun) / 1e6
        return {"seq": len(tally.attempts) + 1, "outcome": word, "ms": round(ms, 3), **more}

    try:
        with anyio.fail_after(timeout):
            stream = await stack.connect_tcp(tally.host, tally.port)
    except TimeoutError:
        return outcome("timeout")
    except OSError as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            return outcome("refused")
        if isinstance(error.__cause__, TimeoutError):
            return outcome("timeout")
        return outcome("failed", error=reason(error))
    result = outcome("connected")
    await stream.aclose()
    return result


def _show(tally: Tally, one: dict[str, Any]) -> None:
    where = show_address((tally.host, tally.port))
    match one["outcome"]:
        case "connected":
            click.echo(f"connected to {where}: seq={one['seq']} time={one['ms']:.3f} ms")
        case "refused":
            click.echo(
                f"refused by {where}: seq={one['seq']} time={one['ms']:.3f} ms (no listener)"
            )
        case "timeout":
            click.echo(f"no answer from {where}: seq={one['seq']} after {one['ms']:.0f} ms")
        case _:
            click.echo(f"no connection to {where}: seq={one['seq']}: {one['error']}")


def _summary(tally: Tally) -> None:
    facts = tally.document()
    click.echo(f"--- {show_address((tally.host, tally.port))} TCP ping ---")
    lost = 1 - (facts["connected"] + facts["refused"]) / max(facts["sent"], 1)
    click.echo(
        f"{facts['sent']} attempts, {facts['connected']} connected, {facts['refused']} refused, "
        f"{lost:.0%} unanswered"
    )
    if tally.times:
        numbers = "/".join(f"{facts[f'{name}_ms']:.3f}" for name in ("min", "avg", "max", "stdev"))
        click.echo(f"connect min/avg/max/stdev = {numbers} ms")


@click.command()
@click.argument("host")
@click.argument("port", type=click.IntRange(1, 65535), required=False)
@click.option("-c", "--count", type=click.IntRange(min=1), default=4, show_default=True)
@click.option(
    "-i",
    "--interval",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Seconds between two attempts.",
)
@click.option(
    "-W",
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds to wait for an answer.",
)
@json_option
@stack_options()
def ping(
    *,
    host: str,
    port: int | None,
    count: int,
    interval: float,
    timeout: float,
    as_json: bool,
    stack: StackOptions,
) -> None:
    """TCP ping over a stack: how long a connection to HOST PORT (or HOST:PORT) takes.

    This is no ICMP echo: it measures the handshake with a TCP port. Exits with 0 when at least one
    attempt was connected, else with 1.
    """
    if port is None:
        try:
            found, port = host_port(host)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        if not found or not port:
            raise click.UsageError("which port? Like 10.7.0.1 80, or 10.7.0.1:80")
        host = found
    tally = Tally(host, port)

    async def attempts() -> None:
        async with opener(stack) as the_stack:
            for number in range(count):
                if number:
                    await anyio.sleep(interval)
                one = await _once(the_stack, tally, timeout)
                tally.attempts.append(one)
                if not as_json:
                    _show(tally, one)

    try:
        run(stack, attempts)
    finally:
        if tally.attempts:
            if as_json:
                print_json(tally.document())
            else:
                _summary(tally)
    if not tally.times:
        raise click.exceptions.Exit(FAILURE)
