"""The testing kit: virtual time, networks with seeded faults, scripted peers, figures, contracts.

No privileges, real links or real clock are needed. docs/design/testing.md is the guide.
"""

from typing import TYPE_CHECKING, Any

from usertcp.testing._engine import SECOND, EngineError, EngineHarness
from usertcp.testing._wire import Got
from usertcp.testing.clock import VirtualLoop, virtual_loop_factory
from usertcp.testing.contract import check_listener, check_stream
from usertcp.testing.figures import FigureError, figure
from usertcp.testing.impair import Impairment, Pipe
from usertcp.testing.network import Host, Network
from usertcp.testing.peer import Peer
from usertcp.testing.simulator import Simulator

if TYPE_CHECKING:
    from usertcp.testing.trio_adapter import TrioStreamAdapter

__all__ = [
    "SECOND",
    "EngineError",
    "EngineHarness",
    "FigureError",
    "Got",
    "Host",
    "Impairment",
    "Network",
    "Peer",
    "Pipe",
    "Simulator",
    "TrioStreamAdapter",
    "VirtualLoop",
    "check_listener",
    "check_stream",
    "figure",
    "virtual_loop_factory",
]


def __getattr__(name: str) -> Any:
    if name == "TrioStreamAdapter":  # trio need not be installed
        from usertcp.testing.trio_adapter import TrioStreamAdapter

        return TrioStreamAdapter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
