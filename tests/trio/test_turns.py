"""How often a trio loop makes a turn of a stack whose link is always readable."""

import os
import time
from array import array
from collections.abc import Iterator

import pytest
import trio

from usertcp import _driver_trio
from usertcp._driver_trio import BULK, PAUSE, TrioDriver
from usertcp._events import NEVER

TICKS = 60


class Link:
    """What a driver sees of an engine: `moved` more bytes went over the link in each turn."""

    pump_fd = -1
    failed = 0

    def __init__(self, moved: int) -> None:
        self.fd = os.eventfd(1)
        self.shared = memoryview(array("Q", [NEVER, 0, 0]))
        self.moved = moved
        self.turns = 0

    def poll(self, _now: int) -> None:
        self.turns += 1
        self.shared[2] += self.moved


@pytest.fixture
def turns(request: pytest.FixtureRequest) -> Iterator[float]:
    """Turns per tick of a busy loop: moved bytes per turn, seconds of a tick."""
    moved, tick = request.param
    link = Link(moved)

    async def main() -> float:
        driver = TrioDriver(link)  # type: ignore[arg-type]
        driver.start()
        for _ in range(2 * PAUSE):  # its tasks have begun
            await trio.lowlevel.checkpoint()
        begun = link.turns
        for _ in range(TICKS):
            time.sleep(tick)  # noqa: ASYNC251 - a task that computes
            await trio.lowlevel.checkpoint()
        done = link.turns - begun
        await driver.stop()
        return done / TICKS

    try:
        yield trio.run(main)
    finally:
        os.close(link.fd)


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_driver_trio, "PAUSE_NS", 20_000_000)


@pytest.mark.parametrize("turns", [(BULK + 1, 0.0)], indirect=True)
def test_bulk_makes_fewer_turns(turns: float):
    assert turns <= 1.3 / (PAUSE + 1)


@pytest.mark.parametrize("turns", [(BULK, 0.0)], indirect=True)
def test_little_is_looked_at_in_every_tick(turns: float):
    assert turns > 0.9


@pytest.mark.parametrize("turns", [(BULK + 1, 0.02)], indirect=True)
def test_slow_ticks_do_not_add_up(turns: float):
    """Bulk for who computes between two ticks: the next turn comes with the next tick but one."""
    assert turns > 0.4


def test_a_loop_that_would_sleep_looks_at_once():
    link = Link(BULK + 1)

    async def main() -> None:
        driver = TrioDriver(link)  # type: ignore[arg-type]
        driver.start()
        with trio.fail_after(5):
            while link.turns < 100:  # noqa: ASYNC110 - nothing tells
                await trio.sleep(0.001)
        await driver.stop()
        assert driver._pause == 0

    try:
        trio.run(main)
    finally:
        os.close(link.fd)
