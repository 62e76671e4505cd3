"""TCP Fast Open, the server: RFC 7413 4.2."""

import pytest

from tcp.fastopen import OFFER, opened, served
from usertcp.testing import Peer


@pytest.mark.rfc("7413-06")
def test_data_of_the_syn_is_there_before_the_handshake_ends(peer: Peer):
    cookie = served(peer)
    opened(peer, cookie)
    peer.app.accept()
    assert peer.app.info.state.name == "SYN_RECEIVED"
    assert peer.app.receive() == b"hello"
    peer.app.send(b"world")
    peer.gets("PSH,ACK", seq=1, ack=6, data=b"world")
    peer.sends("ACK", ack=6)
    assert peer.app.info.state.name == "ESTABLISHED"
    assert peer.app.info.syn_data
    peer.sends(data=b"more")
    assert peer.app.receive() == b"more"
