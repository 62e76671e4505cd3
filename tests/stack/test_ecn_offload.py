"""CWR on a link that segments: RFC 3168 6.1.2, only the first segment of a super-segment has it."""

import pytest

from stack.far import MSS, NOW, Far
from usertcp.testing.packets import ACK, CWR, ECE

GSO_ECN = 8  # LINK_GSO_ECN of csrc/link/link.h


@pytest.mark.rfc("3168-08")
@pytest.mark.parametrize(("own", "host"), [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
def test_the_mark_goes_with_cwr(own: str, host: str):
    far = Far(own, host, ecn=1)
    far.frames()
    assert far.raw.send(far.handle, bytes(100 * MSS), NOW) == 100 * MSS
    first = far.frames()
    sent = sum(len(packet.segment.payload) for packet, _, _ in first)
    assert sent == 10 * MSS
    assert MSS in [gso_size for _, gso_size, _ in first]
    assert all(packet.tos & 3 == 2 and not flags & GSO_ECN for packet, _, flags in first)
    far.sends(ACK | ECE, ack=MSS)
    assert far.frames() == []
    far.sends(ACK, ack=sent)
    (packet, gso_size, flags), *more = far.frames()
    assert len(packet.segment.payload) > gso_size == MSS
    assert packet.segment.flags & CWR
    assert flags & GSO_ECN
    assert not any(p.segment.flags & CWR or flags & GSO_ECN for p, _, flags in more)
    far.raw.free()
