"""tcp/cc_cubic against RFC 9438's equations, computed in floats."""

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.congestion import INFINITE, MS, MSS, SECOND, Control
from support.whitebox import lib

C, BETA = 0.4, 0.7
ALPHA = 3 * (1 - BETA) / (1 + BETA)
RTT = 100 * MS
sizes = st.integers(1, 1 << 30)
segments = st.integers(64, 9000)


def k_of(w_max: float, epoch: float, mss: int = MSS) -> float:
    """RFC 9438 4.2, seconds."""
    return max((w_max - epoch) / mss / C, 0.0) ** (1 / 3)


def cubic_of(t: float, k: float, w_max: float, mss: int = MSS) -> float:
    """W_cubic(t), bytes."""
    return C * (t - k) ** 3 * mss + w_max


@pytest.mark.rfc("9438-01", "9438-13")
@given(sizes, sizes, segments)
def test_k_is_the_cube_root(w_max: int, epoch: int, mss: int):
    found = lib.wb_cubic_k(w_max, epoch, mss) / 1e6
    assert found == pytest.approx(k_of(w_max, epoch, mss), abs=2e-6, rel=1e-6)


@pytest.mark.rfc("9438-01", "9438-13")
@given(sizes, st.integers(-(2**31) * 1000, 2**31 * 1000), segments)
def test_the_window_is_the_cubic(w_max: int, since_us: int, mss: int):
    """For each window from 1 byte to 2^30 and 24 days around the plateau."""
    exact = cubic_of(since_us / 1e6, 0.0, w_max, mss)
    found = lib.wb_cubic_window(w_max, since_us, mss)
    assert found == pytest.approx(min(max(exact, 0), 2**30), abs=1.01, rel=1e-6)


def after_loss(w_max: int = 1000) -> Control:
    """In congestion avoidance after one loss at a window of so many segments."""
    control = Control("cubic", cwnd=w_max * MSS)
    control.lose()
    return control


@pytest.mark.rfc("9438-06")
def test_a_loss_leaves_seven_tenths_of_the_flight():
    control = Control("cubic", cwnd=1000 * MSS)
    control.lose(flight=900 * MSS)
    assert control.ssthresh == control.cwnd == 630 * MSS
    assert control["W_max"] == control["cwnd_prior"] == 1000 * MSS


@pytest.mark.rfc("9438-06")
def test_never_less_than_two_segments():
    control = Control("cubic", cwnd=2 * MSS)
    control.lose()
    assert control.ssthresh == control.cwnd == 2 * MSS


