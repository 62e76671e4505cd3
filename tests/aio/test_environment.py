"""The USERTCP_ variables mean the same on every surface, and a wrong value is named."""

import asyncio
import inspect
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
import trio

import usertcp
import usertcp.asyncio
import usertcp.trio
from support.cli import clean_environment
from support.cli import usertcp as command

ROOT = Path(__file__).resolve().parents[2]


def facts(stack: usertcp.Stack) -> dict[str, object]:
    """Also the text of a program that a command runs."""
    from usertcp._address import pack_text

    def begin(host: str) -> int | None:
        packed, now = pack_text(host), stack.driver.now()
        assert packed is not None
        code, handle = stack.engine.connect((bytes(16), 0), (packed, 9), now)
        if code < 0:
            return None
        info = stack.engine.info(handle)
        stack.engine.abort(handle, now)
        return getattr(info, "rcv_mss", None)

    return {
        "addresses": [str(one) for one in stack.addresses],
        "mss": begin("10.7.0.9"),
        "has gateway": begin("192.0.2.1") is not None,  # on no link of ours
    }


# ---- surfaces: each opens a stack as the environment says, and tells what it is ------------------


def _by_open_stack() -> dict[str, object]:
    async def main() -> dict[str, object]:
        async with usertcp.open_stack() as stack:
            return facts(stack)

    return anyio.run(main)


def _by_asyncio() -> dict[str, object]:
    async def main() -> dict[str, object]:
        return facts(await asyncio.get_running_loop().usertcp.get())

    loop = usertcp.asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def _by_trio() -> dict[str, object]:
    async def main() -> dict[str, object]:
        async with usertcp.trio.open_stack() as stack:
            return facts(stack)

    return trio.run(main)


def _by_command(body: str) -> dict[str, object]:
    script = Path(os.environ["TEST_DIRECTORY"], "program.py")
    script.write_text(f"import json, usertcp\n{inspect.getsource(facts)}\n{body}")
    done = command("run", str(script), env=dict(os.environ))
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr}")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def _by_run_asyncio() -> dict[str, object]:
    return _by_command(
        "import asyncio\n"
        "async def main():\n"
        "    print(json.dumps(facts(await asyncio.get_running_loop().usertcp.get())))\n"
        "asyncio.run(main())\n"
    )


def _by_run_trio() -> dict[str, object]:
    return _by_command(
        "import trio, usertcp\n"
        "async def main():\n"
        "    print(json.dumps(facts(usertcp.current_stack())))\n"
        "trio.run(main)\n"
    )


SURFACES = {
    "open_stack": _by_open_stack,
    "asyncio": _by_asyncio,
    "trio": _by_trio,
    "run asyncio": _by_run_asyncio,
    "run trio": _by_run_trio,
}


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> Callable[[], dict[str, object]]:
    return SURFACES[request.param]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("TEST_DIRECTORY", str(tmp_path))
    return monkeypatch


def given(environment: pytest.MonkeyPatch, **values: str) -> None:
    usual = {"LINK": "memory:environment?mtu=9000&ethernet=1", "ADDRESS": "10.7.0.1/24"}
    for name, value in (usual | values).items():
        environment.setenv(f"USERTCP_{name}", value)


# ---- what they mean ------------------------------------------------------------------------------


def test_link_and_addresses(surface, environment):
    given(environment, ADDRESS="10.7.0.1/24, fd07::1/64")
    assert surface() == {
        "addresses": ["10.7.0.1/24", "fd07::1/64"],
        "mss": 8960,
        "has gateway": False,
    }


def test_mtu_and_gateway(surface, environment):
    given(environment, MTU="1400", GATEWAY="10.7.0.254")
    assert surface() == {"addresses": ["10.7.0.1/24"], "mss": 1360, "has gateway": True}


def test_an_empty_variable_is_none(surface, environment):
    given(environment, MTU="", GATEWAY=" ", PCAP="", CONTROL="", BYPASS="error")
    found = surface()
    assert (found["mss"], found["has gateway"]) == (8960, False)


def test_capture_and_control_socket(surface, environment, tmp_path: Path):
    given(environment, PCAP=str(tmp_path / "x.pcapng"), CONTROL=str(tmp_path / "none" / "c.sock"))
    with pytest.raises((OSError, RuntimeError), match=r"control"):
        surface()
    given(environment, PCAP=str(tmp_path / "x.pcapng"), CONTROL="0")
    surface()
    assert (tmp_path / "x.pcapng").stat().st_size > 0
    seen: list[bool] = []
    path = tmp_path / "c.sock"
    given(environment, CONTROL=str(path))
    former = usertcp.Stack.aclose

    async def aclose(self: usertcp.Stack, **options: float) -> None:
        seen.append(path.exists())
        await former(self, **options)

    environment.setattr(usertcp.Stack, "aclose", aclose)
    surface()
    assert all(seen)
    assert not path.exists()


