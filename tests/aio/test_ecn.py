"""ECN (RFC 3168) by stack, by connection and by listener."""

import anyio
import pytest

from aio.pairs import B4, two_stacks
from usertcp import StreamOption

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("stack", "connect", "listen", "agreed"),
    [
        (None, None, None, 0), (1, None, None, 2), (1, False, None, 0), (None, True, None, 2),
        (0, True, None, 0), (1, None, False, 0), (1, None, True, 2), (0, True, True, 0),
    ],
)  # fmt: skip
async def test_who_asks_and_who_agrees(
    stack: int | None, connect: bool | None, listen: bool | None, agreed: int
):
    with anyio.fail_after(5):
        async with (
            two_stacks(ecn=stack) as (a, b),
            await b.create_tcp_listener(local_port=80, ecn=listen) as multi,
            await a.connect_tcp(B4, 80, ecn=connect) as stream,
            await multi.listeners[0].accept() as accepted,
        ):
            assert stream.statistics().ecn_ok == accepted.statistics().ecn_ok == agreed
            assert stream.get_option(StreamOption.ECN) == (agreed == 2)
            await stream.send(b"x")
            assert await accepted.receive() == b"x"


async def test_a_value_that_is_none():
    with pytest.raises(ValueError, match="ecn: 6 is not between 0 and 5"):
        async with two_stacks(ecn=6):
            pass
