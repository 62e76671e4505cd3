"""While a network runs, programs on this event loop see its names and, on trio, its sockets.

On asyncio sockets are the loop's business (`usertcp.asyncio`, `network_loop_factory`), names an
attribute of this one loop; on trio both are hooks of the run.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from usertcp._bypass import Policy
    from usertcp.testing._names import Names


NO_HOST = (
    "no host of the test network is current here: "
    "async with host: ..., await host.run(program), or host.start_soon(program)"
)


def on_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_task()


@contextmanager
def installed(names: Names, policy: Callable[[], Policy]) -> Iterator[None]:
    """Names and sockets are the network's; at the end, what they were. `policy`: for kernel TCP
    sockets that programs bring along.
    """
    if on_trio():
        from usertcp.testing._hooks_trio import installed_on_trio

        with installed_on_trio(names, policy):
            yield
    else:
        loop = asyncio.get_running_loop()
        with _names_of_loop(loop, names), _policy_of_loop(loop, policy):
            yield


@contextmanager
def _names_of_loop(loop: Any, names: Names) -> Iterator[None]:
    async def getaddrinfo(
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        return names.getaddrinfo(host, port, family, type, proto, flags)

    async def getnameinfo(sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        return names.getnameinfo(sockaddr, flags)

    hooks = {"getaddrinfo": getaddrinfo, "getnameinfo": getnameinfo}
    former = {name: vars(loop).get(name) for name in hooks}  # of a network around this one
    for name, hook in hooks.items():
        setattr(loop, name, hook)
    try:
        yield
    finally:
        for name, was in former.items():
            if was is None:
                delattr(loop, name)
            else:
                setattr(loop, name, was)


@contextmanager
def _policy_of_loop(loop: Any, policy: Callable[[], Policy]) -> Iterator[None]:
    own = getattr(loop, "usertcp", None)  # None: a loop whose TCP is the kernel's
    if own is None:
        yield
        return
    former, own.decided_by = own.decided_by, policy
    try:
        yield
    finally:
        own.decided_by = former
