"""What RFCs leave open and `StackConfig` lets one choose."""

import pytest

from tcp.flights import MSS, RTT, ack, edge, flight, numbers
from tcp.pmtu import WINDOW, connected, sends, size
from usertcp import StackConfig
from usertcp.testing import Peer

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def closed_window(peer: Peer, **config: object) -> None:
    peer.configure(rto_min=1.0, window_probe="empty", **config).establish(mss=MSS, wscale=0)
    peer.sends(window=0)
    peer.app.send(bytes(100))
    peer.gets_nothing()


# -- probes of a closed window --------------------------------------------------------------------


@pytest.mark.rfc("9293-MUST-36", "9293-MUST-37", "9293-SHLD-30")
def test_an_empty_probe_has_a_number_that_was_acknowledged(peer: Peer):
    """RFC 9293 3.10.7.4: outside the window, so it is answered."""
    closed_window(peer, user_timeout=100)
    times = []
    for _ in range(9):
        got = peer.gets(len=0, seq=0, within=70)
        assert "PSH" not in got.flags
        times.append(got.at)
        peer.sends(ack=1, window=0)
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert gaps == pytest.approx([2, 4, 8, 16, 32, 60, 60, 60], rel=0.1, abs=60)
    assert gaps[:4] == pytest.approx([2, 4, 8, 16], rel=0.1)
    peer.sends(ack=1, window=5000)
    assert peer.gets(seq=1).data == bytes(100)


@pytest.mark.rfc("9293-MUST-20")
def test_empty_probes_without_an_answer_end_it(peer: Peer):
    closed_window(peer, user_timeout=100)
    got = peer.gets_all(within=101)
    assert {(one.seq, len(one.data)) for one in got if "RST" not in one.flags} == {(0, 0)}
    assert (peer.app.state, peer.app.error) == ("CLOSED", "TIMED_OUT")


def test_a_window_that_shrank_onto_data_is_asked_after_too(peer: Peer):
    peer.configure(rto_min=1.0, window_probe="empty").establish(mss=MSS, wscale=0)
    peer.app.send(bytes(3000))
    assert len(peer.gets_all()) == 3
    peer.sends(ack=1001, window=0)
    assert peer.gets(len=0, within=10).seq == 1000
    peer.sends(ack=1001, window=5000)
    again = peer.gets_all(within=5)
    assert {one.seq for one in again} >= {1001, 2001}


@pytest.mark.rfc("5681-10")
@pytest.mark.parametrize("probe", ["octet", "empty"])
def test_cwnd_restarts_when_something_leaves_and_no_sooner(peer: Peer, probe: str):
    """RFC 5681 4.1: before transmission begins. A closed window lets nothing begin."""
    peer.configure(rto_min=1.0, window_probe=probe).establish(mss=MSS, window=1 << 20, rtt=RTT)
    peer.sends(window=1 << 20)
    for _ in range(3):
        peer.app.send(bytes(40 * MSS))
        peer.gets_all()
        peer.sends(ack=1 + peer.app.info.bytes_sent, window=1 << 20)
        peer.gets_all()
    info = peer.app.info
    peer.sends(ack=info.snd_nxt - info.iss, window=0)
    grown = peer.app.info.cwnd
    assert grown > 10 * MSS
    peer.app.send(bytes(40 * MSS))
    peer.gets_all(within=0.9)
    assert peer.app.info.cwnd == grown
    if probe == "empty":
        peer.advance(20)
        assert peer.app.info.cwnd == grown
        info = peer.app.info
        peer.sends(ack=info.snd_nxt - info.iss, window=1 << 20)
        assert peer.app.info.cwnd == 10 * MSS


# -- Nagle ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("nagle", ["rfc", "minshall"])
def test_a_small_tail_behind_full_segments(peer: Peer, nagle: str):
    """RFC 9293 A.3: only another small segment in flight holds it back."""
    peer.configure(nodelay=False, nagle=nagle).establish(mss=MSS)
    peer.app.send(bytes(2 * MSS + 14))
    got = [len(one.data) for one in peer.gets_all()]
    assert got == ([MSS, MSS, 14] if nagle == "minshall" else [MSS, MSS])
    peer.app.send(b"a")
    peer.gets_nothing()
    peer.sends(ack=1 + 2 * MSS)
    assert b"".join(one.data for one in peer.gets_all()) == (
        b"" if nagle == "minshall" else bytes(14) + b"a"
    )
    if nagle == "minshall":
        peer.sends(ack=15 + 2 * MSS)
        peer.gets(data=b"a")
        peer.app.send(bytes(MSS))
        peer.gets(len=MSS)  # full segments never wait
        peer.app.send(b"b")
        peer.gets_nothing()


