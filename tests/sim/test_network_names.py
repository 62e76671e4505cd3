"""Names, addresses, and what a network says about itself and about failures."""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import anyio
import pytest

import usertcp
from sim.runs import on_asyncio, on_trio
from usertcp.testing import Network


@pytest.fixture(params=[on_asyncio, on_trio], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


def test_names_resolve_inside_the_network_only(run):
    async def main() -> None:
        net = Network()
        both = net.host("10.1.0.1/24", "fd01::1/64", name="both")
        net.host("10.1.0.2/24", name="db", aliases=["db.internal"])
        assert net.resolve("DB.") == [ip_address("10.1.0.2")]
        async with net:
            found = await anyio.getaddrinfo("db.internal", 5432, type=socket.SOCK_STREAM)
            assert [entry[4][:2] for entry in found] == [("10.1.0.2", 5432)]
            found = await anyio.getaddrinfo("both", "http", family=socket.AF_INET6)
            assert {entry[4][:2] for entry in found} == {("fd01::1", 80)}
            found = await anyio.getaddrinfo("both", 80, type=socket.SOCK_STREAM)
            assert {entry[4][0] for entry in found} == {"10.1.0.1", "fd01::1"}
            assert await anyio.getnameinfo(("10.1.0.2", 80)) == ("db", "http")
            for name, family in (("example.com", 0), ("db", socket.AF_INET6)):
                with pytest.raises(socket.gaierror):
                    await anyio.getaddrinfo(name, 80, family=family)
            assert await anyio.getaddrinfo("192.0.2.1", 80)
            async with both:
                with pytest.raises(socket.gaierror, match="no host of the test network"):
                    await usertcp.connect_tcp("example.com", 80)

    run(main)


def test_hooks_are_taken_back(run):
    async def main() -> None:
        net = Network()
        net.host(name="somebody")
        async with Network():
            async with net:
                assert await anyio.getaddrinfo("somebody", 80)
            with pytest.raises(socket.gaierror, match="no host"):
                await anyio.getaddrinfo("somebody", 80)
        assert await anyio.getaddrinfo("127.0.0.1", 80)

    run(main)


def test_addresses_and_names_are_given_out():
    net = Network()
    hosts = [net.host() for _ in range(600)]
    assert hosts[0].name == "h1"
    assert hosts[0].address == "10.0.0.1"
    assert len({host.address for host in hosts}) == 600
    with pytest.raises(ValueError, match="h1 has it"):
        net.host("10.0.0.1/8", name="another")
    with pytest.raises(ValueError, match="another host has it"):
        net.host(name="H1")
    with pytest.raises(ValueError, match="two hosts"):
        net.join(hosts[0], hosts[0])
    with pytest.raises(KeyError):
        net.impair(hosts[0], hosts[1], loss=1)


def test_links_may_change(run):
    async def main() -> None:
        net = Network()
        a, b = net.host("fd00::1/64"), net.host("fd00::2/64")
        net.join(a, b, delay=0.5)
        async with net, a:
            began = anyio.current_time()
            with pytest.raises(OSError, match="All connection attempts failed"):
                await usertcp.connect_tcp(b.address, 1)  # b is not up yet: nobody answers
            async with b:
                pass
            net.impair(a, b, delay=3)
            began = anyio.current_time()
            with pytest.raises(OSError, match="All connection attempts failed"):
                await usertcp.connect_tcp("h2", 1)
            assert anyio.current_time() - began == pytest.approx(6)

    run(main)


class OopsError(Exception):
    pass


@pytest.mark.parametrize("where", ["body", "program", "action"])
def test_a_failure_comes_out_as_it_is_with_the_seed(run, where: str):
    async def fail() -> None:
        await anyio.sleep(1)
        raise OopsError

    async def main() -> None:
        async with Network(seed=77) as net:
            host = net.host()
            if where == "program":
                host.start_soon(fail)
            elif where == "action":
                net.after(1, fail)
            else:
                await host.run(fail)
            await anyio.sleep(100)

    with pytest.raises(OopsError) as caught:
        run(main)
    assert caught.value.__notes__ == ["network seed 77"]


def test_group_of_the_program_is_left_alone(run):
    async def fail() -> None:
        raise OopsError

    async def main() -> None:
        async with Network() as net, net.host(), anyio.create_task_group() as tasks:
            tasks.start_soon(fail)

    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    assert [type(exc) for exc in caught.value.exceptions] == [OopsError]


def test_inside_itself_and_again(run):
    async def main() -> None:
        net = Network()
        host = net.host()
        async with net, net:
            async with host, host:
                assert usertcp.current_stack() is host.stack
            with pytest.raises(RuntimeError, match="no usertcp stack"):
                usertcp.current_stack()
        assert host.stack is None
        assert not host.is_up
        async with net, host:
            assert host.is_up

    run(main)


def test_hosts_are_current_for_their_task_alone(run):
    async def main() -> None:
        net = Network()
        a, b = net.host(), net.host()
        seen = []

        async def look(pause: float) -> None:
            await anyio.sleep(pause)
            seen.append(usertcp.current_stack())

        async with net:
            a.start_soon(look, 1)
            async with b:
                async with a:
                    await look(2)
                await look(0)
            assert seen == [a.stack, a.stack, b.stack]

    run(main)


def test_story_is_readable(run):
    async def main() -> str:
        net = Network(seed=5)
        a, b = net.host(name="a"), net.host(name="b")
        net.join(a, b, delay=0.01)
        async with net, a, b:
            with pytest.raises(OSError, match="failed"):
                await a.run(usertcp.connect_tcp, "b", 99)
        return net.story()

    text = run(main)
    assert text.startswith("network seed 5\n")
    assert "a --> b" in text
    assert "> 99 seq=" in text
    assert "RST" in text


def test_hosts_of_different_subnets_hear_each_other(run):
    async def serve() -> None:
        async def greet(stream: Any) -> None:
            async with stream:
                await stream.send(b"hello")

        async with await usertcp.create_tcp_listener(local_port=80) as listener:
            await listener.serve(greet)

    async def main() -> None:
        net = Network()
        a = net.host("10.1.0.1/24", "fd01::1/64")
        b = net.host("10.2.0.9/32", "fd02::9/128", name="b")
        net.join(a, b, delay=0.02)
        async with net, a:
            b.start_soon(serve)
            for target in ("10.2.0.9", "fd02::9", "b"):
                async with await usertcp.connect_tcp(target, 80) as stream:
                    assert await stream.receive() == b"hello"

    run(main)
