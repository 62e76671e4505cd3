"""A trace of a stack in qlog: states, losses, recovery, congestion, measurements, line by line.

The engine notes what happens in a ring; each turn of the stack writes what is in it. The file is a
JSON text sequence (RFC 7464) after draft-ietf-quic-qlog-main-schema. Events have the names and
fields of draft-ietf-quic-qlog-quic-events where they say the same of TCP; `docs/recipes/trace.md`
has the table.
"""

import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from usertcp._address import text_of
from usertcp._binding import RawStack, ffi, lib
from usertcp._errors import exception, name_of
from usertcp._info import State

logger = logging.getLogger("usertcp")

CAPACITY: Final = 16384
"""Notes that may wait: some 2.5 MB while a trace is on."""
BATCH: Final = 256
SCHEMA: Final = "https://usertcp.invalid/qlog/tcp"
_RS = "\x1e"
_UNLIMITED = 2**32 - 1  # ssthresh before the first congestion (RFC 5681 3.1)
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
_numbers = itertools.count(1)

Line = tuple[str, dict[str, Any]]


def _ms(ns: int) -> float:
    return ns / 1e6


def _place(endpoint: Any) -> tuple[str, int]:
    return text_of(ffi.buffer(endpoint.ip)[:]), endpoint.port


def _joined(place: tuple[str, int]) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cause(note: Any) -> str:
    """Why a state changed: a call or timer, a segment that came, or one that left."""
    words = []
    if note.call:
        words.append(ffi.string(note.call).decode())
    if note.flags:
        bits = note.flags & 0b10111
        flags = ",".join(name for i, name in enumerate(_FLAGS) if bits >> i & 1)
        words.append(f"{flags or 'data'} {'received' if note.received else 'sent'}")
    return ", ".join(words)


@dataclass(slots=True)
class _Connection:
    """What was told of a connection last, so that only changes are told."""

    metrics: dict[str, float] = field(default_factory=dict)
    congestion: str = ""


def _measured(note: Any) -> dict[str, float]:
    found: dict[str, float] = {
        "congestion_window": note.cwnd,
        "bytes_in_flight": note.flight,
        "pacing_rate": note.pacing_rate * 8,
    }
    if note.ssthresh != _UNLIMITED:
        found["ssthresh"] = note.ssthresh
    if note.srtt_ns:
        found["smoothed_rtt"] = _ms(note.srtt_ns)
        found["rtt_variance"] = _ms(note.rttvar_ns)
        found["min_rtt"] = _ms(note.rtt_min_ns)
        found["rto"] = _ms(note.rto_ns)
    if note.kind == lib.UT_NOTE_METRICS:
        found["latest_rtt"] = _ms(note.lo)
    return found


def _state_of_congestion(note: Any) -> str:
    if note.recovery == 1:
        return "recovery"
    return "slow_start" if note.cwnd < note.ssthresh else "congestion_avoidance"


_TRIGGERS = {
    lib.UT_NOTE_RECOVERY: "loss",
    lib.UT_NOTE_RECOVERED: "recovered",
    lib.UT_NOTE_RTO: "rto",
    lib.UT_NOTE_UNDO: "undo",
    lib.UT_NOTE_ECN: "ecn",
}


class _Writer:
    """Notes to lines."""

    def __init__(self) -> None:
        self._connections: dict[str, _Connection] = {}

    def lines(self, note: Any) -> Iterator[tuple[str, Line]]:
        """(group, (name, data)) of each event that a note is."""
        local, remote = _place(note.local), _place(note.remote)
        group = f"{_joined(local)}-{_joined(remote)}"
        if note.kind == lib.UT_NOTE_STATE:
            for line in self._state(note, group, local, remote):
                yield group, line
            return
        known = self._connections.setdefault(group, _Connection())
        for line in self._event(note):
            yield group, line
        for line in self._changes(note, known):
            yield group, line

    def _state(
        self, note: Any, group: str, local: tuple[str, int], remote: tuple[str, int]
    ) -> Iterator[Line]:
        old, new = State(getattr(note, "from")), State(note.to)
        if old in (State.CLOSED, State.LISTEN) and group not in self._connections:
            self._connections[group] = _Connection()
            yield (
                "connectivity:connection_started",
                {
                    "ip_version": "ipv6" if ":" in local[0] else "ipv4",
                    "protocol": "TCP",
                    "src_ip": local[0],
                    "src_port": local[1],
                    "dst_ip": remote[0],
                    "dst_port": remote[1],
                    "role": "server" if old == State.LISTEN else "client",
                },
            )
        yield (
            "connectivity:connection_state_updated",
            {"old": str(old), "new": str(new), "trigger": _cause(note)},
        )
        if new in (State.CLOSED, State.LISTEN):
            self._connections.pop(group, None)
            error = name_of(note.error).lower() if note.error else "clean"
            yield "connectivity:connection_closed", {"trigger": error}

    @staticmethod
    def _event(note: Any) -> Iterator[Line]:
        kind = note.kind
        if kind in (lib.UT_NOTE_LOST, lib.UT_NOTE_LOST_BY_RTO):
            why = "rto_expired" if kind == lib.UT_NOTE_LOST_BY_RTO else "loss_detection"
            length = note.hi - note.lo
            yield (
                "recovery:packet_lost",
                {"offset": note.lo, "length": length, "trigger": why},
            )
        elif kind in (lib.UT_NOTE_RTO, lib.UT_NOTE_PROBE):
            timer = "rto" if kind == lib.UT_NOTE_RTO else "pto"
            yield (
                "recovery:loss_timer_updated",
                {"event_type": "expired", "timer_type": timer},
            )
        elif kind == lib.UT_NOTE_UNDO:
            yield "recovery:spurious_loss", {}
        elif kind == lib.UT_NOTE_ECN:
            yield "recovery:congestion_experienced", {}

    @staticmethod
    def _changes(note: Any, known: _Connection) -> Iterator[Line]:
        now = _measured(note)
        changed = {name: value for name, value in now.items() if known.metrics.get(name) != value}
        if changed:
            known.metrics.update(changed)
            yield "recovery:metrics_updated", changed
        state = _state_of_congestion(note)
        if state != known.congestion:
            data = {"new": state}
            if known.congestion:
                data["old"] = known.congestion
            if note.kind in _TRIGGERS:
                data["trigger"] = _TRIGGERS[note.kind]
            known.congestion = state
            yield "recovery:congestion_state_updated", data


