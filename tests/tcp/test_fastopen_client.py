"""TCP Fast Open, the client: RFC 7413 4.2."""

import pytest

from tcp.fastopen import COOKIE, OFFER, introduced
from usertcp.testing import Peer


@pytest.mark.rfc("7413-04", "7413-06")
def test_the_second_connection_carries_data(peer: Peer):
    peer = introduced(peer)
    peer.app.connect(fast_open=True)
    peer.gets_nothing(1.0)
    peer.app.send(b"hello")
    peer.gets("SYN", seq=0, data=b"hello", cookie=COOKIE)
    peer.sends("SYN,ACK", seq=0, ack=6, **OFFER)
    peer.gets("ACK", seq=6, ack=1)
    assert peer.app.info.state.name == "ESTABLISHED"
    assert peer.app.info.syn_data
    assert peer.app.info.bytes_acked == 5
