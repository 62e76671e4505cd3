"""Path MTU discovery: what routers report (RFC 1191, 8201), what is believed of it (RFC 5927)."""

import pytest

from tcp.pmtu import acks, connected, headers, moved, sends, size, sizes, too_big
from usertcp.testing import Got, Peer
from usertcp.testing._engine import EngineError
from usertcp.testing.packets import Icmp

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def total(got: list[Got]) -> int:
    return sum(len(one.data) for one in got)


@BOTH
@pytest.mark.rfc("1191-01", "1191-02", "8201-03", "9293-MUST-16", "7323-24", "9293-SHLD-6")
def test_a_report_lowers_the_size_and_all_is_sent_again_at_once(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6)
    first = sends(peer, 20_000)
    assert set(sizes(first)[:-1]) == {1500}
    assert ipv6 or all(one.packet.dont_fragment for one in first)
    too_big(peer, 1400, first[0])
    again = peer.gets_all()
    assert again[0].seq == 1
    assert max(sizes(again)) == 1400
    assert total(again) > 5000
    info = peer.app.info
    assert (info.pmtu, info.snd_mss) == (1400, 1400 - headers(peer))
    # The connection goes on with it: what was lost, then the rest.
    moved(peer, 50_000)
    assert max(sizes(sends(peer, 5000))) == 1400


@BOTH
@pytest.mark.parametrize("sack", [True, False], ids=["sack", "newreno"])
@pytest.mark.parametrize("rack", [True, False], ids=["rack", "6675"])
@pytest.mark.rfc("8201-04", "5681-22")
def test_it_is_no_sign_of_congestion(peer: Peer, ipv6: bool, sack: bool, rack: bool):
    connected(peer, ipv6=ipv6, sack=sack, use_rack=rack)
    first = sends(peer, 100_000)
    before = peer.app.info
    too_big(peer, 1300, first[0])
    after = peer.app.info
    assert after.ssthresh == before.ssthresh
    # As many segments as before.
    assert after.cwnd // after.snd_mss == before.cwnd // before.snd_mss
    assert (after.rto_count, after.fast_recoveries, after.backoff) == (0, 0, 0)
    again = peer.gets_all()
    assert [one.seq for one in again] == [1 + i * after.snd_mss for i in range(len(again))]
    assert len(again) == len(first)
    end = again[-1].end
    peer.advance(0.1)
    peer.sends(ack=end, window=1 << 20)
    assert peer.app.info.cwnd > after.cwnd
    moved(peer, 1)
    assert peer.app.info.fast_recoveries == 0
    assert peer.app.info.in_recovery is False


@BOTH
@pytest.mark.rfc("1191-07")
def test_a_burst_of_reports_is_answered_once(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6)
    first = sends(peer, 20_000)
    too_big(peer, 1400, first[0])
    assert peer.gets_all()
    for one in first[1:]:
        too_big(peer, 1400, one)
        peer.gets_nothing()
    assert peer.engine.drops()["pmtu_no_news"] == len(first) - 1


@BOTH
def test_a_smaller_hop_behind_the_small_one(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6)
    too_big(peer, 1400, sends(peer, 14_000)[0])
    again = peer.gets_all()
    too_big(peer, 1300, again[0])
    assert max(sizes(peer.gets_all())) == 1300
    assert peer.engine.counters()["pmtu_lowered"] == 2
    moved(peer, 3000)


@BOTH
@pytest.mark.parametrize("timestamps", [False, True], ids=["plain", "timestamps"])
@pytest.mark.parametrize("mss", [1000, 1300, 1440])
@pytest.mark.parametrize("mtu", [1280, 1281, 1399, 1499])
@pytest.mark.rfc("9293-MUST-16", "8201-03", "6691-01")
def test_no_packet_is_larger(peer: Peer, ipv6: bool, timestamps: bool, mss: int, mtu: int):
    connected(peer, ipv6=ipv6, timestamps=timestamps, mss=mss)
    first = sends(peer, 10_000)
    if size(first[0]) <= mtu:
        return
    too_big(peer, mtu, first[0])
    again = peer.gets_all()
    assert max(sizes(again)) == mtu
    assert max(sizes(acks(peer, again[-1].end) + sends(peer, 5000))) <= mtu


@pytest.mark.rfc("1191-03")
@pytest.mark.parametrize(
    ("link", "sizes_then"),
    [(1500, [1492, 1006, 552]), (9000, [8166, 4352, 2002, 1492, 1006, 552])],
)
def test_a_router_that_does_not_name_the_mtu(peer: Peer, link: int, sizes_then: list[int]):
    """RFC 1191 7.1: the plateaus."""
    connected(peer, mtu=link, mss=link - 40)
    peer.engine.may_fragment = True
    got = sends(peer, 100_000)
    for mtu in sizes_then:
        too_big(peer, 0, got[0])
        got = peer.gets_all()
        assert max(sizes(got)) == mtu


