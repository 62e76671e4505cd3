"""Drops of ICMP, ICMPv6 and neighbour discovery messages."""

import struct

import pytest

from stack.bench import STATION, Bench, EtherBench, advertisement, dropped, ip, solicitation
from stack.bench import solicited_node as group_of
from tcp.pmtu import connected, moved, sends, too_big
from usertcp.testing import Peer
from usertcp.testing.packets import Address, Icmp, Packet, Segment

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def refused(bench: Bench, packet: bytes, **why: int) -> None:
    """Exactly these drops, no answer, nothing changed."""
    with dropped(bench.engine, **why):
        assert bench.arrives(packet) == []


def icmp(bench: Bench, kind: int, code: int, body: bytes, rest: int = 0) -> bytes:
    return bench.packet(Icmp(type=kind, code=code, body=body, rest=rest))


def quote(bench: Bench, **fields: object) -> bytes:
    """A packet the stack might have sent."""
    made = {"src": bench.own, "dst": bench.host, "body": Segment(sport=80, dport=40001, flags=16)}
    return Packet(**made | fields).encode()  # type: ignore[arg-type]


@BOTH
def test_icmp_malformed(ipv6: bool):
    """Too short for its header, or a wrong checksum."""
    bench = Bench(ipv6=ipv6)
    protocol = 58 if ipv6 else 1
    for size in range(8):
        refused(bench, bench.packet(bytes(size), protocol=protocol), icmp_malformed=1)
    good = icmp(bench, 128 if ipv6 else 8, 0, b"ping")
    refused(bench, good[:-1] + bytes([good[-1] ^ 1]), icmp_malformed=1)


@pytest.mark.attack(7)
@pytest.mark.rfc("5927-06", "SEC-01")
@BOTH
def test_icmp_malformed_quotes(ipv6: bool):
    """Attack 7: the quoted packet cut at each length before the sequence number's end."""
    bench = Bench(ipv6=ipv6)
    whole = quote(bench)
    kind, head = (1, 40) if ipv6 else (3, 20)
    for size in range(head + 8):
        refused(bench, icmp(bench, kind, 3, whole[:size]), icmp_malformed=1)
    refused(bench, icmp(bench, kind, 3, whole[: head + 8]), icmp_unmatched=1)
    refused(bench, icmp(bench, kind, 3, b"\x50" + whole[1:]), icmp_malformed=1)


def test_icmp_malformed_quote_header_lengths():
    bench = Bench()
    whole = quote(bench)
    for ihl in (0, 1, 4, 15):
        refused(bench, icmp(bench, 3, 1, bytes([0x40 | ihl]) + whole[1:28]), icmp_malformed=1)


@pytest.mark.rfc("9293-MUST-54")
@BOTH
def test_icmp_unmatched(ipv6: bool):
    """No such connection; another protocol; a fragment that is not the first."""
    bench = Bench(ipv6=ipv6)
    bench.engine.listen(80)
    bench.opens(40001)
    kind = 1 if ipv6 else 3
    for body in (
        Segment(sport=80, dport=40002, flags=16),
        Segment(sport=81, dport=40001, flags=16),
    ):
        refused(bench, icmp(bench, kind, 3, quote(bench, body=body)), icmp_unmatched=1)
    other = quote(bench, body=b"x" * 20, protocol=17)
    refused(bench, icmp(bench, kind, 3, other), icmp_unmatched=1)
    if not ipv6:
        late = quote(bench)
        late = late[:6] + b"\0\x10" + late[8:]
        refused(bench, icmp(bench, 3, 3, late), icmp_unmatched=1)


def test_icmp_unmatched_when_the_families_do_not_fit():
    """An ICMPv6 error that quotes IPv4-mapped addresses is about no IPv4 connection."""
    bench = Bench(ipv6=True)
    v4 = b"".join([bytes(10), b"\xff\xff"])
    code = bench.engine.raw.address_add(v4 + bytes([10, 0, 0, 1]), 24, 0, bench.engine.now)
    assert code == 0
    bench.engine.connect("10.0.0.2", 40001, local_port=80)
    (syn,) = bench.sent()
    body = Segment(sport=80, dport=40001, seq=syn.segment.seq, flags=2)
    mapped = Packet(src=ip("::ffff:10.0.0.1"), dst=ip("::ffff:10.0.0.2"), body=body).encode()
    refused(bench, icmp(bench, 1, 4, mapped), icmp_unmatched=1)


