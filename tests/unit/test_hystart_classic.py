"""HyStart (Ha and Rhee 2011) and what else may be chosen of CUBIC."""

import pytest

from support.congestion import INFINITE, MS, MSS, Control

OFF, SLOW_START = 0, 1
RTT = 100 * MS
LOW_WINDOW = 16


def classic(cwnd: int = 2 * LOW_WINDOW, **choices: int) -> Control:
    control = Control("cubic", **({"hystart": 1} | choices))
    control.set(cwnd * MSS)
    return control


def acks(control: Control, count: int, rtt: int, gap: int = 5 * MS, **how: int) -> None:
    """`count` ACKs with a sample, too far from each other for a train."""
    for _ in range(count):
        control.ack(MSS, after=gap, rtt=rtt, **how)


def new_round(control: Control) -> None:
    """The next ACK is of what left after the first of this round."""
    control.una += 1000 * MSS


@pytest.mark.parametrize(
    ("rtt", "eta"), [(8 * MS, 4 * MS), (40 * MS, 5 * MS), (80 * MS, 10 * MS), (400 * MS, 16 * MS)]
)
def test_delay_that_rose_by_more_than_an_eighth_ends_slow_start(rtt: int, eta: int):
    for extra, phase in ((eta, SLOW_START), (eta + 1, OFF)):
        control = classic()
        acks(control, 4, rtt)
        assert control["RttThresh_ns"] == eta
        new_round(control)
        acks(control, 9, rtt + extra)
        assert control["hystart_phase"] == phase


def test_the_ninth_sample_of_a_round_tells():
    control = classic()
    acks(control, 1, RTT)
    new_round(control)
    acks(control, 8, 2 * RTT)
    assert (control["hystart_phase"], control.ssthresh) == (SLOW_START, INFINITE)
    cwnd = control.cwnd
    acks(control, 1, 2 * RTT)
    assert control["hystart_phase"] == OFF
    assert control.cwnd == control.ssthresh == cwnd  # at once, and not a byte more


def test_one_short_sample_is_enough_to_go_on():
    control = classic()
    acks(control, 1, RTT)
    new_round(control)
    acks(control, 4, 2 * RTT)
    acks(control, 1, RTT)
    acks(control, 20, 2 * RTT)
    assert control["hystart_phase"] == SLOW_START


def test_small_windows_are_left_alone():
    control = classic(4)
    acks(control, 1, RTT)
    acks(control, LOW_WINDOW - 6, 3 * RTT)
    assert control.cwnd == (LOW_WINDOW - 1) * MSS
    assert (control["hystart_phase"], control["rttSampleCount"]) == (SLOW_START, 0)


@pytest.mark.parametrize(("srtt", "share"), [(1 * MS, 2), (100 * MS, 1)])
def test_a_train_of_acks_as_long_as_the_path(srtt: int, share: int):
    """Half a round trip, the way out, where what is acknowledged left at once; all of it where it
    was paced over half a round trip (round trips of 2 ms and more)."""
    control = classic(64)
    acks(control, 1, 40 * MS, srtt=srtt)
    new_round(control)
    control.ack(MSS, after=50 * MS, srtt=srtt)
    begun = control.now
    while control["hystart_phase"] == SLOW_START:
        control.ack(MSS, after=2 * MS, srtt=srtt)
    assert control.now - begun == 40 * MS // share + 2 * MS


def test_a_gap_ends_the_train():
    control = classic(64)
    acks(control, 1, 40 * MS)
    new_round(control)
    acks(control, 4, 0, gap=2 * MS)
    acks(control, 1, 0, gap=3 * MS)
    acks(control, 100, 0, gap=1 * MS)
    assert control["hystart_phase"] == SLOW_START
    new_round(control)
    acks(control, 100, 0, gap=1 * MS)
    assert control["hystart_phase"] == OFF


def test_off_leaves_slow_start_to_loss():
    control = classic(hystart=2)
    assert control["hystart_phase"] == OFF
    for rtt in (RTT, 4 * RTT, 16 * RTT):
        acks(control, 40, rtt)
    assert control.cwnd == (2 * LOW_WINDOW + 120) * MSS
    assert control.ssthresh == INFINITE


@pytest.mark.parametrize(("ssthresh", "left"), [(0, 14), (1, 70)])
def test_ssthresh_of_what_is_in_flight_or_of_cwnd(ssthresh: int, left: int):
    """RFC 9438 4.6: with 20 of 100 segments in flight."""
    for event in ("lose", "mark", "time_out"):
        control = Control("cubic", cubic_ssthresh=ssthresh)
        control.set(100 * MSS)
        getattr(control, event)(20 * MSS)
        assert control.ssthresh == left * MSS
        assert control["W_max"] == 100 * MSS


def test_a_window_that_prr_made_small_is_not_what_was_lost():
    control = Control("cubic", cubic_ssthresh=1)
    control.set(10 * MSS, 70 * MSS)
    control.time_out(90 * MSS)
    assert control.ssthresh == 49 * MSS