@pytest.mark.rfc("1191-04")
@pytest.mark.parametrize("mtu", [68, 296, 551])
def test_less_than_552_bytes_are_left_to_fragmentation(peer: Peer, mtu: int):
    connected(peer)
    peer.engine.may_fragment = True
    first = sends(peer, 10_000)
    too_big(peer, mtu, first[0])
    again = peer.gets_all()
    assert max(sizes(again)) == 552
    assert not any(one.packet.dont_fragment for one in again)
    assert len({one.packet.ident for one in again}) > 1
    # Others that go there do the same, unless they insist.
    other = peer.another(41000)
    other.app.connect()
    assert not other.gets("SYN", mss=1460).packet.dont_fragment
    other.app._it.set_option("mtu_discover", 2)
    other.advance(3.1)
    assert other.gets("SYN").packet.dont_fragment


@pytest.mark.rfc("8201-01", "8899-01")
@pytest.mark.parametrize("mtu", [0, 1, 68, 1279])
def test_ipv6_carries_1280(peer: Peer, mtu: int):
    connected(peer, ipv6=True)
    first = sends(peer, 10_000)
    too_big(peer, mtu, first[0])
    peer.gets_nothing()
    assert peer.app.info.pmtu == 1500
    assert peer.engine.drops() == {"pmtu_absurd": 1}
    too_big(peer, 1280, first[0])
    assert max(sizes(peer.gets_all())) == 1280


@pytest.mark.rfc("1191-04")
@pytest.mark.parametrize("mtu", [1, 28, 67])
def test_ipv4_carries_68(peer: Peer, mtu: int):
    connected(peer)
    too_big(peer, mtu, sends(peer, 10_000)[0])
    assert peer.app.info.pmtu == 1500
    assert peer.engine.drops() == {"pmtu_absurd": 1}


@BOTH
@pytest.mark.rfc("1191-05", "8899-01")
@pytest.mark.parametrize("mtu", [1500, 1501, 9000, 65535])
def test_a_report_never_raises_the_size(peer: Peer, ipv6: bool, mtu: int):
    connected(peer, ipv6=ipv6)
    first = sends(peer, 20_000)
    too_big(peer, 1400, first[0])
    again = peer.gets_all()
    too_big(peer, mtu, again[0])
    too_big(peer, mtu, first[0])
    peer.gets_nothing()
    assert peer.app.info.pmtu == 1400
    assert peer.engine.drops() == {"pmtu_absurd": 2}


@BOTH
@pytest.mark.rfc("8201-05")
def test_what_is_known_of_a_path_is_for_all_that_go_there(peer: Peer, ipv6: bool):
    """The connections there are, and those to come; the MSS option stays that of the link."""
    connected(peer, ipv6=ipv6)
    other = peer.another(41000)
    other.app.port = 81
    other.establish(window=1 << 20)
    too_big(peer, 1400, sends(peer, 3000)[0])
    peer.gets_all()
    assert max(sizes(sends(other, 5000))) == 1400
    third = peer.another(42000)
    third.app.port = 82
    third.app.connect()
    syn = third.gets("SYN", mss=1500 - headers(peer))
    third.sends("SYN,ACK", seq=0, ack=1, mss=1460, window=60000)
    third.gets_all()
    assert syn.mss == 1500 - headers(peer)
    assert max(sizes(sends(third, 5000))) == 1400
    assert third.app.info.pmtu == 1400


@BOTH
def test_a_listener_s_connections_know_it_too(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6)
    too_big(peer, 1400, sends(peer, 3000)[0])
    other = peer.another(41000)
    other.app.port = 8080
    other.establish(passive=True, window=60000)
    assert max(sizes(sends(other, 5000))) == 1400


def test_another_path_is_not_touched(peer: Peer):
    connected(peer)
    too_big(peer, 1400, sends(peer, 3000)[0])
    engine = peer.engine
    engine.connect("10.0.0.77", 80)
    rows = {row.remote[0]: row.pmtu for row in engine.raw.list_info()}
    assert rows == {"10.0.0.2": 1400, "10.0.0.77": 1500}


@BOTH
def test_what_another_connection_sent_before_is_sent_again_when_its_own_report_comes(
    peer: Peer, ipv6: bool
):
    connected(peer, ipv6=ipv6)
    other = peer.another(41000)
    other.app.port = 81
    other.establish(window=1 << 20)
    mine, theirs = sends(peer, 3000), sends(other, 3000)
    too_big(peer, 1400, mine[0])
    assert other.app.info.pmtu == 1400
    assert not other.gets_all()
    too_big(other, 1400, theirs[0])
    assert sizes(other.gets_all())[0] == 1400
    too_big(other, 1400, theirs[1])
    assert not other.gets_all()


