"""Our own addresses on the link: announced, checked for duplicates first (RFC 4862 5.4)."""

import ipaddress

import pytest

from stack.bench import (
    BROADCAST,
    OTHER,
    EtherBench,
    advertisement,
    counted,
    dropped,
    group_mac,
    ip,
    solicitation,
    solicited_node,
)
from usertcp.testing._engine import EngineError


def idle() -> EtherBench:
    """An IPv6 stack whose first addresses have been announced."""
    bench = EtherBench(ipv6=True)
    bench.frames()
    return bench


def test_an_ipv4_address_is_announced():
    """RFC 5227 3."""
    bench = EtherBench()
    (frame,) = bench.frames()
    assert (frame.arp, frame.dst) == ((1, bench.mac, "10.0.0.1", bytes(6), "10.0.0.1"), BROADCAST)


def test_an_ipv6_address_is_announced_and_so_is_the_link_local_one():
    bench = EtherBench(ipv6=True)
    frames = bench.frames()
    told = []
    for frame in frames:
        assert frame.ndp is not None
        assert (frame.ndp.type, frame.ndp.rest, frame.dst) == (
            136, 0x20000000, group_mac(ip("ff02::1")),
        )  # fmt: skip
        told.append(ipaddress.IPv6Address(frame.ndp.body[:16]))
    assert bench.own in told
    assert sum(address.is_link_local for address in told) == 1
    assert len(told) == 2


def adding(bench: EtherBench, text: str = "fd00::5") -> bytes:
    packed = ip(text).packed
    assert bench.engine.raw.address_add(packed, 64, 1, bench.engine.now) == 0
    bench.engine.poll()
    return packed


def test_a_new_address_is_checked_for_a_second_first():
    """RFC 4862 5.4: a question from ::, silence, then it is announced and heard."""
    bench = idle()
    packed = adding(bench)
    question = bench.frames()[0]
    assert question.ndp is not None
    assert question.packet is not None
    assert (str(question.packet.src), question.packet.dst) == ("::", solicited_node(ip("fd00::5")))
    assert question.ndp.body == packed
    with dropped(bench.engine, ip_not_ours=1):
        assert bench.hears(bench.tcp("SYN", dst=ip("fd00::5"))) == []
    with pytest.raises(EngineError, match="ADDRESS_NOT_AVAILABLE"):
        bench.engine.connect("fd00::2", 9, local_host="fd00::5")
    assert bench.engine.raw.address_state(packed) == 1
    (announcement,) = bench.after(1)
    assert announcement.ndp is not None
    assert announcement.ndp.body[:16] == packed
    assert bench.engine.raw.address_state(packed) == 0


@pytest.mark.parametrize("how", ["advertisement", "probe"])
def test_a_duplicate_is_never_used(how: str):
    """RFC 4862 5.4.3, 5.4.4."""
    bench = idle()
    target = ip("fd00::5")
    packed = adding(bench)
    bench.frames()
    with counted(bench.engine, address_conflicts=1):
        if how == "probe":
            bench.hears(solicitation(target, src=ip("::"), mac=None), src=OTHER)
        else:
            bench.hears(advertisement(target, dst=ip("ff02::1"), mac=OTHER, flags=0x20), src=OTHER)
    assert bench.after(5) == []
    assert bench.engine.raw.address_state(packed) < 0
    assert bench.hears(solicitation(target, src=bench.host)) == []


def test_our_own_probe_that_comes_back_is_no_duplicate():
    """RFC 7527's case: a link that echoes."""
    bench = idle()
    packed = adding(bench)
    bench.hears(solicitation(ip("fd00::5"), src=ip("::"), mac=None), src=bench.mac)
    bench.after(1)
    assert bench.engine.raw.address_state(packed) == 0
