"""What a congestion control written in Python costs, against those of the engine, in one run.

    python benchmarks/external_control.py             (BYTES=..., ROUNDS=... to change the work)

Two engines on a memory link in virtual time, no event loop: processor time of both ends together,
per data segment. Each round moves the same bytes with every control in turn; told are the medians
of the ratios to `reno` within a round.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from usertcp import CongestionControl, CongestionDecision, CongestionReport, StreamOption
from usertcp._address import ANY, pack_text
from usertcp._binding import RawStack, ffi, lib
from usertcp._config import StackConfig, seed_words
from usertcp._congestion import congestion_index
from usertcp._guide import Guide

BYTES = int(os.environ.get("BYTES", "60000000"))
ROUNDS = int(os.environ.get("ROUNDS", "7"))
STEP = 100_000  # ns between turns: a round trip is two of them
SEGMENTS = 1000  # more than the peer's window, which bounds what is in flight
CHUNK = bytes(1 << 16)


class Fixed(CongestionControl):
    """The least a control can do: the same window, each time."""

    count = 0

    def on_report(self, report: CongestionReport) -> CongestionDecision | None:
        type(self).count += 1
        return CongestionDecision(cwnd=SEGMENTS * report.mss)


class Often(Fixed):
    """Asked with every ACK that comes a microsecond after the last."""

    interval = 1e-6


class Cable:
    def __init__(self) -> None:
        options, error = ffi.new("ut_link_options *"), ffi.new("int *")
        options.mtu = 1500
        self.pointer: Any = lib.ut_link_memory(options, error)

    def release(self) -> Any:
        return self.pointer

    def close(self) -> None: ...


def transfer(choose: Callable[[RawStack, Guide, int, int], object]) -> float:
    """us of processor time per data segment."""
    cables = Cable(), Cable()
    lib.ut_memory_join(cables[0].pointer, cables[1].pointer)
    # The window of the peer bounds what is in flight, so that all controls move the same.
    settings = StackConfig(rcv_buffer=1 << 17).engine_fields() | {"mtu": 1500}
    ends = [RawStack(cable, settings, seed_words(n)) for n, cable in enumerate(cables)]
    addresses = [pack_text(f"10.0.0.{n}") or ANY for n in (1, 2)]
    now = 10**12
    for end, address in zip(ends, addresses, strict=True):
        end.address_add(address, 24, 0, now)
    guide, receiver = Guide(ends[0]), 0
    _, listener = ends[1].listen(ANY, 7, 8, now)
    _, sender = ends[0].connect((ANY, 0), (addresses[1], 7), now)
    while not receiver:
        now += STEP
        for end in ends:
            end.poll_events(now, 64)
        found = ends[1].accept(listener, now)
        receiver = found[0] if isinstance(found, tuple) else 0
    choose(ends[0], guide, sender, now)
    got, began = 0, time.process_time()
    while got < BYTES:
        now += STEP
        while ends[0].send(sender, CHUNK, now) == len(CHUNK):
            pass
        ends[1].poll_events(now, 64)
        while not isinstance(data := ends[1].recv(receiver, 1 << 20, now), int):
            got += len(data)
        ends[0].poll_events(now, 64)
        if ends[0].shared[3]:
            guide.turn(now)
    spent = time.process_time() - began
    info = ends[0].info(sender)
    assert not isinstance(info, int)
    for end in ends:
        end.free()
    return spent * 1e6 / info.data_segs_out


def named(name: str) -> Callable[[RawStack, Guide, int, int], object]:
    index = congestion_index(name)
    return lambda raw, _guide, handle, now: raw.set_option(
        handle, StreamOption.CONGESTION, index, now
    )


def made(kind: type[CongestionControl]) -> Callable[[RawStack, Guide, int, int], object]:
    return lambda _raw, guide, handle, now: guide.attach(handle, kind(), now)


WAYS = {"reno": named("reno"), "cubic": named("cubic"), "bbr": named("bbr"),
        "Python": made(Fixed), "Python, asked with every turn": made(Often)}  # fmt: skip


def main() -> None:
    ratios: dict[str, list[float]] = {name: [] for name in WAYS}
    base: list[float] = []
    for _ in range(ROUNDS):
        took = {name: transfer(way) for name, way in WAYS.items()}
        base.append(took["reno"])
        for name, value in took.items():
            ratios[name].append(value / took["reno"])
    print(f"reno: {statistics.median(base):.2f} us per segment, both ends")
    for name, values in ratios.items():
        print(f"{name:30} {statistics.median(values):.3f}")
    segments = ROUNDS * BYTES / 1448 / 1000
    print(f"calls of on_report per 1000 segments: {Fixed.count / segments:.1f}, "
          f"asked with every turn: {Often.count / segments:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