class TraceFile:
    """A trace that is on, from its making to `close`.

    `OSError` when the file cannot be made; `ValueError` when the stack has a trace already or the
    capacity is none; `MemoryError`.
    """

    def __init__(
        self,
        raw: RawStack,
        path: "str | os.PathLike[str]",
        name: str,
        clock: Callable[[], int],
        *,
        real_time: bool,
        capacity: int = CAPACITY,
    ) -> None:
        if not 0 < capacity <= 1 << 20:
            raise ValueError(f"capacity: {capacity} is not between 1 and {1 << 20} notes")
        code = lib.ut_notes_start(raw._stack, capacity)  # noqa: SLF001
        if code < 0:
            raise exception(code, "a trace of this stack is on already")
        self.path: Path = Path(path)
        self._raw = raw
        self._notes = ffi.new("ut_note[]", BATCH)
        self._missed = ffi.new("uint64_t *")
        self._writer = _Writer()
        self._began = clock()
        self._file: IO[str] | None = None
        try:
            self._file = self.path.open("w", encoding="utf-8")
            self._write(self._header(name, real_time=real_time))
        except BaseException:
            self._end()
            raise

    @staticmethod
    def _header(name: str, *, real_time: bool) -> dict[str, Any]:
        reference = {"clock_type": "monotonic" if real_time else "virtual", "epoch": "unknown"}
        if real_time:
            wall = datetime.now(UTC).isoformat(timespec="milliseconds")
            reference["wall_clock_time"] = wall.replace("+00:00", "Z")
        return {
            "file_schema": "urn:ietf:params:qlog:file:sequential",
            "serialization_format": "application/qlog+json-seq",
            "qlog_version": "0.3",  # for tools that know the draft of that name
            "qlog_format": "JSON-SEQ",
            "title": f"usertcp {name}",
            "trace": {
                "vantage_point": {"name": name, "type": "unknown"},
                "event_schemas": [SCHEMA, "urn:ietf:params:qlog:events:loglevel"],
                "common_fields": {
                    "protocol_type": ["TCP"],
                    "time_format": "relative_to_epoch",
                    "reference_time": reference,
                },
            },
        }

    def _write(self, value: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(f"{_RS}{json.dumps(value, separators=(',', ':'))}\n")

    def drain(self) -> None:
        """Writes what the engine has noted. A file that cannot be written ends the trace, with an
        error in the log: connections go on.
        """
        if self._file is None:
            return
        try:
            self._drain()
        except OSError:
            logger.exception("usertcp: the trace to %s ends here", self.path)
            self._end()

    def _drain(self) -> None:
        count, at = BATCH, self._began
        while count == BATCH:
            count = lib.ut_notes_read(
                self._raw._stack,  # noqa: SLF001
                self._notes,
                BATCH,
                self._missed,
            )
            for i in range(count):
                note: Any = self._notes[i]
                at = note.at_ns
                for group, (name, data) in self._writer.lines(note):
                    self._event(at, name, data, group)
        if missed := self._missed[0]:
            words = f"{missed} records were lost here: more happened in a turn than there is room"
            self._event(at, "loglevel:warning", {"code": missed, "message": words})

    def _event(self, at: int, name: str, data: dict[str, Any], group: str | None = None) -> None:
        event: dict[str, Any] = {"time": _ms(at - self._began), "name": name}
        if group is not None:
            event["group_id"] = group
        self._write({**event, "data": data})

    def close(self) -> None:
        """Writes the rest and closes the file. Idempotent."""
        if self._file is None:
            return
        self.drain()
        self._end()

    @property
    def is_open(self) -> bool:
        """Whether it still writes."""
        return self._file is not None

    def _end(self) -> None:
        lib.ut_notes_stop(self._raw._stack)  # noqa: SLF001
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                logger.exception("usertcp: the end of the trace to %s is lost", self.path)


def trace_path(wanted: "str | os.PathLike[str]") -> Path:
    """Where a trace goes: the file, or a new one of this process in a directory."""
    path = Path(wanted)
    if path.is_dir():
        return path / f"usertcp-{os.getpid()}-{next(_numbers)}.sqlog"
    return path


@contextmanager
def traced(made: TraceFile) -> Iterator[Path]:
    """Until its end; the file is closed however that comes."""
    try:
        yield made.path
    finally:
        made.close()
