"""RFC 7323's timestamps on top of `support.rfc9293`: PAWS, and which one is echoed."""

from __future__ import annotations

from support.rfc9293 import Reference
from support.segments import ACK, ANSWER, FIN, MAY, NONE, RST, SYN, Reply, Seg


def is_older(ts: int, than: int) -> bool:
    """5.2: before, in the order of the circle."""
    return (ts - than) % 2**32 >= 2**31


class Timed(Reference):
    """An end that wants timestamps and gets them when the peer's SYN has one."""

    def _delete(self) -> None:
        super()._delete()
        self.ts_ok = False
        self.ts_recent = 0
        self.last_ack = 0

    def key(self) -> tuple[object, ...]:
        return (*super().key(), self.ts_ok, self.ts_recent, self.last_ack)

    def offered(self, ack: int, window: int) -> None:
        super().offered(ack, window)
        self.last_ack = ack

    def _note_syn(self, s: Seg) -> None:
        super()._note_syn(s)
        if s.ts is not None:
            self.ts_ok, self.ts_recent, self.sack_room = True, s.ts, 3

    def _first_to_fourth(self, s: Seg) -> Reply | None:
        """5.3, R1, comes before the sequence number. An RST needs none (5.2)."""
        if self.ts_ok and not s.flags & RST:
            if s.ts is None:
                return self._without(s)
            if is_older(s.ts, self.ts_recent):
                # CHOICE: as in RFC 9293's first step.
                return NONE if self._is_record and s.length == 0 else ANSWER
        return super()._first_to_fourth(s)

    def _without(self, s: Seg) -> Reply | None:
        """3.2: dropped, and not answered."""
        if self._is_half_open and s.seq == self.irs and s.flags & (SYN | ACK) == SYN:
            return Reply("syn-ack")  # CHOICE: who sends its SYN again may leave options away
        if self.state == "TIME-WAIT":
            return super()._first_to_fourth(s) or MAY  # CHOICE: not looked at there
        return NONE

    def _is_new_connection(self, s: Seg) -> bool:
        """RFC 6191 2: the timestamp decides, unless it is the same or missing."""
        if not self.ts_ok or s.ts is None or s.ts == self.ts_recent:
            return super()._is_new_connection(s)
        new = self.state == "TIME-WAIT" and s.flags & (SYN | ACK | RST | FIN) == SYN
        return new and self.listens and not is_older(s.ts, self.ts_recent)

    def _check_ack(self, s: Seg) -> Reply | None:
        """4.3 (2) to (3); CHOICE: TS.Recent is not touched before the ACK is believed."""
        before = self.state
        reply = super()._check_ack(s)
        closed = before == "CLOSING" and self.state == "TIME-WAIT"
        believed = before != "TIME-WAIT" and (reply is None or closed)
        if believed and self.ts_ok and s.ts is not None and s.seq <= self.last_ack:
            self.ts_recent = s.ts  # not older, or it would not be here
        return reply
