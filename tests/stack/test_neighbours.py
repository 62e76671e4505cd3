"""ARP and neighbour discovery on the wire: questions, answers, what is believed, how it ends."""

import ipaddress

import pytest

from stack.bench import (
    ARP,
    BROADCAST,
    OTHER,
    STATION,
    EtherBench,
    Frame,
    advertisement,
    arp,
    counted,
    dropped,
    group_mac,
    ip,
    is_syn,
    solicitation,
    solicited_node,
)
from usertcp.testing._engine import Connection, EngineError
from usertcp.testing.packets import Address, Options, Packet, Segment, parse_flags

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def bench_of(*, ipv6: bool = False, **options: object) -> EtherBench:
    bench = EtherBench(ipv6=ipv6, **options)
    bench.frames()
    return bench


def asked(frame: Frame) -> tuple[str, bool]:
    """Whom a question is about, and whether everybody hears it."""
    if frame.arp is not None:
        op, sender, source, _, target = frame.arp
        assert (op, sender) == (1, frame.src)
        assert source != target
        return target, frame.dst == BROADCAST
    message, packet = frame.ndp, frame.packet
    assert message is not None
    assert packet is not None
    assert (message.type, packet.ttl) == (135, 255)
    assert message.body[16:] == b"\x01\x01" + frame.src
    target6 = ipaddress.IPv6Address(message.body[:16])
    everybody = packet.dst == solicited_node(target6)
    assert frame.dst == group_mac(packet.dst) if everybody else packet.dst == target6
    return str(target6), everybody


def answer(bench: EtherBench, who: Address, mac: bytes = STATION) -> list[Frame]:
    """The station answers a question of the stack's."""
    if who.version == 4:
        return bench.hears(arp(2, (mac, who), bench.own, bench.mac), kind=ARP, src=mac)
    return bench.hears(advertisement(who, dst=bench.own, mac=mac), src=mac)


def connects(bench: EtherBench, to: Address | None = None, **ports: int) -> Connection:
    return bench.engine.connect(str(to or bench.host), ports.pop("port", 9), **ports)


def syn_ack(bench: EtherBench, syn: Packet) -> bytes:
    got = syn.segment
    made = Segment(
        sport=got.dport, dport=got.sport, seq=5, ack=got.end, flags=parse_flags("SYN,ACK"),
        options=Options(mss=1460),
    )  # fmt: skip
    return Packet(src=syn.dst, dst=syn.src, body=made).encode()


# -- resolution -----------------------------------------------------------------------------------


@BOTH
def test_a_question_comes_before_the_first_segment(ipv6: bool):
    bench = bench_of(ipv6=ipv6)
    connects(bench)
    (question,) = bench.frames()
    assert asked(question) == (str(bench.host), True)
    (syn,) = answer(bench, bench.host)
    assert syn.dst == STATION
    assert is_syn(syn.packet)


@BOTH
def test_one_question_for_many_connections(ipv6: bool):
    bench = bench_of(ipv6=ipv6)
    for port in range(1, 21):
        connects(bench, port=port)
    assert [asked(f) for f in bench.frames()] == [(str(bench.host), True)]
    sent = answer(bench, bench.host)
    assert all(is_syn(f.packet) and f.dst == STATION for f in sent)
    assert len(sent) == 20


@BOTH
def test_questions_are_repeated_then_the_attempt_fails(ipv6: bool):
    """RFC 4861 7.2.2: three, a second apart; the fourth second brings the error."""
    bench = bench_of(ipv6=ipv6)
    connection = connects(bench)
    began = bench.engine.now
    frames = bench.frames() + bench.after(2.9)
    assert [(f.at - began) / 1e9 for f in frames] == [0, 1, 2]
    assert {asked(f) for f in frames} == {(str(bench.host), True)}
    assert (connection.info.state.name, connection.error) == ("SYN_SENT", None)
    with counted(bench.engine, connections_unreachable=1, neighbours=-1, neighbours_failed=1):
        assert bench.after(0.2) == []
    assert connection.error == "HOST_UNREACHABLE"
    with pytest.raises(EngineError, match="HOST_UNREACHABLE"):
        connection.receive()


@BOTH
def test_an_answer_to_a_later_question_is_in_time(ipv6: bool):
    bench = bench_of(ipv6=ipv6)
    connects(bench)
    bench.after(2.5)
    frames = answer(bench, bench.host)
    assert [is_syn(f.packet) for f in frames] == [True]


