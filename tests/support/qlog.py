"""Traces in qlog: read, checked line by line, made of bulk flows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import usertcp
from support.bulk import Bulk
from usertcp._trace import TraceFile
from usertcp.testing import Impairment

RATE, DELAY = 20e6, 0.02
BDP = int(RATE * 2 * DELAY / 8)
NUMBER = (int, float)
METRICS = {
    "congestion_window", "ssthresh", "bytes_in_flight", "pacing_rate", "smoothed_rtt",
    "rtt_variance", "min_rtt", "latest_rtt", "rto",
}  # fmt: skip
STATES = {str(state) for state in usertcp.State}
CONGESTION = {"slow_start", "congestion_avoidance", "recovery"}
Event = dict[str, Any]


def read(path: Path) -> tuple[Event, list[Event]]:
    """The header and the events of a JSON text sequence (RFC 7464)."""
    text = path.read_text()
    assert text.endswith("\n")
    pieces = text.split("\x1e")
    assert pieces[0] == ""
    assert all(piece.endswith("}\n") and piece.count("\n") == 1 for piece in pieces[1:])
    header, *events = (json.loads(piece) for piece in pieces[1:])
    return header, events


def check_data(name: str, data: Event) -> None:
    match name:
        case "connectivity:connection_started":
            assert data["role"] in ("client", "server")
            assert data["ip_version"] in ("ipv4", "ipv6")
            assert all(type(data[key]) is int for key in ("src_port", "dst_port"))
            assert len(data) == 7
        case "connectivity:connection_state_updated":
            assert {data["old"], data["new"]} <= STATES
            assert data["trigger"]
            assert len(data) == 3
        case "connectivity:connection_closed":
            assert data.keys() == {"trigger"}
        case "recovery:metrics_updated":
            assert data.keys() <= METRICS
            assert data
            assert all(type(value) in NUMBER and value >= 0 for value in data.values())
        case "recovery:congestion_state_updated":
            assert data["new"] in CONGESTION
            assert data.keys() <= {"old", "new", "trigger"}
            assert data.get("old") != data["new"]
        case "recovery:packet_lost":
            assert data["trigger"] in ("loss_detection", "rto_expired")
            assert data["offset"] >= 0
            assert data["length"] > 0
        case "recovery:loss_timer_updated":
            assert data["event_type"] == "expired"
            assert data["timer_type"] in ("rto", "pto")
        case "recovery:spurious_loss" | "recovery:congestion_experienced":
            assert data == {}
        case "loglevel:warning":
            assert data["code"] > 0
            assert str(data["code"]) in data["message"]
        case _:
            raise AssertionError(name)


def check(path: Path, *, clock: str = "virtual") -> list[Event]:
    """The schema of every line."""
    header, events = read(path)
    assert header["file_schema"] == "urn:ietf:params:qlog:file:sequential"
    assert header["serialization_format"] == "application/qlog+json-seq"
    assert header["qlog_version"] == "0.3"
    trace = header["trace"]
    assert trace["vantage_point"]["type"] == "unknown"
    assert trace["event_schemas"]
    reference = trace["common_fields"]["reference_time"]
    assert reference["clock_type"] == clock
    assert ("wall_clock_time" in reference) == (clock == "monotonic")
    for event in events:
        assert event.keys() - {"group_id"} == {"time", "name", "data"}
        assert ("group_id" in event) == (event["name"] != "loglevel:warning")
        check_data(event["name"], event["data"])
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert all(time >= 0 for time in times)
    return events


def named(events: list[Event], name: str) -> list[Event]:
    return [event["data"] for event in events if event["name"].endswith(f":{name}")]


def path_of(queue: int = BDP, **more: Any) -> tuple[Impairment, Impairment]:
    forth = Impairment(delay=DELAY, rate=RATE, queue=queue, **more)
    return forth, Impairment(delay=DELAY)


@contextmanager
def bulk_traced(
    folder: Path, *ways: Impairment, capacity: int = 1 << 16, **options: Any
) -> Iterator[tuple[Bulk, Path]]:
    """The sending stack, written when the trace ends."""
    bulk, path = Bulk(*ways, **options), folder / "bulk.sqlog"
    trace = TraceFile(
        bulk.ends[0].raw, path, "bulk", lambda: bulk.now, real_time=False, capacity=capacity
    )
    try:
        yield bulk, path
        trace.close()
    finally:
        bulk.close()
