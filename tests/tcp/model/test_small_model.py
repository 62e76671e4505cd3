"""The small model: from some roots every event of a small alphabet, in every state, to a depth.

An event is a segment at an edge (of the window, of what is acknowledged), with text of up to two
bytes or across the whole window, or a call of the user. After each the engine is held against
`support.rfc9293`; states in which that has the same variables are one and are entered once, by
their shortest way. Windows are eight bytes where the root says so, and numbers wrap on the way.

The depth is `MODEL_DEPTH` of the environment, and two more from CLOSED and LISTEN, where it takes
two to open a connection: 2 by default, 3 in `make model`.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from support.rfc9293 import Reference
from support.segments import ACK, FIN, PSH, RST, SYN, Seg
from support.twin import Twin
from support.ways import (
    close_wait,
    fin_wait_1_data,
    holding,
    in_flight,
    squeezed,
    time_wait_unowned,
)  # fmt: skip

DEPTH = int(os.environ.get("MODEL_DEPTH", "2"))
Event = Seg | tuple[str, ...]
TEXT = b"abcdefghijklmnop"
# Name: the way there, whether somebody listens, how many events more than elsewhere.
ROOTS: dict[str, tuple[Callable[[Twin], None], bool, int]] = {
    "CLOSED": (lambda _: None, False, 2),
    "LISTEN": (lambda _: None, True, 2),
    "in flight": (in_flight, False, 0),
    "squeezed": (squeezed, False, 0),
    "holding": (holding, False, 0),
    "FIN-WAIT-1 with data": (fin_wait_1_data, False, 0),
    "CLOSE-WAIT": (close_wait, False, 0),
    "TIME-WAIT": (time_wait_unowned, True, 0),
}


def calls(own: Reference) -> Iterator[Event]:
    """What a user may call there; a half-open connection has none."""
    if own.state == "CLOSED":
        yield ("connect",)
    if own.state in ("CLOSED", "LISTEN") or own.gone or (own.passive and not own.is_synchronized):
        return
    if len(own.queue) < 4 and not own.closed:
        yield ("send", "xy")
    if own.inbox:
        yield ("receive",)
    if not own.closed:
        yield ("shutdown",)
    yield ("close",)
    yield ("abort",)


def openings(own: Reference) -> Iterator[Seg]:
    """Where there is no window yet."""
    acks = sorted({own.una - 1, own.una, own.nxt, own.nxt + 1})
    for data in (b"", TEXT[:1]):
        yield Seg(SYN, 0, 0, data)
        yield from (Seg(SYN | ACK, 0, ack, data) for ack in acks)
        yield from (Seg(ACK, 1, ack, data) for ack in acks)
        yield Seg(0, 0, 0, data)
    yield Seg(SYN | FIN, 0)
    yield from (Seg(FIN | ACK, 1, ack) for ack in acks)
    yield Seg(RST, 0)
    yield from (Seg(RST | ACK, 0, ack) for ack in acks)


def at_edges(own: Reference) -> Iterator[Seg]:
    nxt, edge = own.rcv_nxt, own.edge
    seqs = sorted({nxt - 1, nxt, nxt + 1, edge - 2, edge - 1, edge})
    acks = sorted({own.una - 1, own.una, own.nxt, own.nxt + 1})
    for seq in seqs:
        for size in (0, 1, 2):
            yield from (Seg(ACK, seq, ack, TEXT[:size]) for ack in acks)
        yield from (Seg(FIN | ACK, seq, own.nxt, TEXT[:size]) for size in (0, 1))
        yield Seg(RST, seq)
        yield Seg(SYN, seq)
    yield Seg(FIN | ACK, nxt, own.una)
    yield from (Seg(ACK, nxt, ack, window=0) for ack in (own.una, own.nxt))
    if edge - nxt < len(TEXT) - 1:
        across = TEXT[: edge - nxt + 2]
        yield Seg(ACK, nxt - 1, own.nxt, across)
        yield Seg(FIN | ACK, nxt - 1, own.nxt, across[:-2])
    yield Seg(SYN, own.irs)
    yield from (Seg(SYN | ACK, own.irs, ack) for ack in acks)
    yield from (Seg(RST | ACK, nxt, ack) for ack in (own.nxt, own.nxt + 1))
    yield Seg(RST, nxt, 0, TEXT[:2])
    yield Seg(0, nxt)
    yield Seg(PSH, nxt, 0, TEXT[:1])
    yield Seg(FIN, nxt)


def alphabet(own: Reference) -> list[Event]:
    opening = own.state in ("CLOSED", "LISTEN", "SYN-SENT")
    return [*calls(own), *(openings(own) if opening else at_edges(own))]


def step(twin: Twin, event: Event) -> None:
    if isinstance(event, Seg):
        twin.arrives(event)
    else:
        twin.call(event[0], *(arg.encode() for arg in event[1:]))


@dataclass
class Exploration:
    """Breadth first from one root; `entered` has the key of each state seen."""

    root: str
    pairs: int = 0
    entered: set[object] = field(default_factory=set)

    def fresh(self, path: tuple[Event, ...]) -> Twin:
        how, listens, _ = ROOTS[self.root]
        twin = Twin(listens=listens)
        twin.replaying = True
        how(twin)
        for event in path:
            step(twin, event)
        twin.replaying = False
        return twin

    def expand(self, path: tuple[Event, ...]) -> Iterator[tuple[Event, ...]]:
        """Every event in the state that `path` leads to; yields the paths to new states."""
        twin = self.fresh(path)
        here = twin.reference.key()
        for event in alphabet(twin.reference):
            self.pairs += 1
            step(twin, event)
            there = twin.reference.key()
            if there == here:
                continue
            twin.finish()
            twin.close()
            if there not in self.entered:
                self.entered.add(there)
                yield (*path, event)
            twin = self.fresh(path)
        twin.finish()
        twin.close()

    def run(self, depth: int) -> None:
        frontier: list[tuple[Event, ...]] = [()]
        twin = self.fresh(())
        self.entered.add(twin.reference.key())
        twin.close()
        for _ in range(depth):
            frontier = [longer for path in frontier for longer in self.expand(path)]


@pytest.mark.rfc(
    "9293-EV-03", "9293-EV-05", "9293-EV-07", "9293-EV-08", "9293-EV-09", "9293-EV-10",
    "9293-EV-11", "9293-EV-12", "9293-EV-13", "9293-EV-14", "9293-EV-16", "9293-EV-19",
    "9293-EV-20", "9293-EV-21", "9293-EV-23", "9293-EV-24", "9293-MUST-10", "9293-MUST-66",
    "9293-SHLD-3", "2018-04",
)  # fmt: skip
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("root", ROOTS)
def test_every_event_in_every_state(root: str):
    depth = DEPTH + ROOTS[root][2]
    explored = Exploration(root)
    explored.run(depth)
    print(f"{root}: depth {depth}, {len(explored.entered)} states, {explored.pairs} pairs")
    assert explored.pairs >= 100 * DEPTH
