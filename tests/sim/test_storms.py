"""Two stacks that were made to disagree do not answer each other without end (attack 44)."""

import pytest

from usertcp import State
from usertcp.testing import EngineHarness
from usertcp.testing.packets import SYN, Options, Packet, Segment

PORTS = (40001, 80)
MS = 1_000_000


class Pair:
    """Two stacks 1 ms apart; nothing is lost. `packets` counts what has left both."""

    def __init__(self) -> None:
        self.a, self.b = EngineHarness("10.0.0.1/24"), EngineHarness("10.0.0.2/24")
        self.packets = 0

    def run(self, milliseconds: int) -> None:
        for _ in range(milliseconds):
            flying = [(self.b, self.a.take()), (self.a, self.b.take())]
            for engine in (self.a, self.b):
                engine.advance(MS)
            for target, packets in flying:
                self.packets += len(packets)
                for packet in packets:
                    target.inject(packet.data)


@pytest.fixture
def pair() -> Pair:
    """`a` is in TIME-WAIT, `b` has forgotten the connection and still listens."""
    pair = Pair()
    listener = pair.b.listen(PORTS[1])
    active = pair.a.connect("10.0.0.2", PORTS[1], local_port=PORTS[0])
    pair.run(10)
    passive = listener.accept()
    assert passive is not None
    active.shutdown()
    pair.run(10)
    passive.shutdown()
    pair.run(10)
    assert pair.a.state_of(PORTS[1]) == "TIME-WAIT"
    return pair


@pytest.mark.attack(44)
@pytest.mark.rfc("SEC-13")
@pytest.mark.parametrize("ahead", [0, 1 << 20])
def test_a_forged_syn_between_time_wait_and_a_listener(pair: Pair, ahead: int):
    """Its timestamp makes everything old that `a` says, at one of the four quarters of the circle.
    A SYN,ACK and its four repetitions, each answered, is all that there may be for each."""
    before = pair.packets
    source, target = (engine.addresses[0].ip for engine in (pair.a, pair.b))
    for quarter in range(4):
        forged = Segment(
            sport=PORTS[0], dport=PORTS[1], seq=77, flags=SYN,
            options=Options(mss=1460, timestamps=((quarter << 30) + ahead, 0)),
        )  # fmt: skip
        pair.b.inject(Packet(src=source, dst=target, body=forged).encode())
        pair.run(2000)
        assert pair.b.state_of(PORTS[0]) != str(State.ESTABLISHED)
        pair.b.advance(600_000 * MS)  # the entry ends
        pair.b.take()
    assert pair.packets - before < 40
