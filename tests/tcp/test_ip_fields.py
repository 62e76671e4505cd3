"""What TCP asks of IP: lifetime, class, and options of ours and of others."""

import ipaddress

import pytest

from stack.bench import FULL_OFFER, Bench
from usertcp.testing import Peer
from usertcp.testing.packets import ACK, SYN, Icmp, Options, Packet, Segment

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def last_of(peer: Peer) -> Packet:
    """The packet that `send` has just made."""
    return peer.gets_all()[-1].packet


@pytest.mark.rfc("9293-MUST-49", "1122-04")
@BOTH
def test_the_lifetime_is_the_users(peer: Peer, ipv6: bool):
    peer.configure(ipv6=ipv6).establish()
    peer.app.send(b"a")
    assert last_of(peer).ttl == 64
    for value in (1, 255):
        peer.app.connection.set_option("ttl", value)
        peer.app.send(b"b")
        assert last_of(peer).ttl == value
    with pytest.raises(Exception, match="INVALID"):
        peer.app.connection.set_option("ttl", 0)


@pytest.mark.rfc("9293-MUST-48")
@BOTH
def test_the_class_is_the_users(peer: Peer, ipv6: bool):
    peer.configure(ipv6=ipv6).establish()
    for value in (46, 0, 63):
        peer.app.connection.set_option("dscp", value)
        peer.app.send(b"b")
        assert last_of(peer).tos >> 2 == value


@pytest.mark.rfc("6437-01")
def test_all_packets_of_a_flow_have_one_label():
    """RFC 6437 3: from the SYN,ACK on, another for another flow, so that routers can tell them."""
    bench = Bench(ipv6=True)
    listener = bench.engine.listen(80)
    labels = []
    for port in range(5000, 5020):
        bench.engine.inject(bench.syn(port, options=FULL_OFFER))
        (answer,) = bench.engine.take()
        bench.arrives(bench.ack_of(answer.packet))
        made = listener.accept()
        assert made is not None
        made.send(bytes(5000))
        sent = [answer, *bench.engine.take()]
        assert len(sent) > 2
        labels.append({one.packet.flow for one in sent})
        assert len(labels[-1]) == 1
    assert len(set.union(*labels)) == len(labels)  # by this seed: 20 of a million


@pytest.mark.rfc("6437-01")
def test_the_label_is_the_users(peer: Peer):
    peer.configure(ipv6=True).establish()
    given = peer.app.connection
    for value in (0xFFFFF, 1, 0):
        given.set_option("flow_label", value)
        assert given.get_option("flow_label") == value
        peer.app.send(b"b")
        assert last_of(peer).flow == value
    for value in (-1, 1 << 20):
        with pytest.raises(Exception, match="INVALID"):
            given.set_option("flow_label", value)


def test_ipv4_has_no_label(peer: Peer):
    given = peer.establish().app.connection
    assert given.get_option("flow_label") == 0
    with pytest.raises(Exception, match="INVALID"):
        given.set_option("flow_label", 1)


@pytest.mark.rfc("1122-04")
@pytest.mark.parametrize("ttl", [0, 1, 255])
@BOTH
def test_the_lifetime_of_what_arrives_does_not_matter(ipv6: bool, ttl: int):
    """RFC 1122 3.2.1.7: a host that is the destination takes it."""
    bench = Bench(ipv6=ipv6)
    bench.engine.listen(80)
    syn = Segment(sport=40001, dport=80, flags=SYN)
    (answer,) = bench.arrives(bench.packet(syn, ttl=ttl))
    assert answer.segment.flags == SYN | ACK


@pytest.mark.rfc("9293-MUST-69")
@BOTH
def test_what_follows_the_end_of_the_list_is_zero(ipv6: bool):
    """RFC 9293 3.1: of every segment, whatever its options."""
    bench = Bench(ipv6=ipv6)
    listener = bench.engine.listen(80)
    sent = []
    for port, offer in enumerate((Options(), Options(mss=1000), Options(wscale=3), FULL_OFFER)):
        bench.engine.inject(bench.syn(5000 + port, options=offer))
        (answer,) = bench.engine.take()
        bench.arrives(bench.ack_of(answer.packet))
        made = listener.accept()
        assert made is not None
        made.send(bytes(5000))
        sent += [answer, *bench.engine.take()]
    seen = 0
    for emitted in sent:
        raw = emitted.data[(40 if ipv6 else 20) :]
        options = raw[20 : (raw[12] >> 4) * 4]
        at = 0
        while at < len(options) and options[at] != 0:
            at += 1 if options[at] == 1 else options[at + 1]
        assert not options[at:].strip(b"\0")
        seen += bool(options)
    assert seen > 6


@pytest.mark.rfc("5482-01")
def test_a_user_timeout_option_is_passed_over(peer: Peer):
    """RFC 5482 3: of a SYN and of data."""
    option = bytes.fromhex("1c048001")
    peer.app.listen()
    peer.sends("SYN", seq=0, options=option)
    peer.gets("SYN,ACK", ack=1)
    peer.sends("ACK", seq=1, ack=1, options=option)
    assert peer.app.accept()
    peer.sends("ACK", data=b"data", options=option)
    assert peer.app.receive() == b"data"


@pytest.mark.rfc("6633-01")
def test_no_source_quench_leaves():
    """RFC 6633 3: whatever comes, at whatever rate."""
    bench = Bench(own="10.0.0.1/8", memory_limit=300_000)
    bench.engine.listen(80, backlog=4)
    for n in range(2000):
        source = ipaddress.ip_address("10.1.0.1") + n
        for packet in bench.arrives(bench.syn(5000, src=source), bench.tcp("ACK", src=source)):
            assert not isinstance(packet.body, Icmp)
