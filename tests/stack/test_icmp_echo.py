"""Echo: answered for our addresses, to one host, at a bounded rate; never for groups."""

import pytest

from stack.bench import (
    BROADCAST,
    OTHER,
    STATION,
    Bench,
    EtherBench,
    counted,
    dropped,
    group_mac,
    ip,
    solicited_node,
)
from usertcp.testing.packets import Icmp

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def request(*, ipv6: bool, body: bytes = b"", rest: int = 0x12340001) -> Icmp:
    return Icmp(type=128 if ipv6 else 8, rest=rest, body=body)


@pytest.mark.rfc("1122-09", "1122-06")
@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 56, 548, 1400, 1452])
@BOTH
def test_answered_with_everything_that_was_sent(size: int, ipv6: bool):
    """RFC 1122 3.2.2.6, RFC 4443 4.2."""
    bench = Bench(ipv6=ipv6)
    body = bytes(n % 251 for n in range(size))
    with counted(bench.engine, echoes_answered=1):
        (answer,) = bench.arrives(bench.packet(request(ipv6=ipv6, body=body)))
    assert answer.body == Icmp(type=129 if ipv6 else 0, rest=0x12340001, body=body)
    assert (answer.src, answer.dst) == (bench.own, bench.host)
    assert answer.ttl == 64


@pytest.mark.rfc("1122-09")
def test_the_source_is_the_address_that_was_asked():
    bench = Bench()
    packed = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 9])
    assert bench.engine.raw.address_add(packed, 24, 0, bench.engine.now) == 0
    for own in ("10.0.0.9", "10.0.0.1"):
        (answer,) = bench.arrives(bench.packet(request(ipv6=False), dst=ip(own)))
        assert str(answer.src) == own


@BOTH
def test_several_at_once_get_their_own_answers(ipv6: bool):
    bench = Bench(ipv6=ipv6)
    requests = [
        bench.packet(request(ipv6=ipv6, rest=n, body=bytes([n]) * (n + 1))) for n in range(100)
    ]
    answers = bench.arrives(*requests)
    assert [a.body.rest for a in answers if isinstance(a.body, Icmp)] == list(range(100))
    assert [len(a.body.body) for a in answers if isinstance(a.body, Icmp)] == list(range(1, 101))


@BOTH
def test_dscp_comes_back_and_ecn_does_not(ipv6: bool):
    bench = Bench(ipv6=ipv6)
    (answer,) = bench.arrives(bench.packet(request(ipv6=ipv6), tos=0xBB))
    assert answer.tos == 0xB8


@BOTH
def test_the_rate_is_bounded_and_recovers(ipv6: bool):
    """1000 per second in the long run, and a burst of as many."""
    bench = Bench(ipv6=ipv6)
    ping = bench.packet(request(ipv6=ipv6))
    answers = 0
    for _ in range(40):  # two seconds of 10 000 a second, then silence
        answers += len(bench.arrives(*[ping] * 500))
        answers += len(bench.passes(0.05))
    assert 2900 <= answers <= 3000
    assert bench.engine.drops() == {"icmp_rate": 20_000 - answers}
    bench.passes(5)
    assert len(bench.arrives(*[ping] * 1500)) == 1000


@pytest.mark.rfc("1122-07")
@pytest.mark.parametrize(
    "to", ["10.0.0.255", "255.255.255.255", "224.0.0.1", "10.0.0.7", "ff02::1", "fd00::7"]
)
def test_no_answer_to_groups_and_others(to: str):
    """Smurf (CVE-1999-0513)."""
    dst = ip(to)
    bench = Bench(ipv6=dst.version == 6)
    with dropped(bench.engine, ip_not_ours=1), counted(bench.engine, echoes_answered=0):
        assert bench.arrives(bench.packet(request(ipv6=dst.version == 6), dst=dst)) == []


def test_no_answer_to_our_solicited_node_group():
    bench = Bench(ipv6=True)
    with dropped(bench.engine, ip_not_ours=1):
        packet = bench.packet(request(ipv6=True), dst=solicited_node(bench.own))
        assert bench.arrives(packet) == []


@pytest.mark.parametrize(
    "source", ["10.0.0.255", "255.255.255.255", "224.0.0.1", "0.0.0.0", "127.0.0.1", "ff02::1"]
)
def test_no_answer_to_a_source_that_is_none(source: str):
    src = ip(source)
    bench = Bench(ipv6=src.version == 6)
    with dropped(bench.engine, ip_source=1):
        assert bench.arrives(bench.packet(request(ipv6=src.version == 6), src=src)) == []


@BOTH
def test_our_own_replies_are_ignored(ipv6: bool):
    bench = Bench(ipv6=ipv6)
    with dropped(bench.engine, icmp_ignored=1):
        assert bench.arrives(bench.packet(Icmp(type=129 if ipv6 else 0, body=b"x"))) == []


# -- on Ethernet ----------------------------------------------------------------------------------


@BOTH
def test_on_ethernet_the_answer_goes_back_to_the_station(ipv6: bool):
    """Nothing is asked, nothing is learned: a flood of pings costs no memory."""
    bench = EtherBench(ipv6=ipv6)
    bench.frames()
    ping = bench.packet(request(ipv6=ipv6, body=b"x"))
    (frame,) = bench.hears(ping, src=OTHER)
    assert frame.dst == OTHER
    assert frame.packet is not None
    assert isinstance(frame.packet.body, Icmp)
    before = bench.engine.memory
    for n in range(500):
        bench.hears(bench.packet(request(ipv6=ipv6), src=bench.own + 2 + n % 250))
    assert bench.engine.memory == before
    assert bench.neighbours == 0


@pytest.mark.rfc("1122-07")
@BOTH
def test_on_ethernet_no_answer_to_a_group_frame(ipv6: bool):
    """To our own address, but shouted to everybody."""
    bench = EtherBench(ipv6=ipv6)
    bench.frames()
    for dst in (BROADCAST, group_mac(ip("ff02::1"))):
        with dropped(bench.engine, ip_not_ours=1):
            assert bench.hears(bench.packet(request(ipv6=ipv6)), src=STATION, dst=dst) == []
