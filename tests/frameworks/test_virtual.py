"""The FastAPI program of apps/ and an httpx client on two hosts of a virtual network.

Nothing of either is changed; time is virtual, so that a partition of half a minute takes none.
"""

import asyncio
import hashlib
import importlib.util
import sys
from typing import Any

import anyio
import pytest

from frameworks.serving import APPS
from usertcp.testing import Network, network_loop_factory

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


async def through_a_partition(net: Network) -> None:
    """An upload that is cut off in its middle for half a minute, and goes on."""
    client, web = net.host(name="client"), net.host(name="web")
    net.join(client, web, delay=0.02, loss=0.01, rate=50e6)
    config = uvicorn.Config(app(), host="0.0.0.0", port=8000, log_level="error", date_header=False)
    server = uvicorn.Server(config)  # the date would be the machine's
    web.start_soon(server.serve)
    await asyncio.sleep(1)
    async with client, httpx.AsyncClient(timeout=300, base_url="http://web:8000") as http:
        assert (await http.get("/items/7")).json()["number"] == 7
        net.partition(client, web, after=0.1, lasting=30)
        begun = net.now
        answer = (await http.put("/upload", content=BODY)).json()
        assert answer == {"size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}
        assert 30 < net.now - begun < 120
        assert (await http.get("/items/8")).json()["number"] == 8
    server.should_exit = True
    await asyncio.sleep(10)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_packets_for_the_same_seed(seed: int):
    async def main() -> str:
        async with Network(seed) as net:
            await through_a_partition(net)
            return net.digest()

    def run() -> str:
        return anyio.run(main, backend_options={"loop_factory": network_loop_factory})

    assert run() == run()


@pytest.fixture
def anyio_backend() -> Any:
    """The first of `usertcp_anyio_backend`'s two: uvicorn is an asyncio program."""
    return "asyncio", {"loop_factory": network_loop_factory}


@pytest.mark.anyio
async def test_under_the_plugin(usertcp_network: Network):
    await through_a_partition(usertcp_network)
    assert usertcp_network.now > 40