@pytest.mark.rfc("9293-MUST-55", "6633-02")
@pytest.mark.parametrize(("kind", "code"), [(4, 0), (0, 0), (5, 0), (13, 0), (40, 0), (3, 16),
                                            (255, 255)])  # fmt: skip
def test_icmp_ignored_v4(kind: int, code: int):
    bench = Bench()
    refused(bench, icmp(bench, kind, code, quote(bench)), icmp_ignored=1)


@pytest.mark.parametrize(("kind", "code"), [(129, 0), (0, 0), (1, 7), (100, 0), (130, 0),
                                            (133, 0), (134, 0), (135, 0), (137, 0)])  # fmt: skip
def test_icmp_ignored_v6(kind: int, code: int):
    """Neighbour discovery included: a link without stations has none."""
    bench = Bench(ipv6=True)
    refused(bench, icmp(bench, kind, code, quote(bench)), icmp_ignored=1)


def test_icmp_ignored_about_records(peer: Peer):
    """Half-open entries and TIME-WAIT records end by themselves."""
    peer.app.listen()
    peer.sends("SYN", seq=0)
    got = peer.gets("SYN,ACK")
    whole = got.packet.encode()
    with dropped(peer.engine, icmp_ignored=1):
        peer.sends_packet(Icmp(type=3, code=3, body=whole[:28]))
    assert peer.app.state == "SYN-RECEIVED"


@BOTH
def test_pmtu(peer: Peer, ipv6: bool):
    """Reason by reason; tests/tcp/test_pmtu.py has the rest."""
    connected(peer, ipv6=ipv6)
    old = sends(peer, 2000)[0]
    with dropped(peer.engine, pmtu_absurd=3):
        too_big(peer, 1279 if ipv6 else 67, old)
        too_big(peer, 1500, old)
        too_big(peer, 9000, old)
    moved(peer, 50_000)
    with dropped(peer.engine, pmtu_not_sent=1):
        too_big(peer, 1400, old)
    one, two, *_ = sends(peer, 5000) + peer.gets_all(within=0.05)
    with dropped(peer.engine):  # it waits, and so does the next in its place
        too_big(peer, 1400, one)
        too_big(peer, 1400, two)
    moved(peer, 1)
    one = sends(peer, 5000)[0]
    with dropped(peer.engine, pmtu_doubted=1):
        too_big(peer, 1400, one)
    third = peer.another(41000)
    third.app.port = 81
    third.establish(window=1 << 20)
    one, two, *_ = sends(third, 5000)
    too_big(third, 1400, one)
    with dropped(peer.engine, pmtu_no_news=1):
        too_big(third, 1400, two)


@BOTH
def test_icmp_rate(ipv6: bool):
    """A thousand per second, and as many at once."""
    bench = Bench(ipv6=ipv6)
    ping = icmp(bench, 128 if ipv6 else 8, 0, b"")
    with dropped(bench.engine):
        assert sum(len(bench.arrives(ping)) for _ in range(1000)) == 1000
    for _ in range(5):
        refused(bench, ping, icmp_rate=1)
    bench.passes(0.003)
    with dropped(bench.engine, icmp_rate=2):
        assert sum(len(bench.arrives(ping)) for _ in range(5)) == 3


@pytest.mark.rfc("9293-MUST-63")
@pytest.mark.parametrize("kind", [128, 129, 1, 3])
def test_ip_source_unspecified_is_for_duplicate_detection_only(kind: int):
    """RFC 4291 2.5.2: nothing is sent to ::, so nothing else may come from there."""
    bench = Bench(ipv6=True)
    message = Icmp(type=kind, body=quote(bench))
    refused(bench, bench.packet(message, src=ip("::")), ip_source=1)


# -- neighbour discovery --------------------------------------------------------------------------

OWN, HOST = ip("fd00::1"), ip("fd00::2")


