"""Congestion controls by name: what the engine has, and how a name becomes its index."""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

from usertcp._binding import ffi, lib
from usertcp._congestion_control import CongestionControl

Congestion: TypeAlias = str | CongestionControl
"""Of a connection: a name of `congestion_controls()`, or one written in Python."""
CongestionFactory: TypeAlias = str | Callable[[], CongestionControl]
"""Of what a listener accepts: a name, or what makes one for each connection."""


@cache
def congestion_controls() -> tuple[str, ...]:
    """The congestion controls a stream can have; the first is the default.

    "cubic" (RFC 9438 with HyStart++, RFC 9406), "reno" (RFC 5681), "bbr"
    (draft-ietf-ccwg-bbr-06).
    """
    names: list[str] = []
    while (name := lib.ut_congestion_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return tuple(names)


def congestion_index(name: object) -> int:
    """Its place in `congestion_controls()`. `ValueError` naming them when it is none of them."""
    known = congestion_controls()
    if name not in known:
        raise ValueError(f"congestion: {name!r} is none of {', '.join(map(repr, known))}")
    return known.index(name)


def check_congestion(chosen: Congestion) -> None:
    """`ValueError` for a name that is none, `TypeError` for what is neither name nor control."""
    known: object = chosen
    if not isinstance(known, str | CongestionControl):
        raise TypeError(f"congestion: {chosen!r} is neither a name nor a CongestionControl")
    if isinstance(chosen, str):
        congestion_index(chosen)


def check_factory(chosen: CongestionFactory) -> None:
    """The same for a listener, which needs a control for each connection."""
    if isinstance(chosen, str):
        congestion_index(chosen)
        return
    made: object = chosen
    if isinstance(made, CongestionControl) or not callable(made):
        raise TypeError(f"congestion: {chosen!r} is neither a name nor makes a CongestionControl")
