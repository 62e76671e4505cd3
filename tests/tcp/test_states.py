"""The table of transitions: its picture is current, and what is traced stays within it."""

import runpy

import pytest

from support.csource import ROOT
from support.states import WAYS, reach
from usertcp import State
from usertcp.testing import Peer

TOOL = runpy.run_path(str(ROOT / "tools/draw_states.py"), run_name="__meta__")
TABLE = {(one.before, one.after) for one in TOOL["transitions"]()}


def test_the_page_is_current():
    assert TOOL["PAGE"].read_text() == TOOL["page"]()


def test_the_states_are_the_engines():
    assert [(name, text) for name, text in TOOL["states"]()] == [(s.name, str(s)) for s in State]


def seen(peer: Peer) -> list[tuple[str, str]]:
    return [(t.from_state.name, t.to_state.name) for t in peer.engine.raw.read_trace()]


@pytest.mark.rfc("9293-EV-14")
@pytest.mark.parametrize("state", WAYS)
def test_the_trace_tells_the_way_there(peer: Peer, state: str):
    """Without a gap, up to the state reached, and only by what the table has."""
    reach(peer, state, trace_capacity=100)
    path = seen(peer)
    assert set(path) <= TABLE
    for before, after in zip(path, path[1:], strict=False):
        assert before[1] == after[0]
    if state in {"CLOSED", "LISTEN"}:
        assert path == []  # no connection is there yet
    else:
        assert path[-1][1].replace("_", "-") == state.partition("/")[0]


def test_causes_are_told_in_the_figures_notation(peer: Peer):
    peer.configure(trace_capacity=100).establish()
    causes = [(t.to_state.name, t.received, t.cause) for t in peer.engine.raw.read_trace()]
    assert causes[0][:2] == ("SYN_SENT", False)
    assert causes[1][:2] == ("ESTABLISHED", True)
    assert "SYN,ACK" in causes[1][2]


def test_the_trace_is_bounded(peer: Peer):
    peer.configure(trace_capacity=4)
    reach(peer, "TIME-WAIT")
    assert len(seen(peer)) <= 4
