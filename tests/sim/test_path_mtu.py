"""Paths with a smaller MTU, their routers honest, silent or lying; and MTUs that change."""

import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from sim.runs import on_asyncio, on_trio
from support.bulk import Bulk
from support.transfer import Program, Transfer
from usertcp.testing import SECOND, Impairment, Network, Simulator

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
SIZE = 300_000


@pytest.fixture(params=[on_asyncio, on_trio], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


async def download(too_big: str, mtu: int, **options: Any) -> tuple[float, dict[str, int], int]:
    """(virtual seconds, the sender's counters, its path MTU)."""
    async with Network(seed=5) as net:
        client, server = net.host(name="client"), net.host(name="server", **options)
        net.join(client, server, delay=0.01, mtu=mtu, too_big=too_big)
        async with client.open_stack() as here, server.open_stack() as there:
            listener = await there.create_tcp_listener(local_port=80)
            async with listener, anyio.create_task_group() as group:

                async def send(stream: anyio.abc.ByteStream) -> None:
                    async with stream:
                        await stream.send(bytes(SIZE))

                group.start_soon(listener.serve, send)
                async with await here.connect_tcp("server", 80) as stream:
                    began, got = anyio.current_time(), 0
                    async for chunk in stream:
                        got += len(chunk)
                    took = anyio.current_time() - began
                assert got == SIZE
                group.cancel_scope.cancel()
            found = [row.pmtu for row in there.connections() if row.remote[1]]
            counters = dict(there.statistics().counters)
    return took, counters, max(found, default=0)


def test_routers_that_report(run: Callable[..., Any]):
    took, counters, _ = run(lambda: download("report", 1400))
    assert took < 0.5
    assert counters["pmtu_lowered"] == 1
    assert counters["tcp_rto_count"] == 0


def test_routers_that_say_nothing(run: Callable[..., Any]):
    took, counters, _ = run(lambda: download("silent", 1400))
    assert 1 < took < 10
    assert counters["pmtu_found"] >= 1
    assert counters["pmtu_lowered"] == 0


def hole(mtu: int | None, loss: float, seed: int) -> Bulk:
    """10 ms each way; the same loss each way, of packets of every size."""
    forth = Impairment(delay=0.01, loss=loss, mtu=mtu)
    return Bulk(forth, Impairment(delay=0.01, loss=loss), seed=seed)


@pytest.mark.parametrize(("mtu", "median", "worst"), [(552, 4, 30), (1000, 4, 30), (1400, 2, 15)])
@pytest.mark.rfc("4821-01", "8899-02")
def test_a_black_hole_with_loss(mtu: int, median: float, worst: float):
    """1 % of the packets are lost, too. Seconds for 300 kB; the longest are where the SYN was."""
    took = []
    for seed in range(1, 21):
        bulk = hole(mtu, 0.01, seed)
        try:
            flow = bulk.start()
            began = bulk.now
            while flow.received < SIZE and bulk.now < began + 60 * SECOND:
                bulk.run(0.1)
            took.append((bulk.now - began) / SECOND)
            assert bulk.info(flow).pmtu <= mtu
        finally:
            bulk.close()
    took.sort()
    assert took[len(took) // 2] < median
    assert took[-1] < worst


@pytest.mark.parametrize("loss", [0.02, 0.05])
def test_loss_is_no_black_hole(loss: float):
    for seed in range(1, 11):
        bulk = hole(None, loss, seed)
        try:
            flow = bulk.start()
            for _ in range(60):
                bulk.run(0.5)
                assert not flow.receiver or bulk.info(flow).pmtu == 1500
            assert flow.received > SIZE
        finally:
            bulk.close()


def test_routers_that_lie(run: Callable[..., Any]):
    """At worst the first flight is sent again in smaller segments, and the data arrives."""
    took, counters, _ = run(lambda: download("lie", 600))
    assert took < 2
    assert counters["pmtu_lowered"] <= 1


def test_packets_that_may_be_fragmented_pass(run: Callable[..., Any]):
    took, counters, found = run(lambda: download("silent", 600, path_mtu_discovery=False))
    assert took < 0.5
    assert counters["tcp_rto_count"] == 0
    assert found in (0, 1500)


@BOTH
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.rfc("4821-01", "8899-01")
def test_mtus_that_change_on_the_way(seed: int, ipv6: bool):
    """Whatever the routers say or do not say: everything arrives, once and in order."""
    rng = random.Random(f"mtu {seed} {ipv6}")
    least = 1280 if ipv6 else 552
    addresses = ("fd00::1/64", "fd00::2/64") if ipv6 else ("10.0.0.1/24", "10.0.0.2/24")
    config = {
        "use_sack": rng.random() < 0.8,
        "use_rack": rng.random() < 0.8,
        "use_timestamps": rng.random() < 0.7,
        "mtu_probing": rng.choice((1, 2)),
        "congestion": rng.choice(("cubic", "reno", "bbr")),
        "msl": 1.0,
    }

    def narrow() -> Impairment:
        return Impairment(
            delay=0.01,
            loss=rng.choice((0.0, 0.01)),
            mtu=rng.choice((None, 1500, 1400, 1300, least)),
            too_big=rng.choice(("report", "report", "silent", "lie")),  # type: ignore[arg-type]
        )

    with Simulator(seed) as sim:
        a, b = (sim.host(address, **config) for address in addresses)
        pipes = sim.join(a, b, narrow())

        def change() -> None:
            pipes[0].impairment = narrow()
            sim.call_at(sim.now + round(rng.uniform(0.2, 3.0) * SECOND), change)

        sim.call_at(sim.now + SECOND // 2, change)
        texts = rng.randbytes(400_000), rng.randbytes(50_000)
        programs = [
            Program(host, random.Random(rng.getrandbits(64)), text)
            for host, text in zip((a, b), texts, strict=True)
        ]
        transfer = Transfer(sim, *programs)
        assert transfer.run(sim.now + 600 * SECOND), [one.error for one in programs]
        assert [bytes(one.got) for one in programs] == [texts[1], texts[0]]
        assert [one.error for one in programs] == [None, None]