@BOTH
@pytest.mark.rfc("1191-06")
def test_after_ten_minutes_the_path_may_carry_more(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6)
    too_big(peer, 1400, sends(peer, 3000)[0])
    moved(peer, 1)
    assert peer.app.info.pmtu == 1400
    peer.advance(599)
    assert peer.app.info.pmtu == 1400
    peer.advance(2)
    assert peer.app.info.pmtu == 1500
    got = sends(peer, 3000)
    assert size(got[0]) == 1500
    too_big(peer, 1400, got[0])  # it does not: nothing has contradicted the router yet
    assert size(peer.gets_all()[0]) == 1400


# -- what is believed ------------------------------------------------------------------------------


@BOTH
@pytest.mark.rfc("5927-03")
def test_a_report_that_contradicts_what_arrived_waits_for_a_time_out(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6)
    moved(peer, 50_000)
    before = peer.app.info
    first = sends(peer, 5000)
    too_big(peer, 1400, first[0])
    peer.gets_nothing()
    assert peer.app.info.pmtu == 1500
    assert peer.engine.counters()["pmtu_held"] == 1
    late = peer.gets_all(within=1.6)
    again = [one for one in late if one.seq == first[0].seq]
    assert sizes(again)[0] == 1400
    after = peer.app.info
    # The time-out was the path's doing: no congestion, no back-off.
    assert (after.pmtu, after.ssthresh, after.rto_count, after.backoff) == (
        1400, before.ssthresh, 0, 0,
    )  # fmt: skip
    moved(peer, 5000)
    assert peer.engine.counters()["pmtu_lowered"] == 1


@BOTH
@pytest.mark.rfc("5927-03")
def test_progress_proves_a_report_wrong(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6)
    moved(peer, 50_000)
    for _ in range(5):
        first = sends(peer, 5000)
        too_big(peer, 1400, first[0])
        peer.advance(0.1)
        peer.gets_all()
        acks(peer, peer.rcv_nxt)
    lost = sends(peer, 5000)
    assert size(lost[0]) == 1500
    again = peer.gets_all(within=3)
    assert size(next(one for one in again if one.seq == lost[0].seq)) == 1500
    assert peer.app.info.pmtu == 1500
    assert peer.engine.counters()["pmtu_held"] == 5
    assert peer.engine.drops()["pmtu_doubted"] == 5
    assert peer.app.info.rto_count > 0


@BOTH
def test_others_that_know_better_keep_their_size(peer: Peer, ipv6: bool):
    """Behind one address there may be many: one's report is no proof against another's evidence."""
    connected(peer, ipv6=ipv6)
    other = peer.another(41000)
    other.app.port = 81
    other.establish(window=1 << 20)
    moved(other, 50_000)
    too_big(peer, 1280, sends(peer, 3000)[0])
    assert peer.app.info.pmtu == 1280
    peer.advance(2)
    assert other.app.info.pmtu == 1500


@BOTH
@pytest.mark.rfc("5927-01", "8201-02")
def test_a_report_about_what_was_never_so_large(peer: Peer, ipv6: bool):
    connected(peer, ipv6=ipv6)
    small = sends(peer, 1000)[0]
    too_big(peer, 1400, small)
    assert peer.engine.drops() == {"pmtu_absurd": 1}
    peer.app.send(bytes(3000))
    got = peer.gets_all()[0]
    claimed = bytearray(got.packet.encode())
    claimed[4 if ipv6 else 2 : 6 if ipv6 else 4] = b"\xff\x00"
    peer.sends_packet(
        Icmp(type=2 if ipv6 else 3, code=0 if ipv6 else 4, rest=1400, body=bytes(claimed[:600]))
    )
    assert peer.engine.drops() == {"pmtu_absurd": 1, "pmtu_not_sent": 1}
    assert peer.app.info.pmtu == 1500


@pytest.mark.rfc("5927-06")
@pytest.mark.parametrize("quoted", [*range(29)])
def test_how_much_is_quoted(peer: Peer, quoted: int):
    connected(peer)
    too_big(peer, 1400, sends(peer, 3000)[0], quoted=quoted)
    assert peer.app.info.pmtu == (1400 if quoted == 28 else 1500)


# -- switches --------------------------------------------------------------------------------------


def test_without_discovery_packets_may_be_fragmented(peer: Peer):
    connected(peer, path_mtu_discovery=False)
    got = sends(peer, 3000)
    assert not any(one.packet.dont_fragment for one in got)
    assert peer.app._it.get_option("mtu_discover") == 0
    peer.app._it.set_option("mtu_discover", 1)
    assert sends(peer, 3000)[0].packet.dont_fragment


def test_reports_may_be_disbelieved(peer: Peer):
    connected(peer)
    peer.app._it.set_option("mtu_discover", 3)
    too_big(peer, 1400, sends(peer, 3000)[0])
    assert peer.app.info.pmtu == 1500
    assert peer.engine.drops() == {"icmp_ignored": 1}


@pytest.mark.parametrize("value", [-1, 4, 1 << 40])
def test_discover_is_one_of_four(peer: Peer, value: int):
    connected(peer)
    with pytest.raises(EngineError, match="INVALID"):
        peer.app._it.set_option("mtu_discover", value)
