"""RFC 9293 section 3.10 in plain Python: what one end does with a segment or a call of its user.

Written from the RFCs and not from csrc/, as slow and literal as they are, to hold the engine
against. One connection; numbers are plain integers: 0 is the ISS here, and 0 is what the test takes
for the peer's. Nothing is retransmitted, no time passes, no congestion window: that is not 3.10.

Also here, because they change what 3.10.7.4 says: RFC 5961 (3.2, 4.2, 5.2), RFC 1337 (F1), RFC 2018
(4). Where the RFCs leave the choice, or the engine deviates with a written reason, the line says
CHOICE.
"""

from __future__ import annotations

from support.segments import (
    ACK,
    ANSWER,
    FIN,
    MAY,
    NONE,
    OWED,
    RST,
    SYN,
    Reply,
    Seg,
    near,
)  # fmt: skip

SYNCHRONIZED = (
    "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"
)  # fmt: skip


class Reference:
    """One end of a connection. `offered` must be told of each window that leaves."""

    def __init__(self, *, listens: bool = False) -> None:
        self.listens = listens
        self._delete()

    def _delete(self) -> None:
        """3.3.1: no TCB. A listener is there for the next connection."""
        self.state = "LISTEN" if self.listens else "CLOSED"
        self.passive = False
        self.sack_ok = False
        self.sack_room = 4
        self.una = self.nxt = 0
        self.queue = b""  # queue[i] has number i + 1
        self.closed = self.gone = False  # CLOSE was called; nobody will read
        self.fin: int | None = None  # number of our FIN
        self.wnd = self.max_wnd = self.wl1 = self.wl2 = 0
        self.irs = self.rcv_nxt = self.edge = self.offer = 0
        self.inbox = b""  # in order, for RECEIVE
        self.held: dict[int, int] = {}  # beyond a gap
        self.arrivals: list[int] = []
        self.peer_fin: int | None = None

    def _enter(self, state: str, reply: Reply = NONE) -> Reply:
        self.state = state
        return reply

    @property
    def is_synchronized(self) -> bool:
        return self.state in SYNCHRONIZED

    def key(self) -> tuple[object, ...]:
        """All that decides what comes next, but for the bytes themselves."""
        return (
            self.state, self.passive, self.sack_ok, self.una, self.nxt, len(self.queue),
            self.closed, self.gone, self.fin, self.wnd, self.max_wnd, self.wl1, self.wl2, self.irs,
            self.rcv_nxt, self.edge, self.offer, len(self.inbox), frozenset(self.held),
            self.peer_fin, self.blocks(),
        )  # fmt: skip

    # -- 3.10.1 to 3.10.6: calls ------------------------------------------------------------------

    def connect(self) -> Reply:
        self.una, self.nxt = 0, 1
        return self._enter("SYN-SENT", Reply("syn"))

    def send(self, data: bytes) -> Reply:
        open_states = ("SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT")
        if self.state in open_states and not self.closed:
            self.queue += data
            self._send()
        return NONE

    def receive(self) -> Reply:
        """3.8.6.2.2: whether the window update is worth a segment is not for here to say."""
        self.inbox = b""
        return MAY

    def shutdown(self) -> Reply:
        """3.10.4, CLOSE; receiving goes on."""
        if self.closed:
            return NONE
        if self.state == "SYN-SENT":
            self._delete()
        elif self.state in ("SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT"):
            # CHOICE: in SYN-RECEIVED the FIN waits until our SYN is acknowledged.
            self.closed = True
            if self.state == "ESTABLISHED":
                self.state = "FIN-WAIT-1"
            self._send()
        return NONE

    def close(self) -> Reply:
        """3.6.1: nobody will read any more; with unread data, an RST (SHLD-3). CHOICE: what lies
        beyond a gap was not acknowledged, and is none."""
        if self.state in SYNCHRONIZED[:-1] and self.inbox:
            return self.abort()
        self.gone = True
        return self.shutdown()

    def abort(self) -> Reply:
        """3.10.5."""
        known = ("SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT")
        reply = Reply("abort", seq=self.nxt) if self.state in known else NONE
        self.gone = True
        if self.state != "TIME-WAIT":  # CHOICE: that lasts, whatever its user does
            self._delete()
        return reply

    def _send(self) -> None:
        """3.7 and 3.8.6: what the window takes; the tests' windows take all or nothing."""
        if self.state not in ("ESTABLISHED", "FIN-WAIT-1", "CLOSE-WAIT", "CLOSING"):
            return
        waiting = len(self.queue) + 1 - self.nxt if self.fin is None else 0
        room = self.una + self.wnd - self.nxt
        if waiting > 0 and room >= waiting:
            self.nxt += waiting
            room, waiting = room - waiting, 0
        if self.closed and self.fin is None and waiting == 0 and room > 0:
            self.fin = self.nxt
            self.nxt += 1
            if self.state == "CLOSE-WAIT":
                self.state = "LAST-ACK"

    def offered(self, ack: int, window: int) -> None:
        """A window has left: RFC 7323 2.4, what was offered once stays acceptable."""
        self.offer = window
        self.edge = max(self.edge, ack + window)

    # -- 3.10.7: SEGMENT ARRIVES ------------------------------------------------------------------

    def arrives(self, s: Seg) -> Reply:
        s = s._replace(seq=near(s.seq, self.rcv_nxt), ack=near(s.ack, self.una))
        match self.state:
            case "CLOSED":
                return self._refuse(s)
            case "LISTEN":
                return self._in_listen(s)
            case "SYN-SENT":
                reply = self._in_syn_sent(s)
            case _:
                reply = self._otherwise(s)
        self._send()
        return reply

    def _refuse(self, s: Seg) -> Reply:
        """3.5.2, group 1: the RST that the sender of `s` will believe."""
        if s.flags & RST:
            return NONE
        if s.flags & ACK:
            return Reply("rst", seq=s.ack)
        return Reply("rst", ack=s.seq + s.length)

    def _in_listen(self, s: Seg) -> Reply:
        """3.10.7.2."""
        if s.flags & RST:
            return NONE
        if s.flags & ACK:
            return self._refuse(s)
        if not s.flags & SYN or s.flags & FIN:  # CHOICE: SYN with FIN means nothing
            return NONE
        self._delete()
        self.passive = True
        self._note_syn(s)
        self.una, self.nxt = 0, 1
        return self._enter("SYN-RECEIVED", Reply("syn-ack"))  # CHOICE: its data is not kept

    def _note_syn(self, s: Seg) -> None:
        self.irs, self.rcv_nxt = s.seq, s.seq + 1
        self.edge = self.rcv_nxt + self.offer
        self.wnd = self.max_wnd = s.window
        self.wl1, self.wl2 = s.seq, s.ack

    def _in_syn_sent(self, s: Seg) -> Reply:
        """3.10.7.3."""
        acked = bool(s.flags & ACK)
        if acked and not self.una < s.ack <= self.nxt:
            return self._refuse(s)
        if s.flags & RST:
            if acked:
                self._delete()
            return NONE
        if not s.flags & SYN or s.flags & FIN:  # CHOICE: as in LISTEN
            return NONE
        self._note_syn(s)
        if not acked:
            return self._enter("SYN-RECEIVED", Reply("syn-ack"))  # CHOICE: its data is not kept
        self.una = s.ack
        self.state = "ESTABLISHED"
        self._take_text(s.seq + 1, s.data)
        return ANSWER

    def _otherwise(self, s: Seg) -> Reply:
        """3.10.7.4, in its order."""
        if self._completes_simultaneous_open(s):
            s = s._replace(flags=s.flags & ~SYN, seq=s.seq + 1)
        elif (reply := self._first_to_fourth(s)) is not None:
            return reply
        if not s.flags & ACK:
            return MAY if self.state == "TIME-WAIT" else NONE  # CHOICE: what it knows it may repeat
        reply = self._check_ack(s)
        if reply is not None:
            return reply
        if self.state == "TIME-WAIT":
            return ANSWER if s.flags & FIN else MAY  # CHOICE: a bare ACK need not be answered
        reply = self._segment_text(s)
        return reply if self.state in ("CLOSED", "LISTEN") else self._check_fin(s, reply)

    def _completes_simultaneous_open(self, s: Seg) -> bool:
        """3.5 figure 7, lines 6 and 7: of the SYN,ACK only the ACK is new."""
        return (
            self.state == "SYN-RECEIVED" and not self.passive and s.seq == self.irs
            and s.flags & (SYN | ACK | RST) == SYN | ACK and s.ack == self.nxt
        )  # fmt: skip

    def _is_acceptable(self, s: Seg) -> bool:
        """3.4, table 6."""
        window = self.edge - self.rcv_nxt
        if s.length == 0:
            if window == 0:
                return s.seq == self.rcv_nxt
            return self.rcv_nxt <= s.seq < self.edge
        if window == 0:
            return False
        last = s.seq + s.length - 1
        # CHOICE: a segment that begins before the window and ends after it has all of it inside.
        return (
            self.rcv_nxt <= s.seq < self.edge
            or self.rcv_nxt <= last < self.edge
            or s.seq < self.rcv_nxt < self.edge <= last
        )

    @property
    def _is_half_open(self) -> bool:
        return self.state == "SYN-RECEIVED" and self.passive

    @property
    def _is_record(self) -> bool:
        return self._is_half_open or self.state == "TIME-WAIT"

    def _first_to_fourth(self, s: Seg) -> Reply | None:
        if self._is_half_open and s.seq == self.irs and s.flags & (SYN | ACK | RST) == SYN:
            return Reply("syn-ack")  # CHOICE: 3.10.7.4 has an ACK; the SYN,ACK says more
        if self._is_new_connection(s):
            return self._reopen(s)
        if not self._is_acceptable(s):
            probe = self.edge == self.rcv_nxt == s.seq
            if not probe or self.state == "TIME-WAIT":
                if s.flags & RST:
                    return NONE
                # CHOICE: these two do not answer what takes no sequence space.
                return NONE if self._is_record and s.length == 0 else ANSWER
            # MUST-66: a closed window still takes RST, ACK and URG.
        if s.flags & RST:
            return self._reset(s)
        if s.flags & SYN:  # RFC 5961 4.2; CHOICE: also in SYN-RECEIVED after a passive OPEN
            return ANSWER
        return None

    def _reset(self, s: Seg) -> Reply:
        """RFC 5961 3.2; in TIME-WAIT RFC 1337's F1."""
        if self.state == "TIME-WAIT":
            return NONE
        if s.seq == self.rcv_nxt:
            self._delete()
            return NONE
        return ANSWER if self.rcv_nxt < s.seq < self.edge else NONE

    def _is_new_connection(self, s: Seg) -> bool:
        """3.6.1 (MAY-2), RFC 6191 2: a SYN beyond all that was received, where somebody listens."""
        new = self.state == "TIME-WAIT" and s.flags & (SYN | ACK | RST | FIN) == SYN
        return new and self.listens and s.seq > self.rcv_nxt

    def _reopen(self, s: Seg) -> Reply:
        self._delete()
        return self._in_listen(s)

    def _check_ack(self, s: Seg) -> Reply | None:
        """Fifth."""
        if self.state == "SYN-RECEIVED":
            if not self.una < s.ack <= self.nxt:
                return self._refuse(s)
            self.state = "FIN-WAIT-1" if self.closed else "ESTABLISHED"
            self.una = s.ack
            self.wnd = s.window
            self.max_wnd = max(self.max_wnd, s.window)
            self.wl1, self.wl2 = s.seq, s.ack
        # RFC 5961 5.2; CHOICE: nor is an ACK older than the connection believed.
        if not max(self.una - self.max_wnd, 1) <= s.ack <= self.nxt:
            return MAY if self.state == "TIME-WAIT" else ANSWER
        if s.ack < self.una:
            return None
        newer = self.wl1 < s.seq or (self.wl1 == s.seq and self.wl2 <= s.ack)
        if newer or s.ack > self.una:  # CHOICE: new data acknowledged makes a segment newer
            self.wnd = s.window
            self.max_wnd = max(self.max_wnd, s.window)
            self.wl1, self.wl2 = max(self.wl1, s.seq), s.ack
        self.una = s.ack
        if self.fin is not None and self.una > self.fin:
            if self.state == "LAST-ACK":
                self._delete()
                return NONE
            after = {"FIN-WAIT-1": "FIN-WAIT-2", "CLOSING": "TIME-WAIT"}
            if self.state == "CLOSING":
                self.state = "TIME-WAIT"
                return MAY
            self.state = after.get(self.state, self.state)
        return None

    def _segment_text(self, s: Seg) -> Reply:
        """Seventh."""
        probe = self.edge == self.rcv_nxt and s.length > 0
        if not s.data:
            return ANSWER if probe else NONE
        if self.state not in ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"):
            return ANSWER if probe else MAY
        if self.gone and max(s.seq, self.rcv_nxt) < min(s.seq + len(s.data), self._limit()):
            self._delete()
            return Reply("rst", seq=s.ack)  # 3.6.1
        return ANSWER if probe else self._take_text(s.seq, s.data)

    def _limit(self) -> int:
        return self.edge if self.peer_fin is None else min(self.edge, self.peer_fin)

    def _take_text(self, seq: int, data: bytes) -> Reply:
        """Trimmed to the window and put in order; what came first stays (CHOICE)."""
        lo, hi = max(seq, self.rcv_nxt), min(seq + len(data), self._limit())
        if lo >= hi:
            return MAY
        gap = lo > self.rcv_nxt or self.held
        for number in range(lo, hi):
            self.held.setdefault(number, data[number - seq])
        ready = bytearray()
        while self.rcv_nxt in self.held:
            ready.append(self.held.pop(self.rcv_nxt))
            self.rcv_nxt += 1
        self.inbox += ready
        self.arrivals.append(lo)
        return ANSWER if gap else OWED  # RFC 5681 4.2

    def _check_fin(self, s: Seg, reply: Reply) -> Reply:
        """Eighth; SHLD-31 for a FIN that something is missing before."""
        at = s.seq + len(s.data)
        # CHOICE: just past the edge it is taken, if text came with it: it needs no room.
        inside = self.rcv_nxt <= at < self.edge or (s.data and at == self.edge)
        if s.flags & FIN and inside:
            if self.peer_fin is None and not self._past(at):
                self.peer_fin = at
            if self.peer_fin == at:
                reply = ANSWER
            elif reply is NONE:
                reply = MAY
        if self.peer_fin is None or self.rcv_nxt != self.peer_fin:
            return reply
        self.rcv_nxt += 1
        self.edge = max(self.edge, self.rcv_nxt)
        after = {"ESTABLISHED": "CLOSE-WAIT", "FIN-WAIT-1": "CLOSING", "FIN-WAIT-2": "TIME-WAIT"}
        return self._enter(after[self.state], ANSWER)

    def _past(self, at: int) -> bool:
        """CHOICE: a FIN before text that came already is not believed."""
        return any(number >= at for number in self.held)

    # -- RFC 2018 ---------------------------------------------------------------------------------

    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Section 4: the run that holds what came last, then those that came before it."""
        found: list[tuple[int, int]] = []
        for number in reversed(self.arrivals if self.sack_ok else ()):
            if number >= self.rcv_nxt:
                lo = hi = number
                while lo - 1 in self.held:
                    lo -= 1
                while hi in self.held:
                    hi += 1
                if (lo, hi) not in found:
                    found.append((lo, hi))
        return tuple(found[: self.sack_room])
