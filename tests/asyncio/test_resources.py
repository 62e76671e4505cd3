"""What is left when connections are gone: no descriptors, no objects, no memory in C."""

import asyncio
import gc
import os

from support.asyncio_pairs import (
    B4,
    Buffered,
    Recorder,
    eventually,
    handled,
    join,
    joined,
    listening,
    on,
    on_loops,
    spins,
    two_stacks,
)  # fmt: skip
from usertcp.asyncio import Socket, Transport


def count(kind: type) -> int:
    gc.collect()
    return sum(type(found) is kind for found in gc.get_objects())


@on_loops
async def test_nothing_is_left():
    async with two_stacks(max_time_wait=1) as stacks:
        before = len(os.listdir("/proc/self/fd"))
        memory = stacks.a.statistics().memory_in_use
        for i in range(60):
            a, pa, b, pb, _ = await join(stacks, Buffered() if i % 2 else None)
            a.get_extra_info("socket").fileno()
            b.get_extra_info("socket").fileno()
            a.write(bytes(300_000))
            if i % 3:
                a.close()
                await pb.lost
            else:
                b.abort()
            await pa.lost
        del a, pa, b, pb
        await spins()
        assert len(os.listdir("/proc/self/fd")) == before
        assert count(Transport) == count(Socket) == 0
        live = {"ESTABLISHED", "CLOSE_WAIT", "LISTEN"}
        await eventually(lambda: not [c for c in stacks.a.connections() if c.state.name in live])
        kept = 4_500_000  # a ring of each kind, for the next
        assert stacks.a.statistics().memory_in_use < memory + kept


@on_loops
async def test_a_server_takes_over_a_socket_that_listens_already():
    loop = asyncio.get_running_loop()
    async with two_stacks() as stacks:
        sock = await listening(stacks.b)
        with on(stacks.a):
            a, pa = await loop.create_connection(Recorder, *sock.getsockname())
        await asyncio.sleep(0.01)
        made = []
        with on(stacks.b):
            server = await loop.create_server(lambda: made.append(Recorder()) or made[0], sock=sock)
        a.write(b"hello")
        await eventually(lambda: bool(made) and made[0].data == b"hello")
        a.close()
        await pa.lost
        server.close()
        await server.wait_closed()


@on_loops
async def test_a_turn_survives_an_error_that_nobody_foresaw():
    async with joined() as (a, pa, b, _, stacks):
        with handled() as contexts:
            a._context = None
            b.write(b"x")
            assert isinstance(await pa.lost, AttributeError)
        assert contexts
        assert not stacks.a.engine.failed
        with on(stacks.b):
            server = await asyncio.get_running_loop().create_server(Recorder, B4, 0)
        server.close()
