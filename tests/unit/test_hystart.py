"""tcp/hystart (RFC 9406) through CUBIC's first slow start."""

import pytest

from support.congestion import MS, MSS, Control

OFF, SLOW_START, CSS = 0, 1, 2
RTT = 100 * MS
MIN_THRESH, MAX_THRESH = 4 * MS, 16 * MS


def rounds(control: Control, *rtts: int, samples: int = 16) -> None:
    """One round of a window per RTT; the first `samples` ACKs of each carry it."""
    for rtt in rtts:
        count = control.cwnd // MSS
        for n in range(count):
            control.ack(MSS, after=rtt // count, rtt=rtt if n < samples else 0)


@pytest.mark.rfc("9406-01")
@pytest.mark.parametrize(
    ("rtt", "thresh"),
    [(8 * MS, MIN_THRESH), (32 * MS, 4 * MS), (80 * MS, 10 * MS), (400 * MS, MAX_THRESH)],
)
def test_the_threshold_is_an_eighth_within_bounds(rtt: int, thresh: int):
    """clamp(lastRoundMinRTT / 8, 4 ms, 16 ms), and not a nanosecond less ends the first phase."""
    for extra, phase in ((thresh - 1, SLOW_START), (thresh, CSS)):
        control = Control("cubic")
        rounds(control, rtt, rtt)
        rounds(control, rtt + extra)
        assert control["RttThresh_ns"] in (thresh, (rtt + extra) // 8)
        assert control["hystart_phase"] == phase


@pytest.mark.rfc("9406-02")
def test_eight_samples_decide():
    for samples, phase in ((7, SLOW_START), (8, CSS)):
        control = Control("cubic")
        rounds(control, RTT, RTT)
        rounds(control, RTT + MAX_THRESH, samples=samples)
        assert control["hystart_phase"] == phase


def in_css() -> Control:
    """At the first ACK of a round, the one before it having begun CSS."""
    control = Control("cubic")
    rounds(control, RTT, RTT, RTT + MAX_THRESH)
    assert control["hystart_phase"] == CSS
    return control


@pytest.mark.rfc("9406-03")
def test_conservative_slow_start_grows_a_quarter_as_fast():
    control = in_css()
    before = control.cwnd
    rounds(control, RTT + MAX_THRESH)
    assert control.cwnd == pytest.approx(before * 1.25, abs=MSS)


@pytest.mark.rfc("9406-04")
def test_less_delay_again_was_jitter():
    control = in_css()
    rounds(control, RTT)
    assert control["hystart_phase"] == SLOW_START
    before = control.cwnd
    rounds(control, RTT)
    assert control.cwnd == pytest.approx(2 * before, abs=MSS)


@pytest.mark.rfc("9406-05")
def test_five_rounds_end_slow_start():
    control = in_css()
    for _ in range(4):
        assert control["hystart_phase"] == CSS
        rounds(control, RTT + MAX_THRESH)
    rounds(control, RTT + MAX_THRESH)
    assert control["hystart_phase"] == OFF
    assert control.ssthresh <= control.cwnd < control.ssthresh + 2 * MSS


@pytest.mark.rfc("9406-07")
@pytest.mark.parametrize("sign", ["lose", "mark", "time_out"])
def test_only_the_first_slow_start(sign: str):
    control = Control("cubic")
    rounds(control, RTT)
    getattr(control, sign)()
    assert control["hystart_phase"] == OFF
    control.set(10 * MSS, 1000 * MSS)
    rounds(control, RTT, RTT + MAX_THRESH)
    assert control["hystart_phase"] == OFF
    assert control.cwnd == 40 * MSS
