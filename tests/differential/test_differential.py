"""The same programs into the engine and into this machine's kernel: what differs is explained.

SEEDS=n runs n programs, SEED=n one, with its story. differences.txt has what is explained.
"""

import os
from collections.abc import Callable

import pytest

from differential import compare
from differential.compare import Difference, Duel, explained
from differential.program import Call, Program, Send, generate
from differential.subjects import ESSENTIAL, Kernel, Ours
from differential.voice import PEER_ISN, Voice, joined, may_become
from support.netns import in_namespace
from usertcp.testing.packets import ACK, FIN, RST, SYN, Options, Segment, decode

SEEDS = int(os.environ.get("SEEDS", "32"))
ONE = os.environ.get("SEED")
BATCH = 8

needs_tun = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="no access to /dev/net/tun"
)
pytestmark = needs_tun


def a_kernel() -> Kernel:
    kernel = Kernel()
    if missing := ESSENTIAL & set(kernel.missing):
        pytest.skip(f"cannot set {', '.join(sorted(missing))} in this namespace")
    return kernel


def port(seed: int) -> int:
    return 2000 + seed % 60_000


def batches() -> list[range]:
    if ONE is not None:
        return [range(int(ONE), int(ONE) + 1)]
    return [range(first, min(first + BATCH, SEEDS)) for first in range(0, SEEDS, BATCH)]


@pytest.mark.parametrize("seeds", batches(), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
@in_namespace
def test_both_say_the_same(seeds: range):
    kernel, rows = a_kernel(), explained()
    new: list[Difference] = []
    steps = 0
    for seed in seeds:
        run = Duel(generate(seed), kernel, port(seed)).execute()
        steps += run.steps
        if ONE is not None:
            print(*run.story, run.difference or "no difference", sep="\n")
        if run.difference is not None:
            new += [] if any(row.covers(run.difference) for row in rows) else [run.difference]
    kernel.close()
    assert steps > len(seeds)
    assert not new, "\n" + "\n".join(map(str, new))


# -- the comparison itself -------------------------------------------------------------------------


def duel_with(change: Callable[[Ours], None], program: Program) -> Difference | None:
    kernel = a_kernel()
    duel = Duel(program, kernel, 1999)
    change(duel.ours)
    try:
        return duel.execute().difference
    finally:
        kernel.close()


PLAIN = Program(
    seed=0, version=4, active=False, mss=1460, wscale=7, sack=True, timestamps=True, nodelay=True,
    opening=(),
    steps=(Send(ACK, length=10), Call("send", 3000), Send(ACK), Call("receive"),
           Send(ACK | FIN), Call("close"), Send(ACK)),
)  # fmt: skip


@in_namespace
def test_an_ordinary_connection_is_the_same():
    assert duel_with(lambda _: None, PLAIN) is None


@pytest.mark.parametrize(
    "spoil", ["a byte of data", "an ACK", "an option", "a segment more", "a state", "a result"]
)
@in_namespace
def test_whatever_differs_is_seen(spoil: str):
    def change(ours: Ours) -> None:
        outcome, call, state = ours.outcome, ours.call, ours.state

        def spoiled():
            for packet in outcome():
                s = packet.segment
                fields = {
                    "a byte of data": {"payload": s.payload[:-1] + b"!" if s.payload else b""},
                    "an ACK": {"ack": s.ack + bool(s.flags & ACK)},
                    "an option": {"options": Options(mss=s.options.mss)},
                }.get(spoil, {})
                changed = type(s)(**{k: getattr(s, k) for k in s.__slots__} | fields)
                yield type(packet)(
                    **{k: getattr(packet, k) for k in packet.__slots__} | {"body": changed}
                )
                if spoil == "a segment more":
                    yield packet

        ours.outcome = lambda: list(spoiled())
        if spoil == "a state":
            ours.state = lambda: "CLOSING" if state() == "ESTABLISHED" else state()
        if spoil == "a result":
            ours.call = lambda *args: call(*args) + "0"

    assert duel_with(change, PLAIN) is not None


def test_a_program_is_the_same_everywhere():
    first = generate(7)
    assert first == generate(7)
    assert str(first.steps[0]) == "peer URG,ACK len=10 win=20000 urp=500"
    assert len({repr(generate(seed).steps) for seed in range(100)}) == 100


def test_rows_are_whole():
    rows = explained()
    assert all(row.situation and row.ours and row.linux and len(row.reason) > 7 for row in rows)
    assert len(set(rows)) == len(rows)


def test_a_row_covers_what_it_says_and_no_more():
    row = compare.Explained("ESTABLISHED: *", "ACK *", "(nothing)", "because")
    assert row.covers(Difference(1, "ESTABLISHED: peer ACK", ("ACK seq=1",), ()))
    assert not row.covers(Difference(1, "LISTEN: peer ACK", ("ACK seq=1",), ()))
    assert not row.covers(Difference(1, "ESTABLISHED: peer ACK", ("ACK seq=1",), ("ACK seq=1",)))


def test_data_in_one_go_is_one_run():
    cut = ["ACK seq=1 ack=5 data=0102", "ACK seq=3 ack=5 data=03", "FIN,ACK seq=4 ack=5 data=04"]
    assert joined(cut) == ["FIN,ACK seq=1 ack=5 data=01020304"]
    gap = ["ACK seq=1 ack=5 data=0102", "ACK seq=4 ack=5 data=03"]
    assert joined(gap) == gap
    assert may_become(cut[:1], ["ACK seq=1 ack=5 data=010203"])
    assert not may_become(["ACK seq=1 ack=5 data=0109"], ["ACK seq=1 ack=5 data=010203"])
    assert not may_become(["RST seq=1"], ["ACK seq=1 ack=5"])
    assert may_become([], ["RST seq=1"])


def heard(voice: Voice, **fields: object) -> str | None:
    segment = Segment(sport=80, dport=9, **({"flags": ACK, "ack": PEER_ISN} | fields))
    return voice.hears(decode(voice.packet(segment)))


def test_what_is_sent_again_is_not_listened_to():
    voice = Voice(PLAIN, 9)
    assert heard(voice, flags=SYN | ACK, seq=2**32 - 1) == "SYN,ACK seq=0 ack=0"
    assert heard(voice, seq=0, payload=b"ab") == "ACK seq=1 ack=0 data=6162"
    assert heard(voice, seq=0, payload=b"ab") is None
    assert heard(voice, seq=1, payload=b"bc") == "ACK seq=2 ack=0 data=6263"
    assert heard(voice, seq=1) is None  # a probe
    assert heard(voice, seq=3) == "ACK seq=4 ack=0"
    assert heard(voice, seq=3, flags=FIN | ACK) == "FIN,ACK seq=4 ack=0"
    assert heard(voice, seq=0, flags=RST) == "RST seq=1"
    assert heard(voice, flags=SYN | ACK, seq=77) == "SYN,ACK seq=0 ack=0 another"
