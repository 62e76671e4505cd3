"""Flag soup: each of the 256 flag sets in each state, with and without text, in and out of order.

No crash, no transition that is not in the table (the engine asserts that), and the reply of
`support.rfc9293`, which knows six of the flags and looks at each by itself.
"""

from collections.abc import Iterator

import pytest

from support.rfc9293 import Reference
from support.segments import Seg
from support.ways import WAYS, survey, twin_in


def soup(own: Reference) -> Iterator[Seg]:
    for flags in range(256):
        for seq in (own.rcv_nxt - 1, own.rcv_nxt, own.edge):
            for data in (b"", b"xyz"):
                yield Seg(flags, seq, own.nxt, data, urgent=flags)
        yield Seg(flags, own.rcv_nxt, own.una - 1, b"xyz")


@pytest.mark.attack(45)
@pytest.mark.rfc("9293-EV-10", "9293-EV-23", "SEC-14", "SEC-05")
@pytest.mark.parametrize(
    ("way", "ipv6"),
    [(way, False) for way in WAYS] + [(way, True) for way in WAYS if "/" not in way],
    ids=lambda value: value if isinstance(value, str) else "v6" if value else "v4",
)
def test_every_flag_set(way: str, ipv6: bool):
    twin = twin_in(way, ipv6=ipv6)
    twin.close()
    assert survey(way, soup(twin.reference), ipv6=ipv6) == 256 * 7
