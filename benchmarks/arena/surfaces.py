"""The faces through which programs reach TCP: what is measured for each, and how each is set up.

A program never knows which TCP it runs on. What differs is one thing per surface: AnyIO the module
that `connect_tcp` comes from, asyncio the event loop, trio the socket factory.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from arena.programs import Job, Outcome, measure, serving
from arena.protocols import Protocols

WORKLOADS = ("bulk", "pingpong", "connect", "conns64")


@dataclass(frozen=True, slots=True)
class Surface:
    name: str
    loops: tuple[str, ...]
    workloads: tuple[str, ...] = WORKLOADS


SURFACES = {
    surface.name: surface
    for surface in (
        Surface("AnyIO", ("asyncio", "uvloop", "trio")),
        Surface("Protocol", ("asyncio", "uvloop")),
        # The other workloads receive as a Protocol does: nothing new to measure.
        Surface("BufferedProtocol", ("asyncio", "uvloop"), ("bulk",)),
        Surface("trio", ("trio",)),
    )
}


@dataclass(frozen=True, slots=True)
class Program:
    """Both ends of every workload, on the TCP that was set up."""

    measure: Callable[[Job], Awaitable[Outcome]]
    serving: Callable[[Job], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def set_up(surface: str, link: str, address: str) -> AsyncIterator[Program]:
    """On usertcp over `link` with `address`, or on the kernel's TCP when `link` is empty."""
    if surface == "trio":
        from arena import trio_net

        if not link:
            yield Program(partial(measure, trio_net), partial(serving, trio_net))
            return
        import usertcp.trio

        async with usertcp.trio.open_stack(link, addresses=[address]):
            yield Program(partial(measure, trio_net), partial(serving, trio_net))
        return
    net: Any = anyio
    protocols = Protocols(buffered=surface == "BufferedProtocol")
    if not link:
        yield _program(surface, net, protocols)
        return
    import usertcp

    async with usertcp.open_stack(link, addresses=[address]):
        yield _program(surface, usertcp, protocols)


def _program(surface: str, net: Any, protocols: Protocols) -> Program:
    if surface == "AnyIO":
        return Program(partial(measure, net), partial(serving, net))
    return Program(protocols.measure, protocols.serving)


def run_options(surface: str, loop: str, link: str) -> dict[str, Any]:
    """Arguments of `anyio.run`: the backend, and for asyncio's surfaces our loop under `link`."""
    if loop == "trio":
        return {"backend": "trio"}
    options: dict[str, Any] = {"use_uvloop": True} if loop == "uvloop" else {}
    if link and surface != "AnyIO":
        import usertcp.asyncio

        base = None
        if loop == "uvloop":
            import uvloop

            base = uvloop.Loop
        options = {"loop_factory": usertcp.asyncio.loop_factory(base)}
    return {"backend": "asyncio", "backend_options": options}
