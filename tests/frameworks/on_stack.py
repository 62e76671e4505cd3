"""Running a client in a loop whose TCP is a stack's, in the test's own process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

import usertcp
import usertcp.asyncio
import usertcp.trio
from support.cli import STACK

LOOPS = ["asyncio", "uvloop", "trio"]


def on_stack(loop: str, main: Callable[[usertcp.Stack], Awaitable[None]], bypass: Any) -> None:
    """Runs `main` in a loop whose TCP is a stack's."""
    opening = usertcp.open_stack(STACK[1], addresses=[STACK[3]])

    async def on_trio() -> None:
        trio_opening = usertcp.trio.open_stack(STACK[1], addresses=[STACK[3]], bypass=bypass)
        async with trio_opening as stack:
            await main(stack)

    async def on_asyncio() -> None:
        running: Any = asyncio.get_running_loop()
        await main(await running.usertcp.get())

    if loop == "trio":
        anyio.run(on_trio, backend="trio")
        return
    base = pytest.importorskip("uvloop").Loop if loop == "uvloop" else None
    usertcp.asyncio.run(on_asyncio(), base=base, stack=opening, bypass=bypass)


def opened(stack: usertcp.Stack) -> int:
    return stack.statistics().counters["active_opens"]
