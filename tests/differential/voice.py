"""What the peer hears of a TCP, in words that two runs share, and how it speaks to it.

What each TCP may choose for itself is taken out: sequence numbers count from its ISN, timestamps
are there or not, window scale and window are only looked at for being there and being zero, data
in one go is one run however it is cut, and data sent again is not listened to: when to send it
again is time's, not the program's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from differential.program import FAR, Program, Send
from differential.subjects import OURS, PEER, PORT
from usertcp.testing.packets import ACK, FIN, RST, SYN, URG, Options, Packet, Segment, flags_text
from usertcp.testing.packets import Icmp as IcmpMessage

PEER_ISN = 2**32 - 400  # wraps soon
TS_BASE = 1_000_000
TIMER = 0.9  # seconds: the kernel sends a SYN,ACK again after one


@dataclass
class Voice:
    """What the peer has heard of one TCP, and how it speaks to it."""

    program: Program
    port: int  # the peer's
    isn: int | None = None
    their_port: int = PORT
    high: int = 0  # the highest sequence number heard, relative
    tsval: int = 0
    next: int = 0  # the peer's own, relative
    number: int = 0  # of segments sent
    offered: bool = False
    acked: int | None = None  # the highest acknowledgement heard
    syn_heard: float = 0.0
    most: int = 0  # the end of the peer's data so far, gaps included
    fin: int | None = None  # where the peer said first that its data ends
    last: Packet | None = None

    # -- speaking ---------------------------------------------------------------------------------

    def packet(self, body: Any) -> bytes:
        version = self.program.version
        src, dst = ip_address(PEER[version]), ip_address(OURS[version])
        return Packet(src=src, dst=dst, body=body).encode()

    def about(self, step: Send) -> str:
        """What makes a segment special, beyond what is written in the step."""
        seq = self.next + step.seq
        end = seq + step.length
        is_fin = bool(step.flags & FIN) and not step.flags & (SYN | RST)
        words = (
            " old" if self.offered and not step.flags & SYN and end + is_fin <= self.acked else ""
        )
        contradicts = self.fin is not None and (end > self.fin or (is_fin and end != self.fin))
        if contradicts or (is_fin and end < self.most):
            words += " beyond FIN"
        if abs(step.seq) < FAR:
            self.most = max(self.most, end)
        if is_fin and self.offered and self.fin is None:
            self.fin = end
        return words

    def segment(self, step: Send, options: Options | None = None) -> bytes:
        self.number += 1
        seq = self.next + step.seq
        timestamps = None
        if self.offered and self.program.timestamps and not step.bare:
            timestamps = (TS_BASE - 5000 if step.stale else TS_BASE + self.number, self.tsval)
        extra = b"\x02\x01" if step.wrong == "options" else b""
        body = Segment(
            sport=self.port, dport=self.their_port, seq=PEER_ISN + seq,
            ack=((self.isn or 0) + self.high + step.ack) % 2**32 if step.flags & ACK else 0,
            flags=step.flags, window=step.window, urgent=step.urgent,
            options=options or Options(timestamps=timestamps, extra=extra),
            payload=bytes((seq + i) % 251 for i in range(step.length)),
            checksum=0x1234 if step.wrong == "checksum" else None,
        )  # fmt: skip
        plain = not (step.flags & (SYN | RST) or step.wrong or step.stale or step.seq or step.ack)
        if plain and step.flags & ACK and self.offered:
            self.next += step.length + bool(step.flags & FIN)
        return self.packet(body)

    def syn(self, flags: int) -> bytes:
        """The handshake's, with the program's options."""
        p = self.program
        options = Options(
            mss=p.mss, wscale=p.wscale, sack_permitted=p.sack,
            timestamps=(TS_BASE, self.tsval) if p.timestamps else None,
        )  # fmt: skip
        data = self.segment(Send(flags, window=65535), options)
        self.next, self.offered = 1, True
        return data

    def error(self, kind: str) -> bytes | None:
        """An ICMP error about the last segment; None while there is none."""
        if self.last is None:
            return None
        code4 = {"net": 0, "host": 1, "proto": 2, "port": 3, "prohibited": 10}
        code6 = {"net": (1, 0), "host": (1, 3), "proto": (4, 1), "port": (1, 4),
                 "prohibited": (1, 1), "exceeded": (3, 0)}  # fmt: skip
        body = self.last.encode()[:80]
        if self.program.version == 6:
            return self.packet(IcmpMessage(type=code6[kind][0], code=code6[kind][1], body=body))
        type4, code = (11, 0) if kind == "exceeded" else (3, code4[kind])
        return self.packet(IcmpMessage(type=type4, code=code, body=body))

    # -- listening --------------------------------------------------------------------------------

    def hears(self, packet: Packet) -> str | None:
        """The segment in words; None when it is not listened to."""
        if not isinstance(packet.body, Segment):
            return f"{type(packet.body).__name__}"
        s = packet.body
        if s.options.timestamps is not None and not s.flags & RST:
            self.tsval = s.options.timestamps[0]
        new = ""
        if s.flags & SYN and self.isn != s.seq:
            new = "another" if self.isn is not None else ""
            self.isn, self.their_port, self.high = s.seq, s.sport, 0
            self.syn_heard = time.monotonic()
        seq = self._relative(s.seq)
        if s.flags & ACK:
            ack = _signed(s.ack - PEER_ISN)
            self.acked = ack if self.acked is None else max(self.acked, ack)
        if not s.flags & RST:
            self.last = packet
            if self._is_again(s, seq):
                return None
            if seq is not None:
                self.high = max(self.high, seq + s.length)
        return f"{self._words(packet, s, seq)} {new}".rstrip()

    def _relative(self, seq: int) -> int | None:
        if self.isn is None:
            return None
        near = (seq - self.isn - self.high + 2**31) % 2**32 - 2**31
        return self.high + near

    def _is_again(self, s: Segment, seq: int | None) -> bool:
        """Data, SYN or FIN for another time, or a probe of one byte or none before the data."""
        if seq is None or self.high == 0:
            return False
        if s.flags & SYN:  # a SYN,ACK again answers something, unless it is long after the last
            late = time.monotonic() - self.syn_heard > TIMER
            self.syn_heard = time.monotonic()
            return seq < self.high and (late or not s.flags & ACK)
        if s.length and seq + s.length <= self.high:
            return True
        return not s.length and seq < self.high - 1

    def _words(self, packet: Packet, s: Segment, seq: int | None) -> str:
        if s.flags & (RST | ACK) == RST | ACK and s.seq == 0:
            seq = None  # RFC 9293 3.10.7.1: to a segment without an ACK
        where = f"seq={seq}" if seq is not None else f"SEQ={s.seq}"
        words = [flags_text(s.flags & ~8), where]  # PSH is advice
        if s.flags & ACK:
            words.append(f"ack={_signed(s.ack - PEER_ISN)}")
        if s.payload:
            words.append(f"data={s.payload.hex()}")
        if s.window == 0 and not s.flags & RST:
            words.append("win=0")
        if s.flags & URG:
            words.append(f"urp={s.urgent}")
        words += [self._options(s), *self._header(packet)]
        return " ".join(filter(None, words))

    def _options(self, s: Segment) -> str:
        """Their order by kind; MSS and SACK blocks as they are, echoes of our times."""
        kinds = ",".join(str(kind) for kind in s.options.order)
        words = [f"options={kinds}"] if kinds else []
        if s.options.mss is not None:
            words.append(f"mss={s.options.mss}")
        blocks = [(_signed(a - PEER_ISN), _signed(b - PEER_ISN)) for a, b in s.options.sack]
        for number, (left, right) in enumerate(blocks):
            inside = any(lo <= left and right <= hi for lo, hi in blocks[1:2])
            again = number == 0 and (right <= _signed(s.ack - PEER_ISN) or inside)
            words.append(f"{'dsack' if again else 'sack'}={left}:{right}")  # RFC 2883 4
        if s.options.timestamps is not None and s.flags & ACK:
            words.append(f"ecr={s.options.timestamps[1] - TS_BASE}")
        return " ".join(words)

    def _header(self, packet: Packet) -> list[str]:
        found = []
        if packet.ttl != 64:
            found.append(f"ttl={packet.ttl}")
        if packet.tos:
            found.append(f"tos={packet.tos}")
        if packet.src.version == 4 and not packet.dont_fragment:
            found.append("may-fragment")
        return found


def _signed(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def joined(lines: list[str]) -> list[str]:
    """Data that goes on where the line before ended is one run, as if sent at once."""
    out: list[str] = []
    for line in lines:
        head, data, tail = _cut(line)
        if out and data is not None:
            before, had, last = _cut(out[-1])
            if had is not None and last == tail and _follows(before, had, head):
                flags = head.split()[0]
                place = before.split(maxsplit=1)[1]
                out[-1] = f"{flags} {place} data={had}{data}" + (f" {tail}" if tail else "")
                continue
        out.append(line)
    return out


def may_become(heard: list[str], wanted: list[str]) -> bool:
    """Whether more of what follows could make them equal."""
    if len(heard) > len(wanted) or heard[:-1] != wanted[: len(heard) - 1]:
        return False
    if not heard or heard[-1] == wanted[len(heard) - 1]:
        return True
    (_, data, _), (_, more, _) = _cut(heard[-1]), _cut(wanted[len(heard) - 1])
    return data is not None and more is not None and more.startswith(data)


def _cut(line: str) -> tuple[str, str | None, str]:
    head, found, rest = line.partition(" data=")
    if not found:
        return line, None, ""
    data, _, tail = rest.partition(" ")
    return head, data, tail


def _follows(before: str, data: str, head: str) -> bool:
    a, b = before.split(), head.split()
    if not a[1].startswith("seq=") or not b[1].startswith("seq=") or a[2:] != b[2:]:
        return False
    return int(a[1][4:]) + len(data) // 2 == int(b[1][4:]) and a[0] == "ACK"
