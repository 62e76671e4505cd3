"""Flow control: zero windows and probes, silly windows on both sides, shrinking windows."""

import pytest

from usertcp import _events
from usertcp.testing import Peer

MSS = 1000


def zero_window(peer: Peer, **config: float) -> None:
    """100 bytes wait for a peer whose window is closed."""
    peer.configure(rto_min=1.0, rto_max=60.0, **config).establish(mss=MSS, wscale=0)
    peer.sends(window=0)
    peer.app.send(bytes(100))
    peer.gets_nothing()


@pytest.mark.rfc("9293-MUST-36", "9293-SHLD-29", "9293-SHLD-30")
def test_probes_of_a_closed_window_back_off(peer: Peer):
    zero_window(peer)
    times = []
    for _ in range(8):
        got = peer.gets(len=1, seq=1, within=70)
        times.append(got.at)
        peer.sends(ack=1, window=0)
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert gaps[0] == pytest.approx(1, rel=0.1)
    for before, after in zip(gaps, gaps[1:], strict=False):
        assert after == pytest.approx(min(2 * before, 60), rel=0.1)


@pytest.mark.rfc("9293-MUST-37", "1122-11")
def test_answered_probes_keep_the_connection_open(peer: Peer):
    zero_window(peer, user_timeout=100)
    for _ in range(24 * 60):
        peer.gets(len=1, within=70)
        peer.sends(ack=1, window=0)
    assert peer.now > 10 * 3600
    assert peer.app.state == "ESTABLISHED"
    peer.sends(ack=1, window=5000)
    assert peer.gets(seq=1).data


@pytest.mark.rfc("9293-MUST-20")
def test_unanswered_probes_end_it(peer: Peer):
    zero_window(peer, user_timeout=100)
    peer.gets_all(within=101)
    assert (peer.app.state, peer.app.error) == ("CLOSED", "TIMED_OUT")


def test_a_taken_probe_byte_counts(peer: Peer):
    zero_window(peer)
    peer.gets(seq=1, len=1, within=2)
    peer.sends(ack=2, window=0)
    peer.gets(seq=2, len=1, within=70)
    peer.sends(ack=2, window=5000)
    rest = b"".join(got.data for got in peer.gets_all(within=3))
    assert len(rest) >= 98


@pytest.mark.rfc("9293-MUST-36")
def test_opening_ends_probing(peer: Peer):
    zero_window(peer)
    peer.gets(seq=1, len=1, within=2)
    peer.sends(ack=1, window=5000)
    got = peer.gets_all(within=0.9)
    data = bytearray(100)
    for one in got:
        data[one.seq - 1 : one.end - 1] = b"x" * len(one.data)
    assert data == b"x" * 100
    peer.sends(ack=101, window=5000)
    peer.gets_nothing(within=200)


@pytest.mark.rfc("9293-MUST-34", "9293-MUST-35", "9293-SHLD-15", "9293-SHLD-16", "9293-SHLD-17")
@pytest.mark.parametrize("window", [0, 500, 1500])
def test_a_shrinking_window_is_survived(peer: Peer, window: int):
    peer.configure(rto_min=1.0).establish(mss=MSS, wscale=0)
    peer.app.send(bytes(5000))
    assert len(peer.gets_all()) == 5
    peer.sends(ack=1, window=window)
    assert peer.app.info.snd_wnd == window
    peer.app.send(bytes(1000))
    assert all(got.seq <= 5000 for got in peer.gets_all(within=5)), "no new data"
    assert peer.app.state == "ESTABLISHED"
    peer.sends(ack=5001, window=10000)
    assert sum(len(got.data) for got in peer.gets_all()) == 1000


@pytest.mark.rfc("9293-MUST-38")
def test_sender_avoids_silly_windows(peer: Peer):
    """Segment, or half the largest window, or all there is."""
    peer.configure(rto_min=1.0).establish(mss=MSS, wscale=0, window=4000)
    peer.app.send(bytes(20_000))
    assert [len(got.data) for got in peer.gets_all()] == [1000] * 4
    acked = 4001
    for open_by in (1, 10, 100, 500):
        peer.sends(ack=acked, window=open_by)
        peer.gets_nothing()
    peer.sends(ack=acked, window=1000)
    peer.gets(len=1000)


