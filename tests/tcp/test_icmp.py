"""ICMP errors about connections: RFC 9293 3.9.2.2, RFC 5927, RFC 6633; and echo."""

import ipaddress

import pytest

from support.states import reach
from usertcp.testing import Peer
from usertcp.testing.packets import Icmp, Packet

V4_HARD = [(3, 2), (3, 3), (3, 4)]
V4_SOFT = [(3, 0), (3, 1), (3, 5), (3, 11), (3, 12), (11, 0), (11, 1), (12, 0)]


def error(peer: Peer, kind: int, code: int, *, seq: int | None = None, size: int = 8) -> None:
    """About the segment the stack sent last, or one with that (relative) number."""
    about = peer.segment("ACK")
    number = (peer.irs or 0) + (0 if seq is None else seq)
    from usertcp.testing.packets import Segment

    quoted = Segment(sport=about.dport, dport=about.sport, seq=number % 2**32, flags=16)
    quote = Packet(src=peer.stack_host, dst=peer.host, body=quoted).encode()
    head = 40 if peer.host.version == 6 else 20
    peer.sends_packet(Icmp(type=kind, code=code, body=quote[: head + size]))


@pytest.mark.rfc("1122-08", "9293-MUST-54", "5927-06")
@pytest.mark.parametrize(("kind", "code"), [(3, 2), (3, 3)])
def test_a_hard_error_ends_an_attempt(peer: Peer, kind: int, code: int):
    peer.app.connect()
    peer.gets("SYN")
    error(peer, kind, code, seq=0)
    assert peer.app.state == "CLOSED"
    assert peer.app.error in ("REFUSED", "NET_UNREACHABLE", "HOST_UNREACHABLE")


@pytest.mark.parametrize(("kind", "code"), [(1, 4), (1, 1)])
def test_a_hard_error_ends_an_attempt_v6(peer: Peer, kind: int, code: int):
    peer.configure(ipv6=True).app.connect()
    peer.gets("SYN")
    error(peer, kind, code, seq=0)
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("9293-MUST-56", "9293-SHLD-25")
@pytest.mark.parametrize(
    "state", ["SYN-SENT", "ESTABLISHED", "CLOSE-WAIT", "FIN-WAIT-1", "LAST-ACK"]
)
@pytest.mark.parametrize(("kind", "code"), V4_SOFT)
def test_soft_errors_never_end_a_connection(peer: Peer, kind: int, code: int, state: str):
    there = reach(peer, state)
    error(peer, kind, code, seq=there.nxt - 1)
    assert peer.app.state == state


@pytest.mark.rfc("9293-MUST-47")
def test_soft_errors_are_told(peer: Peer):
    """While it lasts, and as the reason should no answer come; progress forgets it."""
    peer.configure(user_timeout=60).establish()
    assert peer.app.info.soft_error is None
    peer.app.send(b"lost on the way")
    peer.gets_all()
    error(peer, 3, 1, seq=1)
    assert peer.app.info.soft_error == "HOST_UNREACHABLE"
    peer.sends(ack=16)
    assert peer.app.info.soft_error is None
    peer.app.send(b"for ever")
    peer.gets_all()
    error(peer, 3, 0, seq=16)
    assert (peer.app.state, peer.app.info.soft_error) == ("ESTABLISHED", "NET_UNREACHABLE")
    peer.gets_all(within=61)
    assert (peer.app.state, peer.app.error) == ("CLOSED", "NET_UNREACHABLE")


def test_a_connect_that_times_out_knows_why(peer: Peer):
    peer.configure(connect_timeout=10).app.connect()
    peer.gets("SYN")
    error(peer, 3, 1, seq=0)
    peer.gets_all(within=11)
    assert peer.app.error == "HOST_UNREACHABLE"


@pytest.mark.attack(40)
@pytest.mark.rfc("5927-02", "9293-SHLD-26")
@pytest.mark.parametrize(("kind", "code"), V4_HARD)
def test_hard_errors_are_soft_once_established(peer: Peer, kind: int, code: int):
    """Attack 40."""
    reach(peer, "ESTABLISHED")
    peer.app.send(b"x")
    peer.gets()
    error(peer, kind, code, seq=11)
    assert peer.app.state == "ESTABLISHED"


