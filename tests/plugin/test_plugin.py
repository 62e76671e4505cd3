"""The pytest plugin beside AnyIO's, pytest-trio and pytest-asyncio: test suites of other people."""

import re
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

HOSTS = """
import anyio, asyncio, pytest, usertcp

@pytest.fixture
def hosts(usertcp_network):
    a, b = usertcp_network.host(name="a"), usertcp_network.host(name="b")
    usertcp_network.join(a, b, delay=0.01, loss=0.01)
    return a, b

async def serve():
    async def handle(stream):
        async with stream:
            await stream.send((await stream.receive()).upper())

    async with await usertcp.create_tcp_listener(local_port=80) as listener:
        await listener.serve(handle)

async def ask():
    async with await usertcp.connect_tcp("b", 80) as stream:
        await stream.send(b"hello")
        return await stream.receive()

async def an_hour(network, hosts):
    a, b = hosts
    b.start_soon(serve)
    with network.partition(a, b):
        await anyio.sleep(3600)
    assert await a.run(ask) == b"HELLO"
    assert network.now > 3600
"""

CONFTEST = """
import pytest
from usertcp.testing.fixtures import pytest_asyncio_loop_factories

@pytest.fixture
def anyio_backend(usertcp_anyio_backend):
    return usertcp_anyio_backend
"""


@pytest.fixture(autouse=True)
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Has warnings as errors, as many a suite."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makeini(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    return pytester


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=HOSTS + source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


def test_with_anyio(pytester: pytest.Pytester):
    result = run(
        pytester,
        """
pytestmark = pytest.mark.anyio

async def test_it(usertcp_network, hosts):
    await an_hour(usertcp_network, hosts)

async def test_the_loops_own_functions(hosts, anyio_backend_name):
    a, b = hosts
    b.start_soon(serve)
    async with a:
        async with await anyio.connect_tcp("b", 80) as stream:
            await stream.send(b"hello")
            assert await stream.receive() == b"HELLO"
        if anyio_backend_name == "asyncio":
            reader, writer = await asyncio.open_connection("b", 80)
            writer.write(b"hello")
            assert await reader.read() == b"HELLO"
            writer.close()

@pytest.fixture
async def answer(usertcp_network, hosts):
    a, b = hosts
    async with usertcp_network:
        b.start_soon(serve)
        yield await a.run(ask)

async def test_fixture(answer):
    assert answer == b"HELLO"

class TestClass:
    @pytest.mark.parametrize("number", [1, 2])
    async def test_method(self, number, usertcp_network, hosts):
        await an_hour(usertcp_network, hosts)
""",
    )
    result.assert_outcomes(passed=10)


def test_with_pytest_trio(pytester: pytest.Pytester):
    pytest.importorskip("pytest_trio")
    result = run(
        pytester,
        """
import trio

@pytest.mark.trio
async def test_it(usertcp_network, hosts, autojump_clock):
    await an_hour(usertcp_network, hosts)

@pytest.fixture
async def answer(usertcp_network, hosts, autojump_clock):
    a, b = hosts
    async with usertcp_network:
        b.start_soon(serve)
        yield await a.run(ask)

@pytest.mark.trio
async def test_fixture(answer, hosts, nursery, autojump_clock):
    assert answer == b"HELLO"
    async with hosts[0]:
        stream = await trio.open_tcp_stream("b", 80)
    await stream.send_all(b"hello")
    assert await stream.receive_some() == b"HELLO"
    await stream.aclose()
""",
    )
    result.assert_outcomes(passed=2)


def test_with_pytest_asyncio(pytester: pytest.Pytester):
    pytest.importorskip("pytest_asyncio")
    result = run(
        pytester,
        """
@pytest.mark.asyncio
async def test_it(usertcp_network, hosts):
    await an_hour(usertcp_network, hosts)
    async with hosts[0]:
        reader, writer = await asyncio.open_connection("b", 80)
        writer.write(b"hello")
        assert await reader.read() == b"HELLO"
        writer.close()

@pytest.mark.asyncio
async def test_others_have_their_usual_loop():
    assert type(asyncio.get_running_loop()) is type(asyncio.new_event_loop())
""".replace("asyncio.new_event_loop())", "(loop := asyncio.new_event_loop()))\n    loop.close()"),
    )
    result.assert_outcomes(passed=2)


def test_in_real_time_and_without_an_async_plugin(pytester: pytest.Pytester):
    """Only slower: what needs no waiting is as quick."""
    result = run(
        pytester,
        """
def test_it(usertcp_network, hosts):
    async def main():
        a, b = hosts
        async with usertcp_network:
            b.start_soon(serve)
            assert await a.run(ask) == b"HELLO"

    anyio.run(main)
""",
    )
    result.assert_outcomes(passed=1)


FAILING = """
pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend(usertcp_anyio_backend):
    if usertcp_anyio_backend[0] == "trio":
        pytest.skip("once is enough")
    return usertcp_anyio_backend

async def test_fails(usertcp_network, hosts):
    a, b = hosts
    b.start_soon(serve)
    assert await a.run(ask) == b"goodbye"

async def test_program_fails(usertcp_network, hosts):
    async def boom():
        raise LookupError("boom")
    hosts[0].start_soon(boom)
    await anyio.sleep(10)

async def test_skips(usertcp_network):
    pytest.skip("not today")
"""


def test_a_failure_shows_seed_and_packets(pytester: pytest.Pytester):
    result = run(pytester, FAILING)
    result.assert_outcomes(failed=2, skipped=4)
    text = result.stdout.str()
    seeds = re.findall(r"^network seed (\d+)$", text, re.MULTILINE)
    assert len(set(seeds)) == 2  # each test has its own
    assert re.search(r"^ +\d\.\d+ a --> b \d+ > 80 seq=\d+ SYN", text, re.MULTILINE)
    assert "again: pytest 'test_it.py::test_fails[asyncio]' --usertcp-seed=" + seeds[0] in text
    result.stdout.fnmatch_lines(["E  *AssertionError*", "E  *network seed*", "E  *boom"])
    again = run(pytester, FAILING).stdout.str()
    assert re.findall(r"^network seed (\d+)$", again, re.MULTILINE) == seeds
    packets = re.compile(r"^ +\d\.\d+ [ab] --> .*", re.MULTILINE)
    assert packets.findall(again) == packets.findall(text)
    given = run(pytester, FAILING, f"--usertcp-seed={seeds[0]}").stdout.str()
    assert set(re.findall(r"^network seed (\d+)$", given, re.MULTILINE)) == {seeds[0]}


def test_loading_is_cheap():
    """In an environment with usertcp every pytest loads the plugin."""
    code = (
        "import sys, pytest, usertcp; before = set(sys.modules);"
        "import usertcp.testing.pytest_plugin;"
        "print(sorted(set(sys.modules) - before)); print('trio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "['usertcp.testing', 'usertcp.testing.pytest_plugin']",
        "False",
    ]


def test_entry_point_is_declared():
    from importlib.metadata import entry_points

    found = {entry.name: entry.value for entry in entry_points(group="pytest11")}
    assert found["usertcp"] == "usertcp.testing.pytest_plugin"
