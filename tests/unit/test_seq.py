"""tcp/seq: sequence numbers against integers that do not wrap (RFC 9293 3.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import lib

WRAP = 2**32
HALF = 2**31
anywhere = st.one_of(st.integers(0, WRAP - 1), st.integers(WRAP - 20, WRAP - 1), st.integers(0, 20))
near = st.integers(-HALF + 1, HALF - 1)


@pytest.mark.rfc("9293-EV-21")
@given(anywhere, near)
def test_order_is_that_of_the_distance(base, distance):
    a, b = base, (base + distance) % WRAP
    assert lib.wb_seq_diff(b, a) == distance
    assert lib.wb_seq_lt(a, b) == (distance > 0)
    assert lib.wb_seq_leq(a, b) == (distance >= 0)
    assert lib.wb_seq_max(a, b) == (b if distance > 0 else a)


@pytest.mark.rfc("9293-EV-21")
@given(anywhere, st.integers(0, WRAP - 1))
def test_addition_wraps(a, n):
    assert lib.wb_seq_add(a, n) == (a + n) % WRAP


@pytest.mark.rfc("9293-EV-21")
@given(anywhere, st.integers(0, HALF), st.integers(-HALF, HALF))
def test_membership_is_half_open(lo, length, distance):
    s = (lo + distance) % WRAP
    inside = (s - lo) % WRAP < length
    assert lib.wb_seq_in(s, lo, length) == inside
    assert not lib.wb_seq_in((lo + length) % WRAP, lo, length)
