"""pytest plugin: whatever `trio.run` a test makes has its TCP on stacks (see trio_plugin).

For suites that start trio themselves: the two stacks are there before the first task. Kernel
sockets that they bring along are adopted.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import trio

from aio.pairs import A4, A6
from foreign.trio_plugin import SHOWN, loopback
from usertcp.trio._tokens import watched

pytest_plugins = ["foreign.counts"]


def inside_stacks(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, with its first argument, the program, run while the stacks are open."""

    @wraps(function)
    def starting(program: Callable[..., Any], *args: Any, **options: Any) -> Any:
        @wraps(program)
        async def with_stacks(*rest: Any) -> Any:
            async with loopback() as factory:
                with watched(factory):
                    return await program(*rest)

        return function(with_stacks, *args, **options)

    return starting


def redirect() -> None:
    """At once: test suites take the functions that they import."""
    run = inside_stacks(trio.run)
    guest = inside_stacks(trio.lowlevel.start_guest_run)
    modules: tuple[Any, ...] = (trio, trio._core, trio._core._run, trio.lowlevel)
    for module in modules:
        for name, function in (("run", run), ("start_guest_run", guest)):
            if hasattr(module, name):
                setattr(module, name, function)


SHOWN.update({A4: "127.0.0.1", A6: "::1"})
redirect()
