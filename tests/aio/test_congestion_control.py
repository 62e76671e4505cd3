"""Congestion controls written in Python, on streams and listeners."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from aio.pairs import B4, two_stacks
from usertcp import CongestionControl, CongestionDecision, CongestionReport, Stack, TCPStream

pytestmark = pytest.mark.anyio
SIZE = 1 << 20


class Window(CongestionControl):
    """Always the same window."""

    def __init__(self, segments: int = 20) -> None:
        self.segments = segments
        self.reports: list[CongestionReport] = []

    def on_report(self, report: CongestionReport) -> CongestionDecision | None:
        self.reports.append(report)
        return CongestionDecision(cwnd=self.segments * report.mss)


@asynccontextmanager
async def connected(
    a: Stack, b: Stack, listen: Any = None, connect: Any = None
) -> AsyncIterator[tuple[TCPStream, TCPStream]]:
    async with await b.create_tcp_listener(local_port=80, congestion=listen) as multi:
        with anyio.fail_after(10):
            async with (
                await a.connect_tcp(B4, 80, congestion=connect) as stream,
                await multi.listeners[0].accept() as accepted,
            ):
                yield stream, accepted


async def transfer(sender: TCPStream, receiver: TCPStream, size: int = SIZE) -> None:
    got = 0

    async def send() -> None:
        await sender.send(bytes(size))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        while got < size:
            got += len(await receiver.receive())


def name_of(stream: TCPStream) -> str:
    return stream.statistics().congestion_control


async def test_of_a_stream():
    control = Window()
    async with two_stacks() as (a, b), connected(a, b) as (stream, accepted):
        stream.set_congestion(control)
        await transfer(stream, accepted)
        info = stream.statistics()
        assert info.congestion_control == "external"
        assert info.cwnd == 20 * control.reports[0].mss
        assert 0 < len(control.reports) < info.data_segs_out / 4
        count = len(control.reports)
        stream.set_congestion("reno")
        assert name_of(stream) == "reno"
        await transfer(stream, accepted)
        assert len(control.reports) == count
        other = Window(5)
        stream.set_congestion(other)
        stream.set_congestion(control)
        await transfer(stream, accepted)
        assert other.reports == []
        assert len(control.reports) > count


async def test_of_what_connects_and_of_what_is_accepted():
    made: list[Window] = []

    def make() -> Window:
        made.append(Window(12))
        return made[-1]

    control = Window(8)
    async with (
        two_stacks() as (a, b),
        connected(a, b, make, control) as (stream, accepted),
        await a.connect_tcp(B4, 80) as plain,
    ):
        await transfer(stream, accepted)
        await transfer(accepted, stream)
        assert len(made) == 1  # the other one is not accepted yet
        assert stream.statistics().cwnd == 8 * control.reports[0].mss
        assert accepted.statistics().cwnd == 12 * made[0].reports[0].mss
        assert name_of(plain) == "cubic"


async def test_a_listener_whose_factory_raises():
    def make() -> Window:
        raise KeyError("none left")

    async with (
        two_stacks() as (a, b),
        await b.create_tcp_listener(local_port=80, congestion=make) as multi,
    ):
        async with await a.connect_tcp(B4, 80):
            with pytest.raises(KeyError, match="none left"):
                await multi.listeners[0].accept()
        multi.listeners[0].set_congestion("reno")  # type: ignore[attr-defined]
        async with await a.connect_tcp(B4, 80), await multi.listeners[0].accept() as stream:
            assert name_of(stream) == "reno"


async def test_what_is_none_is_refused():
    async with two_stacks() as (a, b), connected(a, b) as (stream, _):
        for wrong in (Window, 7, b"reno"):
            with pytest.raises(TypeError, match="neither a name nor a CongestionControl"):
                stream.set_congestion(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="neither a name nor a CongestionControl"):
                await a.connect_tcp(B4, 80, congestion=wrong)  # type: ignore[call-overload]
        for wrong in (Window(), 7):
            with pytest.raises(TypeError, match="nor makes a CongestionControl"):
                await b.create_tcp_listener(congestion=wrong)  # type: ignore[arg-type]
        bad = Window()
        bad.interval = -1.0  # type: ignore[misc]
        with pytest.raises(ValueError, match=r"interval: .* is negative"):
            stream.set_congestion(bad)
        assert name_of(stream) == "cubic"
        await stream.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            stream.set_congestion(Window())


async def test_what_is_left_after_closing_is_delivered():
    """Without the control, whose window of one segment would take for ever."""
    control = Window(1)
    async with two_stacks() as (a, b), connected(a, b, None, control) as (stream, accepted):
        await stream.send(bytes(SIZE))
        await stream.aclose()
        count, got = len(control.reports), 0
        async for data in accepted:
            got += len(data)
        assert got == SIZE
        assert len(control.reports) == count
        assert a.statistics().counters["congestion_failed"] == 0


async def test_one_that_raises_is_logged_and_counted(caplog):
    class Raises(Window):
        def on_report(self, report: CongestionReport) -> CongestionDecision | None:
            super().on_report(report)
            raise ZeroDivisionError

    control = Raises()
    async with two_stacks() as (a, b), connected(a, b, None, control) as (stream, accepted):
        with caplog.at_level(logging.ERROR, "usertcp"):
            await transfer(stream, accepted)
        assert len(control.reports) == 1
        assert "ZeroDivisionError" in caplog.text
        assert name_of(stream) == "cubic"
        assert a.statistics().counters["congestion_failed"] == 1
        assert b.statistics().counters["congestion_failed"] == 0


async def test_a_stack_that_ends_under_its_controls():
    control = Window()
    async with two_stacks() as (a, b), connected(a, b, Window, control) as (stream, accepted):
        await transfer(stream, accepted)
        await a.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            stream.set_congestion(control)
