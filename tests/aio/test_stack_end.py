"""The end of a stack: what was accepted is delivered, peers are answered, the wait is bounded."""

import anyio
import pytest

import usertcp
from aio.pairs import A4, B4, cables, connect, eventually, two_stacks

pytestmark = pytest.mark.anyio


async def test_end_of_the_stack_delivers_what_was_accepted():
    left, right = cables()
    data = bytes(i % 256 for i in range(60_000))
    async with usertcp.open_stack(right, addresses=[f"{B4}/24"]) as b:
        multi = await b.create_tcp_listener(local_port=80)
        async with anyio.create_task_group() as tg:
            got = bytearray()

            async def serve() -> None:
                async with await multi.listeners[0].accept() as stream:
                    await anyio.sleep(0.05)
                    async for part in stream:
                        got.extend(part)

            tg.start_soon(serve)
            async with usertcp.open_stack(left, addresses=[f"{A4}/24"]) as a:
                stream = await a.connect_tcp(B4, 80)
                await stream.send(data)
        assert got == data
        await multi.aclose()


async def test_linger_is_bounded():
    async with two_stacks(rto_initial=0.1) as stacks:
        a, b = await connect(stacks)
        stacks.b.engine.fail(-16)
        await stacks.b.driver.stop()
        await a.send(b"nobody acknowledges this")
        began = anyio.current_time()
        await stacks.a.aclose(linger=0.1)
        assert 0.09 < anyio.current_time() - began < 1
        del b


async def test_a_peer_that_closes_in_answer_is_answered(monkeypatch: pytest.MonkeyPatch):
    """Its FIN comes after ours was acknowledged, when a stack that is gone could not take it."""
    monkeypatch.setattr("usertcp.stacks._ANSWER", 5.0)
    async with two_stacks() as stacks:
        a, b = await connect(stacks)

        async def answer() -> None:
            with pytest.raises(anyio.EndOfStream):
                await b.receive()
            await eventually(stacks.a.engine.awaiting_fin)
            await b.aclose()

        async with anyio.create_task_group() as tg:
            tg.start_soon(answer)
            await a.aclose()
            await stacks.a.aclose()
        await eventually(lambda: not stacks.b.engine.unfinished())


async def test_a_peer_that_does_not_close_is_not_waited_for_long():
    async with two_stacks() as stacks:
        a, b = await connect(stacks)
        await a.aclose()
        with anyio.fail_after(2):  # linger is longer
            await stacks.a.aclose(linger=60)
        await b.aclose()
        await stacks.b.aclose(linger=0)


async def test_linger_is_shielded():
    """A cancelled program still delivers what its streams accepted."""
    async with two_stacks() as stacks:
        a, b = await connect(stacks)
        with anyio.CancelScope() as scope:
            await a.send(b"x" * 30_000)
            scope.cancel()
            await stacks.a.aclose()
        assert scope.cancelled_caught
        assert stacks.a.engine.freed
        with anyio.fail_after(2):
            assert len(b"".join([part async for part in b])) == 30_000
        await b.aclose()


async def test_two_closers():
    async with two_stacks() as stacks, anyio.create_task_group() as tg:
        tg.start_soon(stacks.a.aclose)
        tg.start_soon(stacks.a.aclose)
