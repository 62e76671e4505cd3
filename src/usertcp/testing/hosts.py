"""Host: a station of a `Network`, which boots, runs programs, crashes and starts again."""

from __future__ import annotations

import inspect
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio

from usertcp._address import parse_interface
from usertcp._config import StackConfig, seed_words
from usertcp._driver import new_driver
from usertcp._open import _ambient, open_stack
from usertcp._stack import Engine
from usertcp.stacks import LINGER, Stack
from usertcp.testing._carrier import Attachment
from usertcp.testing._memory import MemoryLink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from usertcp._address import IPInterface
    from usertcp.testing.impair import Pipe
    from usertcp.testing.network import Network
    from usertcp.testing.recording import Recording

_T = TypeVar("_T")

# What was ambient before each `async with host` around: for this context alone, so that many tasks
# may be on one host.
_outer: ContextVar[tuple[Stack | None, ...]] = ContextVar("usertcp_testing_outer", default=())


class HostCrashError(Exception):
    """`Host.run`: the host crashed under the program."""


class Host:
    """A station of a `Network`. Inside `async with host:` its stack is ambient.

    Attributes: `name`, `addresses` (with prefix lengths), `address` (the first, as text), `mtu`,
    `stack` (None while it is down), `boots`, `unreachable` (packets sent to nobody's address).
    The first use boots it; it runs until it crashes or the network ends.
    """

    def __init__(
        self,
        network: Network,
        addresses: tuple[str, ...],
        name: str,
        mtu: int,
        options: dict[str, Any],
    ) -> None:
        self.network = network
        self.addresses: list[IPInterface] = [parse_interface(text) for text in addresses]
        self.name = name
        self.mtu = mtu
        self.pipes: dict[bytes, tuple[Pipe, Host]] = {}
        self.attached: Attachment | None = None
        self.recordings: list[Recording] = []
        self.unreachable = 0
        self.boots: int = 0
        self.stack: Stack | None = None
        self._options = options
        self._is_down = False
        self._lock = anyio.Lock()
        self._programs: dict[anyio.CancelScope, None] = {}

    @property
    def address(self) -> str:
        """The first of its addresses, without a prefix length."""
        return str(self.addresses[0].ip)

    @property
    def is_up(self) -> bool:
        """Whether a stack is on the link."""
        return self.attached is not None

    def __repr__(self) -> str:
        state = "up" if self.is_up else "down"
        return f"<Host {self.name} {' '.join(map(str, self.addresses))} {state}>"

    def recorded(self, at_ns: int, data: bytes, *, outgoing: bool) -> None:
        """Tells who records this host of a packet that it has sent or is about to get."""
        if self.recordings and self.attached is not None:
            rows = self.attached.stack.connections()
            for recording in self.recordings:
                recording.add_packet(at_ns, data, outgoing=outgoing)
                recording.add_samples(at_ns, rows)

    # -- programs ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._ensure_up()
        _outer.set((*_outer.get(), _ambient.get()))
        _ambient.set(self.stack)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        *rest, last = _outer.get()
        _outer.set(tuple(rest))
        _ambient.set(last)

    async def run(self, program: Awaitable[_T] | Callable[..., Awaitable[_T]], *args: object) -> _T:
        """Runs a coroutine, or an async function with arguments, on this host.

        `HostCrashError` when the host crashes meanwhile.
        """
        awaitable = program(*args) if callable(program) else program
        scope = anyio.CancelScope()
        try:
            with scope:
                async with self:
                    self._programs[scope] = None
                    return await awaitable
        finally:
            self._programs.pop(scope, None)
            if inspect.iscoroutine(awaitable):
                awaitable.close()  # of a host that is down: it was never started
        raise HostCrashError(f"{self.name} crashed")

    def start_soon(self, program: Callable[..., Awaitable[object]], *args: object) -> None:
        """Runs `program(*args)` on this host in a task of its own: until it ends, the host crashes,
        or the network's end. What it raises, the network's `async with` raises.
        """
        self.network.running_tasks().start_soon(self._in_background, program, args)

    async def _in_background(
        self, program: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        try:
            await self.run(program, *args)
        except HostCrashError:
            pass

    # -- power ------------------------------------------------------------------------------------

    def crash(self) -> None:
        """All at once: no FIN, no RST; its programs are cancelled, its connections forgotten."""
        stack, self.stack, self._is_down = self.stack, None, True
        self.attached = None
        for scope in list(self._programs):
            scope.cancel()
        if stack is not None:
            self.network.running_tasks().start_soon(_bury, stack)

    async def restart(self) -> None:
        """A fresh stack with the same addresses, which answers old connections with RST.

        Crashes first, if it is up. Programs start anew by `start_soon`, or `async with host:`.
        """
        if self.is_up:
            self.crash()
        self._is_down = False
        await self._ensure_up()

    async def switch_off(self) -> None:
        """In order, but at once; as the network does at its end."""
        stack, self.stack = self.stack, None
        if stack is not None:
            await stack.aclose(linger=0)
        self.attached = None
        self._is_down = False

    async def _ensure_up(self) -> None:
        self.network.running_tasks()
        async with self._lock:
            if self._is_down:
                raise RuntimeError(f"{self.name} has crashed; await host.restart() starts it again")
            if self.stack is None:
                self.stack = await self._boot()

    def _new_link(self) -> tuple[MemoryLink, int]:
        """The stack's link and seed; `RuntimeError` when the host has a stack."""
        if self.attached is not None:
            raise RuntimeError("a host has one stack at a time")
        self.boots += 1
        seed = self.network.random_of(f"host {self.name} {self.boots}").getrandbits(64)
        return MemoryLink(mtu=self.mtu), seed

    async def _boot(self) -> Stack:
        """As `usertcp.open_stack`, but ambient already when the driver starts: what the stack calls
        back (asyncio's connection_made) is then on this host.
        """
        link, seed = self._new_link()
        options = dict(self._options)
        config = options.pop("config", None) or StackConfig()
        check = options.pop("check_duplicates", False)
        capture, trace = options.pop("capture", None), options.pop("trace", None)
        settings = config.with_options(options).engine_fields()
        settings.setdefault("nodelay", 1)
        engine = Engine(link, settings, seed_words(seed), capture)
        stack = Stack(engine, new_driver(engine), self.addresses)
        self.attached = Attachment(link, stack)
        token = _ambient.set(stack)
        try:
            self.network.carrier.attach(self, self.attached)
            if trace is not None:
                stack.trace(trace)
            await stack.start((), check_duplicates=check)
        except BaseException:
            self.attached = None
            await stack.aclose(linger=0)
            raise
        finally:
            _ambient.reset(token)
        return stack

    @asynccontextmanager
    async def open_stack(self, **options: Any) -> AsyncIterator[Stack]:
        """`usertcp.open_stack` on this host's link, for programs that hold their stack; again after
        it is closed, as after a reboot.
        """
        self.network.running_tasks()
        link, seed = self._new_link()
        options = {"seed": seed, "control": False} | self._options | options
        async with open_stack(link, addresses=self.addresses, **options) as stack:
            self.attached = Attachment(link, stack)
            self.network.carrier.attach(self, self.attached)
            try:
                yield stack
                await stack.aclose(linger=options.get("linger", LINGER))
            finally:
                self.attached = None


async def _bury(stack: Stack) -> None:
    with anyio.CancelScope(shield=True):
        await stack.aclose(linger=0)
