"""TCPListener: a listening port as an `anyio.abc.Listener`; `create_tcp_listener`'s addresses."""

import errno
import warnings
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, AF_UNSPEC, AI_PASSIVE, SOCK_STREAM, AddressFamily
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from anyio import BusyResourceError, ClosedResourceError
from anyio.abc import Listener, TaskGroup
from anyio.streams.stapled import MultiListener

from usertcp._address import ANY, ANY_V4, SockAddr, family_of, pack, pack_text, text_of
from usertcp._congestion import CongestionFactory, check_factory, congestion_index
from usertcp._errors import Code, exception
from usertcp._faces import all_attributes, closed_error, raise_for
from usertcp._info import ConnectionInfo
from usertcp._stack import Endpoint
from usertcp.streams import StreamOption, TCPStream

if TYPE_CHECKING:
    from usertcp._congestion_control import CongestionControl
    from usertcp.stacks import Stack

IPHost: TypeAlias = str | IPv4Address | IPv6Address

MAX_BACKLOG = 65536
PORT_TRIES = 10  # enough to absorb collisions of an ephemeral port
_WOULD_BLOCK = -Code.WOULD_BLOCK


class TCPListener(Listener[TCPStream]):
    """One listening address and port of a stack. Made by `create_tcp_listener`."""

    __slots__ = ("_congestion", "_driver", "_end", "_engine", "_local", "_stack", "_thread")

    def __init__(self, stack: "Stack", endpoint: Endpoint, local: SockAddr) -> None:
        self._stack = stack
        self._driver = stack.driver
        self._engine = endpoint.engine
        self._end = endpoint
        self._local = local
        self._thread = get_ident()
        self._congestion: Callable[[], CongestionControl] | None = None

    async def accept(self) -> TCPStream:
        """The oldest connection whose handshake is done; waits for one.

        Raises `ClosedResourceError` when the listener is closed, also while it waits. Cancelled,
        it leaves the connection in the queue.
        """
        end = self._end
        if end.closed:
            raise ClosedResourceError
        if end.busy_reading:
            raise BusyResourceError("accepting connections from")
        end.busy_reading = True
        try:
            if end.readable:
                await self._driver.checkpoint()
            else:
                await self._park()
            while True:
                if end.closed:
                    raise closed_error(end)
                made = self._engine.accept(end.handle, self._driver.now())
                if isinstance(made, tuple):
                    self._driver.after_call()
                    handle, local, remote = made
                    accepted = Endpoint(self._engine, handle, readable=True)
                    return self._stream(TCPStream(self._stack, accepted, local, remote))
                if made != _WOULD_BLOCK:
                    raise_for(made)
                end.readable = False
                await self._park()
        finally:
            end.busy_reading = False

    def _stream(self, stream: TCPStream) -> TCPStream:
        """With the congestion control it is to have. What making one raises, `accept` raises."""
        if self._congestion is not None:
            try:
                stream.set_congestion(self._congestion())
            except BaseException:
                stream._close()  # noqa: SLF001
                raise
        return stream

    async def _park(self) -> None:
        waiter = self._end.reader = self._driver.new_waiter()
        try:
            await waiter
        finally:
            self._end.reader = None

    async def serve(
        self, handler: Callable[[TCPStream], Any], task_group: TaskGroup | None = None
    ) -> None:
        """Accepts for ever and starts `handler(stream)` for each connection, as AnyIO's does.

        In `task_group`, or in one of its own. The handler closes its stream.
        """
        async with AsyncExitStack() as stack:
            if task_group is None:
                task_group = await stack.enter_async_context(anyio.create_task_group())
            while True:
                stream = await self.accept()
                task_group.start_soon(handler, stream)

    async def aclose(self) -> None:
        """Stops listening; connections that nobody accepted are reset. Idempotent."""
        self._close()
        await self._driver.checkpoint()

    def _close(self) -> None:
        if not self._end.closed:
            self._end.close(self._driver.now())
            self._driver.after_call()

    def set_congestion(self, chosen: CongestionFactory) -> None:
        """The congestion control of what is accepted from now on: one of `congestion_controls()`,
        or what makes a `CongestionControl` for each connection, such as its class.

        `ValueError` naming them for any other, `ClosedResourceError` when closed.
        """
        check_factory(chosen)
        if self._end.closed:
            raise ClosedResourceError
        if not isinstance(chosen, str):
            self._congestion = chosen
            return
        self._congestion = None
        index, now = congestion_index(chosen), self._driver.now()
        self._engine.set_option(self._end.handle, StreamOption.CONGESTION, index, now)

    def set_ecn(self, *, agrees: bool) -> None:
        """Whether it agrees to ECN (RFC 3168) from now on, when a SYN asks for it.

        A stack with `ecn=0` never agrees. `ClosedResourceError` when closed.
        """
        if self._end.closed:
            raise ClosedResourceError
        now = self._driver.now()
        self._engine.set_option(self._end.handle, StreamOption.ECN, int(agrees), now)

    def set_fast_open(self, limit: int) -> None:
        """TCP Fast Open (RFC 7413) from now on; 0: off, the default.

        `limit`: so many connections that came with a valid cookie may be before the end of their
        handshake; beyond that handshakes are as ever. What came with such a SYN may come twice (6.1
        there). `ValueError` for a number below 0, `ClosedResourceError` when closed.
        """
        check_fast_open(limit)
        if self._end.closed:
            raise ClosedResourceError
        now = self._driver.now()
        self._engine.set_option(self._end.handle, StreamOption.FAST_OPEN, limit, now)

    def statistics(self) -> ConnectionInfo:
        """A snapshot: `half_open`, `accept_queue`, `backlog`. `ClosedResourceError` when closed."""
        if self._end.closed:
            raise ClosedResourceError
        info = self._engine.info(self._end.handle)
        if isinstance(info, int):
            raise_for(info)
        return info

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return all_attributes(self._local, None, self.statistics, self._stack)

    def __repr__(self) -> str:
        state = " closed" if self._end.closed else ""
        return f"<TCPListener {self._local[0]}:{self._local[1]}{state}>"

    def __del__(self) -> None:
        end = getattr(self, "_end", None)
        if end is None or end.closed:
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        if get_ident() == self._thread:
            self._close()
        else:
            engine, now = self._engine, self._driver.now
            self._driver.call_in_loop(lambda: engine.freed or end.close(now()))