def raw_ndp(kind: int, data: bytes, dst: Address = OWN) -> bytes:
    """A message given from its fourth byte on: reserved, target, options."""
    rest, body = struct.unpack("!I", data[:4])[0], data[4:]
    made = Icmp(type=kind, rest=rest, body=body)
    return Packet(src=HOST, dst=dst, body=made, ttl=255).encode()


ZERO = bytes(4)
BAD_NDP = {
    "hop limit": solicitation(OWN, src=HOST, ttl=254),
    "hop limit of the answer": advertisement(HOST, dst=OWN, ttl=64),
    "multicast target": solicitation(ip("ff02::1"), src=HOST, dst=OWN),
    "multicast target in the answer": advertisement(ip("ff02::1"), dst=OWN, src=HOST),
    "solicited, to a group": advertisement(HOST, dst=ip("ff02::1"), flags=0x40),
    "probe with a station": solicitation(OWN, src=ip("::")),
    "probe to one host": solicitation(OWN, src=ip("::"), dst=OWN, mac=None),
    "no target": raw_ndp(135, ZERO),
    "half a target": raw_ndp(135, ZERO + bytes(15)),
    "half a target in the answer": raw_ndp(136, ZERO + bytes(8)),
    "option of no length": raw_ndp(135, ZERO + OWN.packed + b"\1\0" + bytes(6)),
    "option too long": raw_ndp(135, ZERO + OWN.packed + b"\1\2" + bytes(6)),
    "option cut": raw_ndp(135, ZERO + OWN.packed + b"\1"),
    "station of two units": raw_ndp(135, ZERO + OWN.packed + b"\1\2" + bytes(14)),
    "group station": solicitation(OWN, src=HOST, mac=b"\x01\0\x5e\0\0\1"),
    "group station in the answer": advertisement(HOST, dst=OWN, mac=b"\xff" * 6),
    "IPv4-mapped target": solicitation(ip("::ffff:10.0.0.1"), src=HOST, dst=OWN),
    "IPv4-mapped target in the answer": advertisement(ip("::ffff:10.0.0.2"), dst=OWN, src=HOST),
}


def neighbour_of_v4() -> EtherBench:
    """With an IPv4 address too, whose neighbours ICMPv6 must not touch."""
    bench = EtherBench(ipv6=True)
    packed = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1])
    assert bench.engine.raw.address_add(packed, 24, 0, bench.engine.now) == 0
    bench.engine.poll()
    bench.frames()
    return bench


@pytest.mark.parametrize("which", BAD_NDP)
def test_ndp_malformed(which: str):
    """RFC 4861 7.1.1, 7.1.2."""
    bench = neighbour_of_v4()
    with dropped(bench.engine, ndp_malformed=1):
        assert bench.hears(BAD_NDP[which]) == []
    assert bench.neighbours == 0


def test_ndp_malformed_code_and_fragment():
    bench = neighbour_of_v4()
    message = Icmp(type=135, code=1, body=OWN.packed)
    with dropped(bench.engine, ndp_malformed=1):
        assert bench.hears(Packet(src=HOST, dst=OWN, body=message, ttl=255).encode()) == []
    inner = Icmp(type=135, body=OWN.packed).encode(HOST, OWN)
    atomic = bytes([58, 0]) + bytes(6) + inner
    packet = Packet(src=HOST, dst=OWN, body=atomic, protocol=44, ttl=255).encode()
    with dropped(bench.engine, ndp_malformed=1):  # RFC 6980 5
        assert bench.hears(packet) == []


@pytest.mark.parametrize("kind", [133, 134, 137])
def test_icmp_ignored_of_routers(kind: int):
    """Addresses and routes are given by hand: routers' messages change nothing."""
    bench = neighbour_of_v4()
    message = Packet(src=HOST, dst=OWN, body=Icmp(type=kind, body=bytes(32)), ttl=255)
    with dropped(bench.engine, icmp_ignored=1):
        assert bench.hears(message.encode(), src=STATION) == []


def test_groups_of_others_are_ip_not_ours():
    bench = neighbour_of_v4()
    asks_other = solicitation(ip("fd00::7"), src=HOST)
    assert group_of(ip("fd00::7")) != group_of(OWN)
    with dropped(bench.engine, ip_not_ours=1):
        assert bench.hears(asks_other, dst=b"\x33\x33\xff\0\0\7") == []
