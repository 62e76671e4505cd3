"""Opening: options, retransmission, refusal, time-out, backlog, SYN cookies."""

import pytest

from usertcp import _events
from usertcp.testing import EngineError, Peer

OFFERS = [
    {"sack": sack, "wscale": wscale, "timestamps": timestamps}
    for sack in (False, True)
    for wscale in (None, 0, 7)
    for timestamps in (False, True)
]


@pytest.mark.rfc(
    "7323-01", "7323-02", "7323-09", "7323-12", "9293-MUST-14", "2018-01", "9293-SHLD-5"
)
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
@pytest.mark.parametrize("offer", OFFERS, ids=str)
def test_options_are_used_if_both_sides_offer(peer: Peer, offer: dict, passive: bool):
    peer.establish(passive=passive, **offer)
    info = peer.app.info
    assert info.sack_ok == offer["sack"]
    assert info.wscale_ok == (offer["wscale"] is not None)
    assert info.timestamps_ok == offer["timestamps"]
    assert info.snd_wscale == (offer["wscale"] or 0)
    peer.sends(data=b"x")
    got = peer.gets(ack=2, within=0.5)
    assert (got.ts is not None) == offer["timestamps"]


@pytest.mark.rfc("7323-02", "7323-12")
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
def test_options_can_be_off(peer: Peer, passive: bool):
    peer.configure(use_sack=False, use_window_scale=False, use_timestamps=False)
    offer = {"mss": 1460, "wscale": 7, "sack_permitted": True, "ts": (1, 0)}
    if passive:
        peer.app.listen()
        peer.sends("SYN", seq=0, **offer)
        options = peer.gets("SYN,ACK").segment.options
    else:
        peer.app.connect()
        options = peer.gets("SYN").segment.options
    assert (options.wscale, options.sack_permitted, options.timestamps) == (None, False, None)
    assert options.mss == 1460


@pytest.mark.rfc("7323-05")
def test_shift_above_14_is_14(peer: Peer):
    peer.establish(wscale=200)
    assert peer.app.info.snd_wscale == 14


@pytest.mark.rfc("7323-04", "7323-06")
def test_windows_are_scaled_but_on_syns(peer: Peer):
    peer.configure(rcv_buffer=1 << 20)
    peer.app.connect()
    syn = peer.gets("SYN")
    assert syn.window == syn.segment.window <= 65535
    peer.sends("SYN,ACK", seq=0, ack=1, window=5000, mss=1460, wscale=3)
    peer.gets("ACK")
    assert peer.app.info.snd_wnd == 5000
    peer.sends(window=8000)
    assert peer.app.info.snd_wnd == 8000
    assert syn.segment.options.wscale is not None
    assert (65535 << syn.segment.options.wscale) >= peer.app.info.rcv_wnd


@pytest.mark.rfc("7323-03")
def test_window_scale_without_syn_is_ignored(peer: Peer):
    peer.establish(wscale=None)
    peer.sends(options=b"\x03\x03\x05\x00", window=1000)
    assert peer.app.info.snd_wnd == 1000


@pytest.mark.rfc("9293-MUST-15", "9293-MUST-16", "9293-MUST-67", "6691-01", "SEC-07")
@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
@pytest.mark.parametrize("timestamps", [False, True], ids=["-", "ts"])
@pytest.mark.parametrize(
    ("mss", "mtu"), [(1460, 1500), (None, 1500), (1460, 1400), (9000, 1500), (600, 1500), (1, 1500)]
)
def test_segment_size(peer: Peer, mss: int | None, mtu: int, ipv6: bool, timestamps: bool):
    """The peer's MSS, or the default without one; the path's; less the options of each segment."""
    headers = 60 if ipv6 else 40
    peer.configure(mtu=mtu, ipv6=ipv6).establish(mss=mss, timestamps=timestamps)
    path = mtu - headers
    announced = (1220 if ipv6 else 536) if mss is None else mss
    expected = max(min(announced, path), 0) - (12 if timestamps else 0)
    peer.app.send(bytes(5000))
    sizes = {len(got.data) for got in peer.gets_all()[:3]}
    if mss == 1:
        assert all(20 <= size <= 536 for size in sizes), "a floor keeps segments from being tiny"
    else:
        assert sizes == {expected}