@BOTH
def test_beyond_the_link_the_gateway_is_asked(ipv6: bool):
    gateway = "fd00::fe" if ipv6 else "10.0.0.254"
    bench = bench_of(ipv6=ipv6, gateway=gateway)
    far = ip("2001:db8::1" if ipv6 else "192.0.2.1")
    connects(bench, far)
    assert [asked(f)[0] for f in bench.frames()] == [gateway]
    (syn,) = answer(bench, ip(gateway))
    assert syn.packet is not None
    assert (syn.dst, syn.packet.dst) == (STATION, far)


@BOTH
def test_without_a_gateway_there_is_no_route(ipv6: bool):
    bench = bench_of(ipv6=ipv6)
    with pytest.raises(EngineError, match="NO_ROUTE"):
        connects(bench, ip("2001:db8::1" if ipv6 else "192.0.2.1"))
    assert bench.frames() == []


# -- what is believed -----------------------------------------------------------------------------


def unsolicited(bench: EtherBench, who: Address, mac: bytes, *, override: bool = True) -> bytes:
    """News nobody asked for, sent to everybody."""
    if who.version == 4:
        return arp(1, (mac, who), who)
    return advertisement(who, dst=ip("ff02::1"), mac=mac, flags=0x20 if override else 0)


def hears_news(bench: EtherBench, packet: bytes, src: bytes) -> list[Frame]:
    six = bench.own.version == 6
    dst = group_mac(ip("ff02::1")) if six else BROADCAST
    return bench.hears(packet, kind=0 if six else ARP, src=src, dst=dst)


@BOTH
def test_unsolicited_news_makes_no_entry(ipv6: bool):
    bench = bench_of(ipv6=ipv6)
    assert hears_news(bench, unsolicited(bench, bench.host, OTHER), OTHER) == []
    assert answer(bench, bench.host, OTHER) == []
    assert bench.neighbours == 0
    connects(bench)
    assert asked(bench.frames()[0]) == (str(bench.host), True)


@BOTH
def test_a_question_about_others_makes_no_entry(ipv6: bool):
    bench = bench_of(ipv6=ipv6)
    other = bench.own + 9
    if ipv6:
        with dropped(bench.engine, ip_not_ours=1):
            bench.hears(solicitation(other, src=bench.host), dst=b"\x33\x33\xff\0\0\x0a")
    else:
        assert bench.hears(arp(1, (STATION, bench.host), other), kind=ARP, dst=BROADCAST) == []
    assert bench.neighbours == 0


@BOTH
def test_who_asks_us_is_answered_and_known(ipv6: bool):
    bench = bench_of(ipv6=ipv6)
    if ipv6:
        (reply,) = bench.hears(solicitation(bench.own, src=bench.host))
        assert reply.ndp is not None
        assert reply.packet is not None
        assert (reply.ndp.type, reply.ndp.rest) == (136, 0x60000000)
        assert reply.ndp.body == bench.own.packed + b"\x02\x01" + bench.mac
        assert (reply.packet.dst, reply.packet.ttl) == (bench.host, 255)
    else:
        (reply,) = bench.hears(arp(1, (STATION, bench.host), bench.own), kind=ARP, dst=BROADCAST)
        assert reply.arp == (2, bench.mac, "10.0.0.1", STATION, "10.0.0.2")
    assert reply.dst == STATION
    assert bench.neighbours == 1
    connects(bench)
    (syn,) = bench.frames()
    assert (is_syn(syn.packet), syn.dst) == (True, STATION)


def test_an_arp_probe_is_answered_and_teaches_nothing():
    """RFC 5227 2.1.1: from 0.0.0.0, to find out whether the address is taken."""
    bench = bench_of()
    (reply,) = bench.hears(arp(1, (STATION, ip("0.0.0.0")), bench.own), kind=ARP, dst=BROADCAST)
    assert reply.arp == (2, bench.mac, "10.0.0.1", STATION, "0.0.0.0")
    assert bench.neighbours == 0


@BOTH
def test_news_moves_a_known_station(ipv6: bool):
    """RFC 826; RFC 4861 7.2.5 with the override flag."""
    bench = bench_of(ipv6=ipv6)
    connects(bench)
    answer(bench, bench.host)
    hears_news(bench, unsolicited(bench, bench.host, OTHER), OTHER)
    assert bench.neighbours == 1
    (again,) = [f for f in bench.after(1.1) if is_syn(f.packet)]
    assert again.dst == OTHER


def test_without_override_news_only_casts_doubt():
    bench = bench_of(ipv6=True)
    connects(bench)
    answer(bench, bench.host)
    bench.frames()
    hears_news(bench, unsolicited(bench, bench.host, OTHER, override=False), OTHER)
    frames = bench.after(6.5)
    assert {f.dst for f in frames if is_syn(f.packet)} == {STATION}
    probes = [asked(f) for f in frames if f.ndp is not None]
    assert probes
    assert probes[0] == (str(bench.host), False)