@pytest.mark.rfc("5927-01", "5927-05")
@pytest.mark.parametrize("seq", [-1, 1, 1000, 2**31])
def test_only_what_is_in_flight_counts(peer: Peer, seq: int):
    peer.app.connect()
    peer.gets("SYN")
    error(peer, 3, 3, seq=seq)
    assert peer.app.state == "SYN-SENT"


@pytest.mark.rfc("9293-MUST-54")
def test_other_connections_are_not_touched(peer: Peer):
    other = peer.another(41000)
    other.app.port = 81
    other.app.connect()
    other.gets("SYN")
    peer.app.connect()
    peer.gets("SYN")
    error(other, 3, 3, seq=0)
    assert (peer.app.state, other.app.state) == ("SYN-SENT", "CLOSED")


@pytest.mark.rfc("5927-06")
@pytest.mark.parametrize("size", [0, 4, 7])
def test_a_quote_too_short_is_dropped(peer: Peer, size: int):
    peer.app.connect()
    peer.gets("SYN")
    error(peer, 3, 3, seq=0, size=size)
    assert peer.app.state == "SYN-SENT"


@pytest.mark.rfc("9293-MUST-55", "5927-04", "6633-02")
@pytest.mark.parametrize("state", ["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1"])
def test_source_quench_is_ignored(peer: Peer, state: str):
    there = reach(peer, state)
    cwnd = peer.app.info.cwnd
    error(peer, 4, 0, seq=there.nxt - 1)
    assert peer.app.state == state
    assert peer.app.info.cwnd == cwnd
    peer.gets_nothing()


@pytest.mark.rfc("1122-07")
def test_no_error_is_ever_sent_about_tcp(peer: Peer):
    there = reach(peer, "ESTABLISHED")
    for kind, code in [*V4_HARD, *V4_SOFT, (4, 0), (5, 0), (13, 0), (200, 9)]:
        error(peer, kind, code, seq=there.nxt)
    assert not peer.wire.icmp


@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
def test_echo(peer: Peer, ipv6: bool):
    peer.configure(ipv6=ipv6)
    request, reply = (128, 129) if ipv6 else (8, 0)
    peer.sends_packet(Icmp(type=request, rest=0x12340001, body=b"ping" * 10))
    (answer,) = peer.wire.icmp
    assert answer.body == Icmp(type=reply, rest=0x12340001, body=b"ping" * 10)
    assert (answer.src, answer.dst) == (peer.stack_host, peer.host)


def test_echo_for_everybody_is_not_answered(peer: Peer):
    peer.wire.engine.poll()
    echo = Icmp(type=8, rest=1, body=b"smurf")
    peer.sends_packet(echo, dst=ipaddress.ip_address("10.0.0.255"))
    peer.sends_packet(echo, src=ipaddress.ip_address("255.255.255.255"))
    assert not peer.wire.icmp


def test_echoes_are_limited(peer: Peer):
    peer.wire.engine.poll()
    for _ in range(5000):
        peer.sends_packet(Icmp(type=8, rest=1))
    assert 0 < len(peer.wire.icmp) < 5000
    assert peer.engine.drops()["icmp_rate"] > 0


def test_on_ethernet(peer: Peer):
    """The same over Ethernet: the peer's station is asked for by ARP first."""
    peer.configure(ethernet=True)
    peer.establish()
    port = peer.engine.port
    assert port is not None
    assert port.asked == ["10.0.0.2"]
    peer.app.send(b"x")
    peer.gets(data=b"x")


def test_on_ethernet_v6(peer: Peer):
    peer.configure(ethernet=True, ipv6=True)
    peer.establish()
    port = peer.engine.port
    assert port is not None
    assert port.asked == ["fd00::2"]


def test_a_station_that_does_not_answer(peer: Peer):
    peer.configure(ethernet=True)
    port = peer.wire.engine.port
    assert port is not None
    port.answering = False
    peer.app.connect()
    peer.advance(200)
    assert peer.app.state == "CLOSED"
    assert peer.app.error in ("HOST_UNREACHABLE", "TIMED_OUT")