@pytest.mark.rfc("9293-MUST-67", "9293-SHLD-6")
@pytest.mark.parametrize(
    ("ipv6", "mtu"), [(False, 1500), (False, 1280), (True, 1500), (True, 1280)]
)
def test_announced_mss_is_the_links(peer: Peer, ipv6: bool, mtu: int):
    peer.configure(mtu=mtu, ipv6=ipv6).app.connect()
    assert peer.gets("SYN").mss == mtu - (60 if ipv6 else 40)


@pytest.mark.rfc("9293-MUST-4", "9293-MUST-6", "9293-MUST-64", "9293-MUST-68")
@pytest.mark.parametrize(
    "options",
    ["02040200", "0101020402000000", "fe060102030402040200", "010204020000", "4d03ff0204020000"],
)
def test_mss_is_found_among_other_options(peer: Peer, options: str):
    raw = bytes.fromhex(options)
    peer.app.listen()
    peer.sends("SYN", seq=0, options=raw + bytes(-len(raw) % 4))
    peer.gets("SYN,ACK")
    peer.sends(seq=1, ack=1)
    peer.app.accept()
    assert peer.app.info.snd_mss == 512


@pytest.mark.rfc("9293-MUST-7", "SEC-06")
@pytest.mark.parametrize("options", ["02000000", "02010000", "02ff0000", "0101010c", "01010102"])
def test_illegal_option_lengths(peer: Peer, options: str):
    peer.app.listen()
    peer.sends("SYN", seq=0, options=bytes.fromhex(options))
    peer.gets_nothing()
    assert peer.engine.drops()["tcp_options"] == 1


@pytest.mark.rfc("9293-MUST-22", "1122-10", "6298-01", "8961-01", "8961-04")
def test_syn_is_sent_again_with_backoff(peer: Peer):
    peer.configure(connect_timeout=200, rto_initial=1, rto_max=60)
    peer.app.connect()
    peer.gets("SYN")
    times = [got.at for got in peer.gets_all(within=199)]
    assert times == pytest.approx([1, 3, 7, 15, 31, 63, 123, 183], abs=0.01)
    assert peer.app.state == "SYN-SENT"
    peer.advance(2)
    assert (peer.app.state, peer.app.error) == ("CLOSED", "TIMED_OUT")


@pytest.mark.rfc("9293-MUST-23")
def test_default_connect_timeout(peer: Peer):
    """3 minutes at least (RFC 9293 3.8.3)."""
    peer.app.connect()
    peer.advance(179.9)
    assert peer.app.state == "SYN-SENT"
    peer.advance(0.2)
    assert (peer.app.state, peer.app.error) == ("CLOSED", "TIMED_OUT")


def test_every_syn_is_the_same(peer: Peer):
    peer.app.connect()
    first, *again = [peer.gets("SYN"), *peer.gets_all(within=8)]
    assert again
    for got in again:
        assert (got.segment.seq, got.mss) == (first.segment.seq, first.mss)


@pytest.mark.rfc("9293-EV-05")
def test_refused(peer: Peer):
    peer.app.connect()
    peer.gets("SYN")
    peer.sends("RST,ACK", seq=0, ack=1)
    assert peer.app.error == "REFUSED"
    assert peer.app.outcome() == "REFUSED"
    peer.gets_nothing(within=10)


def test_connect_tells_when_it_is_done(peer: Peer):
    peer.establish()
    assert peer.app.events & _events.CONNECTED
    assert peer.app.events & _events.WRITABLE


def test_close_in_syn_sent_is_silent(peer: Peer):
    peer.app.connect()
    peer.gets("SYN")
    peer.app.close()
    assert peer.app.state == "CLOSED"
    peer.gets_nothing(within=10)


@pytest.mark.rfc("9293-MUST-46")
@pytest.mark.parametrize("host", ["255.255.255.255", "224.0.0.1", "0.0.0.0", "10.0.0.255"])
def test_no_connection_to_many(peer: Peer, host: str):
    with pytest.raises(EngineError):
        peer.engine.connect(host, 80)


