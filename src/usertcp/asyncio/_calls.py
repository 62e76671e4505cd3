"""Calls of the engine in the shape that sockets and transports want.

`Waker` is what they leave with an endpoint: a turn of the driver calls it at once, no future and no
trip through the loop lies between.
"""

from collections.abc import Callable
from typing import Any

from usertcp._binding import ffi, lib
from usertcp._driver import Driver
from usertcp._errors import Code, os_error
from usertcp._stack import Endpoint, Engine

WOULD_BLOCK = -Code.WOULD_BLOCK
END_OF_STREAM = -Code.END_OF_STREAM

_recv = lib.ut_recv
_from_buffer = ffi.from_buffer

Told = Callable[[None], None]


class Waker:
    """A waiter that is never done: whoever is told comes back for more."""

    __slots__ = ("set_result",)

    def __init__(self, told: Told) -> None:
        self.set_result: Told = told

    def done(self) -> bool:
        return False


def receive_into(engine: Engine, handle: int, target: Any, now: int) -> int:
    """From the ring to `target`, a writable buffer: how many bytes, or a negated code."""
    place = _from_buffer("uint8_t[]", target, True)
    size = len(place)
    return _recv(engine._stack, handle, place, size, size, engine._span, now)  # noqa: SLF001


def gone(endpoint: Endpoint) -> OSError:
    """Why an endpoint was closed although its user did not close it."""
    if endpoint.link_failed:
        return os_error(Code.LINK_DOWN)
    return os_error(Code.ABORTED, "the usertcp stack was closed")


def settle(driver: Driver) -> None:
    """After a call that may have armed a timer or left an event."""
    shared = driver.engine.shared
    if shared[1] or shared[0] < driver.armed:
        driver.after_call()