@pytest.mark.rfc("9293-MUST-38")
def test_half_of_a_small_window_is_enough(peer: Peer):
    peer.configure(rto_min=1.0).establish(mss=MSS, wscale=0, window=600)
    peer.app.send(bytes(2000))
    peer.gets(len=600)
    peer.sends(ack=601, window=299)
    peer.gets_nothing()
    peer.sends(ack=601, window=300)
    peer.gets(len=300)


@pytest.mark.rfc("9293-MUST-38")
def test_a_silly_window_is_used_after_a_while(peer: Peer):
    """The override time-out: or two such sides would wait for ever."""
    peer.configure(rto_min=1.0).establish(mss=MSS, wscale=0, window=4000)
    peer.app.send(bytes(20_000))
    peer.gets_all()
    peer.sends(ack=4001, window=100)
    got = peer.gets(seq=4001, within=5)
    assert 1 <= len(got.data) <= 100


@pytest.mark.rfc("9293-MUST-39")
def test_receiver_avoids_silly_windows(peer: Peer):
    """The window opens by a segment or half the buffer, however little is read at a time."""
    peer.configure(rcv_buffer=8192).establish(wscale=0)
    window = peer.app.info.rcv_wnd
    sent = 0
    while sent < window:
        size = min(1000, window - sent)
        peer.sends(data=bytes(size))
        sent += size
    assert peer.gets_all(within=0.5)[-1].window == 0
    steps = [0]
    for _ in range(window):
        assert len(peer.app.receive(1)) == 1
        steps += [got.window for got in peer.gets_all()]
    grown = [b - a for a, b in zip(steps, steps[1:], strict=False)]
    assert grown
    assert min(grown) >= min(1460, window // 2)
    assert len(grown) <= 8192 // 1460 + 1


@pytest.mark.rfc("9293-MUST-39")
def test_a_window_that_cannot_be_said_is_not_told(peer: Peer):
    """Without scaling 65,535 is all there is, however large the buffer: reads change nothing."""
    peer.configure(rcv_buffer=1 << 20, quick_acks=16).establish(wscale=None)
    for _ in range(20):
        peer.sends(data=b"x" * 100)
        peer.gets_all(within=0.5)
        assert peer.app.receive(50) == b"x" * 50
        assert peer.app.receive() == b"x" * 50
        peer.gets_nothing()


@pytest.mark.rfc("9293-SHLD-14", "7323-07", "7323-08")
def test_right_edge_never_retreats(peer: Peer):
    peer.configure(rcv_buffer=65536).establish(wscale=7)
    edges = [0]

    def look() -> int:
        got = peer.gets_all(within=0.1)
        edges.extend((one.ack or 0) + one.window for one in got)
        return len(got)

    for size in (1, 127, 129, 1000, 1459, 3):
        for _ in range(5):
            peer.sends(data=bytes(size))
            assert look() > 0
        peer.app.receive(size)
        look()
    for _ in range(32):
        peer.sends(data=bytes(1400))
        look()
    peer.app.receive()
    assert look() == 1  # an update
    assert edges == sorted(edges)


def test_a_full_window_is_offered_and_usable(peer: Peer):
    peer.configure(rcv_buffer=16384).establish(wscale=0)
    window = peer.app.info.rcv_wnd
    assert window >= 8192
    peer.sends_together(
        *(
            peer.segment(seq=1 + at, data=bytes(min(1460, window - at)))
            for at in range(0, window, 1460)
        )
    )
    assert len(peer.app.receive()) == window
    assert "tcp_window_overrun" not in peer.engine.drops()


@pytest.mark.rfc("9293-MUST-66")
def test_a_closed_window_still_takes_ack_rst_and_urg(peer: Peer):
    peer.configure(rcv_buffer=4096).establish(wscale=0)
    window = peer.app.info.rcv_wnd
    for at in range(0, window, 1000):
        peer.sends(seq=1 + at, data=bytes(min(1000, window - at)))
    peer.gets_all(within=1)
    assert peer.app.info.rcv_wnd == 0
    peer.app.send(b"abc")
    peer.gets(data=b"abc")
    peer.sends(ack=4)
    assert peer.app.info.flight_size == 0
    peer.sends("URG,ACK", urgent=1, data=b"u")
    assert peer.app.events & _events.URGENT
    peer.gets("ACK", ack=1 + window, window=0)
    peer.sends("RST", seq=1 + window)
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("9293-EV-12")
def test_older_segments_do_not_change_the_window(peer: Peer):
    peer.establish(wscale=0)
    peer.sends(data=b"abcdef", window=5000)
    assert peer.app.info.snd_wnd == 5000
    peer.sends(seq=3, ack=1, window=10)
    assert peer.app.info.snd_wnd == 5000
    peer.sends(seq=7, ack=1, window=6000)
    assert peer.app.info.snd_wnd == 6000


@pytest.mark.rfc("9293-MUST-1", "9293-REC-1")
def test_large_windows_are_unsigned(peer: Peer):
    peer.configure(snd_buffer=1 << 20).establish(wscale=14, window=65535 << 14)
    peer.sends(window=65535 << 14)
    assert peer.app.info.snd_wnd == 65535 << 14
    peer.app.send(bytes(5000))
    assert sum(len(got.data) for got in peer.gets_all()) == 5000


def test_writable_is_told_when_there_is_room(peer: Peer):
    peer.configure(snd_buffer=4096).establish(mss=MSS)
    assert peer.app.connection is not None
    assert peer.app.send(bytes(10_000)) == 4096
    assert peer.app.send(b"x") == 0
    peer.app.connection.clear_events()
    got = peer.gets_all()
    peer.sends(ack=got[2].end)
    assert peer.app.events & _events.WRITABLE
    assert peer.app.send(bytes(10_000)) == 3 * MSS


def test_writable_is_told_although_the_last_send_was_taken_whole(peer: Peer):
    """Who finds no room left and waits for some must be told, though nothing was refused."""
    peer.configure(snd_buffer=4096).establish(mss=MSS)
    assert peer.app.connection is not None
    assert peer.app.send(bytes(4096)) == 4096
    peer.app.connection.clear_events()
    peer.sends(ack=peer.gets_all()[-1].end)
    assert peer.app.events & _events.WRITABLE


@pytest.mark.rfc("9293-EV-12", "5681-01")
def test_a_retransmission_with_a_new_ack_brings_its_window(peer: Peer):
    """Its SEQ is older than that of the last window update, its ACK is newer than all."""
    peer.establish(mss=MSS, wscale=0, window=4000)
    peer.app.send(bytes(20_000))
    assert peer.gets_all()[-1].end == 4001
    peer.sends(seq=101, ack=1, data=b"later", window=4000)
    peer.sends(seq=1, ack=2001, data=b"sooner", window=2500)
    assert peer.app.info.snd_wnd == 2500
    assert all(got.end <= 4501 for got in peer.gets_all())


def test_what_may_wait_unsent_is_bounded_when_asked_for(peer: Peer):
    """TCP_NOTSENT_LOWAT: what the window lets leave, and one portion beside; then nothing."""
    peer.establish(mss=MSS, wscale=0)
    peer.sends(window=3 * MSS)
    connection = peer.app.connection
    connection.set_option("notsent_lowat", 2 * MSS)
    assert connection.get_option("notsent_lowat") == 2 * MSS
    assert peer.app.send(bytes(100_000)) == 5 * MSS
    assert peer.app.info.flight_size == 3 * MSS
    assert peer.app.send(b"x") == 0
    connection.clear_events()
    peer.sends(ack=1 + MSS, window=2 * MSS)  # two of them still in flight: no more may leave
    assert not peer.app.events & _events.WRITABLE
    assert peer.app.send(b"x") == 0
    peer.sends(ack=1 + MSS, window=3 * MSS)  # the window alone lets one more leave
    assert peer.app.events & _events.WRITABLE
    assert peer.app.info.flight_size == 3 * MSS
    assert peer.app.send(bytes(100_000)) == 2 * MSS  # a portion, not a sliver
    assert peer.app.send(b"x") == 0
    connection.clear_events()
    connection.set_option("notsent_lowat", 0)
    assert peer.app.events & _events.WRITABLE
    assert peer.app.send(bytes(100_000)) == 100_000


@pytest.mark.parametrize("size", [1, 700, MSS, 3 * MSS])
def test_what_may_wait_unsent_is_bounded_whatever_the_size_of_a_send(peer: Peer, size: int):
    peer.establish(mss=MSS, wscale=0)
    peer.sends(window=0)
    assert peer.app.connection is not None
    peer.app.connection.set_option("notsent_lowat", 2 * MSS)
    taken = 0
    while sent := peer.app.send(bytes(size)):
        taken += sent
    assert 2 * MSS <= taken < 4 * MSS


def test_the_bound_of_what_waits_unsent_holds_before_the_handshake_too(peer: Peer):
    peer.app.connect()
    connection = peer.app.connection
    connection.set_option("notsent_lowat", 2 * MSS)
    assert peer.app.send(bytes(100_000)) == 2 * MSS
    assert peer.app.send(b"x") == 0


@pytest.mark.rfc("9293-SHLD-14")
@pytest.mark.parametrize("limit", [2048, 10_000])
def test_a_syn_sent_again_offers_no_less(peer: Peer, limit: int):
    """Its user has lowered the limit since: in SYN-SENT, and in SYN-RECEIVED after both SYNs."""
    peer.app.connect()
    before = peer.gets("SYN").window
    assert peer.app.connection is not None
    peer.app.connection.set_option("rcv_limit", limit)
    peer.gets("SYN", window=before, within=2)
    peer.sends("SYN", seq=0, mss=MSS)
    peer.gets("SYN,ACK", ack=1, window=before)
    peer.gets("SYN,ACK", ack=1, window=before, within=3)
    peer.sends("SYN,ACK", seq=0, ack=1, mss=MSS)
    assert peer.app.state == "ESTABLISHED"
    peer.sends(data=bytes(MSS))
    assert peer.gets(ack=1 + MSS, within=1).window == before - MSS


@pytest.mark.rfc("9293-SHLD-14")
def test_a_syn_cannot_take_back_what_a_scaled_window_offered(peer: Peer):
    """Simultaneous open: a stray segment was answered with a scaled window, and then the SYN,ACK
    has to go again, which can say 65535 at most."""
    peer.configure(rcv_buffer=1 << 20).app.connect()
    peer.gets("SYN")
    peer.sends("SYN", seq=0, mss=MSS, wscale=7)
    peer.gets("SYN,ACK", ack=1)
    peer.sends(seq=-5000, ack=1, data=b"old")
    offered = peer.gets("ACK", ack=1).window
    assert offered > 65535
    peer.gets("SYN,ACK", ack=1, within=3)
    peer.sends(seq=70_000, ack=1, data=bytes(MSS))
    assert peer.app.state == "ESTABLISHED"
    assert peer.app.info.rcv_out_of_order == MSS


@pytest.mark.rfc("9293-MUST-38")
@pytest.mark.parametrize("timestamps", [False, True])
def test_the_time_out_that_overrides_silly_window_avoidance_does_not_grow(
    peer: Peer, timestamps: bool
):
    """RFC 9293 3.8.6.2.1: 0.1 to 1 s. Nothing was lost, and the window is open."""
    peer.establish(mss=MSS, timestamps=timestamps)
    assert peer.app.connection is not None
    peer.app.connection.set_option("cork", 1)
    waited = []
    for _ in range(8):
        peer.app.send(bytes(100))
        before = peer.now
        got = peer.gets(len=100, within=5)
        waited.append(got.at - before)
        peer.sends()
    assert max(waited) <= 1.01
