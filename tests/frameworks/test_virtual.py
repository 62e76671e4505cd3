"""The FastAPI program of apps/ and an httpx client on two hosts of a virtual network.

Nothing of either is changed; time is virtual, so that a partition of half a minute takes none.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from frameworks.on_stack import opened
from frameworks.serving import APPS
from sim.runs import on_trio
from support.netns import in_namespace
from usertcp.testing import Host, Network, network_loop_factory

pytest.importorskip("fastapi")
httpx: Any = pytest.importorskip("httpx")
uvicorn: Any = pytest.importorskip("uvicorn")


def app() -> Any:
    """A fresh copy of the program."""
    spec = importlib.util.spec_from_file_location("asgi_app", APPS / "asgi_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.app


BODY = bytes(range(256)) * 8000


async def ask_through_a_partition(net: Network, client: Host, web: Host) -> None:
    """An upload that is cut off in its middle for half a minute, and goes on."""
    async with client, httpx.AsyncClient(timeout=300, base_url="http://web:8000") as http:
        assert (await http.get("/items/7")).json()["number"] == 7
        net.partition(client, web, after=0.1, lasting=30)
        begun = net.now
        answer = (await http.put("/upload", content=BODY)).json()
        assert answer == {"size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}
        assert 30 < net.now - begun < 120
        assert (await http.get("/items/8")).json()["number"] == 8
        assert client.stack is not None
        assert opened(client.stack) == 1


def two_hosts(net: Network) -> tuple[Host, Host]:
    client, web = net.host(name="client"), net.host(name="web")
    net.join(client, web, delay=0.02, loss=0.01, rate=50e6)
    return client, web


async def with_uvicorn(net: Network) -> None:
    client, web = two_hosts(net)
    config = uvicorn.Config(app(), host="0.0.0.0", port=8000, log_level="error", date_header=False)
    server = uvicorn.Server(config)  # the date would be the machine's
    web.start_soon(server.serve)
    await anyio.sleep(1)
    await ask_through_a_partition(net, client, web)
    server.should_exit = True
    await anyio.sleep(10)


async def with_hypercorn(net: Network) -> None:
    """Its kernel sockets are tickets: on asyncio for its loop, on trio for `from_stdlib_socket`."""
    hypercorn = pytest.importorskip("hypercorn.config")
    from_trio = in_trio()
    serving = pytest.importorskip("hypercorn.trio" if from_trio else "hypercorn.asyncio")
    config = hypercorn.Config()
    config.bind = ["0.0.0.0:8000"]
    config.include_date_header = False
    config.loglevel = "ERROR"
    client, web = two_hosts(net)
    net.bypass = "adopt"
    over = anyio.Event()
    web.start_soon(partial(serving.serve, app(), config, shutdown_trigger=over.wait))
    await anyio.sleep(1)
    await ask_through_a_partition(net, client, web)
    over.set()
    await anyio.sleep(10)
    assert web.stack is not None
    assert sum(web.stack.statistics().bypasses.values()) == 1


def in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_task()


def on_asyncio(main: Callable[[], Awaitable[str]]) -> str:
    return anyio.run(main, backend_options={"loop_factory": network_loop_factory})


PROGRAMS = {
    "uvicorn on asyncio": (on_asyncio, with_uvicorn),
    "hypercorn on asyncio": (on_asyncio, with_hypercorn),
    "hypercorn on trio": (on_trio, with_hypercorn),
}


@pytest.mark.parametrize(("run", "program"), PROGRAMS.values(), ids=PROGRAMS.keys())
@pytest.mark.parametrize("seed", [1, 2])
@in_namespace  # where the ports of the tickets are nobody's
def test_the_same_packets_for_the_same_seed(seed: int, run: Any, program: Any):
    async def main() -> str:
        async with Network(seed) as net:
            await program(net)
            return net.digest()

    assert run(main) == run(main)


@pytest.fixture
def anyio_backend() -> Any:
    """The first of `usertcp_anyio_backend`'s two: uvicorn is an asyncio program."""
    return "asyncio", {"loop_factory": network_loop_factory}


@pytest.mark.anyio
async def test_under_the_plugin(usertcp_network: Network):
    await with_uvicorn(usertcp_network)
    assert usertcp_network.now > 40
