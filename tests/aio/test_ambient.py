"""The ambient stack: which one `usertcp.connect_tcp` and its like use, and where."""

import inspect

import anyio
import pytest
from anyio import ClosedResourceError

import usertcp
from aio.pairs import A4, B4, Cable, cables

pytestmark = pytest.mark.anyio

OPEN = {"addresses": ["10.7.0.1/24"]}


@pytest.mark.parametrize("name", ["connect_tcp", "create_tcp_listener"])
async def test_signatures_are_anyios(name: str):
    theirs = inspect.signature(getattr(anyio, name)).parameters
    for ours in (getattr(usertcp, name), getattr(usertcp.Stack, name)):
        parameters = dict(inspect.signature(ours).parameters)
        parameters.pop("self", None)
        for ours_alone in map(parameters.pop, ("congestion", "ecn", "fast_open")):
            assert ours_alone.kind is inspect.Parameter.KEYWORD_ONLY
            assert not ours_alone.default
        assert list(parameters) == list(theirs)
        for key, parameter in parameters.items():
            assert parameter.kind == theirs[key].kind
            assert parameter.default == theirs[key].default


async def test_no_ambient_stack_says_how_to_open_one():
    for call in (lambda: usertcp.connect_tcp(B4, 80), usertcp.create_tcp_listener):
        with pytest.raises(RuntimeError, match=r"async with usertcp\.open_stack\("):
            await call()
    with pytest.raises(RuntimeError):
        usertcp.current_stack()


async def test_module_functions_use_the_innermost():
    left, right = cables()
    async with usertcp.open_stack(left, addresses=[f"{A4}/24"]) as a:
        assert usertcp.current_stack() is a
        async with usertcp.open_stack(right, addresses=[f"{B4}/24"]) as b:
            assert usertcp.current_stack() is b
            multi = await usertcp.create_tcp_listener(local_port=80)
            assert multi.extra(usertcp.StreamAttribute.stack) is b
        assert usertcp.current_stack() is a
        with pytest.raises(OSError, match="All connection attempts failed"):
            await usertcp.connect_tcp(A4, 80)


async def test_tasks_inherit_it():
    async with usertcp.open_stack(Cable(), **OPEN) as stack:
        seen: list[usertcp.Stack] = []

        async def look() -> None:
            seen.append(usertcp.current_stack())

        async with anyio.create_task_group() as tg:
            tg.start_soon(look)
        assert seen == [stack]


async def test_not_before_it_works():
    """What runs while addresses are still checked sees no stack, and a failed start leaves none."""
    left, right = cables(ethernet=True)
    seen: list[bool] = []

    async def look() -> None:
        while True:
            await anyio.sleep(0.01)
            try:
                usertcp.current_stack()
            except RuntimeError:
                seen.append(False)
            else:
                seen.append(True)

    async with usertcp.open_stack(left, addresses=["fd07::1/64"], check_duplicates=False) as first:
        with pytest.raises(OSError, match="another station has it"):
            async with usertcp.open_stack(right, addresses=["fd07::1/64"]):
                pass
        assert usertcp.current_stack() is first
    with pytest.raises(RuntimeError):
        usertcp.current_stack()
    third, _ = cables(ethernet=True)
    opening = usertcp.open_stack(third, addresses=["fd07::3/64"])
    async with anyio.create_task_group() as group:
        group.start_soon(look)
        stack = await opening.__aenter__()  # a second of duplicate address detection
        assert usertcp.current_stack() is stack
        await opening.__aexit__(None, None, None)
        group.cancel_scope.cancel()
    assert seen
    assert not any(seen)


async def test_it_is_put_back_in_whatever_order_stacks_are_closed():
    openings = [usertcp.open_stack(Cable(), addresses=[f"10.7.0.{n}/24"]) for n in (1, 2, 3)]
    one, two, three = [await opening.__aenter__() for opening in openings]
    assert usertcp.current_stack() is three
    await openings[1].__aexit__(None, None, None)
    assert usertcp.current_stack() is three
    await openings[2].__aexit__(None, None, None)
    assert usertcp.current_stack() is one  # two is closed
    await openings[0].__aexit__(None, None, None)
    with pytest.raises(RuntimeError):
        usertcp.current_stack()
    assert two.engine.freed


async def test_closed_in_another_task_it_is_not_put_back_there():
    opening = usertcp.open_stack(Cable(), **OPEN)
    async with usertcp.open_stack(Cable(), addresses=["10.7.0.9/24"]) as here:
        told: list[usertcp.Stack] = []

        async def elsewhere(*, task_status: object) -> None:
            stack = await opening.__aenter__()
            told.append(usertcp.current_stack())
            task_status.started(stack)

        async with anyio.create_task_group() as group:
            stack = await group.start(elsewhere)
            assert told == [stack]
            assert usertcp.current_stack() is here
            await opening.__aexit__(None, None, None)
            assert usertcp.current_stack() is here


async def test_a_task_that_outlives_it_finds_it_closed():
    go = anyio.Event()
    caught: list[Exception] = []

    async def late() -> None:
        await go.wait()
        for call in (lambda: usertcp.connect_tcp(B4, 80), usertcp.create_tcp_listener):
            with pytest.raises(ClosedResourceError, match="closed") as raised:
                await call()
            caught.append(raised.value)

    async with anyio.create_task_group() as group:
        async with usertcp.open_stack(Cable(), **OPEN):
            group.start_soon(late)
        go.set()
    assert len(caught) == 2
