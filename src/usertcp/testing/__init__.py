"""The testing kit: virtual time, networks with seeded faults, scripted peers, figures, contracts.

No privileges, real links or real clock are needed. docs/design/testing.md is the guide,
docs/recipes/test-networks.md the one for tests of programs.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usertcp.testing._carrier import TracedPacket
    from usertcp.testing._engine import SECOND, EngineError, EngineHarness
    from usertcp.testing._partition import Partition
    from usertcp.testing._wire import Got
    from usertcp.testing.clock import VirtualLoop, network_loop_factory, virtual_loop_factory
    from usertcp.testing.contract import check_listener, check_stream
    from usertcp.testing.figures import FigureError, figure
    from usertcp.testing.hosts import Host, HostCrashError
    from usertcp.testing.impair import Impairment, Pipe
    from usertcp.testing.network import Network
    from usertcp.testing.peer import Peer
    from usertcp.testing.plots import plot
    from usertcp.testing.recording import Recording
    from usertcp.testing.simulator import Simulator
    from usertcp.testing.trio_adapter import TrioStreamAdapter

__all__ = [
    "SECOND",
    "EngineError",
    "EngineHarness",
    "FigureError",
    "Got",
    "Host",
    "HostCrashError",
    "Impairment",
    "Network",
    "Partition",
    "Peer",
    "Pipe",
    "Recording",
    "Simulator",
    "TracedPacket",
    "TrioStreamAdapter",
    "VirtualLoop",
    "check_listener",
    "check_stream",
    "figure",
    "network_loop_factory",
    "plot",
    "virtual_loop_factory",
]

# Imported when asked for: pytest loads this package for its plugin, and trio need not be installed.
_MODULES = {
    "_carrier": ["TracedPacket"],
    "_engine": ["SECOND", "EngineError", "EngineHarness"],
    "_partition": ["Partition"],
    "_wire": ["Got"],
    "clock": ["VirtualLoop", "network_loop_factory", "virtual_loop_factory"],
    "contract": ["check_listener", "check_stream"],
    "figures": ["FigureError", "figure"],
    "hosts": ["Host", "HostCrashError"],
    "impair": ["Impairment", "Pipe"],
    "network": ["Network"],
    "peer": ["Peer"],
    "plots": ["plot"],
    "recording": ["Recording"],
    "simulator": ["Simulator"],
    "trio_adapter": ["TrioStreamAdapter"],
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
