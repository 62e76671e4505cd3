"""Connecting: `connect_tcp` with happy eyeballs (RFC 8305), TLS, and a `ByteStreamConnectable`.

The algorithm is AnyIO's own (`anyio.connect_tcp`, 4.16), on a stack: same order of attempts, same
exceptions. One numeric address, the usual case, goes without a task group.
"""

import ssl
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import anyio
from anyio import ConnectionFailed, aclose_forcefully
from anyio.abc import ByteStreamConnectable
from anyio.streams.tls import TLSStream

from usertcp._address import ANY, ANY_V4, family_of, text_of
from usertcp._errors import Code, code_of, exception, os_error
from usertcp._faces import closed_error
from usertcp._resolve import Target, local_address, targets_of
from usertcp._stack import Endpoint
from usertcp.streams import TCPStream

if TYPE_CHECKING:
    from usertcp.stacks import Stack

IPHost: TypeAlias = str | IPv4Address | IPv6Address
Local: TypeAlias = tuple[bytes | None, int]


class Wishes(NamedTuple):
    """Of one connection; see `Stack.connect_tcp`."""

    ecn: bool | None = None
    fast_open: bool = False


async def connect_one(
    stack: "Stack", packed: bytes, port: int, local: Local, wishes: Wishes
) -> TCPStream:
    """One attempt at one address; its packets have left before the first yield, but for a SYN that
    waits for data (RFC 7413).

    Raises `ConnectionRefusedError` (RST), `TimeoutError` (no answer), `OSError` with EHOSTUNREACH
    or ENETUNREACH, or with EADDRNOTAVAIL or EADDRINUSE for the local address. Cancelled, it forgets
    the attempt.
    """
    engine, driver = stack.engine, stack.driver
    await driver.check()
    stack.check_open()
    source = local[0] or (ANY_V4 if family_of(packed) == family_of(ANY_V4) else ANY)
    code, handle = engine.connect(
        (source, local[1]),
        (packed, port),
        driver.now(),
        ecn=wishes.ecn,
        fast_open=wishes.fast_open,
    )
    about = f"connect to {text_of(packed)} port {port}"
    if code < 0:
        known = code_of(code)
        if local[0] and known in (Code.ADDRESS_NOT_AVAILABLE, Code.ADDRESS_IN_USE):
            about += f" from {text_of(local[0])} port {local[1]}"
        raise exception(code, about)
    end = Endpoint(engine, handle, readable=code > 0)  # `receive` makes the SYN leave
    try:
        driver.after_call()
        while not end.connected and not end.ended and not end.closed:
            waiter = end.writer = driver.new_waiter()
            await waiter
    except BaseException:
        end.close(driver.now(), abort=not end.connected)
        driver.after_call()
        raise
    finally:
        end.writer = None
    if end.closed:
        raise os_error(Code.LINK_DOWN, about) if end.link_failed else closed_error(end)
    if end.connected:
        return TCPStream(stack, end, engine.local_endpoint(handle), (text_of(packed), port))
    failure = exception(end.error or Code.ABORTED, about)
    end.close(driver.now())
    driver.after_call()
    raise failure


class _Race:
    """Happy eyeballs: attempts that overlap, one winner."""

    def __init__(self, stack: "Stack", port: int, local: Local, wishes: Wishes) -> None:
        self.stack, self.port, self.local, self.wishes = stack, port, local, wishes
        self.winner: TCPStream | None = None
        self.errors: list[OSError] = []

    async def attempt(self, packed: bytes, ended: anyio.Event, scope: anyio.CancelScope) -> None:
        try:
            stream = await connect_one(self.stack, packed, self.port, self.local, self.wishes)
        except OSError as exc:
            self.errors.append(exc)
        else:
            if self.winner is None:
                self.winner = stream
                scope.cancel()
            else:
                await stream.aclose()
        finally:
            ended.set()

    async def run(self, targets: list[Target], delay: float) -> TCPStream:
        try:
            async with anyio.create_task_group() as tg:
                for _, packed in targets:
                    ended = anyio.Event()
                    tg.start_soon(self.attempt, packed, ended, tg.cancel_scope)
                    with anyio.move_on_after(delay):
                        await ended.wait()
        except BaseException:
            if self.winner is not None:
                await aclose_forcefully(self.winner)
            raise
        if self.winner is None:
            raise all_failed(self.errors)
        return self.winner


def all_failed(errors: list[OSError]) -> OSError:
    """AnyIO's exception for it: the cause is the one error, or a group of them."""
    error = OSError("All connection attempts failed")
    error.__cause__ = (
        errors[0]
        if len(errors) == 1
        else ExceptionGroup("multiple connection attempts failed", errors)
    )
    return error


async def connect_plain(
    stack: "Stack",
    remote: tuple[IPHost, int],
    local: tuple[IPHost | None, int | None],
    happy_eyeballs_delay: float,
    wishes: Wishes,
) -> TCPStream:
    """`connect_tcp` without the TLS part."""
    stack.check_open()
    remote_port = remote[1]
    for name, port in (("remote_port", remote_port), ("local_port", local[1] or 0)):
        if not 0 <= port <= 65535:
            raise ValueError(f"{name}: {port} is not between 0 and 65535")
    families = stack.families
    local_host = str(local[0]) if local[0] else None
    family, source = await local_address(local_host, local[1], families)
    targets = await targets_of(str(remote[0]), remote_port, family, families)
    if len(targets) > 1:
        return await _Race(stack, remote_port, source, wishes).run(targets, happy_eyeballs_delay)
    try:
        return await connect_one(stack, targets[0][1], remote_port, source, wishes)
    except OSError as exc:
        raise all_failed([exc]) from exc


async def wrap_tls(
    stream: TCPStream,
    hostname: str,
    ssl_context: ssl.SSLContext | None,
    standard_compatible: bool,
) -> TLSStream:
    """AnyIO's own TLS over the stream; a failed handshake closes it."""
    try:
        return await TLSStream.wrap(
            stream,
            server_side=False,
            hostname=hostname,
            ssl_context=ssl_context,
            standard_compatible=standard_compatible,
        )
    except BaseException:
        await aclose_forcefully(stream)
        raise


@dataclass(frozen=True)
class TCPConnectable(ByteStreamConnectable):
    """`Stack.connectable(host, port)`: for whatever takes a connectable, `TLSConnectable` too."""

    stack: "Stack" = field(repr=False)
    """The stack to connect over."""
    host: IPHost
    """A name or an address."""
    port: int
    """1 to 65535."""

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ValueError("TCP port number out of range")

    async def connect(self) -> TCPStream:
        """A stream. `anyio.ConnectionFailed` from the `OSError` when it cannot be had."""
        try:
            return await self.stack.connect_tcp(self.host, self.port)
        except OSError as exc:
            raise ConnectionFailed(f"error connecting to {self.host}:{self.port}: {exc}") from exc
