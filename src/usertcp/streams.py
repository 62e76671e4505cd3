"""TCPStream: a connection as an `anyio.abc.ByteStream`.

AnyIO's contract to the letter (docs/design/python.md has the table), on a hot path without Event,
ResourceGuard or context manager: a flag per direction, one engine call per send or receive, and a
bare future (trio: a task) to park on.

Order of checkpoint and effect. `receive` yields first and takes bytes after, so a cancellation can
lose none. `send` checks for cancellation, gives the bytes to the engine (their packets have left by
then), yields last; a scope's cancellation in that yield waits for the next checkpoint.
"""

import warnings
from collections.abc import Callable, Mapping
from enum import IntEnum
from operator import index
from threading import get_ident
from typing import TYPE_CHECKING, Any, NoReturn

from anyio import BusyResourceError, ClosedResourceError
from anyio.abc import ByteStream

from usertcp._address import SockAddr
from usertcp._binding import Bytes, Exported
from usertcp._congestion import Congestion, check_congestion, congestion_index
from usertcp._errors import Code, exception
from usertcp._faces import all_attributes, closed_error, raise_for
from usertcp._info import ConnectionInfo
from usertcp._stack import Endpoint

if TYPE_CHECKING:
    from usertcp.stacks import Stack

_WOULD_BLOCK = -Code.WOULD_BLOCK


class StreamOption(IntEnum):
    """Options of a connection, for `TCPStream.set_option` and `get_option`. All are integers."""

    NODELAY = 1
    """1: Nagle's algorithm is off (the default)."""
    RCV_LIMIT = 2
    """The receive window is at most this many bytes."""
    SND_LIMIT = 3
    """`send` leaves at most this many bytes with the engine."""
    USER_TIMEOUT = 4
    """ns until unacknowledged data ends the connection."""
    LINGER = 5
    """-1: closing delivers what was accepted; 0: closing resets."""
    TTL = 6
    """Of its packets: the IPv4 TTL, the IPv6 hop limit."""
    DSCP = 7
    """Of its packets, 0 to 63 (RFC 2474)."""
    SND_LOWAT = 8
    """A blocked `send` goes on when at least this many bytes are free."""
    KEEPALIVE = 9
    """1: a silent peer is asked whether it is still there, and the connection ends with
    `TimeoutError` as the cause when it stays silent. 0, the default: not (RFC 9293 3.8.4)."""
    KEEPALIVE_IDLE = 10
    """ms of silence before the first probe; two hours."""
    KEEPALIVE_INTERVAL = 11
    """ms between probes; 75 s."""
    KEEPALIVE_COUNT = 12
    """Probes without an answer that end the connection; 9."""
    RTO_MIN = 13
    """ns: the retransmission time-out is not less, RFC 6298 2.4."""
    NOTSENT_LOWAT = 14
    """`send` leaves about this many bytes unsent at most, as Linux's TCP_NOTSENT_LOWAT; 0: no
    bound."""
    CONGESTION = 15
    """An index of `usertcp.congestion_controls()`, or their number when a `CongestionControl`
    decides; by name: `set_congestion`."""
    MTU_DISCOVER = 16
    """0: IPv4 packets may be fragmented; 1, the default: don't-fragment, and routers say what is
    too large (RFC 1191, RFC 8201); 2: also where that is less than 552 bytes; 3: as 2, but what
    they say is not believed."""
    CORK = 17
    """1: only full segments leave, until it is 0 again or the stream ends; 2: and what is sent
    meanwhile asks for no PSH."""
    ECN = 18
    """1: where ECN was agreed (RFC 3168) new data may be marked by routers; 0: it may not."""
    FAST_OPEN = 19
    """Of a listener: `TCPListener.set_fast_open`."""
    FLOW_LABEL = 20
    """Of its IPv6 packets, 0 to 0xFFFFF (RFC 6437); by default one that the connection has of its
    own. Over IPv4 it is 0 and cannot be set."""


