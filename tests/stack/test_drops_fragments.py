"""Fragments put together: RFC 791 3.2, RFC 1122 3.3.2, RFC 8200 4.5, RFC 5722, RFC 3168 5.3."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.bench import Bench, counted, dropped, flags_of
from support.fragments import piece, pieces
from usertcp.testing._engine import SECOND
from usertcp.testing.packets import Icmp, Packet

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
LIMIT = 300_000  # bytes of C memory that fragments may hold: frag.h


def listening(**options: Any) -> Bench:
    bench = Bench(**options)
    bench.engine.listen(80)
    return bench


def syn(bench: Bench, size: int = 100, **fields: Any) -> bytes:
    """A SYN with data: 20 octets of TCP header and `size` of others."""
    return bench.tcp("SYN", payload=bytes(range(size % 256)) + bytes(size - size % 256), **fields)


def is_answered(sent: list[Packet]) -> bool:
    return [flags_of(p) for p in sent] == ["SYN,ACK"]


@pytest.mark.rfc("1122-05")
@BOTH
def test_every_order_of_the_pieces(ipv6: bool):
    for order in itertools.permutations(range(4)):
        bench = listening(ipv6=ipv6)
        parts = pieces(syn(bench), 24, 48, 96)
        with counted(bench.engine, reassembled=1, syn_received=1):
            *early, last = [bench.arrives(parts[n]) for n in order]
        assert not any(early)
        assert is_answered(last)
        assert bench.engine.drops() == {}


@given(data=st.data(), ipv6=st.booleans(), size=st.integers(0, 2000))
def test_any_cuts_in_any_order_with_duplicates(data: Any, ipv6: bool, size: int):
    """An echo comes back as it was sent, whatever the network did to the request's pieces."""
    bench = Bench(ipv6=ipv6, mtu=4000)
    body = bytes(n * 7 % 256 for n in range(size))
    whole = bench.packet(Icmp(type=128 if ipv6 else 8, rest=5, body=body))
    length = size + 8
    eighths = st.integers(1, max(1, (length - 1) // 8))
    cuts = sorted({8 * n for n in data.draw(st.lists(eighths, max_size=8))} - {length})
    parts = pieces(whole, *(cut for cut in cuts if cut < length))
    order = data.draw(st.permutations(parts)) if len(parts) > 1 else parts
    again = data.draw(st.lists(st.sampled_from(order), max_size=4)) if len(parts) > 1 else []
    sent = [p for part in [*again, *order] for p in bench.arrives(part)]
    if len(parts) > 1:
        assert bench.engine.drops() == {}
    assert {p.body.body for p in sent} == {body}  # twice, when the duplicates were all of it


@pytest.mark.attack(17)
@pytest.mark.rfc("8200-01", "1122-05")
@BOTH
def test_a_minute_is_the_limit(ipv6: bool):
    bench = listening(ipv6=ipv6)
    parts = pieces(syn(bench), 24, 48)
    memory = bench.engine.memory
    bench.arrives(parts[0])
    bench.passes(30)
    bench.arrives(parts[2])
    bench.passes(29)
    assert bench.engine.drops() == {}
    with dropped(bench.engine, ip_fragment_late=1):
        bench.passes(2)
    assert bench.engine.memory <= memory + 20_480  # the table; no data
    assert bench.arrives(parts[1]) == []
    assert is_answered([p for part in (parts[0], parts[2]) for p in bench.arrives(part)])


@pytest.mark.attack(10, 34)
@pytest.mark.rfc("5722-01", "791-01")
@BOTH
@pytest.mark.parametrize(("lo", "hi"), [(0, 24), (16, 32), (8, 16), (0, 120), (88, 104)])
def test_an_overlap_spoils_the_whole(ipv6: bool, lo: int, hi: int):
    """Teardrop and its kin: neither the first nor the last wins; what follows is dropped too."""
    bench = listening(ipv6=ipv6)
    whole = syn(bench)
    first, second, third = pieces(whole, 24, 96)
    bench.arrives(first, third)
    other = bytes(b ^ 255 for b in whole[-120:][lo:hi])
    with dropped(bench.engine, ip_fragment=2):
        sent = bench.arrives(piece(whole, lo, hi, more=True, body=other), second)
    assert sent == []
    assert bench.engine.counters().get("reassembled", 0) == 0


@BOTH
def test_a_duplicate_is_no_overlap(ipv6: bool):
    """RFC 8200 4.5: the network may have made it."""
    bench = listening(ipv6=ipv6)
    first, second = pieces(syn(bench), 48)
    with counted(bench.engine, reassembled=1):
        bench.arrives(first, first, first)
        sent = bench.arrives(second)
    assert is_answered(sent)
    assert bench.engine.drops() == {}


@pytest.mark.attack(35)
@pytest.mark.rfc("8200-04")
@BOTH
@pytest.mark.parametrize("cut", [8, 16])
def test_the_tcp_header_must_be_in_the_first(ipv6: bool, cut: int):
    bench = listening(ipv6=ipv6)
    with dropped(bench.engine, ip_fragment=2):
        assert bench.arrives(*pieces(syn(bench), cut)) == []


@pytest.mark.rfc("8200-02")
@BOTH
def test_pieces_come_in_eights(ipv6: bool):
    """All but the last; one that does not is dropped, and the right one may still come."""
    bench = listening(ipv6=ipv6)
    whole = syn(bench)
    for size in (1, 7, 23, 25, 47):
        with dropped(bench.engine, ip_fragment=1):
            bench.arrives(piece(whole, 0, size))
    assert is_answered([p for part in pieces(whole, 24) for p in bench.arrives(part)])


@BOTH
def test_an_empty_piece_is_dropped(ipv6: bool):
    bench = listening(ipv6=ipv6)
    with dropped(bench.engine, ip_fragment=2):
        bench.arrives(piece(syn(bench), 24, 24, more=True), piece(syn(bench), 24, 24, more=False))


@pytest.mark.attack(36)
@pytest.mark.rfc("8200-03")
@BOTH
def test_nothing_is_longer_than_65535(ipv6: bool):
    """Ping of death: the last piece reaches beyond."""
    bench = Bench(ipv6=ipv6)
    whole = bench.packet(Icmp(type=128 if ipv6 else 8, body=bytes(65_000)), ident=0)
    most = 65_535 - (0 if ipv6 else 20)
    for at in (most // 8 * 8, 65_528):
        with dropped(bench.engine, ip_fragment=1):
            bench.arrives(piece(whole, at, at + 8, more=False, body=bytes(16)))


@BOTH
@pytest.mark.parametrize("first_end", [True, False])
def test_two_ends_contradict_each_other(ipv6: bool, first_end: bool):
    bench = listening(ipv6=ipv6)
    whole = syn(bench)
    ends = [piece(whole, 96, 104, more=False), piece(whole, 96, 120, more=False)]
    with dropped(bench.engine, ip_fragment=1):
        bench.arrives(*(ends if first_end else reversed(ends)))


@BOTH
def test_nothing_lies_behind_the_end(ipv6: bool):
    bench = listening(ipv6=ipv6)
    whole = syn(bench)
    end, behind = piece(whole, 48, 56, more=False), piece(whole, 96, 104, more=True)
    for order in ([end, behind], [behind, end]):
        bench = listening(ipv6=ipv6)
        with dropped(bench.engine, ip_fragment=1):
            bench.arrives(*order)


@pytest.mark.attack(17)
@BOTH
def test_a_flood_of_beginnings_holds_little_memory(ipv6: bool):
    """FragmentSmack: the oldest gives way; each is counted. The one that goes on is served."""
    bench = listening(ipv6=ipv6)
    begun = bench.engine.memory
    whole = bench.tcp("SYN", payload=bytes(60_000))
    for ident in range(2000):
        bench.engine.inject(piece(whole, 0, 1200, ident=ident))
        bench.engine.inject(piece(whole, 48_000, 49_200, ident=ident))
    assert bench.engine.memory <= begun + LIMIT
    assert set(bench.engine.drops()) == {"ip_fragment_room"}
    sent = [p for part in pieces(syn(bench), 24, 48, ident=9999) for p in bench.arrives(part)]
    assert is_answered(sent)
    bench.passes(61)
    assert bench.engine.memory <= begun + 28_000


def test_a_stack_without_memory_drops_and_goes_on():
    bench = Bench(memory_limit=0)
    bench.engine.listen(80)
    bench = Bench(memory_limit=bench.engine.memory + 4000)
    bench.engine.listen(80)
    with dropped(bench.engine, ip_fragment_room=2):
        bench.arrives(*pieces(syn(bench), 24))


@BOTH
def test_the_name_is_addresses_and_number(ipv6: bool):
    """Pieces of two datagrams that differ in one of them do not mix."""
    bench = listening(ipv6=ipv6)
    whole = syn(bench)
    other = syn(bench, src=bench.host + 1)
    bench.arrives(piece(whole, 0, 48, ident=1))
    assert bench.arrives(piece(whole, 48, 120, ident=2)) == []
    assert bench.arrives(piece(other, 48, 120, ident=1)) == []
    assert is_answered(bench.arrives(piece(whole, 48, 120, ident=1)))


@pytest.mark.rfc("3168-14")
@BOTH
@pytest.mark.parametrize(
    ("marks", "whole"), [((2, 3), True), ((1, 3), True), ((0, 0), True), ((0, 3), False)]
)
def test_a_congestion_mark_is_neither_lost_nor_made_up(
    ipv6: bool, marks: tuple[int, int], whole: bool
):
    bench = listening(ipv6=ipv6)
    packet = syn(bench)
    parts = [piece(packet, 0, 48, tos=marks[0]), piece(packet, 48, 120, tos=marks[1])]
    assert is_answered(bench.arrives(*parts)) == whole


@BOTH
def test_the_checksum_is_the_wholes(ipv6: bool):
    """Whatever the link says of the frame that came last."""
    bench = listening(ipv6=ipv6)
    whole = bytearray(syn(bench))
    whole[-1] ^= 1
    with dropped(bench.engine, tcp_checksum=1):
        bench.arrives(*pieces(bytes(whole), 24))


def test_time_goes_on_for_each_by_itself():
    bench = listening()
    for ident in range(5):
        bench.arrives(piece(syn(bench), 0, 24, ident=ident))
        bench.passes(10)
    for late in range(1, 6):
        bench.engine.run(bench.engine.now + 10 * SECOND)
        assert bench.engine.drops().get("ip_fragment_late", 0) == late
