"""Drops at the link: frames that are not for us or not whole, ARP, stations that do not answer."""

import struct

import pytest

from stack.bench import (
    ARP,
    BROADCAST,
    IPV4,
    IPV6,
    OTHER,
    STATION,
    Bench,
    EtherBench,
    advertisement,
    arp,
    dropped,
    flags_of,
    ip,
    solicitation,
)

TRUNCATED = 4  # LINK_TRUNCATED of csrc/link/link.h
BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def listening(*, ipv6: bool = False, **options: object) -> EtherBench:
    bench = EtherBench(ipv6=ipv6, **options)
    bench.engine.listen(80)
    bench.frames()
    return bench


@pytest.mark.rfc("SEC-01")
def test_frame_short():
    bench = listening()
    for size in range(1, 14):
        with dropped(bench.engine, frame_short=1):
            assert bench.engine.link.write((bench.mac + STATION + b"\x08\0")[:size])
            bench.engine.poll()
    assert bench.frames() == []


@BOTH
@pytest.mark.parametrize(
    ("src", "dst"),
    [(STATION, OTHER), (BROADCAST, None), (bytes.fromhex("010000000001"), None), (OTHER, STATION)],
)
def test_frame_not_ours(src: bytes, dst: bytes | None, ipv6: bool):
    bench = listening(ipv6=ipv6)
    with dropped(bench.engine, frame_not_ours=1):
        assert bench.hears(bench.tcp("SYN"), src=src, dst=dst) == []


@BOTH
@pytest.mark.parametrize("tag", [0x8100, 0x88A8])
def test_frame_vlan(tag: int, ipv6: bool):
    bench = listening(ipv6=ipv6)
    with dropped(bench.engine, frame_vlan=1):
        kind = struct.pack("!HH", 5, IPV6 if ipv6 else IPV4)
        assert bench.hears(kind + bench.tcp("SYN"), kind=tag) == []


@pytest.mark.parametrize("kind", [1, 46, 0x05DC, 0x0600, 0x8035, 0x88CC, 0xFFFF])
def test_ethertype_unknown(kind: int):
    bench = listening()
    with dropped(bench.engine, ethertype_unknown=1):
        assert bench.hears(bench.tcp("SYN"), kind=kind) == []


@BOTH
def test_ethertype_decides_not_the_packet(ipv6: bool):
    bench = listening(ipv6=ipv6)
    with dropped(bench.engine, ip_version=1):
        assert bench.hears(bench.tcp("SYN"), kind=IPV4 if ipv6 else IPV6) == []


@BOTH
def test_frame_truncated(ipv6: bool):
    """The device said the frame was longer than the buffer: not a byte of it is believed."""
    bench = Bench(ipv6=ipv6)
    bench.engine.listen(80)
    with dropped(bench.engine, frame_truncated=1):
        assert bench.engine.link.write(bench.tcp("SYN"), flags=TRUNCATED)
        bench.engine.poll()
    assert bench.sent() == []


@BOTH
@pytest.mark.rfc("9293-MUST-57")
def test_segments_in_group_frames_are_not_ours(ipv6: bool):
    """To our address, but in a frame for everybody."""
    bench = listening(ipv6=ipv6)
    for dst in (BROADCAST, bytes.fromhex("333300000001"), bytes.fromhex("01005e000001")):
        for flags in ("SYN", "ACK", "RST", "FIN,ACK"):
            with dropped(bench.engine, ip_not_ours=1):
                assert bench.hears(bench.tcp(flags), dst=dst) == []


# -- ARP ------------------------------------------------------------------------------------------

GOOD_ARP = arp(1, (STATION, ip("10.0.0.2")), ip("10.0.0.1"))


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"\0\0"), (0, b"\0\6"), (2, b"\x86\xdd"), (2, b"\0\0"), (4, b"\0"), (4, b"\x08"),
        (4, b"\xff"), (5, b"\0"), (5, b"\x10"), (6, b"\0\0"), (6, b"\0\3"), (6, b"\xff\xff"),
        (8, b"\xff" * 6), (8, b"\x01\0\x5e\0\0\1"),
    ],
)  # fmt: skip
def test_arp_malformed(at: int, value: bytes):
    bench = listening()
    wrong = GOOD_ARP[:at] + value + GOOD_ARP[at + len(value) :]
    with dropped(bench.engine, arp_malformed=1):
        assert bench.hears(wrong, kind=ARP, dst=BROADCAST) == []
    assert bench.neighbours == 0


def test_arp_cut_is_malformed_and_padded_is_not():
    bench = listening()
    for size in range(1, 28):
        with dropped(bench.engine, arp_malformed=1):
            assert bench.hears(GOOD_ARP[:size], kind=ARP, dst=BROADCAST) == []
    with dropped(bench.engine):
        (reply,) = bench.hears(GOOD_ARP + bytes(18), kind=ARP, dst=BROADCAST)
    assert reply.arp == (2, bench.mac, "10.0.0.1", STATION, "10.0.0.2")


# -- stations that do not answer ------------------------------------------------------------------


@BOTH
def test_no_source_mac(ipv6: bool):
    """A SYN,ACK due again, and nobody says where its host is: dropped, and asked for."""
    bench = listening(ipv6=ipv6, synack_retries=2, rto_initial=1)
    (answer,) = bench.hears(bench.tcp("SYN"))
    assert answer.dst == STATION  # where the SYN came from needs no question
    for wait in (1, 2):
        with dropped(bench.engine, no_source_mac=1):
            frames = bench.after(wait)
        assert frames
        assert all(f.arp is not None or f.ndp is not None for f in frames)
    with dropped(bench.engine):
        bench.after(3.5)
    bench.after(1)
    assert len(bench.engine.raw.list_info()) == 1


@BOTH
def test_neigh_failed(ipv6: bool):
    """A connection's station falls silent: its segments are lost one by one, and it lives on."""
    bench = listening(ipv6=ipv6, rto_max=10, user_timeout=3600)
    (answer,) = bench.hears(bench.tcp("SYN"))
    assert answer.packet is not None
    bench.hears(bench.ack_of(answer.packet))
    listener = next(r for r in bench.engine.raw.list_info() if r.state.name == "LISTEN")
    accepted = bench.engine.raw.accept(listener.handle, bench.engine.now)
    assert not isinstance(accepted, int)
    bench.after(40)
    bench.engine.raw.send(accepted[0], b"x", bench.engine.now)
    bench.engine.poll()
    (data,) = bench.frames()
    assert data.dst == STATION  # stale, yet used at once
    before = bench.engine.drops()
    assert before == {}
    bench.after(60)
    assert set(bench.engine.drops()) == {"neigh_failed"}
    assert bench.engine.counters()["neighbours_failed"] >= 2
    assert str(bench.engine.find(40001).state) == "ESTABLISHED"  # type: ignore[union-attr]
    answer_questions(bench)
    frames = bench.after(25)
    sent = [f.packet for f in frames if f.arp is None and f.ndp is None]
    assert sent
    assert all(p is not None and p.segment.payload == b"x" for p in sent)
    assert flags_of(sent[0]) == "PSH,ACK"  # type: ignore[arg-type]


def answer_questions(bench: EtherBench) -> None:
    """The host is back: it asks for us itself, as hosts do."""
    if bench.own.version == 4:
        bench.hears(arp(1, (STATION, bench.host), bench.own), kind=ARP, dst=BROADCAST)
        return
    bench.hears(solicitation(bench.own, src=bench.host))
    bench.hears(advertisement(bench.host, dst=bench.own))
