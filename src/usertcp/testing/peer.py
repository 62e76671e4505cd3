"""A scripted peer: the test says, segment by segment, what the other side of a connection does.

    peer.establish(sack=True)
    peer.sends(seq=4, data=b"def")
    peer.gets(ack=1, sack=[(4, 7)])

Sequence numbers are relative: 0 is the SYN, 1 the first data byte, of each side. `seq` counts the
sender's bytes, `ack` and `sack` the receiver's. Windows are bytes, scaled for the wire. No time
passes unless the test lets it: `advance`, or `within` of `gets`.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

from usertcp.testing._app import App
from usertcp.testing._engine import SECOND, START, Emitted, EngineHarness
from usertcp.testing._wire import Got, Wire, flag_set
from usertcp.testing.notation import Trace, describe, relative
from usertcp.testing.packets import ACK, RST, SYN, Options, Packet, Segment, parse_flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usertcp.testing.packets import Address, Icmp

    Blocks = Sequence[tuple[int, int]]

TOLERANCE = 1_000  # ns: `within` includes what is due exactly then


class Peer:
    """One connection's other side. The stack is made at its first use, as `configure` said."""

    def __init__(
        self, wire: Wire | None = None, *, port: int = 40001, isn: int = 7_000_000
    ) -> None:
        self.trace: Trace = wire.trace if wire else Trace()
        self.port = port
        self.iss = isn
        self.irs: int | None = None
        self.app: App = App(self)
        self._wire = wire
        self._config: dict[str, Any] = {"nodelay": True}
        self._queue: deque[Emitted] = deque()
        self.reset()

    def reset(self) -> None:
        """A new connection may begin (same ports)."""
        self.irs = None
        self.snd_nxt: int = 0
        self.rcv_nxt: int = 0
        self.scale_out: int | None = None
        self.scale_in: int | None = None
        self.window: int = 65535
        self.use_ts: bool = False
        self.ts_val: int = 1000
        self.ts_recent: int = 0
        self._queue.clear()

    # -- the stack --------------------------------------------------------------------------------

    def configure(self, *, ipv6: bool = False, isn: int | None = None, **options: Any) -> Peer:
        """Before the first use: of the stack (StackConfig, mtu, ethernet, seed); its ISN."""
        assert self._wire is None, "the stack is running"
        self._config = {"nodelay": True} | options | {"ipv6": ipv6}
        if isn is not None:
            self._config["fixed_isn"] = isn
        return self

    @property
    def wire(self) -> Wire:
        """Between the peer and the stack; made at its first use."""
        if self._wire is None:
            options = dict(self._config)
            own = "fd00::1/64" if options.pop("ipv6", False) else "10.0.0.1/24"
            self._wire = Wire(EngineHarness(own, **options), self.trace)
        self._wire.peers[self.host, self.port] = self
        return self._wire

    @property
    def engine(self) -> EngineHarness:
        """The stack's."""
        return self._wire.engine if self._wire is not None else self.wire.engine

    @property
    def stack_host(self) -> Address:
        """The stack's address."""
        return self.engine.addresses[0].ip

    @property
    def host(self) -> Address:
        """The peer's address."""
        six = (
            self._wire.engine.addresses[0].version == 6 if self._wire else self._config.get("ipv6")
        )
        return ipaddress.ip_address("fd00::2" if six else "10.0.0.2")

    def another(self, port: int, isn: int = 9_000_000) -> Peer:
        """A further peer on the same link."""
        peer = Peer(self.wire, port=port, isn=isn)
        peer.app.port = self.app.port
        peer.wire  # noqa: B018 (registers it)
        return peer

    # -- time -------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return (self.engine.now - START) / SECOND

    def advance(self, seconds: float) -> None:
        """Time passes, in seconds."""
        self.trace.note(self.engine.now, f"... {seconds} s")
        self.engine.advance(round(seconds * SECOND))

    # -- sending ----------------------------------------------------------------------------------

    def segment(
        self,
        flags: str | None = None,
        *,
        seq: int | None = None,
        ack: int | None = None,
        data: bytes = b"",
        window: int | None = None,
        sack: Blocks = (),
        ts: tuple[int, int] | bool | None = None,
        mss: int | None = None,
        wscale: int | None = None,
        sack_permitted: bool = False,
        cookie: bytes | None = None,
        urgent: int = 0,
        options: bytes = b"",
        **wrong: int,
    ) -> Segment:
        """A segment as `sends` would send it."""
        bits = parse_flags(("PSH,ACK" if data else "ACK") if flags is None else flags)
        has_ack = bool(bits & ACK)
        ack = self.rcv_nxt if ack is None else ack
        if ts is None or ts is True:
            ts = self.use_ts and not bits & RST and (self.ts_val, self.ts_recent if has_ack else 0)
        window = self.window if window is None else window
        scale = 0 if bits & SYN or self.scale_in is None else self.scale_out or 0
        blocks = tuple((self._theirs(left), self._theirs(right)) for left, right in sack)
        return Segment(
            sport=self.port, dport=self.app.port,
            seq=(self.iss + (self.snd_nxt if seq is None else seq)) % 2**32,
            ack=self._theirs(ack) if has_ack else 0,
            flags=bits, window=min(window >> scale, 65535), payload=data, urgent=urgent,
            options=Options(
                mss=mss, wscale=wscale, sack_permitted=sack_permitted, sack=blocks,
                timestamps=ts or None, cookie=cookie, extra=options,
            ),
            **wrong,
        )  # fmt: skip

    def _theirs(self, number: int) -> int:
        return ((self.irs or 0) + number) % 2**32

    def sends(
        self, flags: str | None = None, *, data: bytes = b"", tos: int = 0, **fields: Any
    ) -> None:
        """A segment arrives at the stack now. Fields not given continue what went before."""
        self.sends_together(self.segment(flags, data=data, **fields), tos=tos)

    def sends_together(self, *segments: Segment, tos: int = 0) -> None:
        """Segments arrive in one batch; `tos`: the traffic class (3: CE) of their packets."""
        packets = []
        for segment in segments:
            if not segment.flags & RST:
                end = relative(segment.end, self.iss)
                self.snd_nxt = max(self.snd_nxt, end)
                if segment.flags & SYN:
                    self._note_own_syn(segment)
            packet = Packet(src=self.host, dst=self.stack_host, body=segment, tos=tos)
            packets.append(packet.encode())
            text = describe(segment, self.iss, self.irs or 0)
            self._trace_line("<--", text)
        self.wire.engine.inject(*packets)

    def _note_own_syn(self, segment: Segment) -> None:
        self.scale_out = segment.options.wscale
        self.window = segment.window
        self.use_ts = segment.options.timestamps is not None

    def sends_packet(self, body: Segment | Icmp | bytes, **fields: Any) -> None:
        """An IP packet of any kind arrives."""
        packet = Packet(**{"src": self.host, "dst": self.stack_host, "body": body} | fields)
        self.trace.note(self.engine.now, f"<-- {body!r:.80}")
        self.wire.engine.inject(packet.encode())

    # -- receiving --------------------------------------------------------------------------------

    def took(self, one: Emitted) -> None:
        """The link brings a segment."""
        segment = one.packet.segment
        if segment.flags & SYN:
            self.irs = segment.seq
            self.scale_in = segment.options.wscale if self.scale_out is not None else None
            if not segment.flags & ACK:
                self.scale_in = segment.options.wscale
        if segment.options.timestamps is not None and not segment.flags & RST:
            self.ts_recent = segment.options.timestamps[0]
        self._queue.append(one)
        self._trace_line("-->", describe(segment, self.irs or 0, self.iss))

    def _trace_line(self, arrow: str, text: str) -> None:
        now = self.engine.now
        self.trace.segment(now, "", f"{arrow} {arrow}", text, f"peer {self.port}")

    def _wait(self, within: float) -> Emitted | None:
        engine = self.engine
        limit = engine.now + round(within * SECOND) + TOLERANCE
        while not self._queue:
            deadline = engine.deadline
            if not within or deadline is None or deadline > limit:
                break
            engine.run(deadline)
        return self._queue.popleft() if self._queue else None

    def _view(self, one: Emitted) -> Got:
        segment = one.packet.segment
        irs = self.irs or 0
        scale = 0 if segment.flags & SYN or self.scale_out is None else self.scale_in or 0
        pairs = segment.options.sack
        return Got(
            at=(one.at - START) / SECOND,
            seq=relative(segment.seq, irs),
            ack=relative(segment.ack, self.iss) if segment.flags & ACK else None,
            flags=flag_set(segment),
            data=segment.payload,
            window=segment.window << scale,
            sack=tuple((relative(a, self.iss), relative(b, self.iss)) for a, b in pairs),
            ts=segment.options.timestamps,
            urgent=segment.urgent,
            packet=one.packet,
        )

    def gets(
        self,
        flags: str | None = None,
        *,
        seq: int | None = None,
        ack: int | None = None,
        len: int | None = None,  # noqa: A002 (the notation's word)
        data: bytes | None = None,
        window: int | None = None,
        sack: Blocks | None = None,
        within: float = 0.0,
        **options: Any,
    ) -> Got:
        """The next segment of the stack, which must be there now (or `within` seconds) and as said.

        `options`: mss, wscale, ts, urgent.
        """
        one = self._wait(within)
        if one is None:
            self.fail(f"expected a segment{f' within {within} s' if within else ''}, got none")
        got = self._view(one)
        size = got.data.__len__()
        facts = {
            "seq": (seq, got.seq),
            "ack": (ack, got.ack),
            "len": (len, size),
            "data": (data, got.data),
            "window": (window, got.window),
            "sack": (None if sack is None else tuple(map(tuple, sack)), got.sack),
            "flags": (
                None if flags is None else frozenset(filter(None, flags.split(","))),
                got.flags,
            ),
        }
        for name, value in options.items():
            found = got if name in ("ts", "urgent") else got.segment.options
            facts[name] = (value, getattr(found, name))
        wrong = [f"{k} is {g!r}, not {w!r}" for k, (w, g) in facts.items() if w not in (None, g)]
        if wrong:
            shown = describe(got.segment, self.irs or 0, self.iss)
            self.fail(f"{shown}: {'; '.join(wrong)}")
        if "RST" not in got.flags:
            self.rcv_nxt = max(self.rcv_nxt, got.end)
        return got

    def gets_nothing(self, within: float = 0.0) -> None:
        """No segment comes now, nor `within` that time, which passes."""
        until = self.engine.now + round(within * SECOND)
        self.engine.run(until)
        if self._queue:
            one = self._queue[0]
            self.fail(
                f"expected nothing, got {describe(one.packet.segment, self.irs or 0, self.iss)}"
            )

    def gets_all(self, within: float = 0.0) -> list[Got]:
        """Everything that comes until now, or `within` that time, which passes."""
        self.engine.run(self.engine.now + round(within * SECOND))
        taken = [self._view(one) for one in self._queue]
        self._queue.clear()
        for got in taken:
            if "RST" not in got.flags:
                self.rcv_nxt = max(self.rcv_nxt, got.end)
        return taken

    def fail(self, why: str) -> NoReturn:
        """`AssertionError` with all that happened so far."""
        raise AssertionError(f"{why}\n\nso far:\n{self.trace}")

    # -- whole exchanges --------------------------------------------------------------------------

    def establish(
        self,
        *,
        passive: bool = False,
        sack: bool = True,
        mss: int | None = 1460,
        wscale: int | None = 7,
        timestamps: bool = False,
        window: int = 65535,
        rtt: float = 0.0,
    ) -> Peer:
        """The three-way handshake; `passive`: the stack listens. The stack's app has it then."""
        self.use_ts = timestamps
        offer: dict[str, Any] = {"mss": mss, "wscale": wscale, "sack_permitted": sack}
        if passive:
            self.app.listen()
            self.sends("SYN", seq=0, window=window, **offer)
            self.gets("SYN,ACK", seq=0, ack=1)
            self._pause(rtt)
            self.sends("ACK", seq=1, ack=1)
            self.app.accept()
        else:
            self.app.connect()
            self.gets("SYN", seq=0)
            self._pause(rtt)
            self.sends("SYN,ACK", seq=0, ack=1, window=window, **offer)
            self.gets("ACK", seq=1, ack=1)
        self.window = window
        if self.app.state != "ESTABLISHED":
            self.fail(f"state is {self.app.state}, not ESTABLISHED")
        return self

    def _pause(self, seconds: float) -> None:
        if seconds:
            self.advance(seconds)

    def close(self) -> None:
        """Frees the stack."""
        if self._wire is not None:
            self._wire.engine.close()
