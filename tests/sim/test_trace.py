"""Traces in qlog: what each line is, the path of states, episodes of loss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import usertcp
from sim.runs import on_trio
from sim.test_network_programs import on_asyncio
from support.qlog import BDP, RATE, bulk_traced, check, named, path_of
from usertcp.testing import Impairment, Network

MSS = 1448


@pytest.fixture(params=[on_asyncio, on_trio], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


# ---- states --------------------------------------------------------------------------------------


async def hello(net: Network, folder: Path, **options: Any) -> None:
    """A connection that the client closes first."""
    client = net.host(name="client", trace=folder / "client.sqlog", **options)
    server = net.host(name="server", trace=folder / "server.sqlog", **options)
    net.join(client, server, delay=0.01)

    async def answer(stream: usertcp.TCPStream) -> None:
        async with stream:
            await stream.send(await stream.receive())
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()

    async with server:
        listener = await usertcp.create_tcp_listener(local_port=80)
        server.start_soon(listener.serve, answer)
    async with client, await usertcp.connect_tcp("server", 80) as stream:
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"
    await anyio.sleep(130)


def test_the_path_of_states(run, tmp_path: Path):
    """RFC 9293 figures 6 and 12, and figure 5's names."""

    async def main() -> None:
        async with Network(1) as net:
            await hello(net, tmp_path)

    run(main)
    paths, causes = {}, {}
    for name in ("client", "server"):
        events = check(tmp_path / f"{name}.sqlog")
        updates = named(events, "connection_state_updated")
        paths[name] = [updates[0]["old"], *(update["new"] for update in updates)]
        causes[name] = [update["trigger"] for update in updates]
        assert [a["new"] for a in updates[:-1]] == [b["old"] for b in updates[1:]]
        assert len({event["group_id"] for event in events}) == 1
        assert len(named(events, "connection_started")) == 1
        assert named(events, "connection_closed") == [{"trigger": "clean"}]
        assert events[0]["name"] == "connectivity:connection_started"
        assert events[-1]["name"] == "connectivity:connection_closed"
        assert events[0]["data"]["role"] == name
    assert paths["client"] == [
        "CLOSED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED",
    ]  # fmt: skip
    assert causes["client"] == [
        "connect", "SYN,ACK received", "close", "ACK received", "FIN,ACK received", "2 MSL",
    ]  # fmt: skip
    assert paths["server"] == [
        "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED",
    ]  # fmt: skip
    assert causes["server"] == [
        "SYN received", "ACK received", "FIN,ACK received", "FIN,ACK sent", "ACK received",
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_trace(run, tmp_path: Path):
    async def main(folder: Path) -> None:
        async with Network(7) as net:
            await hello(net, folder)

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run(lambda name=name: main(tmp_path / name))
    assert (tmp_path / "one/client.sqlog").read_bytes() == (
        tmp_path / "two/client.sqlog"
    ).read_bytes()


def test_a_refused_and_an_aborted_connection(run, tmp_path: Path):
    async def main() -> None:
        async with Network(1) as net:
            client, server = net.host(trace=tmp_path / "it.sqlog"), net.host(name="server")
            net.join(client, server)
            async with server:
                listener = await usertcp.create_tcp_listener(local_port=80)
            async with client:
                with pytest.raises(OSError, match="attempts failed"):
                    await usertcp.connect_tcp("server", 81)
                stream = await usertcp.connect_tcp("server", 80)
                await anyio.aclose_forcefully(stream)
                stream = await usertcp.connect_tcp("server", 80)
                stream.set_option(usertcp.StreamOption.LINGER, 0)
                await stream.aclose()
            await listener.aclose()

    run(main)
    events = check(tmp_path / "it.sqlog")
    closed = [data["trigger"] for data in named(events, "connection_closed")]
    assert closed[0] == "refused"
    assert "aborted" in closed
    first = named(events, "connection_state_updated")[:2]
    assert [update["new"] for update in first] == ["SYN-SENT", "CLOSED"]
    assert first[1]["trigger"] == "RST,ACK received"


# ---- losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"use_rack": False}, {"use_sack": False}], ids=str)
def test_an_episode_of_loss(tmp_path: Path, options: dict[str, Any]):
    with bulk_traced(tmp_path, *path_of(BDP // 2), **options) as (bulk, path):
        flow = bulk.start("reno")
        bulk.run(8)
        info = bulk.info(flow)
    events = check(path)
    states = named(events, "congestion_state_updated")
    assert states[0] == {"new": "slow_start"}
    begun = [data for data in states if data["new"] == "recovery"]
    assert len(begun) == info.fast_recoveries > 1
    assert {data["trigger"] for data in begun} == {"loss"}
    over = [data for data in states if data.get("old") == "recovery"]
    assert {data["trigger"] for data in over} <= {"recovered", "rto"}
    lost = named(events, "packet_lost")
    if not options:  # RACK says of each byte that it is lost; the others of the first segment
        assert sum(data["length"] for data in lost) == info.bytes_retransmitted
    assert len(lost) >= info.fast_recoveries
    order = [event["name"] for event in events]
    where = next(i for i, e in enumerate(events) if e["data"].get("new") == "recovery")
    assert "recovery:packet_lost" in order[max(0, where - 60) : where + 4]


def test_time_outs_and_probes(tmp_path: Path):
    with bulk_traced(tmp_path, *path_of()) as (bulk, path):
        flow = bulk.start("reno")
        bulk.run(1)
        pipe = bulk.pipes[0]
        before, pipe.impairment = pipe.impairment, Impairment(loss=1.0)
        bulk.run(2)
        pipe.impairment = before
        bulk.run(2)
        info = bulk.info(flow)
    events = check(path)
    timers = [data["timer_type"] for data in named(events, "loss_timer_updated")]
    assert timers.count("rto") == info.rto_count > 1
    assert timers.count("pto") == info.tlp_probes > 0
    assert any(data["trigger"] == "rto_expired" for data in named(events, "packet_lost"))
    windows = [data.get("congestion_window") for data in named(events, "metrics_updated")]
    assert MSS in windows or MSS + 12 in windows


def test_an_undo(tmp_path: Path):
    with bulk_traced(tmp_path, *path_of()) as (bulk, path):
        flow = bulk.start("reno")
        bulk.run(1)
        bulk.pipes[0].impairment = Impairment(delay=0.6, rate=RATE, queue=BDP)
        bulk.run(3)
        info = bulk.info(flow)
    events = check(path)
    assert len(named(events, "spurious_loss")) == info.spurious_recoveries > 0
    order = [event["name"].partition(":")[2] for event in events]
    assert order.index("loss_timer_updated") < order.index("spurious_loss")


def test_marks(tmp_path: Path):
    with bulk_traced(tmp_path, *path_of(mark_above=BDP // 2), ecn=1) as (bulk, path):
        flow = bulk.start("reno")
        bulk.run(8)
        info = bulk.info(flow)
    events = check(path)
    assert len(named(events, "congestion_experienced")) == info.ecn_reductions > 1


def test_metrics_come_once_a_round_trip(tmp_path: Path):
    """Not with every ACK: there is nothing in the way of data that arrives in order."""
    with bulk_traced(tmp_path, *path_of(4 * BDP)) as (bulk, path):
        flow = bulk.start("cubic")
        bulk.run(1)
        segments = bulk.info(flow).data_segs_out
        bulk.run(4)
        sent = bulk.info(flow).data_segs_out - segments
    events = [event for event in check(path) if event["time"] > 1000]
    metrics = named(events, "metrics_updated")
    assert 4 / 0.2 < len(metrics) < 4 / 0.04 + 10
    assert len(metrics) < sent / 30
    assert all(data["latest_rtt"] >= 40 for data in metrics if "latest_rtt" in data)
