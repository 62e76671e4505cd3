"""The stack of a loop: given, or opened from the environment when TCP is first needed.

`open_stack()` reads the environment. Inside `async with open_stack(...)` on the same loop, that
stack comes first.
"""

import asyncio
import errno
import logging
from asyncio import events
from collections import Counter
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeAlias

from anyio import ClosedResourceError

from usertcp._bypass import Policy, policy
from usertcp._driver import AsyncioDriver
from usertcp._open import _ambient, open_stack
from usertcp.stacks import Stack

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("usertcp.asyncio")

Opener: TypeAlias = AbstractAsyncContextManager[Stack]
Given: TypeAlias = "Opener | Callable[[], Opener] | None"
"""What `loop_factory(stack=...)` takes: `open_stack(...)`, or a function that calls it."""


class LoopStack:
    """Of one event loop: how it opens its stack, the stack, and what went by it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, given: Given = None, bypass: Policy | None = None
    ) -> None:
        self._loop = loop
        self._given = given
        self._opener: Opener | None = None
        self._opening: asyncio.Task[Stack] | None = None
        self._opened: Stack | None = None
        self._closed = False
        self._policy = bypass
        self.decided_by: Callable[[], Policy] | None = None
        """Asked for the policy while a test network runs on the loop."""
        self.bypasses: Counter[str] = Counter()

    @property
    def policy(self) -> Policy:
        """What is done with kernel sockets: as given, or as `USERTCP_BYPASS` says, or `error`."""
        if self.decided_by is not None:
            return self.decided_by()
        if self._policy is None:
            self._policy = policy(None)
        return self._policy

    def at_hand(self) -> Stack | None:
        """The stack to use now, if it is open: the ambient one of this loop, else its own."""
        ambient = _ambient.get()
        if ambient is not None and _is_of(ambient, self._loop):
            return ambient
        return self._opened

    async def get(self) -> Stack:
        """Opens it if need be; those who come meanwhile wait for the same one."""
        stack = self.at_hand()
        if stack is not None:
            return usable(stack)
        if self._opening is None:
            if self._closed:
                raise RuntimeError("the event loop and its usertcp stack are closed")
            self._opening = self._loop.create_task(self._open())
        try:
            return await asyncio.shield(self._opening)
        finally:
            if self._opened is None and self._is_over():
                self._opening = None  # failed: the next one may try again

    def _is_over(self) -> bool:
        return self._opening is not None and self._opening.done()

    async def _open(self) -> Stack:
        given = self._given
        _ = self.policy  # ValueError before anything is opened
        if given is None:
            opener = open_stack()
        elif isinstance(given, AbstractAsyncContextManager):
            opener = given
        else:
            opener = given()
        stack = await opener.__aenter__()
        self._opener, self._opened = opener, stack
        stack.bypasses = self.bypasses
        logger.info("usertcp: TCP of this event loop is on %r", stack)
        return stack

    def close(self) -> None:
        """When the loop closes, which does not run: with the stack's linger."""
        self._closed = True
        opener, stack = self._opener, self._opened
        self._opener = None
        if opener is None or stack is None:
            return
        if events._get_running_loop() is None:  # noqa: SLF001
            self._loop.run_until_complete(opener.__aexit__(None, None, None))
        elif not stack.engine.freed:  # inside another loop: no time to linger
            stack.engine.close_all(stack.driver.now())
            stop = stack.driver.stop()
            try:
                stop.send(None)
            except StopIteration:
                pass
            stack.engine.free()


def usable(stack: Stack) -> Stack:
    """The stack, or the `OSError` that a socket would raise."""
    try:
        stack.check_open()
    except ClosedResourceError as exc:
        raise OSError(errno.ENETDOWN, str(exc)) from None
    return stack


def _is_of(stack: Stack, loop: asyncio.AbstractEventLoop) -> bool:
    driver = stack.driver
    return isinstance(driver, AsyncioDriver) and driver.loop is loop


def of_running_loop() -> LoopStack | None:
    """None elsewhere: on other loops, on trio, outside of any."""
    own = getattr(events._get_running_loop(), "usertcp", None)  # noqa: SLF001
    return own if isinstance(own, LoopStack) else None


def running_stack(what: str) -> Stack:
    """For a socket that nobody attached to a stack: that of the running loop, if it is open."""
    asyncio.get_running_loop()  # RuntimeError outside of any
    own = of_running_loop()
    stack = own.at_hand() if own is not None else _ambient.get()
    if stack is None:
        raise RuntimeError(f"{what}: no usertcp stack is open on this event loop yet")
    return stack
