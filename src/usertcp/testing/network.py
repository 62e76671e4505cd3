"""Hosts on an in-memory network with seeded faults, for unmodified asynchronous programs.

    async with Network(seed=7) as net:
        client, server = net.host(name="client"), net.host(name="server")
        net.join(client, server, delay=0.02, loss=0.01)
        server.start_soon(serve)                    # usertcp.create_tcp_listener, start_server, ...
        async with client:
            stream = await usertcp.connect_tcp("server", 80)
        with net.partition(client, server):
            await anyio.sleep(60)

Time is the event loop's: on a virtual one (`network_loop_factory`, trio's `MockClock`) an hour
takes no time, and the seed decides everything that happens. docs/recipes/test-networks.md.
"""

from __future__ import annotations

import inspect
import random
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self

import anyio

from usertcp._bypass import policy
from usertcp.stacks import LINGER
from usertcp.testing._carrier import Carrier
from usertcp.testing._hooks import installed
from usertcp.testing._names import Names
from usertcp.testing._partition import Partition
from usertcp.testing.hosts import Host
from usertcp.testing.impair import Impairment, Pipe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from types import TracebackType

    from anyio.abc import TaskGroup

    from usertcp._address import IPAddress
    from usertcp._bypass import Policy
    from usertcp.testing._carrier import TracedPacket

__all__ = ["Host", "Network"]