@pytest.mark.rfc("9438-01", "9438-05")
def test_concave_then_convex():
    """RFC 9438 4.4, 4.5: back to W_max in K seconds, level there, and away beyond it."""
    control = after_loss(5000)
    k = k_of(5000 * MSS, 3500 * MSS)
    began = control.now
    grown = []
    while control.now - began < 2 * k * SECOND:
        before = control.cwnd
        control.ack(control.cwnd, after=RTT)
        grown.append(control.cwnd - before)
        t = (control.now - began - RTT) / SECOND  # the epoch begins with the first ACK
        reach = cubic_of(t + 0.1, k, 5000 * MSS)
        if t > 1:
            assert control.cwnd == pytest.approx(reach, rel=0.01)
    assert control["K_ns"] / SECOND == pytest.approx(k, rel=1e-5)
    level = round(k * 10)
    assert max(grown[level - 3 : level + 3]) * 20 < grown[2]
    assert grown[level // 2] < grown[2]
    assert grown[-1] > grown[3 * level // 2] > grown[level + 5]


@pytest.mark.rfc("9438-05")
def test_each_ack_adds_its_share_of_the_target():
    """(target - cwnd) / cwnd for each byte acknowledged, whatever the ACKs are cut into."""
    whole, cut = after_loss(5000), after_loss(5000)
    for control in (whole, cut):
        control.ack(MSS)
        control.now += 2 * SECOND
    whole.ack(100 * MSS)
    for _ in range(100):
        cut.ack(MSS)
    k = k_of(5000 * MSS, 3500 * MSS)
    target = cubic_of(2.1, k, 5000 * MSS)
    expected = 3500 * MSS + (target - 3500 * MSS) * 100 / 3500
    assert whole.cwnd == pytest.approx(expected, rel=1e-3)
    assert cut.cwnd == pytest.approx(whole.cwnd, rel=1e-3)


@pytest.mark.rfc("9438-05")
def test_the_target_is_at_most_half_more_than_cwnd():
    """A minute later the cubic is far away: cwnd grows by half per round trip, not at once."""
    control = after_loss(100)
    control.ack(MSS)
    control.now += 60 * SECOND
    before = control.cwnd
    control.ack(before)
    assert before * 1.49 < control.cwnd <= before * 1.5 + 1


@pytest.mark.rfc("9438-05")
def test_the_target_is_never_below_cwnd():
    control = after_loss(1000)
    control.ack(MSS)
    control.set(2000 * MSS, 700 * MSS)  # beyond what the cubic says
    control.ack(2000 * MSS, after=RTT)
    assert control.cwnd >= 2000 * MSS


@pytest.mark.rfc("9438-03", "9438-04")
def test_reno_friendly_growth():
    """4.3: alpha segments per round trip up to cwnd_prior, then one."""
    control = after_loss(20)
    control.ack(0)
    w_est, prior = 14.0, 20.0
    for _ in range(30):
        count = floor(control.cwnd / MSS)
        for _ in range(count):
            w_est += (ALPHA if w_est < prior else 1.0) / (control.cwnd / MSS)
            control.ack(MSS, after=MS // count, srtt=MS)
        assert control["W_est"] / MSS == pytest.approx(w_est, rel=1e-3)
        assert control.cwnd / MSS == pytest.approx(w_est, rel=0.01)
    assert w_est > prior + 5


@pytest.mark.rfc("9438-09")
def test_fast_convergence():
    """4.7: a loss below the last W_max makes room for others: (1 + beta) / 2 of cwnd."""
    control = after_loss(1000)
    control.lose()
    assert control["W_max"] == 700 * MSS * (1 + BETA) / 2
    assert control["cwnd_prior"] == 700 * MSS
    control.set(2000 * MSS, control.ssthresh)
    control.lose()
    assert control["W_max"] == 2000 * MSS


@pytest.mark.rfc("9438-02", "9438-07")
def test_time_without_need_of_cwnd_does_not_count():
    """4.2, 5.8: neither does cwnd grow then, nor the time towards the plateau pass."""
    steady, paused = after_loss(), after_loss()
    for control in (steady, paused):
        for _ in range(10):
            control.ack(control.cwnd, after=RTT)
    before = paused.cwnd
    for _ in range(100):
        paused.ack(10 * MSS, after=RTT, limited=False)
    assert paused.cwnd == before
    for control in (steady, paused):
        for _ in range(10):
            control.ack(control.cwnd, after=RTT)
    assert paused.cwnd == pytest.approx(steady.cwnd, rel=1e-4)


@pytest.mark.rfc("9438-02")
def test_idle_time_does_not_count():
    control = after_loss()
    control.ack(control.cwnd, after=RTT)
    epoch = control["t_epoch_ns"]
    control.now += 10 * SECOND
    lib.wb_cc_idle(control.c, control.now, 10 * SECOND, 20 * SECOND)
    assert control["t_epoch_ns"] == epoch + 10 * SECOND


@pytest.mark.rfc("9438-10")
def test_after_a_time_out():
    """4.8: ssthresh as by a loss, one segment; the first stage after it begins at cwnd, K = 0."""
    control = Control("cubic", cwnd=1000 * MSS)
    control.time_out()
    assert control.cwnd == MSS
    assert control.ssthresh == 700 * MSS
    control.time_out(flight=MSS, first=False)
    assert control.ssthresh == 700 * MSS
    control.set(700 * MSS, 700 * MSS)
    control.ack(MSS)
    assert control["K_ns"] == 0
    assert control["W_max"] == 700 * MSS
    assert control["W_est"] == pytest.approx(700 * MSS, rel=1e-2)


@pytest.mark.rfc("9438-08")
def test_marks_reduce_as_losses_do_down_to_a_segment():
    control = Control("cubic", cwnd=1000 * MSS)
    control.mark()
    assert control.ssthresh == control.cwnd == 700 * MSS
    for _ in range(40):
        control.mark()
    assert control.cwnd == MSS
    assert control.ssthresh == 2 * MSS


@pytest.mark.rfc("9438-11")
def test_a_needless_reduction_is_taken_back():
    """4.9: all of its state, and the time that passed meanwhile is no time of the epoch."""
    control = after_loss()
    for _ in range(10):
        control.ack(control.cwnd, after=RTT)
    names = ("W_max", "K_ns", "W_est", "cwnd_prior")
    cwnd, state = control.cwnd, [control[name] for name in names]
    epoch = control["t_epoch_ns"]
    control.keep()
    control.lose()
    assert control.cwnd < cwnd
    control.now += SECOND
    control.undo()
    assert control.cwnd == cwnd
    assert [control[name] for name in names] == state
    assert control["t_epoch_ns"] == epoch + SECOND


@pytest.mark.rfc("9438-12", "5681-06")
@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_slow_start_below_ssthresh(name: str):
    """ssthresh begins arbitrarily high: cwnd doubles until something is lost."""
    control = Control(name)
    assert control.ssthresh == INFINITE
    for _ in range(5):
        before = control.cwnd
        control.round()
        assert control.cwnd == 2 * before
    control.set(control.cwnd, control.cwnd + 3 * MSS)
    control.round()
    assert control.cwnd < control.ssthresh + 2 * MSS


@pytest.mark.rfc("9438-12")
def test_the_first_slow_start_is_hystarts():
    assert Control("cubic")["hystart_phase"] == 1
    assert after_loss()["hystart_phase"] == 0


@pytest.mark.rfc("9438-13", "5681-02")
@pytest.mark.parametrize("name", ["cubic", "reno"])
@given(st.lists(st.tuples(st.integers(0, 5), sizes, st.integers(0, 2**31 * MS)), max_size=40))
def test_any_order_of_events(name: str, events: list[tuple[int, int, int]]):
    """Nothing overflows or divides by 0; a loss never leaves more than it found."""
    control = Control(name)
    for what, size, after in events:
        before = control.cwnd
        control.now += after
        if what == 0:
            control.ack(size)
        elif what == 1:
            control.lose(flight=min(size, before))
            assert control.cwnd <= max(before, 2 * MSS)
        elif what == 2:
            control.time_out(flight=min(size, before))
            assert control.cwnd == MSS
        elif what == 3:
            control.mark(flight=min(size, before))
            assert control.cwnd <= max(before, MSS)
        elif what == 4:
            control.set(max(size, MSS), control.ssthresh)
        else:
            control.ack(size, limited=False)
            assert control.cwnd == before
        assert control.cwnd >= MSS
