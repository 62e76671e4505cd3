"""Stacks on an in-memory network with seeded faults, for asynchronous programs.

    async with Network(seed=7) as net:
        a, b = net.host("10.0.0.1/24"), net.host("10.0.0.2/24")
        net.join(a, b, delay=0.02, loss=0.01)
        async with a.open_stack() as here, b.open_stack() as there:
            ...

Time is the event loop's: with a virtual one (`VirtualLoop`, trio's `MockClock`) an hour takes no
time and a seed decides everything that happens.
"""

from __future__ import annotations

import heapq
import os
import random
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import anyio

from usertcp._address import parse_interface
from usertcp._open import open_stack
from usertcp.stacks import LINGER
from usertcp.testing._memory import MemoryLink
from usertcp.testing.impair import Impairment, Pipe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

    from anyio.abc import TaskGroup

    from usertcp.stacks import Stack

_DESTINATION = {4: slice(16, 20), 6: slice(24, 40)}


@dataclass
class Attachment:
    """A stack on its host's link. The link is the stack's: gone when that is freed."""

    link: MemoryLink
    stack: Stack

    def is_alive(self) -> bool:
        return not self.stack.engine.freed


class Host:
    """A station of a `Network`. `address` is its first, as text."""

    def __init__(self, network: Network, addresses: tuple[str, ...], mtu: int) -> None:
        self.network = network
        self.addresses = [parse_interface(text) for text in addresses]
        self.mtu = mtu
        self.pipes: dict[bytes, tuple[Pipe, Host]] = {}
        self.attached: Attachment | None = None
        self.unreachable = 0
        """Packets sent to an address nobody has."""

    @property
    def address(self) -> str:
        return str(self.addresses[0].ip)

    @asynccontextmanager
    async def open_stack(self, **options: Any) -> AsyncIterator[Stack]:
        """`usertcp.open_stack` on this host's link; again after it is closed, as after a reboot."""
        if self.attached is not None:
            raise RuntimeError("a host has one stack at a time")
        seed = options.pop("seed", self.network.rng.getrandbits(64))
        link = MemoryLink(mtu=self.mtu)
        async with open_stack(link, addresses=self.addresses, seed=seed, **options) as stack:
            with self.network.attach(self, Attachment(link, stack)):
                yield stack
                await stack.aclose(linger=options.get("linger", LINGER))

    def routes(self, packet: bytes) -> tuple[Pipe, Host] | None:
        destination = packet[_DESTINATION.get(packet[0] >> 4, slice(0, 0))]
        return self.pipes.get(destination)


class Network:
    """Hosts and the links between them. All randomness comes from `seed`."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.hosts: list[Host] = []
        self._heap: list[tuple[float, int, Host, bytes]] = []
        self._order = 0
        self._changed = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._exits = AsyncExitStack()

    def host(self, *addresses: str, mtu: int = 1500) -> Host:
        made = Host(self, addresses, mtu)
        self.hosts.append(made)
        return made

    def join(
        self,
        a: Host,
        b: Host,
        forth: Impairment | None = None,
        back: Impairment | None = None,
        **impairment: Any,
    ) -> tuple[Pipe, Pipe]:
        """A link between two hosts: impairments by object, or by name for both directions."""
        forth = forth or Impairment(**impairment)
        pipes = []
        for source, target, im in ((a, b, forth), (b, a, back or forth)):
            pipe = Pipe(im, random.Random(self.rng.getrandbits(64)))
            for interface in target.addresses:
                source.pipes[interface.ip.packed] = (pipe, target)
            pipes.append(pipe)
        return pipes[0], pipes[1]

    # -- running ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._tasks = await self._exits.enter_async_context(anyio.create_task_group())
        self._tasks.start_soon(self._deliver)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        if value is not None:
            value.add_note(f"network seed {self.seed}")
        return await self._exits.__aexit__(kind, value, traceback)

    @contextmanager
    def attach(self, host: Host, to: Attachment) -> Iterator[None]:
        """Inside, the host's packets are carried."""
        if self._tasks is None:
            raise RuntimeError("async with network: ... comes before opening stacks on it")
        host.attached = to
        scope = anyio.CancelScope()
        self._tasks.start_soon(self._pump, host, to, scope)
        try:
            yield
        finally:
            host.attached = None
            scope.cancel()

    async def _pump(self, host: Host, to: Attachment, scope: anyio.CancelScope) -> None:
        if not to.is_alive():
            return
        readable = os.dup(to.link.far_fd)  # outlives the link
        try:
            with scope:
                while True:
                    await anyio.wait_readable(readable)
                    now = round(anyio.current_time() * 1e9)
                    while to.is_alive() and (packet := to.link.read()) is not None:
                        self._offer(host, packet, now)
                    if not to.is_alive():
                        return
        finally:
            os.close(readable)

    def _offer(self, host: Host, packet: bytes, now: int) -> None:
        way = host.routes(packet)
        if way is None:
            host.unreachable += 1
            return
        pipe, target = way
        for at, data in pipe.offer(packet, now):
            self._order += 1
            heapq.heappush(self._heap, (at / 1e9, self._order, target, data))
            self._changed.set()

    async def _deliver(self) -> None:
        while True:
            while self._heap and self._heap[0][0] <= anyio.current_time() + 1e-9:
                _, _, target, data = heapq.heappop(self._heap)
                if target.attached is not None and target.attached.is_alive():
                    target.attached.link.write(data)
            self._changed = anyio.Event()
            until = self._heap[0][0] if self._heap else float("inf")
            with anyio.CancelScope(deadline=until):
                await self._changed.wait()
