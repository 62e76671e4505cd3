"""What `usertcp run` does to a process before the program begins in it.

    asyncio   every way to a new loop that names no loop of its own gives ours
    uvloop    ours over uvloop
    trio      each trio.run opens the stack and gives it to trio as its socket factory
    bypasses  an audit hook sees each kernel TCP socket that Python connects or binds
    children  processes that multiprocessing starts, and forked ones, have all this, too

trio, uvloop and multiprocessing are changed when the program imports them, not before.
"""

import asyncio
import errno
import functools
import importlib
import importlib.abc
import importlib.machinery
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.machinery import ModuleSpec
from socket import AF_INET, AF_INET6, SOCK_STREAM
from types import ModuleType, TracebackType
from typing import Any

import usertcp
from usertcp.cli._common import StackOptions, opener, show_address
from usertcp.cli._known import IN_RUST_OR_C, recipe

logger = logging.getLogger("usertcp.run")
PATIENCE = 1.0
"""Seconds for an event loop to take over a socket that the program bound."""
PATIENCE_OF_CHILDREN = 10.0
"""The same in a process that is started for it: it has to import the program first."""
_WORDS = {"socket.connect": "connected to", "socket.bind": "bound"}


class Hooks:
    """One per process: `install`, then the program, then `summary`."""

    def __init__(self, options: StackOptions, policy: str, say: Callable[[str], None]) -> None:
        self._options = options
        self._policy = policy
        self._say = say
        self._told: set[str] = set()
        self._bound = ""
        self.bypasses: Counter[str] = Counter()
        """Kernel sockets by what was done with them."""
        self.stacks = 0
        """How many this process opened."""
        self.children = 0
        """Processes that it started."""
        self._opened: list[usertcp.Stack] = []

    def install(self) -> None:
        self._patch_asyncio()
        patches = {
            "uvloop": self._patch_uvloop,
            "trio": self._patch_trio,
            "multiprocessing.spawn": self._patch_spawn,
        }
        sys.meta_path.insert(0, _AfterImport(patches))
        sys.addaudithook(self._audit)
        os.register_at_fork(after_in_parent=self._has_child, after_in_child=self._is_forked)

    def summary(self) -> dict[str, Any]:
        return {
            "stacks": self.stacks,
            "bypasses": dict(self.bypasses),
            "tickets": dict(self.tickets()),
            "processes": self.children,
        }

    def tickets(self) -> Counter[str]:
        """Kernel sockets that the program's libraries handed to an event loop, by what was done
        with them there, like "sock_connect adopted".
        """
        found: Counter[str] = Counter()
        for counts in {id(stack.bypasses): stack.bypasses for stack in self._opened}.values():
            found.update(counts)
        return found

    # ---- asyncio -----------------------------------------------------------------------------

    def _open(self) -> AbstractAsyncContextManager[usertcp.Stack]:
        self.stacks += 1
        return _Noted(opener(self._options), self._opened)

    def _patch_asyncio(self) -> None:
        from asyncio import events

        ours: Any = importlib.import_module("usertcp.asyncio")
        hooks = self

        class EventLoop(ours.EventLoop):  # type: ignore[misc]
            def __init__(self, selector: Any = None) -> None:
                super().__init__(selector, stack=hooks._open, bypass=hooks._policy)

        module: Any = asyncio
        module.new_event_loop = events.new_event_loop = EventLoop
        for name in ("SelectorEventLoop", "EventLoop"):  # uvicorn's loop "asyncio" is the class
            if hasattr(module, name):
                setattr(module, name, EventLoop)
        for name in ("BaseDefaultEventLoopPolicy", "_BaseDefaultEventLoopPolicy"):
            policy = getattr(events, name, None)
            if policy is not None:
                policy.new_event_loop = staticmethod(EventLoop)

    def _patch_uvloop(self, uvloop: ModuleType) -> None:
        ours: Any = importlib.import_module("usertcp.asyncio")
        module: Any = uvloop
        factory = ours.loop_factory(base=module.Loop, stack=self._open, bypass=self._policy)
        module.new_event_loop = factory
        if "loop_factory" in (getattr(module.run, "__kwdefaults__", None) or {}):
            module.run.__kwdefaults__["loop_factory"] = factory

    # ---- trio --------------------------------------------------------------------------------

    def _patch_trio(self, trio: ModuleType) -> None:
        module: Any = trio
        module.run = self._with_stack(module.run)
        module.lowlevel.start_guest_run = self._with_stack(module.lowlevel.start_guest_run)

    def _with_stack(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """`run(async_fn, ...)` so that async_fn finds the stack open and in use."""

        @functools.wraps(run)
        def with_stack(async_fn: Callable[..., Awaitable[Any]], *args: Any, **settings: Any) -> Any:
            @functools.wraps(async_fn)
            async def main(*args: Any) -> Any:
                ours: Any = importlib.import_module("usertcp.trio._factory")
                async with ours.in_use(self._open(), bypass=self._policy):
                    return await async_fn(*args)

            return run(main, *args, **settings)

        return with_stack

    # ---- processes ---------------------------------------------------------------------------

    def _patch_spawn(self, spawn: ModuleType) -> None:
        from usertcp.cli import _children

        def passenger() -> _children.Passenger:
            self._has_child()
            return _children.Passenger(self._options, self._policy, self._bound)

        _children.take_along(spawn, passenger)

    def _has_child(self) -> None:
        self.children += 1

    def _is_forked(self) -> None:
        self.stacks = self.children = 0
        self.expect_adoption(self._bound)

    def expect_adoption(self, bound: str) -> None:
        """`bound`: the socket that the parent has bound; in this process a loop takes it over."""
        self._bound = bound
        if bound and self._policy == "adopt":
            _start(PATIENCE_OF_CHILDREN, self._unless_adopted, bound)

    # ---- bypasses ----------------------------------------------------------------------------

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "import":
            name = args[0]
            if name in IN_RUST_OR_C:
                self._tell(f"import {name}", recipe(name))
        elif event in _WORDS:
            sock, address = args
            if sock.family in (AF_INET, AF_INET6) and sock.type & 0xF == SOCK_STREAM:
                self._bypass(event, address)

    def _bypass(self, event: str, address: Any) -> None:
        where = show_address(address[:2]) if isinstance(address, tuple) else str(address)
        text = f"a kernel TCP socket was {_WORDS[event]} {where}, past the stack"
        if event == "socket.bind" and self._policy == "adopt":
            self._bound = text
            _start(PATIENCE, self._unless_adopted, text)
            return
        self.bypasses[event.removeprefix("socket.")] += 1
        if self._policy == "error":
            raise PermissionError(errno.EPERM, f"usertcp run --bypass error: {text}")
        self._tell(event, f"{text} (said once; --bypass error makes it fail)")

    def _unless_adopted(self, text: str) -> None:
        """A bound socket may be a ticket that an event loop takes over, of this process or of one
        that it started; without one it is none.
        """
        if not self.stacks and not self.children:
            self.bypasses["bind"] += 1
            self._tell("socket.bind", f"{text}, and no event loop has taken it over")

    def _tell(self, about: str, text: str) -> None:
        if about not in self._told:
            self._told.add(about)
            self._say(text)


class _Noted(AbstractAsyncContextManager[usertcp.Stack]):
    """An opener whose stack is remembered."""

    def __init__(
        self, opening: AbstractAsyncContextManager[usertcp.Stack], opened: list[usertcp.Stack]
    ) -> None:
        self._opening = opening
        self._opened = opened

    async def __aenter__(self) -> usertcp.Stack:
        stack = await self._opening.__aenter__()
        self._opened.append(stack)
        return stack

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._opening.__aexit__(kind, error, trace)


def _start(patience: float, function: Callable[[str], None], text: str) -> None:
    timer = threading.Timer(patience, function, (text,))
    timer.daemon = True
    timer.start()


class _AfterImport(importlib.abc.MetaPathFinder):
    """Calls a function with a module right after its first import."""

    def __init__(self, calls: dict[str, Callable[[ModuleType], None]]) -> None:
        self._calls = calls
        for name in [name for name in calls if name in sys.modules]:
            calls.pop(name)(sys.modules[name])

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        call = self._calls.pop(fullname, None)
        if call is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            call(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
