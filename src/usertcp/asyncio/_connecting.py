"""create_connection's part before there is a transport: attempts, races, what failure is raised."""

import asyncio
from asyncio import staggered
from collections.abc import Sequence
from functools import partial
from socket import SO_REUSEADDR, SOL_SOCKET, AddressFamily
from typing import TYPE_CHECKING

from usertcp._address import text_of
from usertcp.asyncio._names import name_of
from usertcp.asyncio._resolving import Target
from usertcp.asyncio._socket import Socket

if TYPE_CHECKING:
    from usertcp.stacks import Stack


async def connect_socket(
    loop: asyncio.AbstractEventLoop, sock: Socket, packed: bytes, port: int
) -> None:
    """Its SYN has left before the first yield. Cancelled, the attempt is forgotten."""
    end = sock.begin_connect(packed, port)
    try:
        while not sock.finish_connect(packed, port):
            waiter: asyncio.Future[None] = loop.create_future()
            sock.set_writer(partial(_wake, waiter))
            await waiter
    except asyncio.CancelledError:
        if not end.connected and not end.closed:
            assert sock.stack is not None
            end.close(sock.stack.driver.now(), abort=True)
        raise
    finally:
        sock.set_writer(None)


def _wake(waiter: "asyncio.Future[None]", _: None) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Attempts:
    """One `create_connection`: its targets, where from, and what went wrong so far."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, stack: "Stack", local: Sequence[Target] | None
    ) -> None:
        self.loop, self.stack, self.local = loop, stack, local
        self.errors: list[OSError] = []

    async def one(self, target: Target) -> Socket:
        family, packed, port = target
        sock = Socket(family)
        try:
            sock.attach(self.stack)
            self._bind(sock, family)
            await connect_socket(self.loop, sock, packed, port)
        except OSError as exc:
            self.errors.append(exc)
            sock.close()
            raise
        except BaseException:
            sock.close()
            raise
        return sock

    def _bind(self, sock: Socket, family: AddressFamily) -> None:
        if self.local is None:
            return
        for local_family, packed, port in self.local:
            if local_family == family:
                sock.bind(name_of(family, text_of(packed), port))
                return
        raise OSError(f"no matching local address with family={family!r} found")

    async def run(
        self, targets: Sequence[Target], delay: float | None, *, all_errors: bool
    ) -> Socket:
        """The first that connects. Raises as asyncio's own."""
        sock: Socket | None = None
        if delay is None or len(targets) == 1:
            for target in targets:
                try:
                    sock = await self.one(target)
                    break
                except OSError:
                    continue
        else:
            sock, _, _ = await staggered.staggered_race(
                (partial(self.one, target) for target in targets), delay, loop=self.loop
            )
        if sock is not None:
            self.errors.clear()
            return sock
        errors, self.errors = self.errors, []
        try:
            raise _failure(errors, all_errors=all_errors)
        finally:
            del errors  # no circle of exception and frame


def _failure(errors: list[OSError], *, all_errors: bool) -> Exception:
    if all_errors:
        return ExceptionGroup("create_connection failed", errors)
    if len({str(exc) for exc in errors}) == 1:
        return errors[0]
    return OSError(f"Multiple exceptions: {', '.join(map(str, errors))}")


def server_socket(stack: "Stack", target: Target, *, reuse_address: bool) -> Socket:
    """A socket bound to an address that the stack has; it listens later."""
    family, packed, port = target
    sock = Socket(family)
    try:
        sock.attach(stack)
        if reuse_address:
            sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        sock.set_only_v6()
        sock.bind(name_of(family, text_of(packed), port))
        sock.check_bound(stack)
    except BaseException:
        sock.close()
        raise
    return sock
