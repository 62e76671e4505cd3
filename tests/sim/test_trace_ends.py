"""Traces in qlog: what becomes of what does not fit, and how they end."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import usertcp
from sim.runs import on_trio
from sim.test_network_programs import on_asyncio
from support.bulk import Bulk
from support.qlog import BDP, bulk_traced, check, named, path_of
from usertcp._binding import ffi, lib
from usertcp.testing import Network


@pytest.fixture(params=[on_asyncio, on_trio], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


# ---- what does not fit, and what ends ------------------------------------------------------------


def notes_of(capacity: int) -> tuple[int, int]:
    """How many notes one run left, and how many it says are missing."""
    bulk = Bulk(*path_of(BDP // 2))
    raw = bulk.ends[0].raw._stack
    notes, missed = ffi.new("ut_note[]", 1 << 14), ffi.new("uint64_t *")
    assert lib.ut_notes_start(raw, capacity) == 0
    bulk.start("reno")
    bulk.run(3)
    assert bulk.ends[0].raw.shared[4] <= capacity
    count = lib.ut_notes_read(raw, notes, 1 << 14, missed)
    times = [notes[i].at_ns for i in range(count)]
    assert times == sorted(times)
    assert bulk.ends[0].raw.shared[4] == 0
    told = missed[0]
    assert lib.ut_notes_read(raw, notes, 1 << 14, missed) == 0
    assert missed[0] == 0
    lib.ut_notes_stop(raw)
    bulk.close()
    return count, told


def test_what_does_not_fit_is_counted():
    total, none = notes_of(1 << 14)
    assert none == 0
    assert total > 50
    assert notes_of(10) == (10, total - 10)


def test_the_trace_says_what_is_missing(tmp_path: Path):
    with bulk_traced(tmp_path, *path_of(BDP // 2), capacity=10) as (bulk, path):
        bulk.start("reno")
        bulk.run(3)
    events = check(path)
    (warning,) = named(events, "warning")
    assert warning["code"] == notes_of(10)[1]
    assert events[-1]["name"] == "loglevel:warning"


@pytest.mark.parametrize("capacity", [0, -1, (1 << 20) + 1])
def test_a_capacity_that_is_none(tmp_path: Path, capacity: int):
    with (
        pytest.raises(ValueError, match="capacity: "),
        bulk_traced(tmp_path, *path_of(), capacity=capacity),
    ):
        pass
    assert not (tmp_path / "bulk.sqlog").exists()


def test_of_a_part_of_a_stacks_life(run, tmp_path: Path):
    """A cancellation ends the trace where it ends the program; the stack goes on."""

    async def main() -> None:
        async with Network(1) as net:
            a, b = net.host(name="a"), net.host(name="b")
            net.join(a, b)
            async with b:
                listener = await usertcp.create_tcp_listener(local_port=80)
            async with a:
                stack = usertcp.current_stack()
                memory = stack.statistics().memory_in_use
                with anyio.move_on_after(1):
                    with stack.trace(tmp_path / "first.sqlog") as path:
                        assert path == tmp_path / "first.sqlog"
                        with pytest.raises(ValueError, match="on already"):
                            stack.trace(tmp_path / "other.sqlog")
                        async with await usertcp.connect_tcp("b", 80):
                            await anyio.sleep_forever()
                assert len(check(tmp_path / "first.sqlog")) >= 3
                size = path.stat().st_size
                second = await usertcp.connect_tcp("b", 80)
                assert path.stat().st_size == size
                assert stack.engine.shared[4] == 0
                with stack.trace(tmp_path) as path:
                    await second.aclose()
                    await anyio.sleep(1)
                assert path.parent == tmp_path
                assert path.suffix == ".sqlog"
                assert named(check(path), "connection_state_updated")
                assert stack.statistics().memory_in_use < memory + 65536
            await listener.aclose()

    run(main)
    assert not (tmp_path / "other.sqlog").exists()


def test_the_end_of_a_stack_ends_its_trace(tmp_path: Path):
    async def main() -> None:
        opened = usertcp.open_stack(
            "memory:trace", addresses=["10.0.0.1/24"], trace=tmp_path / "it.sqlog"
        )
        async with opened as stack:
            with pytest.raises(ValueError, match="on already"):
                stack.trace(tmp_path / "other.sqlog")
            await anyio.sleep(0.01)
        with pytest.raises(anyio.ClosedResourceError):
            stack.trace(tmp_path / "other.sqlog")

    anyio.run(main)
    check(tmp_path / "it.sqlog", clock="monotonic")


def test_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USERTCP_TRACE", str(tmp_path))

    async def main() -> None:
        for _ in range(2):
            async with usertcp.open_stack("memory:trace", addresses=["10.0.0.1/24"]):
                pass

    anyio.run(main)
    monkeypatch.setenv("USERTCP_TRACE", str(tmp_path / "nowhere" / "it.sqlog"))
    with pytest.raises(ValueError, match=r"USERTCP_TRACE: .*nowhere"):
        anyio.run(main)
    monkeypatch.setenv("USERTCP_TRACE", "")
    anyio.run(main)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    for file in files:
        check(file, clock="monotonic")


def test_a_file_that_cannot_be_made(tmp_path: Path):
    async def main() -> None:
        async with usertcp.open_stack("memory:trace", addresses=["10.0.0.1/24"]) as stack:
            with pytest.raises(FileNotFoundError):
                stack.trace(tmp_path / "nowhere" / "it.sqlog")
            with stack.trace(tmp_path / "it.sqlog"):
                pass
        with pytest.raises(FileNotFoundError):
            async with usertcp.open_stack(
                "memory:trace", addresses=["10.0.0.1/24"], trace=tmp_path / "nowhere" / "it.sqlog"
            ):
                pass

    anyio.run(main)


def test_a_full_disk_ends_the_trace_and_nothing_else(run, caplog):
    async def main() -> None:
        async with Network(1) as net:
            a, b = net.host(name="a"), net.host(name="b")
            net.join(a, b)
            async with b:
                listener = await usertcp.create_tcp_listener(local_port=80)
            async with a:
                stack = usertcp.current_stack()
                with stack.trace("/dev/full"):
                    for _ in range(40):
                        async with await usertcp.connect_tcp("b", 80) as stream:
                            await stream.send(b"x")
                    assert stack.engine.trace is not None
                    assert not stack.engine.trace.is_open
                async with await usertcp.connect_tcp("b", 80) as stream:
                    await stream.send(b"x")
            await listener.aclose()

    with caplog.at_level(logging.ERROR, "usertcp"):
        run(main)
    assert any("the trace to /dev/full ends here" in r.getMessage() for r in caplog.records)
