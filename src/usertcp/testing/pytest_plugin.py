"""Fixtures `peer` and `figure`, for `pytest_plugins = ["usertcp.testing.pytest_plugin"]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from usertcp.testing.figures import Figure
from usertcp.testing.figures import figure as run_figure
from usertcp.testing.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