@pytest.mark.rfc("9293-MUST-57", "9293-MUST-63", "SEC-08")
@pytest.mark.parametrize(
    ("src", "dst"),
    [
        ("10.0.0.2", "10.0.0.255"), ("10.0.0.2", "255.255.255.255"), ("10.0.0.2", "224.0.0.1"),
        ("224.0.0.1", "10.0.0.1"), ("255.255.255.255", "10.0.0.1"), ("0.0.0.0", "10.0.0.1"),
        ("127.0.0.1", "10.0.0.1"), ("10.0.0.1", "10.0.0.1"),
    ],
)  # fmt: skip
def test_syns_of_and_to_nobody_are_ignored(peer: Peer, src: str, dst: str):
    from ipaddress import ip_address

    peer.app.listen()
    syn = peer.segment("SYN", seq=0, mss=1460)
    if src == dst:
        syn = peer.segment("SYN", seq=0, mss=1460)
    peer.sends_packet(syn, src=ip_address(src), dst=ip_address(dst))
    peer.gets_nothing()
    assert not peer.wire.strays
    assert not peer.wire.icmp
    assert peer.app.state == "LISTEN"


# -- passive opens --------------------------------------------------------------------------------


def syn(peer: Peer, port: int, **fields: object) -> Peer:
    other = peer.another(port)
    other.sends("SYN", seq=0, mss=1460, **fields)
    return other


def complete(other: Peer) -> None:
    other.gets("SYN,ACK", ack=1)
    other.sends(seq=1, ack=1)


@pytest.mark.rfc("4987-04", "9293-MUST-22")
def test_syn_ack_is_sent_again_and_given_up(peer: Peer):
    peer.configure(synack_retries=3, rto_initial=1)
    peer.app.listen()
    peer.sends("SYN", seq=0, mss=1460)
    peer.gets("SYN,ACK")
    times = [got.at for got in peer.gets_all(within=100)]
    assert times == pytest.approx([1, 3, 7], abs=0.01)
    assert peer.app.state == "LISTEN"
    assert peer.engine.counters()["half_open_timeouts"] == 1


def test_data_with_the_third_segment(peer: Peer):
    peer.app.listen()
    peer.sends("SYN", seq=0, mss=1460)
    peer.gets("SYN,ACK")
    peer.sends(seq=1, ack=1, data=b"early")
    peer.app.accept()
    assert peer.app.receive() == b"early"


def test_data_with_the_syn_is_not_kept(peer: Peer):
    """4987-06: nothing is held for a peer that has proven nothing; it is sent again."""
    peer.app.listen()
    peer.sends("SYN", seq=0, mss=1460, data=b"fast")
    peer.gets("SYN,ACK", ack=1)


def test_accept_gives_connections_in_order(peer: Peer):
    peer.app.listen()
    others = [syn(peer, 50000 + index) for index in range(3)]
    for other in others:
        complete(other)
    listener = peer.app.listener
    assert listener is not None
    assert listener.events & _events.ACCEPTABLE
    ports = [peer.app.accept().info.remote[1] for _ in range(3)]
    assert ports == [50000, 50001, 50002]
    assert listener.accept() is None


@pytest.mark.rfc("9293-MUST-41", "9293-MUST-42", "9293-MUST-43")
def test_listening_on_a_port_in_use(peer: Peer):
    peer.establish()
    peer.app.listen()
    with pytest.raises(EngineError, match="ADDRESS_IN_USE"):
        peer.app.listen()
    assert peer.app.state == "ESTABLISHED"
    with pytest.raises(EngineError, match="ADDRESS_NOT_AVAILABLE"):
        peer.engine.listen(81, host="10.9.9.9")