# -- doubt ----------------------------------------------------------------------------------------


def opened(bench: EtherBench) -> Connection:
    connection = connects(bench)
    bench.frames()
    (syn,) = answer(bench, bench.host)
    assert syn.packet is not None
    bench.hears(syn_ack(bench, syn.packet))
    assert connection.info.state.name == "ESTABLISHED"
    return connection


@BOTH
def test_stale_is_used_then_probed(ipv6: bool):
    """RFC 4861 7.3.3: after 30 s of silence used at once, asked directly 5 s later, three times."""
    bench = bench_of(ipv6=ipv6, user_timeout=3600)
    connection = opened(bench)
    assert bench.after(60) == []
    connection.send(b"x")
    (data,) = bench.frames()
    assert data.dst == STATION
    began = bench.engine.now
    frames = [f for f in bench.after(7.9) if f.arp is not None or f.ndp is not None]
    assert [(f.at - began) / 1e9 for f in frames] == [5, 6, 7]
    assert {(*asked(f), f.dst) for f in frames} == {(str(bench.host), False, STATION)}
    assert bench.neighbours == 1
    with counted(bench.engine, neighbours_failed=1):
        bench.after(0.2)


@BOTH
def test_an_answered_probe_ends_the_doubt(ipv6: bool):
    bench = bench_of(ipv6=ipv6, user_timeout=3600)
    connection = opened(bench)
    bench.after(60)
    connection.send(b"x")
    bench.after(5.5)
    answer(bench, bench.host)
    frames = bench.after(20)
    assert not [f for f in frames if f.arp is not None or f.ndp is not None]
    assert frames


@BOTH
def test_progress_of_tcp_ends_the_doubt(ipv6: bool):
    """RFC 4861 7.3.1: what is acknowledged has arrived: no question at all."""
    bench = bench_of(ipv6=ipv6)
    connection = opened(bench)
    for _ in range(10):
        bench.after(40)
        connection.send(b"x")
        (data,) = bench.frames()
        assert data.packet is not None
        got = data.packet.segment
        made = Segment(
            sport=got.dport, dport=got.sport, seq=got.ack, ack=got.end, flags=parse_flags("ACK")
        )
        bench.hears(Packet(src=data.packet.dst, dst=data.packet.src, body=made).encode())
        assert bench.after(10) == []


@BOTH
def test_a_conflict_is_counted_and_changes_nothing(ipv6: bool):
    bench = bench_of(ipv6=ipv6)
    with counted(bench.engine, address_conflicts=1, neighbours=0), dropped(bench.engine):
        if ipv6:
            everybody = ip("ff02::1")
            news = advertisement(bench.own, dst=everybody, src=bench.host, mac=OTHER, flags=0x20)
        else:
            news = unsolicited(bench, bench.own, OTHER)
        assert hears_news(bench, news, OTHER) == []


# -- bounds ---------------------------------------------------------------------------------------


@pytest.mark.rfc("SEC-02", "SEC-03")
def test_ten_thousand_spoofed_questions():
    """The table is bounded, every question answered, and what is in use survives."""
    bench = bench_of(own="10.0.0.1/8", rto_min=10.0)  # nothing of its own is sent again
    connection = opened(bench)
    memory = 0
    for n in range(10_000):
        sender = ip(0x0A010000 + n)
        mac = b"\x06\0\0\0" + n.to_bytes(2, "big")
        (reply,) = bench.hears(arp(1, (mac, sender), bench.own), kind=ARP, src=mac, dst=BROADCAST)
        assert reply.dst == mac
        if n % 50 == 0:
            connection.send(b"x")
            sent = [f for f in bench.after(0.001) if f.packet is not None]
            assert all(f.dst == STATION for f in sent)
        if n == 2000:
            memory = bench.engine.memory
    assert bench.neighbours == 1024
    assert bench.engine.memory == memory
    assert bench.engine.drops() == {}


@pytest.mark.rfc("SEC-02")
@BOTH
def test_unanswered_questions_cannot_fill_the_table(ipv6: bool):
    """2000 attempts to hosts that are not there: bounded, and all over within seconds."""
    bench = bench_of(ipv6=ipv6, **({} if ipv6 else {"own": "10.0.0.1/8"}))
    attempts = [connects(bench, bench.host + n) for n in range(2000)]
    assert bench.neighbours == 1024
    bench.after(4.5)
    errors = [attempt.error for attempt in attempts]
    assert errors.count("HOST_UNREACHABLE") == 1024
    bench.after(30)
    assert {attempt.error for attempt in attempts} == {"HOST_UNREACHABLE"}
    assert bench.neighbours == 0
