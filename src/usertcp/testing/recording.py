"""Recording: the segments that one host sees, from a pcapng file or out of a simulation."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from usertcp.testing._pcapng import read_pcapng
from usertcp.testing._series import Sample, Seen, Series, compute
from usertcp.testing.packets import ACK, SYN, PacketError, Segment, decode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from usertcp._info import ConnectionInfo
    from usertcp.testing.hosts import Host
    from usertcp.testing.simulator import SimHost

    End = tuple[str, int]

__all__ = ["Recording"]

_LIMIT = 1_000_000


class _Flow:
    """A connection: its first end is ours, or where it is not known whose, who came first."""

    def __init__(self, first: End, second: End) -> None:
        self.ends = (first, second)
        self.segments: list[Seen] = []
        self.samples: list[Sample] = []
        self.isn: dict[bool, int] = {}  # by direction

    def is_over(self, segment: Segment, *, forth: bool) -> bool:
        """Whether that is the SYN of another connection between the same two ends."""
        if segment.flags & (SYN | ACK) != SYN:
            return False
        return bool(self.segments) and self.isn.get(forth) != segment.seq

    @property
    def bytes(self) -> int:
        return sum(one.length for one in self.segments)


class Recording:
    """The TCP segments that a host sends and gets, by connection, for `plot`.

        recording = Recording(host)                  # of a `Simulator` or a `Network`, from now on
        recording = Recording.read("it.pcapng")

    Of a host of a simulation cwnd, ssthresh, SRTT and the state are recorded as well. A million
    segments are kept; `missed` counts those beyond, `unread` packets that are none of TCP's or
    broken.
    """

    def __init__(self, host: SimHost | Host | None = None) -> None:
        self.missed: int = 0
        self.unread: int = 0
        self._kept = 0
        self._flows: list[_Flow] = []
        self._current: dict[tuple[End, End], _Flow] = {}
        if host is not None:
            host.recordings.append(self)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """From a pcapng file. `OSError` when it cannot be read, `ValueError` when it is none."""
        made = cls()
        for packet in read_pcapng(path):
            made.add_packet(packet.at_ns, packet.data, outgoing=packet.outgoing)
        return made

    @property
    def connections(self) -> list[tuple[tuple[str, int], tuple[str, int]]]:
        """Each one's two ends, (address, port), in the order they began; ours first."""
        return [flow.ends for flow in self._flows]

    @property
    def segments(self) -> list[int]:
        """How many segments each connection has."""
        return [len(flow.segments) for flow in self._flows]

    def busiest(self) -> int:
        """The index of the connection with the most data. `ValueError` when there is none."""
        if not self._flows:
            raise ValueError("there is no TCP connection in it")
        return max(range(len(self._flows)), key=lambda index: self._flows[index].bytes)

    def series(self, connection: int | None = None) -> Series:
        """What a picture of it shows; of the busiest when None. `ValueError`: no such one."""
        index = self.busiest() if connection is None else connection
        if not 0 <= index < len(self._flows):
            raise ValueError(f"connection {index}: there are {len(self._flows)}, from 0 on")
        flow = self._flows[index]
        return compute(flow.segments, flow.samples)

    # -- adding -----------------------------------------------------------------------------------

    def add_packet(self, at_ns: int, data: bytes, *, outgoing: bool | None = None) -> None:
        """An IP packet, in the order they pass; `outgoing` is None where it is not known."""
        try:
            packet = decode(data, verify=False)
        except PacketError:
            packet = None
        if packet is None or not isinstance(packet.body, Segment):
            self.unread += 1
            return
        if self._kept >= _LIMIT:
            self.missed += 1
            return
        self._kept += 1
        body = packet.body
        source, target = (str(packet.src), body.sport), (str(packet.dst), body.dport)
        flow, forth = self._flow_of(source, target, body, outgoing)
        if body.flags & SYN:
            flow.isn[forth] = body.seq
        flow.segments.append(_seen(at_ns, forth, body))

    def add_samples(self, at_ns: int, rows: Iterable[ConnectionInfo]) -> None:
        """What the recorded stack's connections are, as `Stack.connections()` tells it."""
        for row in rows:
            flow = self._current.get((row.local, row.remote))
            if flow is not None:
                sample = Sample.of(
                    at_ns, str(row.state), cwnd=row.cwnd, ssthresh=row.ssthresh, srtt_ns=row.srtt_ns
                )
                if not flow.samples or not flow.samples[-1].says(sample):
                    flow.samples.append(sample)

    def _flow_of(
        self, source: End, target: End, segment: Segment, outgoing: bool | None
    ) -> tuple[_Flow, bool]:
        found = self._current.get((source, target)) or self._current.get((target, source))
        if found is not None:
            forth = found.ends[0] == source
            if not found.is_over(segment, forth=forth):
                return found, forth
            self._current.pop(found.ends, None)
        ends = (target, source) if outgoing is False else (source, target)
        flow = self._current[ends] = _Flow(*ends)
        self._flows.append(flow)
        return flow, outgoing is not False

    def summary(self) -> list[dict[str, Any]]:
        """One row for each connection: `index`, `local`, `remote`, `segments`, `bytes`, `flags`."""
        rows: list[dict[str, Any]] = []
        for index, flow in enumerate(self._flows):
            flags = Counter(
                name
                for one in flow.segments
                for bit, name in ((SYN, "SYN"), (1, "FIN"), (4, "RST"))
                if one.flags & bit
            )
            rows.append(
                {
                    "index": index,
                    "local": flow.ends[0],
                    "remote": flow.ends[1],
                    "segments": len(flow.segments),
                    "bytes": flow.bytes,
                    "flags": dict(flags),
                }
            )
        return rows


def _seen(at_ns: int, forth: bool, body: Segment) -> Seen:
    return Seen(
        at_ns, forth, body.seq, body.ack, body.flags, body.window, body.options, len(body.payload)
    )
