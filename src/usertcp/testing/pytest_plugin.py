"""The pytest plugin: fixtures `usertcp_network` and `usertcp_anyio_backend`, `--usertcp-seed`.

Loaded by every pytest of an environment that has usertcp: nothing is imported before a test asks.
docs/recipes/test-networks.md shows it with AnyIO's plugin, pytest-trio and pytest-asyncio.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import zlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from usertcp.testing.network import Network

_BACKENDS = ["asyncio", *(["trio"] if importlib.util.find_spec("trio") else [])]
_NETWORK: pytest.StashKey[Network] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("usertcp").addoption(
        "--usertcp-seed",
        type=int,
        metavar="N",
        help="seed of every usertcp_network, instead of one from each test's id",
    )


def _seed_of(item: pytest.Item) -> int:
    given: int | None = item.config.getoption("--usertcp-seed")
    return zlib.crc32(item.nodeid.encode()) if given is None else given


@pytest.fixture
def usertcp_network(request: pytest.FixtureRequest) -> Network:
    """A `usertcp.testing.Network`, seeded from the test's id or by `--usertcp-seed`.

    An async test that requests it, itself or by a fixture, runs inside it; what is not such a test
    (a fixture, a program given to `anyio.run`) writes `async with usertcp_network:`.
    """
    from usertcp.testing.network import Network

    made = Network(_seed_of(request.node))
    request.node.stash[_NETWORK] = made
    return made


@pytest.fixture(params=_BACKENDS)
def usertcp_anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """For `anyio_backend`: asyncio and trio in virtual time, with TCP of the current host."""
    if request.param == "trio":
        from trio.testing import MockClock

        return "trio", {"clock": MockClock(autojump_threshold=0)}
    from usertcp.testing.clock import network_loop_factory

    return "asyncio", {"loop_factory": network_loop_factory}


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The test's function is wrapped before the async plugins wrap it into their loops."""
    network = item.stash.get(_NETWORK, None)
    if network is None or not isinstance(item, pytest.Function):
        return
    test = item.obj
    if not inspect.iscoroutinefunction(test):
        return

    @functools.wraps(test)
    async def inside(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        async with network:
            return await test(*args, **kwargs)

    item.obj = inside


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    network = item.stash.get(_NETWORK, None)
    if network is not None and report.failed:
        text = f"{network.story()}\nagain: pytest {item.nodeid!r} --usertcp-seed={network.seed}"
        report.sections.append(("usertcp network", text))
    return report


def __getattr__(name: str) -> Any:
    if name in ("peer", "figure", "pytest_asyncio_loop_factories"):  # where they used to be
        return getattr(importlib.import_module("usertcp.testing.fixtures"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
