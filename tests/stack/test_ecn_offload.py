"""CWR on a link that segments: RFC 3168 6.1.2, only the first segment of a super-segment has it."""

import ipaddress

import pytest

from usertcp._address import ANY, pack_text
from usertcp._binding import RawStack
from usertcp._config import StackConfig, seed_words
from usertcp.testing._memory import MemoryLink
from usertcp.testing.packets import ACK, CWR, ECE, SYN, Options, Packet, Segment, decode

NOW = 1_000_000_000_000
GSO_ECN = 8  # LINK_GSO_ECN of csrc/link/link.h
MSS = 1000


class Far:
    """The other end of a stack's connection, on a memory link with offload."""

    def __init__(self, own: str, host: str) -> None:
        self.link = MemoryLink(offload=True)
        settings = StackConfig(ecn=1, nodelay=True).engine_fields() | {"mtu": 1500}
        self.raw = RawStack(self.link, settings, seed_words(1))
        self.own, self.host = ipaddress.ip_address(own), ipaddress.ip_address(host)
        packed = pack_text(own), pack_text(host)
        self.raw.address_add(packed[0], 24 if self.own.version == 4 else 64, 0, NOW)
        self.raw.poll_events(NOW, 64)
        while self.link.read():
            pass  # what IPv6 says of a new address
        code, self.handle = self.raw.connect((ANY, 0), (packed[1], 80), NOW)
        assert code == 0
        self.acked = 0
        ((syn, _, _),) = self.frames()
        self.port, self.iss = syn.segment.sport, syn.segment.seq
        self.sends(SYN | ACK | ECE, options=Options(mss=MSS))

    def frames(self) -> list[tuple[Packet, int, int]]:
        """What the stack has sent, with gso_size and flags of each."""
        found = []
        while data := self.link.read():
            found.append((decode(data, verify=False), self.link.gso_size, self.link.flags))
        return found

    def sends(self, flags: int, ack: int = 0, **fields: object) -> None:
        body = Segment(
            sport=80, dport=self.port, seq=0 if flags & SYN else 1, flags=flags,
            ack=(self.iss + 1 + ack) % 2**32, **fields,
        )  # fmt: skip
        self.link.write(Packet(src=self.host, dst=self.own, body=body).encode())
        self.raw.poll_events(NOW, 64)


@pytest.mark.rfc("3168-08")
@pytest.mark.parametrize(("own", "host"), [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
def test_the_mark_goes_with_cwr(own: str, host: str):
    far = Far(own, host)
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