# ---- create_tcp_listener -------------------------------------------------------------------------


async def _bind_addresses(
    stack: "Stack", local_host: IPHost | None, local_port: int, family: AddressFamily
) -> list[bytes]:
    """The addresses to listen on, as AnyIO chooses them, in the order they are tried.

    No host and no family: one listener for all addresses of the stack. The wildcard of IPv4: one
    listener too; that of IPv6 alone: one per address of the stack in that family.
    """
    own = [pack(interface.ip) for interface in stack.addresses]
    if local_host is None:
        if family == AF_UNSPEC:
            return [ANY]
        wanted = [ANY_V4 if family == AF_INET else ANY]
    else:
        numeric = pack_text(str(local_host))
        if numeric is not None:
            wanted = [numeric]
        else:
            found = await anyio.getaddrinfo(
                str(local_host), local_port, family=family, type=SOCK_STREAM, flags=AI_PASSIVE
            )
            texts = sorted({entry[4][0] for entry in found})
            wanted = [packed for text in texts if (packed := pack_text(text)) is not None]
    result: list[bytes] = []
    for packed in wanted:
        if packed == ANY_V4:
            result += [ANY_V4] if AF_INET in stack.families else []
        elif packed == ANY:  # the engine's own takes IPv4 in too
            result += [a for a in own if family_of(a) == AF_INET6]
        elif packed not in own:
            raise exception(-Code.ADDRESS_NOT_AVAILABLE, _not_ours(stack, packed))
        else:
            result.append(packed)
    if not result:
        name = "IPv4" if AF_INET in (family, *map(family_of, wanted)) else "IPv6"
        raise exception(-Code.ADDRESS_NOT_AVAILABLE, f"the stack has no {name} address")
    return result


