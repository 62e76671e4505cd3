"""Virtual loops and impaired pipes."""

import asyncio
import os
import random
import time

import pytest

from usertcp.testing import Impairment, Pipe, VirtualLoop, virtual_loop_factory
from usertcp.testing.packets import checksum

SECOND = 1_000_000_000


def run(main):
    with asyncio.Runner(loop_factory=virtual_loop_factory) as runner:
        return runner.run(main)


def test_an_hour_takes_no_time():
    async def main() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - began

    assert run(main()) == pytest.approx(3600)  # pytest's own time-out is far less


def test_timers_keep_their_order():
    async def main() -> list[int]:
        seen: list[int] = []
        loop = asyncio.get_running_loop()
        for delay in (3, 1, 2):
            loop.call_later(delay, seen.append, delay)
        await asyncio.sleep(2.5)
        return seen

    assert run(main()) == [1, 2]


def test_a_ready_descriptor_comes_before_time_moves():
    async def main() -> float:
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        got = loop.create_future()
        loop.add_reader(read, lambda: got.done() or got.set_result(loop.time()))
        loop.call_later(1, os.write, write, b"x")
        loop.call_later(1.5, lambda: None)
        try:
            return await got
        finally:
            loop.remove_reader(read)
            os.close(read)
            os.close(write)

    assert run(main()) == pytest.approx(1)


def test_time_waits_for_threads():
    async def main() -> float:
        loop = asyncio.get_running_loop()
        sleeper = asyncio.create_task(asyncio.sleep(100))
        await asyncio.to_thread(time.sleep, 0.05)
        now = loop.time()
        sleeper.cancel()
        return now

    assert run(main()) == 0


def test_same_program_same_times():
    async def main() -> list[float]:
        rng = random.Random(5)
        loop = asyncio.get_running_loop()
        times = []
        for _ in range(100):
            await asyncio.sleep(rng.random())
            times.append(loop.time())
        return times

    assert run(main()) == run(main())


def test_loop_may_start_later():
    loop = VirtualLoop(start=50.0)
    assert loop.time() == 50.0
    loop.close()


# -- pipes ----------------------------------------------------------------------------------------


def through(count: int = 2000, size: int = 100, step: int = 1_000_000, **kind: float):
    """`count` packets, one each `step` ns: (pipe, [(time, number)])."""
    pipe = Pipe(Impairment(**kind), random.Random(3))  # type: ignore[arg-type]
    out = []
    for number in range(count):
        packet = number.to_bytes(4) + bytes(size - 4)
        out += pipe.offer(packet, number * step)
    return pipe, out


def test_perfect_pipe():
    pipe, out = through()
    assert [(at, int.from_bytes(p[:4])) for at, p in out] == [
        (n * 1_000_000, n) for n in range(2000)
    ]
    assert pipe.statistics.delivered == 2000


def test_delay_and_jitter_keep_order():
    _, out = through(delay=0.1, jitter=0.05)
    assert all(at - n * 1_000_000 >= 0.1 * SECOND for n, (at, _) in enumerate(out))
    assert [at for at, _ in out] == sorted(at for at, _ in out)
    assert len({at - n * 1_000_000 for n, (at, _) in enumerate(out)}) > 100


@pytest.mark.parametrize(("loss", "burst"), [(0.1, 1), (0.1, 4), (0.5, 1)])
def test_loss(loss: float, burst: float):
    pipe, out = through(count=20_000, loss=loss, burst=burst)
    assert 1 - len(out) / 20_000 == pytest.approx(loss, rel=0.2)
    assert pipe.statistics.lost == 20_000 - len(out)


def test_duplicates_corruption_reordering():
    pipe, out = through(duplicate=0.1, corrupt=0.1, reorder=0.1, reorder_delay=0.02)
    assert len(out) == 2000 + pipe.statistics.duplicated
    assert 100 < pipe.statistics.duplicated < 300
    assert 100 < pipe.statistics.corrupted < 300
    order = [int.from_bytes(p[:4]) for _, p in sorted(out, key=lambda pair: pair[0])]
    assert order != sorted(order)


def test_rate_and_queue():
    pipe, out = through(count=100, size=1000, step=0, rate=8_000_000, queue=10_000)
    assert len(out) == 10
    assert pipe.statistics.queue_full == 90
    assert [at for at, _ in out] == [(n + 1) * 1_000_000 for n in range(10)]


def test_marks():
    ect = bytes([0x45, 2]) + bytes(18) + b"data"
    six = bytes([0x60, 0x20]) + bytes(38) + b"data"
    for packet, marked in ((ect, 3), (six, 0x30), (b"\x45" + bytes(19), None)):
        pipe = Pipe(Impairment(mark=1.0), random.Random(1))
        ((_, out),) = pipe.offer(packet, 0)
        assert out[1] == (marked or packet[1])
        assert pipe.statistics.marked == (marked is not None)
        assert marked is None or marked == 0x30 or checksum(out[:20]) == 0


def test_what_finds_a_queue_is_marked_or_lost():
    for packet, marked, lost in ((b"\x45\x02" + bytes(998), 1, 0), (b"\x45" + bytes(999), 0, 1)):
        pipe = Pipe(Impairment(rate=8e6, mark_above=1500), random.Random(1))
        for _ in range(3):
            pipe.offer(packet, 0)
        assert (pipe.statistics.marked, pipe.statistics.lost) == (marked, lost)


def test_mtu():
    pipe, out = through(count=10, size=1000, mtu=999)
    assert not out
    assert pipe.statistics.too_large == 10


def test_same_seed_same_faults():
    kind = {"loss": 0.2, "duplicate": 0.1, "corrupt": 0.1, "jitter": 0.1, "reorder": 0.1}
    assert through(**kind)[1] == through(**kind)[1]