def test_what_is_given_comes_before_the_environment(environment):
    given(environment, MTU="1400", GATEWAY="10.7.0.254")

    async def main() -> None:
        async with usertcp.open_stack(addresses=["10.7.0.7/24"], mtu=1300) as stack:
            assert facts(stack) == {
                "addresses": ["10.7.0.7/24"], "mss": 1260, "has gateway": True,
            }  # fmt: skip
        async with usertcp.open_stack("memory:mine?ethernet=1", addresses=["10.7.0.8/24"]) as stack:
            assert facts(stack)["has gateway"] is False  # nothing but the link's own

    anyio.run(main)


# ---- wrong values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"LINK": "x"}, "USERTCP_LINK.*no kind of link"),
        ({"LINK": "memory:"}, "USERTCP_LINK.*name after memory: is missing"),
        ({"LINK": "memory:a?speed=9"}, "USERTCP_LINK.*no option 'speed'"),
        ({"ADDRESS": "ten"}, "USERTCP_ADDRESS.*'ten'"),
        ({"ADDRESS": "10.7.0.1"}, "USERTCP_ADDRESS.*no prefix length"),
        ({"ADDRESS": "10.7.0.1/24,224.0.0.1/8"}, "USERTCP_ADDRESS.*224.0.0.1"),
        ({"ADDRESS": "10.7.0.1/33"}, "USERTCP_ADDRESS.*10.7.0.1/33"),
        ({"GATEWAY": "there"}, "USERTCP_GATEWAY.*'there'"),
        ({"GATEWAY": "10.7.0.254,10.7.0"}, "USERTCP_GATEWAY.*'10.7.0'"),
        ({"MTU": "big"}, "USERTCP_MTU.*'big'"),
        ({"MTU": "67"}, "USERTCP_MTU.*67"),
        ({"MTU": "65536"}, "USERTCP_MTU.*65536"),
        ({"MTU": "-1"}, "USERTCP_MTU.*-1"),
        ({"PCAP": "/"}, "USERTCP_PCAP.*directory"),
        ({"PCAP": "/nonexistent/x.pcapng"}, "USERTCP_PCAP.*/nonexistent"),
        ({"CONTROL": "/nonexistent/x.sock"}, "USERTCP_CONTROL.*/nonexistent/x.sock"),
    ],
    ids=lambda value: ",".join(map("=".join, value.items())) if isinstance(value, dict) else "",
)
def test_a_wrong_value_is_named(surface, environment, values: dict[str, str], words: str):
    given(environment, **values)
    with pytest.raises((ValueError, OSError, RuntimeError), check=lambda exc: bool(
        re.search(words, " ".join(str(exc).split()))
    )):  # fmt: skip
        surface()


@pytest.mark.parametrize("name", [name for name in SURFACES if name != "open_stack"])
def test_a_wrong_policy_is_named(name: str, environment):
    given(environment, BYPASS="sometimes")
    with pytest.raises((ValueError, RuntimeError), match=r"USERTCP_BYPASS.*'sometimes'"):
        SURFACES[name]()


@pytest.mark.parametrize(
    ("values", "words"),
    [({"ADDRESS": ""}, "USERTCP_ADDRESS"), ({"LINK": " "}, "USERTCP_LINK")],
)
def test_too_few_variables(surface, environment, values: dict[str, str], words: str):
    given(environment, **values)
    with pytest.raises(RuntimeError, match=words):
        surface()


def test_a_network_of_tests_takes_no_notice(environment):
    """Virtual hosts have links and addresses of their own."""
    given(environment, LINK="x", ADDRESS="y", GATEWAY="z", MTU="-", PCAP="/", CONTROL="/dev/null/x")
    from usertcp.testing import Network

    async def main() -> None:
        async with Network(seed=1) as net:
            host = net.host("10.0.0.1/24")
            async with host:
                assert facts(usertcp.current_stack())["addresses"] == ["10.0.0.1/24"]
            other = net.host("10.0.0.2/24")
            async with other.open_stack() as stack:
                assert facts(stack)["addresses"] == ["10.0.0.2/24"]

    anyio.run(main, backend_options={"loop_factory": usertcp.testing.VirtualLoop})


def test_one_table_has_them_all():
    text = (ROOT / "docs/recipes/environment.md").read_text()
    documented = set(re.findall(r"^\| `(USERTCP_[A-Z]+)", text, re.MULTILINE))
    used = set()
    for path in (ROOT / "src/usertcp").rglob("*.py"):
        used |= set(re.findall(r"USERTCP_[A-Z]+", path.read_text()))
    assert documented == used
