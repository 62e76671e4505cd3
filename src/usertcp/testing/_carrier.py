"""Carrier: takes packets out of the stacks' links, through pipes, into other stacks' links."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from usertcp.testing._hooks import on_trio
from usertcp.testing.notation import describe
from usertcp.testing.packets import PacketError, Segment, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from usertcp.stacks import Stack
    from usertcp.testing._memory import MemoryLink
    from usertcp.testing._partition import Partition
    from usertcp.testing.hosts import Host

_DESTINATION = {4: slice(16, 20), 6: slice(24, 40)}
_KEPT = 1000
_NOWHERE = slice(0, 0)


@dataclass(eq=False, slots=True)
class Attachment:
    """A stack on its host's link. The link is the stack's: gone when that is freed."""

    link: MemoryLink
    stack: Stack

    def is_alive(self) -> bool:
        return not self.stack.engine.freed


@dataclass(frozen=True, slots=True)
class TracedPacket:
    """What became of a packet. `at`: seconds since the network began to run."""

    at: float
    """When it was sent."""
    source: str
    """The host's name."""
    target: str
    """The host's name, or the address if it is nobody's."""
    fate: str
    """passes, lost (on the link), cut (by a partition), or nobody (is there)"""
    data: bytes
    """The IP packet."""

    def __str__(self) -> str:
        try:
            packet = decode(self.data)
        except PacketError as exc:
            what = f"{len(self.data)} bytes: {exc}"
        else:
            body = packet.body
            what = describe(body) if isinstance(body, Segment) else str(body)[:60]
            if isinstance(body, Segment):
                what = f"{body.sport} > {body.dport} {what}"
        fate = "" if self.fate == "passes" else f"  [{self.fate}]"
        return f"{self.at:12.6f} {self.source} --> {self.target} {what}{fate}"


class Carrier:
    """Of one network; one heap of packets on their way, in the order they arrive."""

    def __init__(self) -> None:
        self.cuts: list[Partition] = []
        self.trace: deque[TracedPacket] = deque(maxlen=_KEPT)
        self.packets: int = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self._heap: list[tuple[int, int, Host, Host, bytes]] = []
        self._order = 0
        self._start = 0
        self._end: int | None = 0
        self._tasks: TaskGroup | None = None
        self._timer: _Timer | None = None
        self._clock: Callable[[], float] = lambda: 0.0

    def start(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        if on_trio():
            self._clock = anyio.current_time
            timer = _TrioTimer(self._deliver)
            tasks.start_soon(timer.run)
            self._timer = timer
        else:
            self._clock = asyncio.get_running_loop().time
            self._timer = _LoopTimer(self._deliver)
        self._start, self._end = self._ns(), None

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.arm(None)
        self._heap.clear()
        self._end = self.now()

    def _ns(self) -> int:
        return round(self._clock() * 1e9)

    def now(self) -> int:
        """In ns, since the start; stands still after the end."""
        return self._ns() - self._start if self._end is None else self._end

    def digest(self) -> str:
        return self._hash.copy().hexdigest()

    # -- out of the stacks ------------------------------------------------------------------------

    def attach(self, host: Host, to: Attachment) -> None:
        """From now on the stack's packets are carried, as long as the host is attached to it."""
        assert self._tasks is not None
        self._tasks.start_soon(_watch, os.dup(to.link.far_fd), lambda: self._collect(host, to))

    def _collect(self, host: Host, to: Attachment) -> bool:
        """False: that stack is gone."""
        now = self._ns()
        while to.is_alive() and (packet := to.link.read()) is not None:
            if host.attached is to:
                self._offer(host, packet, now)
        return to.is_alive()

    def _offer(self, host: Host, packet: bytes, now: int) -> None:
        host.recorded(now, packet, outgoing=True)
        destination = packet[_DESTINATION.get(packet[0] >> 4, _NOWHERE)]
        way = host.pipes.get(destination)
        if way is None:
            host.unreachable += 1
            self._record(now, host.name, destination.hex(), "nobody", packet)
            return
        pipe, target = way
        if self._is_cut(host, target):
            self._record(now, host.name, target.name, "cut", packet)
            return
        out = pipe.offer(packet, now)
        self._record(now, host.name, target.name, "passes" if out else "lost", packet)
        for at, data in out:
            self._send(at, host, target, data)
        for at, data in pipe.take_reports():
            self._send(at, target, host, data)

    def _send(self, at: int, source: Host, target: Host, data: bytes) -> None:
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, source, target, data))
        if self._timer is not None:
            self._timer.arm(self._heap[0][0])

    def _is_cut(self, source: Host, target: Host) -> bool:
        return any(cut.separates(source, target) for cut in self.cuts)

    def _record(self, now: int, source: str, target: str, fate: str, packet: bytes) -> None:
        self.packets += 1
        since = now - self._start
        self.trace.append(TracedPacket(since / 1e9, source, target, fate, packet))
        self._hash.update(f"{since} {source} {target} {fate} ".encode())
        self._hash.update(packet)

    # -- into them --------------------------------------------------------------------------------

    def _deliver(self) -> int | None:
        """What has arrived; when the next will."""
        now = self._ns()
        while self._heap and self._heap[0][0] <= now:
            _, _, source, target, data = heapq.heappop(self._heap)
            attached = target.attached
            if self.cuts and self._is_cut(source, target):
                self._record(now, source.name, target.name, "cut", data)
            elif attached is None or not attached.is_alive():
                self._record(now, source.name, target.name, "nobody", data)
            else:
                target.recorded(now, data, outgoing=False)
                attached.link.write(data)
        return self._heap[0][0] if self._heap else None


async def _watch(fd: int, collect: Callable[[], bool]) -> None:
    """Calls `collect` whenever the descriptor is readable, until it returns False."""
    try:
        if on_trio():
            while collect():
                await anyio.wait_readable(fd)
            return
        loop, gone = asyncio.get_running_loop(), anyio.Event()
        loop.add_reader(fd, lambda: None if collect() else gone.set())
        try:
            await gone.wait()
        finally:
            loop.remove_reader(fd)
    finally:
        os.close(fd)


# -- timers ---------------------------------------------------------------------------------------


class _Timer:
    """Calls a function at a time in ns, which returns the next one."""

    def __init__(self, function: Callable[[], int | None]) -> None:
        self._function = function
        self._at: int | None = None

    def arm(self, at: int | None) -> None:
        """At that time, unless it is set to an earlier one; None: not at all."""
        if at is None or self._at is None or at < self._at:
            self._at = at
            self._set(at)

    def _set(self, at: int | None) -> None:
        raise NotImplementedError

    def _fire(self) -> None:
        self._at = None
        self.arm(self._function())


class _LoopTimer(_Timer):
    _handle: asyncio.TimerHandle | None = None

    def _set(self, at: int | None) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if at is not None:
            self._handle = asyncio.get_running_loop().call_at(at / 1e9, self._fire)


class _TrioTimer(_Timer):
    _scope: anyio.CancelScope | None = None

    def _set(self, at: int | None) -> None:
        if self._scope is not None:
            self._scope.deadline = float("inf") if at is None else at / 1e9

    async def run(self) -> None:
        while True:
            at = self._at
            with anyio.CancelScope(deadline=float("inf") if at is None else at / 1e9) as scope:
                self._scope = scope
                await anyio.sleep_forever()
            self._scope = None
            self._fire()
