"""The engine beside the reference of RFC 9293 3.10: the same calls and segments into both.

After each step what left the engine is held against the reference's reply, and its snapshot against
the reference's variables. Numbers are relative (`support.rfc9293`).
"""

from __future__ import annotations

from typing import Any

from support.rfc7323 import Timed
from support.rfc9293 import Reference
from support.segments import ACK, FIN, NONE, RST, SYN, URG, Reply, Seg, near
from usertcp import State
from usertcp._core import ffi, lib
from usertcp.testing import EngineHarness
from usertcp.testing._engine import Connection, EngineError
from usertcp.testing.notation import describe
from usertcp.testing.packets import Options, Packet, Segment

PORT, PEER_PORT = 80, 40001
ISN = 2**32 - 16  # of both ends: whatever is tested here, numbers wrap
HALF_A_SECOND = 500_000_000
_SHOWN = FIN | SYN | RST | ACK | URG  # ECN's bits and PSH are other tests' affair


class DifferenceError(AssertionError):
    """The two did not do the same."""


class Twin:
    """One connection of an engine with its reference; the window it offers is 4095 bytes."""

    def __init__(
        self,
        *,
        listens: bool = False,
        ipv6: bool = False,
        timestamps: bool = False,
        isns: tuple[int, int] = (ISN, ISN),
        mirrored: bool = False,
        **config: Any,
    ) -> None:
        """`isns`: this end's and the peer's. `mirrored`: this is the end that others have for a
        peer. `config` is the engine's."""
        config = {"challenge_ack_limit": 1000} | config
        network = ("fd00::{}/64" if ipv6 else "10.0.0.{}/24").format
        self.engine = EngineHarness(
            network(1 + mirrored), rcv_buffer=4096, snd_buffer=4096, use_timestamps=timestamps,
            use_window_scale=False, nodelay=True, fixed_isn=isns[0], msl=30, **config,
        )  # fmt: skip
        self.port, self.peer_port = (PEER_PORT, PORT) if mirrored else (PORT, PEER_PORT)
        self.reference = (Timed if timestamps else Reference)(listens=listens)
        self.timestamps = timestamps
        self.log: list[tuple[str, Segment | None]] = []
        self.replaying = False  # steps compared before
        self.connection: Connection | None = None
        self._floor = self.iss = isns[0]  # a later incarnation has another
        self._irs = isns[1]
        self._owed = False
        self._rows = ffi.new("ut_info[4]")
        self.listener = self.engine.listen(self.port) if listens else None
        self._own = self.engine.addresses[0].ip
        self._peer = self._own + (-1 if mirrored else 1)

    def close(self) -> None:
        self.engine.close()

    # -- steps ------------------------------------------------------------------------------------

    def call(self, name: str, *args: Any) -> None:
        """A call of the user: of `Reference` and `Connection` by the same name."""
        self.log.append((f"user {name}{args or ''}", None))
        expected = self.reference.inbox if name == "receive" else b""
        reply = getattr(self.reference, name)(*args)
        if name == "connect":
            self.connection = self.engine.connect(
                str(self._peer), self.peer_port, local_port=self.port
            )
        else:
            self._expect_received(expected, getattr(self._handle(), name), *args)
            if name in ("close", "abort"):
                self.connection = None
        self._compare(reply)

    def arrives(self, s: Seg) -> None:
        """A segment of the peer."""
        wire = self._segment(s)
        self.log.append(("<--", wire))
        before, self._floor = self.reference.state, self.iss
        if before == "TIME-WAIT":
            self._floor += self.reference.nxt
        reply = self.reference.arrives(s)
        if s.flags & SYN and self.reference.state not in (before, "LISTEN", "CLOSED"):
            self.reference.sack_ok = True  # by the option of `_segment`
        self.engine.inject(self._encode(wire))
        self._compare(reply)

    def _handle(self) -> Connection:
        if self.connection is None:
            assert self.listener is not None
            self.connection = self.listener.accept()
        assert self.connection is not None, "no connection to call"
        return self.connection

    def _expect_received(self, expected: bytes, call: Any, *args: Any) -> None:
        try:
            got = call(*args)
        except EngineError as exc:
            got = exc.name
        if isinstance(got, bytes) and got != expected:
            self._differ(f"receive gave {got!r}, not {expected!r}")

    def _seq(self, number: int) -> int:
        return near(number - self.iss, self.reference.nxt)

    def _ack(self, number: int) -> int:
        return near(number - self._irs, self.reference.rcv_nxt)

    # -- the wire ---------------------------------------------------------------------------------

    def _segment(self, s: Seg) -> Segment:
        syn = bool(s.flags & SYN)
        ts = (s.ts % 2**32, 0) if self.timestamps and s.ts is not None else None
        options = Options(mss=1460 if syn else None, sack_permitted=syn, timestamps=ts)
        return Segment(
            sport=self.peer_port, dport=self.port, seq=(self._irs + s.seq) % 2**32,
            ack=(self.iss + s.ack) % 2**32 if s.flags & ACK else 0, flags=s.flags, window=s.window,
            urgent=s.urgent, payload=s.data, options=options,
        )  # fmt: skip

    def packet(self, s: Seg) -> bytes:
        """The IP packet that carries it."""
        return self._encode(self._segment(s))

    def _encode(self, segment: Segment) -> bytes:
        return Packet(src=self._peer, dst=self._own, body=segment).encode()

    # -- comparing --------------------------------------------------------------------------------

    def _differ(self, why: str) -> None:
        lines = [f"{why}; state {self.reference.state}"]
        for arrow, one in self.log:
            bases = (self._irs, self.iss) if arrow == "<--" else (self.iss, self._irs)
            lines.append(f"{arrow} {describe(one, *bases) if one else ''}")
        raise DifferenceError("\n".join(lines))

    def _compare(self, reply: Reply) -> None:
        left = [one.packet.segment for one in self.engine.take()]
        self.log += [("    -->", one) for one in left]
        for one in left:
            if not one.flags & RST:
                ack = self._ack(one.ack) if one.flags & ACK else 0
                self.reference.offered(ack, one.window)
        self._owed = reply.kind == "owed" and not left
        if self.replaying:
            self.iss = next((one.seq for one in left if one.flags & SYN), self.iss)
            return
        self._compare_replies(reply, left)
        self._compare_state()

    def _compare_replies(self, reply: Reply, left: list[Segment]) -> None:
        own = self.reference
        if reply.kind in ("rst", "abort"):
            rst = [one for one in left if one.flags & RST]
            if len(rst) != 1 or not self._is_reset(rst[0], reply):
                self._differ(f"expected {reply}")
            left = [one for one in left if not one.flags & RST]
            reply = NONE
        if any(one.flags & RST for one in left):
            self._differ("an RST that was not expected")
        syns = [one for one in left if one.flags & SYN]
        if reply.kind in ("syn", "syn-ack"):
            wanted = SYN | ACK if reply.kind == "syn-ack" else SYN
            if not len(syns) == len(left) == 1 or syns[0].flags & _SHOWN != wanted:
                self._differ(f"expected one {reply.kind}")
            self._note_isn(syns[0].seq)
        elif syns:
            self._differ("a SYN that was not expected")
        for one in left:
            if one.flags & ACK and self._ack(one.ack) != own.rcv_nxt:
                self._differ(f"ACK of {self._ack(one.ack)}, RCV.NXT is {own.rcv_nxt}")
            self._compare_timestamp(one)
        self._compare_acks(reply, [one for one in left if not one.flags & (SYN | RST)])

    def _compare_timestamp(self, one: Segment) -> None:
        own, ts = self.reference, one.options.timestamps
        if not isinstance(own, Timed) or one.flags & RST or not one.flags & ACK:
            return
        if own.ts_ok != (ts is not None):
            self._differ(f"timestamps {ts}, agreed: {own.ts_ok}")
        if ts is not None and ts[1] != own.ts_recent % 2**32:
            self._differ(f"TSecr is {ts[1]}, TS.Recent {own.ts_recent}")

    def _note_isn(self, isn: int) -> None:
        """After TIME-WAIT beyond all that was used (3.6.1, MAY-2)."""
        if self._floor != self.iss and near(isn, self._floor) < self._floor:
            self._differ("the ISN is below what the connection before used")
        self.iss = isn

    def _is_reset(self, one: Segment, reply: Reply) -> bool:
        if reply.ack is not None:
            wanted = (RST | ACK, 0, (self._irs + reply.ack) % 2**32)
            return (one.flags & _SHOWN, one.seq, one.ack) == wanted
        assert reply.seq is not None
        mask = RST if reply.kind == "abort" else _SHOWN
        return (one.flags & mask, one.seq) == (RST, (self.iss + reply.seq) % 2**32)

    def _compare_acks(self, reply: Reply, left: list[Segment]) -> None:
        """New data and the FIN leave in order; no more than one bare ACK, and only if it is due."""
        own = self.reference
        bare = [one for one in left if not one.length]
        if len(bare) > 1:
            self._differ("two bare ACKs")
        if bare and self._seq(bare[0].seq) != own.nxt:
            self._differ(f"SEQ is {self._seq(bare[0].seq)}, SND.NXT {own.nxt}")
        if reply.kind == "ack" and not left:
            self._differ("an ACK is due")
        if reply.kind == "none" and bare:
            self._differ("an ACK that is not due")
        for one in left:
            self._compare_text(one)
        if left:
            self._compare_blocks(left[-1])

    def _compare_text(self, one: Segment) -> None:
        own, at = self.reference, self._seq(one.seq)
        if own.queue[at - 1 : at - 1 + len(one.payload)] != one.payload:
            self._differ(f"text at {at} is not what was given to send")
        if one.flags & FIN and at + len(one.payload) != own.fin:
            self._differ(f"FIN at {at + len(one.payload)}, not {own.fin}")
        if at + one.length > own.nxt:
            self._differ(f"sent up to {at + one.length}, not {own.nxt}")

    def _compare_blocks(self, one: Segment) -> None:
        """But for a leading D-SACK block (RFC 2883 4), which is not RFC 2018's and takes room."""
        got = [(self._ack(lo), self._ack(hi)) for lo, hi in one.options.sack]
        wanted = list(self.reference.blocks())
        if got:
            (lo, hi), rest = got[0], got[1:]
            if hi <= self.reference.rcv_nxt or any(a <= lo and hi <= b for a, b in rest):
                got, wanted = rest, wanted[: self.reference.sack_room - 1]
        if got != wanted:
            self._differ(f"SACK blocks {got}, not {wanted}")

    def _compare_state(self) -> None:
        row = self._row()
        state = "CLOSED" if row is None else str(State(row.state))
        own = self.reference
        if state == "CLOSED" and own.listens:
            state = "LISTEN"
        if state != own.state:
            self._differ(f"the engine is in {state}")
        if row is None or state == "TIME-WAIT" or (state == "SYN-RECEIVED" and own.passive):
            return
        facts = {
            "SND.UNA": (self._seq(row.snd_una), own.una),
            "SND.NXT": (self._seq(row.snd_nxt), own.nxt),
        }
        if state != "SYN-SENT":
            facts |= {
                "RCV.NXT": (self._ack(row.rcv_nxt), own.rcv_nxt),
                "SND.WND": (row.snd_wnd, own.wnd),
                "readable": (row.rcv_readable, len(own.inbox)),
                "out of order": (row.rcv_out_of_order, len(own.held)),
            }
        for name, (got, wanted) in facts.items():
            if got != wanted:
                self._differ(f"{name} is {got}, not {wanted}")

    def _row(self) -> Any:
        """The `ut_info` of the connection; None when it is CLOSED. Read here, field by field,
        because a `ConnectionInfo` has sixty of them."""
        count = lib.ut_list(self.engine.raw._stack, self._rows, len(self._rows))
        assert count <= len(self._rows)
        found = None
        for row in self._rows[0:count]:
            # A user's handle goes on showing TIME-WAIT when somebody else has the name already.
            if row.state not in (State.LISTEN, State.CLOSED):
                found = row if found is None or row.state != State.TIME_WAIT else found
        return found

    def finish(self) -> None:
        """At the end of a case: the ACK that may be delayed, and the bytes themselves."""
        own = self.reference
        if self._owed:
            self.engine.advance(HALF_A_SECOND)
            left = [one.packet.segment for one in self.engine.take()]
            if not any(self._ack(one.ack) == own.rcv_nxt for one in left):
                self._differ("no ACK within half a second")
        expected = own.inbox
        if expected and own.state not in ("CLOSED", "LISTEN") and not own.gone:
            got = self._handle().receive()
            if got != expected:
                self._differ(f"received {got!r}, not {expected!r}")