# -- sizes ----------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("passive", [True, False])
def test_the_mss_announced(peer: Peer, ipv6: bool, passive: bool):
    """RFC 9293 3.7.1: what we take; what the peer takes is another matter."""
    peer.configure(ipv6=ipv6, mss_max=536)
    if passive:
        peer.app.listen()
        peer.sends("SYN", seq=0, mss=1000)
        assert peer.gets("SYN,ACK").mss == 536
        peer.sends(seq=1, ack=1)
        peer.app.accept()
    else:
        peer.app.connect()
        assert peer.gets("SYN").mss == 536
        peer.sends("SYN,ACK", seq=0, ack=1, mss=1000)
        peer.gets("ACK")
    peer.app.send(bytes(1000))
    assert len(peer.gets(seq=1).data) == 1000


@BOTH
@pytest.mark.rfc("8899-02")
def test_a_search_from_a_base_halves(peer: Peer, ipv6: bool):
    """RFC 8899 5.3.2 leaves the sizes open: halfway between the base and the largest."""
    connected(peer, ipv6=ipv6, mtu_probing=2, mtu_base=512)
    headers = 60 if ipv6 else 40
    most = 1500 - headers
    assert peer.app.info.pmtu == 512 + headers
    sent = sends(peer, 60_000)
    probes = {size(one) - headers for one in sent if size(one) > 512 + headers}
    first = (512 + most + 1) // 2
    assert probes == {first}
    assert all("PSH" not in one.flags for one in sent if size(one) - headers == first)
    for _ in range(60):
        peer.sends(ack=peer.rcv_nxt, window=WINDOW)
        peer.gets_all(within=0.1)
        peer.app.send(bytes(20_000))
    assert most - 32 <= peer.app.info.pmtu - headers <= most


# -- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hystart", "++", r"hystart: '\+\+' is not one of hystart\+\+, hystart, off"),
        ("cubic_ssthresh", 0.7, "cubic_ssthresh: 0.7 is not one of flight, cwnd"),
        ("window_probe", "two", "window_probe: 'two' is not one of octet, empty"),
        ("nagle", True, "nagle: True is not one of rfc, minshall"),
        ("mss_max", 63, "mss_max: 63 is not between 64 and 65535"),
        ("mss_max", 1 << 16, "mss_max: 65536 is not between 64 and 65535"),
        ("mtu_base", 63, "mtu_base: 63 is not between 64 and 65535"),
        ("mtu_base", 1 << 16, "mtu_base: 65536 is not between 64 and 65535"),
    ],
)
def test_what_there_is_to_choose(field: str, value: object, said: str):
    with pytest.raises(ValueError, match=f"^{said}$"):
        StackConfig().with_options({field: value}).engine_fields()


@pytest.mark.parametrize("hystart", ["hystart++", "hystart", "off"])
def test_a_snapshot_tells_which_slow_start_it_is(peer: Peer, hystart: str):
    flight(peer, hystart=hystart)
    assert peer.app.info.congestion["hystart_phase"] == (hystart != "off")


# -- output on hold -------------------------------------------------------------------------------


def hold(peer: Peer, on: bool) -> None:
    peer.engine.raw.hold_output(on, peer.engine.now)
    peer.engine.collect()


def test_what_is_held_counts_for_nothing(peer: Peer):
    """A loss is found and waits; the retransmission is none until it leaves."""
    flight(peer, count=3, data=3)
    peer.advance(RTT)
    hold(peer, True)
    assert ack(peer, 0, (1, 2)) == []
    peer.gets_nothing(within=0.05)
    info = peer.app.info
    assert (info.in_recovery, info.lost, info.retransmits) == (True, MSS, 0)
    peer.sends(seq=1, ack=1, data=b"abc")
    peer.gets_nothing(within=0.2)  # nor is it acknowledged
    hold(peer, False)
    got = peer.gets_all()
    assert numbers(got)[:1] == [0]
    assert got[0].ack == 4


def test_time_outs_run_on_while_output_is_held(peer: Peer):
    flight(peer, user_timeout=20)
    hold(peer, True)
    peer.gets_nothing(within=10)
    assert peer.app.info.rto_count >= 3
    peer.advance(11)
    assert (peer.app.state, peer.app.error) == ("CLOSED", "TIMED_OUT")


def test_data_given_meanwhile_leaves_afterwards(peer: Peer):
    peer.establish(mss=MSS)
    hold(peer, True)
    peer.app.send(b"late")
    peer.gets_nothing(within=1)
    hold(peer, False)
    peer.gets(data=b"late", seq=1)


def test_edges_of_what_was_held(peer: Peer):
    """Off is what it is from the beginning, and may be said twice."""
    peer.establish(mss=MSS)
    hold(peer, False)
    hold(peer, False)
    peer.app.send(bytes(2 * MSS))
    assert numbers(peer.gets_all()) == [0, 1]
    peer.sends(ack=edge(2))
