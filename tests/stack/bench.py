"""What the tests of stack/ share: a stack with a test playing every host around it, and counting.

`Bench` speaks whole IP packets; `EtherBench` frames, and answers nothing by itself.
"""

import ipaddress
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from usertcp.testing._engine import SECOND, EngineHarness
from usertcp.testing.packets import (
    SYN,
    Address,
    Icmp,
    Options,
    Packet,
    PacketError,
    Segment,
    decode,
    parse_flags,
)

ip = ipaddress.ip_address
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
BROADCAST = b"\xff" * 6
STATION = bytes.fromhex("020000000002")  # of the host that is a Bench's `host`
OTHER = bytes.fromhex("020000000099")
FULL_OFFER = Options(mss=1460, wscale=7, sack_permitted=True, timestamps=(5000, 0))


def changes(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    found = {name: after.get(name, 0) - before.get(name, 0) for name in before | after}
    return {name: value for name, value in found.items() if value}


@contextmanager
def dropped(engine: EngineHarness, **expected: int) -> Iterator[None]:
    """Inside, exactly these drops are counted; connections stay as they are."""
    before, state = engine.drops(), snapshot(engine)
    yield
    assert changes(before, engine.drops()) == expected
    assert snapshot(engine) == state


@contextmanager
def counted(engine: EngineHarness, **expected: int) -> Iterator[None]:
    """Inside, each of these counters moves by that much; others are not looked at."""
    before = engine.counters()
    yield
    found = changes(before, engine.counters())
    assert {name: found.get(name, 0) for name in expected} == expected


def snapshot(engine: EngineHarness) -> list[tuple[object, ...]]:
    """Every connection, listener and record, as far as an intruder must not change it."""
    return sorted(
        (
            *(r.local, r.remote, r.handle, r.state, r.error or ""),
            *(r.iss, r.irs, r.snd_una, r.snd_nxt, r.snd_wnd, r.rcv_nxt),
            *(r.rcv_readable, r.rcv_out_of_order, r.half_open, r.accept_queue),
        )
        for r in engine.raw.list_info()
    )


class Bench:
    """A stack on a link of bare IP packets."""

    def __init__(self, *, ipv6: bool = False, own: str = "", **options: Any) -> None:
        own = own or ("fd00::1/64" if ipv6 else "10.0.0.1/24")
        self.engine = EngineHarness(own, **options)
        self.own = self.engine.addresses[0].ip
        self.host = self.own + 1

    def tcp(
        self,
        flags: str | int,
        *,
        src: Address | None = None,
        dst: Address | None = None,
        **fields: Any,
    ) -> bytes:
        """A packet with a segment of host:40001 to port 80."""
        bits = flags if isinstance(flags, int) else parse_flags(flags)
        made = Segment(**{"sport": 40001, "dport": 80, "flags": bits} | fields)
        return self.packet(made, src=src, dst=dst)

    def packet(self, body: Segment | Icmp | bytes, **fields: Any) -> bytes:
        given = {name: value for name, value in fields.items() if value is not None}
        return Packet(**{"src": self.host, "dst": self.own, "body": body} | given).encode()

    def arrives(self, *packets: bytes) -> list[Packet]:
        """They arrive together; what the stack sends then."""
        self.engine.inject(*packets)
        return self.sent()

    def sent(self) -> list[Packet]:
        return [one.packet for one in self.engine.take()]

    def passes(self, seconds: float) -> list[Packet]:
        self.engine.advance(round(seconds * SECOND))
        return self.sent()

    def syn(
        self, port: int, *, src: Address | None = None, isn: int = 1000, **fields: Any
    ) -> bytes:
        return self.tcp("SYN", src=src, sport=port, seq=isn, **fields)

    def ack_of(self, answer: Packet, **fields: Any) -> bytes:
        """The third segment of a handshake (or an ACK like it)."""
        got = answer.segment
        echo = got.options.timestamps
        options = Options(timestamps=(echo[1] + 1, echo[0])) if echo else Options()
        made = {
            "flags": parse_flags("ACK"), "sport": got.dport, "dport": got.sport,
            "seq": got.ack, "ack": got.end, "options": options,
        }  # fmt: skip
        return Packet(src=answer.dst, dst=answer.src, body=Segment(**made | fields)).encode()

    def opens(self, port: int, *, src: Address | None = None, **fields: Any) -> Packet:
        """A whole handshake with the listener on port 80; returns the SYN,ACK."""
        (answer,) = self.arrives(self.syn(port, src=src, **fields))
        assert flags_of(answer) == "SYN,ACK"
        assert self.arrives(self.ack_of(answer)) == []
        return answer


def flags_of(packet: Packet) -> str:
    from usertcp.testing.packets import flags_text

    return flags_text(packet.segment.flags)


# -- Ethernet -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """An Ethernet frame the stack sent."""

    at: int
    dst: bytes
    src: bytes
    kind: int
    body: bytes

    @property
    def arp(self) -> tuple[int, bytes, str, bytes, str] | None:
        """Operation, sender station and address, target station and address."""
        if self.kind != ARP:
            return None
        op, sha, spa, tha, tpa = struct.unpack("!6xH6s4s6s4s", self.body[:28])
        return op, sha, str(ipaddress.IPv4Address(spa)), tha, str(ipaddress.IPv4Address(tpa))

    @property
    def packet(self) -> Packet | None:
        try:
            return decode(self.body) if self.kind != ARP else None
        except PacketError as exc:
            raise AssertionError(f"a bad packet was sent: {exc}") from exc

    @property
    def ndp(self) -> Icmp | None:
        """A neighbour solicitation or advertisement."""
        packet = self.packet
        if packet is None or not isinstance(packet.body, Icmp):
            return None
        return packet.body if packet.body.type in (135, 136) else None


class EtherHarness(EngineHarness):
    """Frames as they are, in `frames`."""

    def __init__(self, *addresses: str, **options: Any) -> None:
        self.frames: list[Frame] = []
        super().__init__(*addresses, ethernet=True, **options)

    def collect(self) -> None:
        while (data := self.link.read()) is not None:
            kind = int.from_bytes(data[12:14], "big")
            assert data[6:12] == self.link.mac
            self.frames.append(Frame(self.now, data[:6], data[6:12], kind, data[14:]))


class EtherBench(Bench):
    """A stack on Ethernet; its hosts' stations are the test's too."""

    engine: EtherHarness

    def __init__(self, *, ipv6: bool = False, own: str = "", **options: Any) -> None:
        own = own or ("fd00::1/64" if ipv6 else "10.0.0.1/24")
        self.engine = EtherHarness(own, **options)
        self.own = self.engine.addresses[0].ip
        self.host = self.own + 1
        self.mac = self.engine.link.mac

    def frames(self) -> list[Frame]:
        """Sent since the last time."""
        taken = list(self.engine.frames)
        self.engine.frames.clear()
        return taken

    def hears(
        self, body: bytes, *, kind: int = 0, src: bytes = STATION, dst: bytes | None = None
    ) -> list[Frame]:
        """A frame arrives; what the stack sends then. The kind of IP is seen from the packet."""
        kind = kind or (IPV4 if body[0] >> 4 == 4 else IPV6)
        frame = (self.mac if dst is None else dst) + src + struct.pack("!H", kind) + body
        assert self.engine.link.write(frame)
        self.engine.poll()
        return self.frames()

    def after(self, seconds: float) -> list[Frame]:
        self.engine.advance(round(seconds * SECOND))
        return self.frames()

    @property
    def neighbours(self) -> int:
        return self.engine.counters().get("neighbours", 0)


def arp(
    op: int, sender: tuple[bytes, Address], target: Address, target_mac: bytes = bytes(6)
) -> bytes:
    head = struct.pack("!HHBBH", 1, IPV4, 6, 4, op)
    return head + sender[0] + sender[1].packed + target_mac + target.packed


def solicitation(
    target: Address, *, src: Address, dst: Address | None = None, mac: bytes | None = STATION,
    **fields: Any,
) -> bytes:  # fmt: skip
    """To the target's solicited-node group unless `dst` says otherwise."""
    body = target.packed + (b"\x01\x01" + mac if mac else b"")
    group = solicited_node(target) if dst is None else dst
    message = Icmp(type=135, body=body)
    return Packet(**{"src": src, "dst": group, "body": message, "ttl": 255} | fields).encode()


def advertisement(
    target: Address, *, dst: Address, mac: bytes | None = STATION, flags: int = 0x60,
    **fields: Any,
) -> bytes:  # fmt: skip
    """Solicited (0x40) and override (0x20) by default."""
    body = target.packed + (b"\x02\x01" + mac if mac else b"")
    message = Icmp(type=136, rest=flags << 24, body=body)
    return Packet(**{"src": target, "dst": dst, "body": message, "ttl": 255} | fields).encode()


def solicited_node(target: Address) -> Address:
    return ip(ip("ff02::1:ff00:0").packed[:13] + target.packed[13:])


def group_mac(group: Address) -> bytes:
    return b"\x33\x33" + group.packed[12:]


def is_syn(packet: Packet | None) -> bool:
    return packet is not None and isinstance(packet.body, Segment) and packet.segment.flags == SYN
