"""Engine: a stack without async and without a clock: endpoints by handle, turns, who waits.

`_driver` gives it the time and a thread of control, `streams` and `listeners` use its endpoints.

    poll(now) -> events -> Endpoint.on_event -> flags and parked waiters

An Endpoint is strongly held by the engine from its birth until it is closed; the stream or
listener in front of it is not, so that a forgotten stream is collected (and closes itself), while
one that a task waits on is kept by endpoint -> waiter -> task.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from usertcp import _events
from usertcp._binding import LinkHolder, RawStack, lib
from usertcp._congestion_control import CongestionControl
from usertcp._guide import Guide

if TYPE_CHECKING:
    from usertcp._trace import TraceFile

BUDGET = 64
"""Frames taken from the link per turn, so that no link can starve the loop's other work."""


class Waiter(Protocol):
    """One parked task: an `asyncio.Future` or what stands for it on trio."""

    def done(self) -> bool: ...
    def set_result(self, value: None, /) -> None: ...


class Endpoint:
    """A connection or listener: what the engine told about it, and who waits for it.

    1. `reader` waits for READABLE or ACCEPTABLE, `writer` for WRITABLE or CONNECTED; both CLOSED.
    2. `readable` False means: the engine has no bytes to give, an event will come when it has.
    3. After `closed` the handle is not used again.
    """

    __slots__ = (
        "__weakref__", "busy_reading", "busy_writing", "closed", "connected", "ended",
        "engine", "error", "handle", "link_failed", "readable", "reader", "writer",
    )  # fmt: skip

    def __init__(self, engine: "Engine", handle: int, *, readable: bool = False) -> None:
        self.engine: Engine = engine
        self.handle: int = handle
        self.reader: Waiter | None = None
        self.writer: Waiter | None = None
        self.busy_reading: bool = False
        self.busy_writing: bool = False
        self.readable: bool = readable  # True for an accepted one: it may have had events before
        self.connected: bool = False
        self.ended: bool = False  # UT_CLOSED was told
        self.error: int = 0
        self.closed: bool = False
        self.link_failed: bool = False
        engine.endpoints[handle] = self

    def on_event(self, events: int, error: int) -> None:
        if events & _events.WAKES_READER:
            self.readable = True
            waiter = self.reader
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        if events & _events.WAKES_WRITER:
            if events & _events.CONNECTED:
                self.connected = True
            if events & _events.CLOSED:
                self.ended = True
                self.error = error
            waiter = self.writer
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def close(self, now: int, *, abort: bool = False) -> None:
        """Gives the handle up and wakes who waits. Idempotent."""
        if self.closed:
            return
        engine, handle = self.engine, self.handle
        self._retire()
        engine.endpoints.pop(handle, None)
        engine.drop_control(handle, now)  # what is left to deliver has no user
        if abort:
            engine.abort(handle, now)
        else:
            engine.close(handle, now)

    def fail(self) -> None:
        """The link is gone: who waits learns of it, later users find the endpoint closed."""
        self.link_failed = True
        self._retire()

    def _retire(self) -> None:
        self.closed = True
        for waiter in (self.reader, self.writer):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)


class Engine(RawStack):
    """A stack that is told the time: see `RawStack` for its calls."""

    __slots__ = ("endpoints", "failed", "freed", "guide", "trace")

    def __init__(
        self,
        link: LinkHolder,
        settings: Mapping[str, int],
        seed: tuple[int, int],
        capture: str | None = None,
    ) -> None:
        self.endpoints: dict[int, Endpoint] = {}
        self.failed: int = 0
        """The negated code that ended the stack: LINK_DOWN; 0 while it works."""
        self.freed: bool = False
        self.guide: Guide | None = None
        """Once a connection has a congestion control in Python."""
        self.trace: TraceFile | None = None
        super().__init__(link, settings, seed, capture)

    def poll(self, now: int) -> None:
        """One turn; tells the endpoints. When the link has failed, `failed` says so."""
        events = self.poll_events(now, BUDGET)
        if isinstance(events, int):
            self.fail(events)
            return
        get = self.endpoints.get
        for handle, bits, error in events:
            endpoint = get(handle)
            if endpoint is not None:
                endpoint.on_event(bits, error)
        if self.shared[3] and self.guide is not None:
            self.guide.turn(now)
        if self.shared[4] and self.trace is not None:
            self.trace.drain()

    def busy_poll(self, most_ns: int) -> int:
        """For up to `most_ns` of real time turns without sleep between them, until there is an
        event: how many frames came. -1: the program made a call since the last time, and may not be
        idle yet.
        """
        frames: int = lib.ut_busy_poll(self._stack, most_ns)
        return frames

    def set_control(self, handle: int, control: CongestionControl, now: int) -> int:
        """Congestion control in Python, until the connection is closed: 0 or a negated code."""
        if self.guide is None:
            self.guide = Guide(self)
        return self.guide.attach(handle, control, now)

    def drop_control(self, handle: int, now: int) -> None:
        """The connection goes by the stack's own algorithm, if it had one in Python."""
        if self.guide is not None:
            self.guide.detach(handle, now)

    def fail(self, code: int) -> None:
        """Ends all endpoints because the link is gone (`code`: negated)."""
        self.failed = code
        endpoints = list(self.endpoints.values())
        self.endpoints.clear()
        for endpoint in endpoints:
            endpoint.fail()

    def close_all(self, now: int) -> None:
        """Closes what users left open; connections go on in the engine until they are finished."""
        for endpoint in list(self.endpoints.values()):
            endpoint.close(now)

    def free(self) -> None:
        """Ends it all. Endpoints must have been closed."""
        self.freed = True
        self.endpoints.clear()
        if self.trace is not None:
            self.trace.close()
        super().free()