class TCPStream(ByteStream):
    """A TCP connection of a usertcp stack.

    Made by `connect_tcp` and `TCPListener`. Attributes: `anyio.abc.SocketAttribute` without
    `raw_socket`, and `usertcp.StreamAttribute`.
    """

    __slots__ = ("_driver", "_end", "_engine", "_local", "_now", "_remote", "_stack",
                 "_thread")  # fmt: skip

    def __init__(
        self, stack: "Stack", endpoint: Endpoint, local: SockAddr, remote: SockAddr
    ) -> None:
        self._stack = stack
        self._driver = stack.driver
        self._engine = endpoint.engine
        self._end = endpoint
        self._now = stack.driver.now
        self._local = local
        self._remote = remote
        self._thread = get_ident()

    # ---- receiving ---------------------------------------------------------------------------

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Between 1 and `max_bytes` bytes, as soon as there are any.

        Raises `EndOfStream` after the peer's FIN, `ClosedResourceError` when this side has closed
        the stream, `BrokenResourceError` (its cause a `ConnectionResetError`, `TimeoutError` or
        other `OSError`) when the connection died; what was received before comes first. Cancelled,
        it has taken nothing.
        """
        if type(max_bytes) is not int:
            max_bytes = index(max_bytes)  # TypeError now, not when data arrives
        if max_bytes < 1:
            raise ValueError("max_bytes must be a positive integer")
        end = self._end
        if end.busy_reading:
            raise BusyResourceError("reading from")
        if end.closed:
            raise ClosedResourceError
        end.busy_reading = True
        driver = self._driver
        try:
            if end.readable:
                await driver.checkpoint()
            while True:
                if not end.readable:
                    end.reader = waiter = driver.new_waiter()
                    await waiter
                if end.closed:
                    raise closed_error(end)
                data = self._engine.recv(end.handle, max_bytes, self._now())
                if isinstance(data, bytes):
                    if self._engine.drained:
                        end.readable = False
                    self._after_call()
                    return data
                if data != _WOULD_BLOCK:
                    raise_for(data)
                end.readable = False
                self._after_call()  # a SYN that waited for data has left
        finally:
            end.busy_reading = False
            end.reader = None

    # ---- sending -----------------------------------------------------------------------------

    async def send(self, item: Bytes) -> None:
        """Sends all of `item`; returns when the stack has taken it, its packets under way.

        Raises `ClosedResourceError` after `aclose` or `send_eof`, `BrokenResourceError` with a
        cause when the connection died. Cancelled while it waits for room, a first part may have
        been sent; the rest never is.
        """
        end = self._end
        if end.busy_writing:
            raise BusyResourceError("writing to")
        end.busy_writing = True
        try:
            await self._driver.check()
            if end.closed:
                raise ClosedResourceError
            if type(item) is bytes:
                size = len(item)
                taken = self._engine.send(end.handle, item, self._now())
                exported = None
            else:
                exported = self._engine.export(item)
                size = len(exported)
                taken = self._engine.send_from(end.handle, exported, 0, self._now())
            self._after_call()
            if taken == size:
                await self._driver.settle()
            else:
                await self._send_rest(exported or self._engine.export(item), taken)
        finally:
            end.busy_writing = False

    async def _send_rest(self, exported: Exported, taken: int) -> None:
        """Waits for room until all is taken; `taken` is what the first call said."""
        end = self._end
        offset = 0
        while True:
            if taken >= 0:
                offset += taken
                if offset == len(exported):
                    return
            elif taken != _WOULD_BLOCK:
                raise_for(taken)
            await self._park_writer()
            if end.closed:
                raise closed_error(end)
            taken = self._engine.send_from(end.handle, exported, offset, self._now())
            self._after_call()

    async def _park_writer(self) -> None:
        end = self._end
        waiter = end.writer = self._driver.new_waiter()
        try:
            await waiter
        finally:
            end.writer = None

    async def wait_writable(self) -> None:
        """Returns when `send` might not block, or when it would raise `BrokenResourceError`.

        What `trio.abc.SendStream.wait_send_all_might_not_block` needs. `BusyResourceError` while
        another task sends.
        """
        end = self._end
        if end.busy_writing:
            raise BusyResourceError("writing to")
        end.busy_writing = True
        try:
            await self._driver.checkpoint()
            while not end.closed:
                info = self._engine.info(end.handle)
                if end.ended or isinstance(info, int) or info.snd_free > 0:
                    return
                await self._park_writer()
            raise closed_error(end)
        finally:
            end.busy_writing = False

    async def send_eof(self) -> None:
        """FIN after what was sent; the peer may go on sending. Idempotent.

        `BusyResourceError` while another task sends: what it still holds back would be lost.
        """
        end = self._end
        if end.busy_writing:
            raise BusyResourceError("writing to")
        await self._driver.check()
        if end.closed:
            raise ClosedResourceError
        self._engine.shutdown(end.handle, self._now())  # of a dead connection: nothing to tell
        self._after_call()
        await self._driver.settle()

    async def aclose(self) -> None:
        """Closes both directions. Data that `send` accepted is still delivered, then FIN.

        Received bytes that nobody read make it a reset instead, as in the kernel. A task blocked
        here gets `ClosedResourceError`. In a cancelled scope it closes all the same, then raises.
        """
        self._close()
        await self._driver.checkpoint()

    def _close(self) -> None:
        end = self._end
        if not end.closed:
            end.close(self._now())
            self._after_call()

    def _after_call(self) -> None:
        shared = self._engine.shared
        if shared[1] or shared[0] < self._driver.armed:
            self._driver.after_call()

    # ---- looking, options --------------------------------------------------------------------

    def statistics(self) -> ConnectionInfo:
        """A snapshot with the RFCs' names. `ClosedResourceError` when the stream is closed."""
        if self._end.closed:
            raise ClosedResourceError
        info = self._engine.info(self._end.handle)
        if isinstance(info, int):
            raise_for(info)
        return info

    def set_option(self, option: StreamOption, value: int) -> None:
        """`ValueError` for a value out of range, `ClosedResourceError` when closed."""
        if self._end.closed:
            raise ClosedResourceError
        code = self._engine.set_option(self._end.handle, option, value, self._now())
        if code < 0:
            self._raise_option(code, option)
        self._after_call()

    def set_congestion(self, chosen: Congestion) -> None:
        """Another congestion control from now on: one of `usertcp.congestion_controls()`, or a
        `CongestionControl` in Python, which must have no other connection.

        cwnd and ssthresh stay. `ValueError` naming the allowed ones, `ClosedResourceError` when
        closed. Which it is: `statistics().congestion_control` ("external" when it is Python's).
        """
        check_congestion(chosen)
        end, now = self._end, self._now()
        if end.closed:
            raise ClosedResourceError
        if isinstance(chosen, str):
            self._engine.drop_control(end.handle, now)
            self.set_option(StreamOption.CONGESTION, congestion_index(chosen))
            return
        code = self._engine.set_control(end.handle, chosen, now)
        if code < 0:
            self._raise_option(code, StreamOption.CONGESTION)
        self._after_call()

    def get_option(self, option: StreamOption) -> int:
        """The value in use. `ClosedResourceError` when closed."""
        if self._end.closed:
            raise ClosedResourceError
        code, value = self._engine.get_option(self._end.handle, option)
        if code < 0:
            self._raise_option(code, option)
        return value

    @staticmethod
    def _raise_option(code: int, option: StreamOption) -> NoReturn:
        if code == -Code.STALE_HANDLE:
            raise ClosedResourceError
        raise exception(code, f"option {StreamOption(option).name}")

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return all_attributes(self._local, self._remote, self.statistics, self._stack)

    def __repr__(self) -> str:
        local, remote = ("{}:{}".format(*a) for a in (self._local, self._remote))
        state = " closed" if self._end.closed else ""
        return f"<TCPStream {local} -> {remote}{state}>"

    def __del__(self) -> None:
        end = getattr(self, "_end", None)
        if end is None or end.closed:
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        if get_ident() == self._thread:
            self._close()
        else:  # collected by another thread: the loop's closes
            engine, now = self._engine, self._now
            self._driver.call_in_loop(lambda: engine.freed or end.close(now()))
