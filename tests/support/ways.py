"""Ways of a `Twin` into each state, by calls and segments; each step is compared on the way."""

from collections.abc import Callable, Iterable
from typing import Any

from support.segments import ACK, FIN, SYN, Seg
from support.twin import DifferenceError, Twin

ROOM = 8  # what `squeezed` leaves of the window


def syn_sent(twin: Twin) -> None:
    twin.call("connect")


def syn_received_active(twin: Twin) -> None:
    syn_sent(twin)
    twin.arrives(Seg(SYN, 0))


def syn_received(twin: Twin) -> None:
    twin.arrives(Seg(SYN, 0))


def opened(twin: Twin) -> None:
    """ESTABLISHED, by whoever opened."""
    if twin.listener is not None:
        syn_received(twin)
        twin.arrives(Seg(ACK, 1, 1))
    else:
        syn_sent(twin)
        twin.arrives(Seg(SYN | ACK, 0, 1))


def established(twin: Twin) -> None:
    """Ten bytes have gone each way and were read."""
    opened(twin)
    twin.arrives(Seg(ACK, 1, 1, b"0123456789"))
    twin.call("receive")
    twin.call("send", b"abcdefghij")
    twin.arrives(Seg(ACK, 11, 11))


def in_flight(twin: Twin) -> None:
    """Ten more are not acknowledged."""
    established(twin)
    twin.call("send", b"klmnopqrst")


def holding(twin: Twin) -> None:
    """Three bytes lie beyond a gap of two."""
    in_flight(twin)
    twin.arrives(Seg(ACK, 13, 11, b"xyz"))


def fin_beyond_a_gap(twin: Twin) -> None:
    in_flight(twin)
    twin.arrives(Seg(ACK | FIN, 13, 11, b"xyz"))


def squeezed(twin: Twin, room: int = ROOM) -> None:
    """The window is nearly closed: its user does not read."""
    opened(twin)
    left = twin.reference.edge - twin.reference.rcv_nxt - room
    while left:
        part = min(left, 1400)
        twin.arrives(Seg(ACK, twin.reference.rcv_nxt, 1, bytes(part)))
        left -= part


def shut(twin: Twin) -> None:
    """The window is closed."""
    squeezed(twin, 0)


def fin_wait_1(twin: Twin) -> None:
    established(twin)
    twin.call("shutdown")


def fin_wait_1_data(twin: Twin) -> None:
    """Data and the FIN are in flight."""
    in_flight(twin)
    twin.call("shutdown")


def fin_wait_2(twin: Twin) -> None:
    fin_wait_1(twin)
    twin.arrives(Seg(ACK, 11, 12))


def close_wait(twin: Twin) -> None:
    established(twin)
    twin.arrives(Seg(FIN | ACK, 11, 11))


def closing(twin: Twin) -> None:
    fin_wait_1(twin)
    twin.arrives(Seg(FIN | ACK, 11, 11))


def last_ack(twin: Twin) -> None:
    close_wait(twin)
    twin.call("shutdown")


def time_wait(twin: Twin) -> None:
    fin_wait_2(twin)
    twin.arrives(Seg(FIN | ACK, 11, 12))


def time_wait_unowned(twin: Twin) -> None:
    """Its user has closed: nothing is left but the record."""
    time_wait(twin)
    twin.call("close")


# Name: how, and whether somebody listens. The state is what comes before the stroke.
WAYS: dict[str, tuple[Callable[[Twin], None], bool]] = {
    "CLOSED": (lambda _: None, False),
    "LISTEN": (lambda _: None, True),
    "SYN-SENT": (syn_sent, False),
    "SYN-RECEIVED": (syn_received, True),
    "SYN-RECEIVED/active": (syn_received_active, False),
    "ESTABLISHED": (established, False),
    "ESTABLISHED/passive": (opened, True),
    "ESTABLISHED/in flight": (in_flight, False),
    "ESTABLISHED/holding": (holding, False),
    "ESTABLISHED/fin beyond a gap": (fin_beyond_a_gap, False),
    "ESTABLISHED/squeezed": (squeezed, False),
    "ESTABLISHED/shut": (shut, False),
    "FIN-WAIT-1": (fin_wait_1, False),
    "FIN-WAIT-1/data": (fin_wait_1_data, False),
    "FIN-WAIT-2": (fin_wait_2, False),
    "CLOSE-WAIT": (close_wait, False),
    "CLOSING": (closing, False),
    "LAST-ACK": (last_ack, False),
    "TIME-WAIT": (time_wait, False),
    "TIME-WAIT/listening": (time_wait_unowned, True),
}


def twin_in(way: str, *, compared: bool = True, **options: Any) -> Twin:
    """A twin brought there, `compared` on the way; `options` are `Twin`'s."""
    how, listens = WAYS[way]
    twin = Twin(listens=listens, **options)
    twin.replaying = not compared
    how(twin)
    twin.replaying = False
    assert twin.reference.state == way.partition("/")[0]
    return twin


def survey(way: str, segments: Iterable[Seg], **options: Any) -> int:
    """Each segment arrives in this state; how many there were.

    What changes nothing, by the reference, leaves the twin to the next segment; else there is a
    fresh one. A difference is shown with the shortest way to it.
    """
    twin = twin_in(way, **options)
    start = twin.reference.key()
    count = 0
    try:
        for segment in segments:
            count += 1
            try:
                twin.arrives(segment)
                if twin.reference.key() != start:
                    twin.finish()
            except DifferenceError:
                again = twin_in(way, **options)
                again.arrives(segment)
                again.finish()
                raise  # only after what came before
            if twin.reference.key() != start:
                twin.close()
                twin = twin_in(way, compared=False, **options)
    finally:
        twin.close()
    return count
