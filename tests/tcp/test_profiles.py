"""The profiles: what a stack does where the RFCs leave a choice, or practice has left them."""

import pytest

import usertcp
from usertcp.testing import Peer


@pytest.mark.parametrize(("profile", "delay"), [("linux", 0.04), ("rfc", 0.2)])
def test_delayed_acks_of_a_profile(peer: Peer, profile: str, delay: float):
    peer.configure(profile=profile).establish()
    for n in range(40):  # beyond the quick ACKs of linux
        peer.sends(seq=1 + 100 * n, data=bytes(100))
        sent_at = peer.now
        got = peer.gets_all(within=1)
        peer.app.receive()
    assert [one.at - sent_at for one in got] == pytest.approx([delay], rel=0.01)


def test_an_option_goes_before_the_profile(peer: Peer):
    peer.configure(profile="rfc", rto_min=0.2).establish(rtt=0.01)
    assert peer.app.info.rto_ns == 200_000_000


def test_no_such_profile():
    with pytest.raises(ValueError, match="profile: 'bsd' is not one of linux, rfc"):
        usertcp.StackConfig(profile="bsd").engine_fields()