def test_accept_queue_is_bounded(peer: Peer):
    peer.app.listen(backlog=2)
    others = [syn(peer, 50000 + index) for index in range(4)]
    for other in others:
        got = other.gets_all()
        if got:
            other.sends(seq=1, ack=1)
    rows = [row for row in peer.engine.raw.list_info() if str(row.state) == "ESTABLISHED"]
    assert len(rows) == 2
    listener = peer.app.listener
    assert listener is not None
    assert listener.info.accept_queue == 2
    peer.app.accept()
    peer.app.accept()
    assert peer.engine.drops().get("tcp_accept_full", 0) > 0


@pytest.mark.rfc("4987-01", "4987-02")
def test_half_open_queue_is_bounded_without_cookies(peer: Peer):
    peer.configure(max_half_open=4, syn_cookies=0)
    peer.app.listen()
    others = [syn(peer, 50000 + index) for index in range(8)]
    answered = [other for other in others if other.gets_all()]
    assert len(answered) == 4
    assert peer.engine.drops()["tcp_half_open_full"] == 4
    answered[0].sends(seq=1, ack=1)
    peer.app.accept()


@pytest.mark.rfc("4987-02", "4987-03")
@pytest.mark.parametrize("when", [1, 2])
@pytest.mark.parametrize("timestamps", [False, True])
def test_syn_cookies(peer: Peer, when: int, timestamps: bool):
    peer.configure(max_half_open=2, syn_cookies=when)
    peer.app.listen()
    for index in range(5):
        syn(peer, 50000 + index)
    memory = peer.engine.memory
    peer.use_ts = timestamps
    peer.sends(
        "SYN", seq=0, mss=1400, sack_permitted=True, wscale=7, ts=(5, 0) if timestamps else False
    )
    got = peer.gets("SYN,ACK", ack=1)
    assert peer.engine.memory == memory, "a cookie costs no memory"
    peer.use_ts = timestamps
    peer.sends(seq=1, ack=1, ts=(6, got.ts[0]) if got.ts else False)
    peer.app.accept()
    assert peer.app.state == "ESTABLISHED"
    assert peer.engine.counters()["cookies_ok"] == 1
    assert 500 <= peer.app.info.snd_mss <= 1400
    peer.sends(seq=1, ack=1, data=b"hello", ts=(7, got.ts[0]) if got.ts else False)
    assert peer.app.receive() == b"hello"


@pytest.mark.rfc("4987-02", "5961-09")
def test_forged_cookie(peer: Peer):
    peer.configure(syn_cookies=2)
    peer.app.listen()
    peer.sends("SYN", seq=0, mss=1460)
    peer.gets("SYN,ACK")
    for guess in (0, 2, 1000, 2**31):
        peer.sends(seq=1, ack=guess)
        peer.gets("RST")
    listener = peer.app.listener
    assert listener is not None
    assert listener.accept() is None
    assert peer.engine.drops()["tcp_cookie_bad"] == 4


def test_cookie_expires(peer: Peer):
    peer.configure(syn_cookies=2)
    peer.app.listen()
    peer.sends("SYN", seq=0, mss=1460)
    peer.gets("SYN,ACK")
    peer.advance(3600)
    peer.sends(seq=1, ack=1)
    peer.gets("RST")


def test_closing_a_listener_resets_who_waits(peer: Peer):
    listener = peer.app.listen()
    waiting = syn(peer, 50000)
    complete(waiting)
    half = syn(peer, 50001)
    half.gets("SYN,ACK")
    listener.close()
    waiting.gets("RST,ACK")
    peer.sends("SYN", seq=0)
    peer.gets("RST,ACK", ack=1)


@pytest.mark.rfc("9293-MAY-2", "6191-03", "6528-04")
def test_time_wait_gives_way_to_a_new_connection(peer: Peer):
    peer.establish(passive=True)
    peer.app.close()
    peer.gets("FIN,ACK", seq=1)
    peer.sends("FIN,ACK", seq=1, ack=2)
    peer.gets("ACK")
    assert peer.app.state == "TIME-WAIT"
    before = peer.irs
    peer.sends("SYN", seq=100_000, mss=1460)
    got = peer.gets("SYN,ACK")
    assert peer.app.state == "SYN-RECEIVED"
    assert before is not None
    assert 0 < (got.segment.seq - before) % 2**32 < 2**31
