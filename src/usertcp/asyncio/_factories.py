"""Event loops to run programs on: ours, ours over another loop's class, and `run`."""

import asyncio
from collections.abc import Callable, Coroutine
from selectors import BaseSelector
from typing import Any, TypeVar, cast

from usertcp._bypass import Policy, parse_policy
from usertcp.asyncio._loop import LoopMixin
from usertcp.asyncio._opening import Given

_T = TypeVar("_T")
Base = type[asyncio.AbstractEventLoop] | Callable[[], asyncio.AbstractEventLoop]


class EventLoop(LoopMixin, asyncio.SelectorEventLoop):
    """asyncio's selector event loop with TCP on a usertcp stack.

    The stack is opened when TCP is first needed, as the environment says (`USERTCP_LINK` and so
    on, see `open_stack`; `loop_factory` takes another one), and closed, with its
    linger, when the loop closes. Inside `async with usertcp.open_stack(...)` that stack is used.
    `loop.usertcp` tells: `await loop.usertcp.get()` is the stack, `loop.usertcp.bypasses` counts
    kernel TCP sockets that came along.
    """

    def __init__(
        self,
        selector: BaseSelector | None = None,
        *,
        stack: Given = None,
        bypass: Policy | None = None,
    ) -> None:
        super().__init__(selector)
        self.set_up_tcp(stack, bypass)


def new_event_loop() -> EventLoop:
    """For `uvicorn --loop usertcp.asyncio:new_event_loop` and whatever takes a loop factory."""
    return EventLoop()


_classes: dict[type[asyncio.AbstractEventLoop], type[asyncio.AbstractEventLoop]] = {}


def _class_over(base: type[asyncio.AbstractEventLoop]) -> type[asyncio.AbstractEventLoop]:
    if issubclass(base, LoopMixin):
        return base
    if base not in _classes:
        _classes[base] = _subclass(base)
    return _classes[base]


def _subclass(base: type[asyncio.AbstractEventLoop]) -> type[asyncio.AbstractEventLoop]:
    return type(f"Usertcp{base.__name__}", (LoopMixin, base), {"__module__": __name__})


def _class_of(base: Base) -> type[asyncio.AbstractEventLoop]:
    if isinstance(base, type):
        return base
    probe = base()
    probe.close()
    return type(probe)


def loop_factory(
    base: Base | None = None, stack: Given = None, *, bypass: Policy | None = None
) -> Callable[[], asyncio.AbstractEventLoop]:
    """A function that makes event loops, for `asyncio.Runner(loop_factory=...)` and the like.

    base: a loop's class or a function that makes one (`uvloop.new_event_loop`); asyncio's selector
    loop when None. stack: `open_stack(...)`, or for more than one loop a function that calls it;
    from the environment when None. bypass: what is done with kernel TCP sockets that libraries
    bring along: `adopt`, `kernel` or `error`; `USERTCP_BYPASS`, else `error`, when None.
    """
    if bypass is not None:
        parse_policy(bypass, "bypass")
    made_of = EventLoop if base is None else _class_over(_class_of(base))

    def factory() -> asyncio.AbstractEventLoop:
        loop = made_of()
        cast("LoopMixin", loop).set_up_tcp(stack, bypass)
        return loop

    return factory


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    base: Base | None = None,
    stack: Given = None,
    bypass: Policy | None = None,
) -> _T:
    """`asyncio.run` on such a loop."""
    factory = loop_factory(base, stack, bypass=bypass)
    with asyncio.Runner(debug=debug, loop_factory=factory) as runner:
        return runner.run(main)


def socket_factory(addr_info: Any) -> Any:
    """For `aiohttp.TCPConnector(socket_factory=...)`: a socket of ours for an `addrinfo` entry."""
    from usertcp.asyncio._socket import Socket

    return Socket(addr_info[0], addr_info[1], addr_info[2])
