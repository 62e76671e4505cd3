"""The other end of a stack's connection, on a memory link that segments and vouches."""

import ipaddress

from usertcp._address import ANY, pack_text
from usertcp._binding import RawStack
from usertcp._config import StackConfig, seed_words
from usertcp.testing._memory import MemoryLink
from usertcp.testing.packets import ACK, ECE, SYN, Options, Packet, Segment, decode

NOW = 1_000_000_000_000
MSS = 1000


class Far:
    """`own` is the stack's address, `host` this end's; the connection is open."""

    def __init__(
        self, own: str, host: str, *, ecn: int = 0, wscale: int | None = None, capture: str = ""
    ) -> None:
        self.link = MemoryLink(offload=True)
        settings = StackConfig(ecn=ecn, nodelay=True).engine_fields() | {"mtu": 1500}
        self.raw = RawStack(self.link, settings, seed_words(1), capture or None)
        self.own, self.host = ipaddress.ip_address(own), ipaddress.ip_address(host)
        packed = pack_text(own), pack_text(host)
        assert packed[0] is not None
        assert packed[1] is not None
        self.raw.address_add(packed[0], 24 if self.own.version == 4 else 64, 0, NOW)
        self.raw.poll_events(NOW, 64)
        while self.link.read():
            pass  # what IPv6 says of a new address
        code, self.handle = self.raw.connect((ANY, 0), (packed[1], 80), NOW)
        assert code == 0
        self.acked = 0
        ((syn, _, _),) = self.frames()
        self.port, self.iss = syn.segment.sport, syn.segment.seq
        self.sends(SYN | ACK | ECE * ecn, options=Options(mss=MSS, wscale=wscale))

    def frames(self) -> list[tuple[Packet, int, int]]:
        """What the stack has sent, with gso_size and flags of each."""
        found = []
        while data := self.link.read():
            found.append((decode(data, verify=False), self.link.gso_size, self.link.flags))
        return found

    def sends(
        self, flags: int, ack: int = 0, *, offset: int = 0, gso_size: int = 0, **fields: object
    ) -> None:
        """A segment whose text begins at `offset`; a super-segment of so large parts."""
        body = Segment(
            sport=80, dport=self.port, seq=0 if flags & SYN else 1 + offset, flags=flags,
            ack=(self.iss + 1 + ack) % 2**32, **fields,
        )  # fmt: skip
        packet = Packet(src=self.host, dst=self.own, body=body)
        self.link.write(packet.encode(), gso_size=gso_size)
        self.raw.poll_events(NOW, 64)
