"""Running a program in virtual time."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import trio
from trio.testing import MockClock

from usertcp.testing import virtual_loop_factory

Main = Callable[[], Awaitable[Any]]


def on_asyncio(main: Main) -> Any:
    return anyio.run(main, backend_options={"loop_factory": virtual_loop_factory})


def on_trio(main: Main) -> Any:
    return trio.run(main, clock=MockClock(autojump_threshold=0))
