"""Congestion controls by name: what the engine has, and how a name becomes its index."""

from functools import cache

from usertcp._binding import congestion_name


@cache
def congestion_controls() -> tuple[str, ...]:
    """The congestion controls a stream can have; the first is the default.

    "cubic" (RFC 9438 with HyStart++, RFC 9406), "reno" (RFC 5681), "bbr"
    (draft-ietf-ccwg-bbr-06).
    """
    names: list[str] = []
    while (name := congestion_name(len(names))) is not None:
        names.append(name)
    return tuple(names)


def congestion_index(name: object) -> int:
    """Its place in `congestion_controls()`. `ValueError` naming them when it is none of them."""
    known = congestion_controls()
    if name not in known:
        raise ValueError(f"congestion: {name!r} is none of {', '.join(map(repr, known))}")
    return known.index(name)