def _not_ours(stack: "Stack", packed: bytes) -> str:
    have = ", ".join(str(interface.ip) for interface in stack.addresses)
    return f"listen on {text_of(packed)} (the stack has {have})"


def _listen(stack: "Stack", packed: bytes, port: int, backlog: int, *, share: bool) -> TCPListener:
    engine, driver = stack.engine, stack.driver
    code, handle = engine.listen(packed, port, backlog, driver.now(), share=share)
    if code < 0:
        raise exception(code, f"listen on {text_of(packed)} port {port}")
    driver.after_call()
    _, bound = engine.local_endpoint(handle)
    any_family = AF_INET6 in stack.families
    host = text_of(packed) if packed != ANY or any_family else "0.0.0.0"
    return TCPListener(stack, Endpoint(engine, handle), (host, bound))


def set_congestion(multi: MultiListener[TCPStream], chosen: CongestionFactory) -> None:
    """`TCPListener.set_congestion` of each."""
    for listener in multi.listeners:
        if isinstance(listener, TCPListener):
            listener.set_congestion(chosen)


def set_ecn(multi: MultiListener[TCPStream], *, agrees: bool) -> None:
    """`TCPListener.set_ecn` of each."""
    for listener in multi.listeners:
        if isinstance(listener, TCPListener):
            listener.set_ecn(agrees=agrees)


def check_fast_open(limit: int) -> None:
    """`ValueError` for a number that is no limit."""
    if not 0 <= limit < 1 << 31:
        raise ValueError(f"fast_open: {limit} is not between 0 and {(1 << 31) - 1}")


def set_fast_open(multi: MultiListener[TCPStream], limit: int) -> None:
    """`TCPListener.set_fast_open` of each."""
    for listener in multi.listeners:
        if isinstance(listener, TCPListener):
            listener.set_fast_open(limit)


async def create_tcp_listener(
    stack: "Stack",
    local_host: IPHost | None,
    local_port: int,
    family: AddressFamily,
    backlog: int,
    *,
    reuse_port: bool,
) -> MultiListener[TCPStream]:
    """See `Stack.create_tcp_listener`."""
    stack.check_open()
    if family not in (AF_UNSPEC, AF_INET, AF_INET6):
        raise ValueError(f"family: {family!r} is neither AF_UNSPEC, AF_INET nor AF_INET6")
    if not 0 <= local_port <= 65535:
        raise ValueError(f"local_port: {local_port} is not between 0 and 65535")
    await stack.driver.checkpoint()
    addresses = await _bind_addresses(stack, local_host, local_port, family)
    stack.check_open()
    backlog = min(backlog, MAX_BACKLOG)
    collisions: list[OSError] = []
    for _ in range(PORT_TRIES):
        listeners: list[TCPListener] = []
        port = local_port
        try:
            for packed in addresses:
                listener = _listen(stack, packed, port, backlog, share=reuse_port)
                listeners.append(listener)
                port = listener._local[1]  # noqa: SLF001
        except OSError as exc:
            for listener in listeners:
                listener._close()  # noqa: SLF001
            if exc.errno != errno.EADDRINUSE or local_port != 0 or not listeners:
                raise
            # The port that was free on the first address is taken on another: begin with that one.
            collisions.append(exc)
            addresses.append(addresses.pop(0))
            continue
        return MultiListener(listeners)
    raise OSError(
        f"Could not create {len(addresses)} listeners with a consistent port"
    ) from ExceptionGroup("Several bind attempts failed", collisions)