class Network:
    """Hosts and the links between them. All randomness comes from `seed`.

    Attributes: `seed`; `rng`, for tests that want randomness of their own; `hosts`, in the order
    they were made; `bypass`, which may be set at any time: what is done with kernel TCP sockets
    that programs on hosts bring along (`adopt`, `kernel`, `error`; `USERTCP_BYPASS`, else `error`,
    when None).
    """

    def __init__(self, seed: int = 0, *, bypass: Policy | None = None) -> None:
        self.seed = seed
        self.bypass = bypass
        self.rng: random.Random = random.Random(seed)
        self.hosts: list[Host] = []
        self.names: Names = Names()
        self.carrier: Carrier = Carrier()
        self._tasks: TaskGroup | None = None
        self._pending: list[Callable[[], object]] = []  # what was scheduled before the beginning
        self._session: AbstractAsyncContextManager[None] | None = None
        self._depth = 0

    # -- building ---------------------------------------------------------------------------------

    def host(
        self,
        *addresses: str,
        name: str | None = None,
        aliases: Iterable[str] = (),
        mtu: int = 1500,
        **options: Any,
    ) -> Host:
        """A station. Without addresses it gets the next of 10.0.0.0/8; `name` is h1, h2, ...

        `options`: of `usertcp.open_stack` (`config=`, `snd_limit=`, ...), for each of its stacks.
        `ValueError` for a name or an address that another host has.
        """
        number = len(self.hosts) + 1
        if not addresses:
            addresses = (f"10.0.{number // 250}.{number % 250}/8",)
        made = Host(self, addresses, name or f"h{number}", mtu, options)
        self.names.add(made.addresses, made.name, *aliases)
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
        if a is b:
            raise ValueError(f"a link needs two hosts; {a.name} was given twice")
        forth = forth or Impairment(**impairment)
        pipes = []
        for source, target, im in ((a, b, forth), (b, a, back or forth)):
            pipe = Pipe(im, self.random_of(f"pipe {source.name} {target.name}"))
            for interface in target.addresses:
                source.pipes[interface.ip.packed] = (pipe, target)
            pipes.append(pipe)
        return pipes[0], pipes[1]

    def join_all(self, *hosts: Host, **impairment: Any) -> None:
        """A link between any two of `hosts` (all that there are, when none is given)."""
        joined = hosts or tuple(self.hosts)
        for number, a in enumerate(joined):
            for b in joined[number + 1 :]:
                self.join(a, b, **impairment)

    def impair(
        self,
        a: Host,
        b: Host,
        forth: Impairment | None = None,
        back: Impairment | None = None,
        **impairment: Any,
    ) -> None:
        """Changes the link between two hosts: arguments as of `join`. `KeyError` without one."""
        forth = forth or Impairment(**impairment)
        for source, target, im in ((a, b, forth), (b, a, back or forth)):
            source.pipes[target.addresses[0].ip.packed][0].impairment = im

    def random_of(self, purpose: str) -> random.Random:
        """A generator that depends on the seed and `purpose` only, not on what else is there."""
        return random.Random(f"{self.seed} {purpose}")

    # -- what happens -----------------------------------------------------------------------------

    def after(self, delay: float, action: Callable[..., object], *args: object) -> None:
        """Calls `action(*args)`, and awaits what it returns if need be, `delay` seconds from now
        (from the beginning, when the network is not running yet).
        """
        if self._tasks is None:
            self._pending.append(partial(self.after, delay, action, *args))
        else:
            self._tasks.start_soon(_later, delay, action, args)

    def partition(
        self,
        a: Host | Iterable[Host],
        b: Host | Iterable[Host] | None = None,
        *,
        both_ways: bool = True,
        after: float = 0.0,
        lasting: float | None = None,
    ) -> Partition:
        """Cuts `a` off from `b` (from everybody else, when None): nothing comes through, and what
        was on its way when it came is lost. Hosts, or groups of them.

        Use it as a context manager, call `heal()`, or give times in seconds: it comes `after` that
        much, and heals after `lasting`. `both_ways=False`: only packets from a to b are lost.
        """
        made = Partition(_group(a), None if b is None else _group(b), both_ways, self.carrier.cuts)
        if after:
            self.after(after, made.cut)
        else:
            made.cut()
        if lasting is not None:
            self.after(after + lasting, made.heal)
        return made

    def resolve(self, name: str) -> list[IPAddress]:
        """The addresses of a host by name or alias. `socket.gaierror` when there is none."""
        return self.names.resolve(name)

    # -- looking ----------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the network began to run."""
        return self.carrier.now() / 1e9

    @property
    def trace(self) -> list[TracedPacket]:
        """The last 1000 packets, and what became of them; `str()` shows one."""
        return list(self.carrier.trace)

    def digest(self) -> str:
        """A hash over every packet so far, its times and its fate: the same for the same run."""
        return self.carrier.digest()

    def story(self, last: int = 40) -> str:
        """Seed and the last packets as text, as a failing test shows them."""
        shown = [str(packet) for packet in list(self.carrier.trace)[-last:]]
        left = self.carrier.packets - len(shown)
        lines = [f"network seed {self.seed}", *([f"... {left} packets before"] if left else [])]
        return "\n".join([*lines, *shown])

    def __repr__(self) -> str:
        return f"<Network seed={self.seed} {' '.join(host.name for host in self.hosts)}>"

    # -- running ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Again inside itself: nothing."""
        self._depth += 1
        if self._depth == 1:
            self._session = self._run()
            try:
                await self._session.__aenter__()
            except BaseException:
                self._depth = 0
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._depth -= 1
        if self._depth:
            return False
        session, self._session = self._session, None
        assert session is not None
        try:
            await session.__aexit__(kind, value, traceback)
        except BaseException as exc:
            found = _unwrapped(exc, value)
            self._note(found)
            if found is value:
                return False
            _raise(found)
        if value is not None:
            self._note(value)
        return False

    def _note(self, exc: BaseException) -> None:
        note = f"network seed {self.seed}"
        if isinstance(exc, Exception) and note not in getattr(exc, "__notes__", ()):
            exc.add_note(note)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as carrying:
            self.carrier.start(carrying)
            try:
                with installed(self.names, lambda: policy(self.bypass)):
                    async with anyio.create_task_group() as self._tasks:
                        self._begin()
                        yield
                        self._tasks.cancel_scope.cancel()  # the programs that still run
                    await self._finish(LINGER)
            finally:
                self._tasks = None
                with anyio.CancelScope(shield=True):
                    await self._finish(0)
                self.carrier.stop()
            carrying.cancel_scope.cancel()

    def _begin(self) -> None:
        pending, self._pending = self._pending, []
        for schedule in pending:
            schedule()

    async def _finish(self, linger: float) -> None:
        """All stacks of hosts are closed together, since each needs the others' last ACKs."""
        stacks = [host.stack for host in self.hosts if host.stack is not None]
        for stack in stacks:
            if not stack.engine.failed:
                stack.engine.close_all(stack.driver.now())
                stack.driver.after_call()
        until, delay = anyio.current_time() + linger, 0.0
        while any(stack.engine.unfinished() for stack in stacks):
            if anyio.current_time() >= until:
                break
            await anyio.sleep(delay)
            delay = min(max(2 * delay, 0.001), 0.05)
        for host in self.hosts:
            await host.switch_off()

    def running_tasks(self) -> TaskGroup:
        """Where programs of hosts run. `RuntimeError` when the network does not."""
        if self._tasks is None:
            raise RuntimeError("async with network: ... comes before opening stacks on it")
        return self._tasks


async def _later(delay: float, action: Callable[..., object], args: tuple[object, ...]) -> None:
    await anyio.sleep(delay)
    result = action(*args)
    if inspect.isawaitable(result):
        await result


def _group(hosts: Host | Iterable[Host]) -> frozenset[Host]:
    return frozenset([hosts] if isinstance(hosts, Host) else hosts)


def _unwrapped(exc: BaseException, inner: BaseException | None) -> BaseException:
    """Without what our two task groups put around it."""
    for _ in range(2):
        if isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1 and exc is not inner:
            exc = exc.exceptions[0]
    return exc


def _raise(exc: BaseException) -> NoReturn:
    raise exc from exc.__cause__
