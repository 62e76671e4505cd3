"""Fixtures and a hook to import into a conftest.py by name.

`peer`, `figure`: a scripted peer of a stack, the RFC's figures (docs/design/testing.md).
`pytest_asyncio_loop_factories`: pytest-asyncio's tests that request `usertcp_network` run on
`network_loop_factory`, in virtual time; all others on asyncio's default loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from usertcp.testing.clock import network_loop_factory
from usertcp.testing.figures import Figure
from usertcp.testing.figures import figure as run_figure
from usertcp.testing.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A scripted peer of a stack of its own (usertcp.testing.peer)."""
    made = Peer()
    yield made
    made.close()


@pytest.fixture
def figure() -> Callable[..., Figure]:
    """Runs an exchange written as the RFC's figures are (usertcp.testing.figures)."""
    return run_figure


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio 1.4 and later; it asks for every test, so all must have an answer."""
    if "usertcp_network" in getattr(item, "fixturenames", ()):
        return {"usertcp": network_loop_factory}
    return {"asyncio": asyncio.new_event_loop}
