"""RFC 9293 3.10.7 as one table: (state, segment) -> (state, reply, drop reason).

Segments: `seq` is the next in order (+n beyond, -n before), `ack` what was acknowledged already
unless the name says otherwise. Reply: flags, or - for none. Drop: name in drops.def, or -.
"""

from collections.abc import Callable
from typing import Any

import pytest

from support.states import There, reach

FAR = 1 << 24  # beyond any window here


def _ack(there: There) -> dict[str, Any]:
    return {"seq": there.seq, "ack": there.una}


EVENTS: dict[str, Callable[[There], dict[str, Any]]] = {
    "syn": lambda t: {"flags": "SYN", "seq": t.seq},
    "syn-again": lambda t: {"flags": "SYN", "seq": 0, "mss": 1460},
    "syn-inside": lambda t: {"flags": "SYN", "seq": t.seq + 5},
    "syn-ack": lambda t: {"flags": "SYN,ACK", "seq": t.seq, "ack": t.nxt},
    "ack-all": lambda t: {"seq": t.seq, "ack": t.nxt},
    "ack-old": lambda t: {"seq": t.seq, "ack": t.una - 5},
    "ack-iss": lambda t: {"seq": t.seq, "ack": 0},
    "ack-future": lambda t: {"seq": t.seq, "ack": t.nxt + 1000},
    "ack-outside": lambda t: {"seq": t.seq + FAR, "ack": t.una},
    "rst": lambda t: {"flags": "RST", "seq": t.seq},
    "rst-ack": lambda t: {"flags": "RST,ACK", "seq": t.seq, "ack": t.nxt},
    "rst-bad-ack": lambda t: {"flags": "RST,ACK", "seq": t.seq, "ack": t.nxt + 5},
    "rst-inside": lambda t: {"flags": "RST,ACK", "seq": t.seq + 5, "ack": t.una},
    "rst-before": lambda t: {"flags": "RST,ACK", "seq": t.seq - 1, "ack": t.una},
    "rst-beyond": lambda t: {"flags": "RST,ACK", "seq": t.seq + FAR, "ack": t.una},
    "fin": lambda t: {"flags": "FIN,ACK", **_ack(t)},
    "fin-ack-all": lambda t: {"flags": "FIN,ACK", "seq": t.seq, "ack": t.nxt},
    "fin-gap": lambda t: {"flags": "FIN,ACK", "seq": t.seq + 5, "ack": t.una},
    "fin-again": lambda t: {"flags": "FIN,ACK", "seq": t.seq - 1, "ack": t.una},
    "data": lambda t: {"data": b"xyz", **_ack(t)},
    "data-ack-all": lambda t: {"data": b"xyz", "seq": t.seq, "ack": t.nxt},
    "data-gap": lambda t: {"data": b"xyz", "seq": t.seq + 5, "ack": t.una},
    "data-old": lambda t: {"data": b"xyz", "seq": t.seq - 3, "ack": t.una},
    "data-outside": lambda t: {"data": b"xyz", "seq": t.seq + FAR, "ack": t.una},
    "urg": lambda t: {"flags": "PSH,URG,ACK", "data": b"xyz", "urgent": 1, **_ack(t)},
    "null": lambda t: {"flags": "", "seq": t.seq},
    "null-data": lambda t: {"flags": "PSH", "data": b"xyz", "seq": t.seq},
    "xmas": lambda t: {"flags": "FIN,SYN,RST,PSH,URG,ACK", "seq": t.seq + 5, "ack": t.una},
}

TABLE = """
CLOSED               syn          CLOSED        RST,ACK  tcp_no_listener
CLOSED               syn-ack      CLOSED        RST      tcp_no_listener
CLOSED               ack-all      CLOSED        RST      tcp_no_listener
CLOSED               rst          CLOSED        -        tcp_no_listener
CLOSED               rst-ack      CLOSED        -        tcp_no_listener
CLOSED               fin          CLOSED        RST      tcp_no_listener
CLOSED               data         CLOSED        RST      tcp_no_listener
CLOSED               urg          CLOSED        RST      tcp_no_listener
CLOSED               null         CLOSED        RST,ACK  tcp_no_listener
CLOSED               null-data    CLOSED        RST,ACK  tcp_no_listener

LISTEN               syn          SYN-RECEIVED  SYN,ACK  -
LISTEN               syn-ack      LISTEN        RST      tcp_listen_bad_ack
LISTEN               ack-all      LISTEN        RST      tcp_listen_bad_ack
LISTEN               rst          LISTEN        -        tcp_listen_not_syn
LISTEN               rst-ack      LISTEN        -        tcp_listen_not_syn
LISTEN               fin          LISTEN        RST      tcp_listen_bad_ack
LISTEN               data         LISTEN        RST      tcp_listen_bad_ack
LISTEN               null         LISTEN        -        tcp_listen_not_syn
LISTEN               null-data    LISTEN        -        tcp_listen_not_syn

SYN-SENT             syn          SYN-RECEIVED  SYN,ACK  -
SYN-SENT             syn-ack      ESTABLISHED   ACK      -
SYN-SENT             ack-all      SYN-SENT      -        tcp_listen_not_syn
SYN-SENT             ack-iss      SYN-SENT      RST      tcp_bad_handshake_ack
SYN-SENT             ack-future   SYN-SENT      RST      tcp_bad_handshake_ack
SYN-SENT             rst          SYN-SENT      -        tcp_rst_no_ack
SYN-SENT             rst-ack      CLOSED        -        -
SYN-SENT             rst-bad-ack  SYN-SENT      -        tcp_bad_handshake_ack
SYN-SENT             fin-ack-all  SYN-SENT      -        tcp_listen_not_syn
SYN-SENT             data-ack-all SYN-SENT      -        tcp_listen_not_syn
SYN-SENT             data         SYN-SENT      RST      tcp_bad_handshake_ack
SYN-SENT             null         SYN-SENT      -        tcp_listen_not_syn

SYN-RECEIVED         syn-again    SYN-RECEIVED  SYN,ACK  tcp_syn_again
SYN-RECEIVED         syn-inside   SYN-RECEIVED  ACK      tcp_syn_challenged
SYN-RECEIVED         ack-all      ESTABLISHED   -        -
SYN-RECEIVED         ack-iss      SYN-RECEIVED  RST      tcp_bad_handshake_ack
SYN-RECEIVED         ack-future   SYN-RECEIVED  RST      tcp_bad_handshake_ack
SYN-RECEIVED         ack-outside  SYN-RECEIVED  -        tcp_seq_outside
SYN-RECEIVED         data-outside SYN-RECEIVED  ACK      tcp_seq_outside
SYN-RECEIVED         rst          LISTEN        -        -
SYN-RECEIVED         rst-ack      LISTEN        -        -
SYN-RECEIVED         rst-inside   SYN-RECEIVED  ACK      tcp_rst_challenged
SYN-RECEIVED         rst-before   SYN-RECEIVED  -        tcp_rst_outside
SYN-RECEIVED         rst-beyond   SYN-RECEIVED  -        tcp_rst_outside
SYN-RECEIVED         fin-ack-all  CLOSE-WAIT    ACK      -
SYN-RECEIVED         data-ack-all ESTABLISHED   -        -
SYN-RECEIVED         data         SYN-RECEIVED  RST      tcp_bad_handshake_ack
SYN-RECEIVED         null         SYN-RECEIVED  -        tcp_no_ack_bit
SYN-RECEIVED         null-data    SYN-RECEIVED  -        tcp_no_ack_bit

SYN-RECEIVED/active  ack-all      ESTABLISHED   -        -
SYN-RECEIVED/active  syn-inside   SYN-RECEIVED  ACK      tcp_syn_challenged
SYN-RECEIVED/active  ack-iss      SYN-RECEIVED  RST      tcp_bad_handshake_ack
SYN-RECEIVED/active  ack-future   SYN-RECEIVED  RST      tcp_bad_handshake_ack
SYN-RECEIVED/active  ack-outside  SYN-RECEIVED  ACK      tcp_seq_outside
SYN-RECEIVED/active  rst          CLOSED        -        -
SYN-RECEIVED/active  rst-inside   SYN-RECEIVED  ACK      tcp_rst_challenged
SYN-RECEIVED/active  rst-beyond   SYN-RECEIVED  -        tcp_rst_outside
SYN-RECEIVED/active  fin-ack-all  CLOSE-WAIT    ACK      -
SYN-RECEIVED/active  data-ack-all ESTABLISHED   -        -
SYN-RECEIVED/active  null         SYN-RECEIVED  -        tcp_no_ack_bit

FIN-WAIT-1           ack-all      FIN-WAIT-2    -        -
CLOSING              ack-all      TIME-WAIT     -        -
LAST-ACK             ack-all      CLOSED        -        -
ESTABLISHED          ack-all      ESTABLISHED   -        -
FIN-WAIT-2           ack-all      FIN-WAIT-2    -        -
CLOSE-WAIT           ack-all      CLOSE-WAIT    -        -
TIME-WAIT            ack-all      TIME-WAIT     -        tcp_time_wait

ESTABLISHED          fin          CLOSE-WAIT    ACK      -
FIN-WAIT-1           fin          CLOSING       ACK      -
FIN-WAIT-1           fin-ack-all  TIME-WAIT     ACK      -
FIN-WAIT-2           fin          TIME-WAIT     ACK      -
CLOSE-WAIT           fin-again    CLOSE-WAIT    ACK      tcp_seq_outside
CLOSING              fin-again    CLOSING       ACK      tcp_seq_outside
LAST-ACK             fin-again    LAST-ACK      ACK      tcp_seq_outside
TIME-WAIT            fin-again    TIME-WAIT     ACK      -

CLOSE-WAIT           data         CLOSE-WAIT    -        tcp_after_fin
CLOSING              data         CLOSING       -        tcp_after_fin
LAST-ACK             data         LAST-ACK      -        tcp_after_fin
TIME-WAIT            data         TIME-WAIT     ACK      tcp_time_wait

TIME-WAIT            rst          TIME-WAIT     -        tcp_time_wait
TIME-WAIT            rst-inside   TIME-WAIT     -        tcp_time_wait
TIME-WAIT            syn-ack      TIME-WAIT     ACK      tcp_time_wait
TIME-WAIT            syn-again    TIME-WAIT     ACK      tcp_time_wait
TIME-WAIT            data-old     TIME-WAIT     ACK      tcp_time_wait
TIME-WAIT            data-outside TIME-WAIT     ACK      tcp_time_wait
TIME-WAIT            null         TIME-WAIT     -        tcp_time_wait
"""

SYNCHRONIZED = """
syn           same    ACK  tcp_syn_challenged
syn-inside    same    ACK  tcp_syn_challenged
syn-ack       same    ACK  tcp_syn_challenged
ack-old       same    -    -
ack-future    same    ACK  tcp_ack_outside
ack-outside   same    ACK  tcp_seq_outside
rst           CLOSED  -    -
rst-ack       CLOSED  -    -
rst-inside    same    ACK  tcp_rst_challenged
rst-before    same    -    tcp_rst_outside
rst-beyond    same    -    tcp_rst_outside
xmas          same    ACK  tcp_rst_challenged
data-old      same    ACK  tcp_seq_outside
data-outside  same    ACK  tcp_seq_outside
null          same    -    tcp_no_ack_bit
"""

RECEIVING = """
fin-gap       same    ACK  -
data          same    -    -
data-gap      same    ACK  -
urg           same    -    -
null-data     same    -    tcp_no_ack_bit
"""

SYNCHRONIZED_STATES = (
    "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK"
)  # fmt: skip
RECEIVING_STATES = ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2")


def rows() -> list[tuple[str, ...]]:
    found = [tuple(line.split()) for line in TABLE.splitlines() if line.strip()]
    for text, states in ((SYNCHRONIZED, SYNCHRONIZED_STATES), (RECEIVING, RECEIVING_STATES)):
        for line in text.split("\n"):
            if line:
                event, after, reply, drop = line.split()
                found += [
                    (state, event, state if after == "same" else after, reply, drop)
                    for state in states
                ]
    return found


def test_the_table_has_each_pair_once():
    pairs = [row[:2] for row in rows()]
    assert len(pairs) == len(set(pairs))


@pytest.mark.rfc(
    "9293-EV-01", "9293-EV-02", "9293-EV-03", "9293-EV-04", "9293-EV-05", "9293-EV-06",
    "9293-EV-08", "9293-EV-10", "9293-EV-11", "9293-EV-13", "9293-EV-14", "9293-EV-15",
    "9293-EV-20", "9293-EV-23", "9293-MUST-11", "5961-01", "5961-02", "5961-03", "5961-04",
    "5961-05", "5961-06", "1337-01", "1337-02", "SEC-14",
)  # fmt: skip
@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}-{row[1]}")
def test_event(peer, row: tuple[str, ...]):
    state, event, after, reply, drop = row
    there = reach(peer, state)
    before = peer.engine.drops()
    peer.sends(**EVENTS[event](there))
    replies = peer.gets_all()
    assert [",".join(sorted(got.flags)) for got in replies] == (
        [] if reply == "-" else [",".join(sorted(reply.split(",")))]
    ), peer.trace
    assert peer.app.state == after, peer.trace
    drops = {
        name: value - before.get(name, 0)
        for name, value in peer.engine.drops().items()
        if value != before.get(name, 0)
    }
    assert drops == ({} if drop == "-" else {drop: 1}), peer.trace
    for got in replies:
        check_numbers(there, event, state, got)


def check_numbers(there: There, event: str, state: str, got: Any) -> None:
    """RFC 9293 3.5.2: where the numbers of a reply come from."""
    sent = EVENTS[event](there)
    if "RST" in got.flags:
        if "ACK" in str(sent.get("flags", "ACK")):
            assert got.seq == sent["ack"]
        else:
            length = (
                len(sent.get("data", b"")) + ("SYN" in sent["flags"]) + ("FIN" in sent["flags"])
            )
            assert (got.segment.seq, got.ack) == (0, sent["seq"] + length)
    elif "SYN" not in got.flags and state in (*SYNCHRONIZED_STATES, "TIME-WAIT"):
        consumed = event in ("fin", "fin-ack-all")
        assert (got.seq, got.ack) == (there.nxt, there.seq + consumed)
        assert not got.data


@pytest.mark.rfc("9293-MUST-12")
@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("SYN-SENT", "REFUSED"), ("SYN-RECEIVED/active", "REFUSED"), ("ESTABLISHED", "RESET"),
        ("FIN-WAIT-1", "RESET"), ("FIN-WAIT-2", "RESET"), ("CLOSE-WAIT", "RESET"),
    ],
)  # fmt: skip
def test_user_learns_of_a_reset(peer, state: str, error: str):
    there = reach(peer, state)
    peer.sends("RST,ACK", seq=there.seq, ack=there.nxt)
    assert peer.app.outcome() == error
    assert peer.app.error == error


@pytest.mark.rfc("9293-EV-15", "9293-MUST-13")
def test_time_wait_begins_again_with_a_lost_ack(peer):
    there = reach(peer, "TIME-WAIT")
    peer.advance(50)
    peer.sends("FIN,ACK", seq=there.seq - 1, ack=there.nxt)
    peer.gets("ACK", seq=there.nxt, ack=there.seq)
    peer.advance(59)
    assert peer.app.state == "TIME-WAIT"
    peer.advance(1.1)
    assert peer.app.state == "CLOSED"


@pytest.mark.rfc("9293-EV-13")
def test_fin_waits_for_what_is_missing(peer):
    there = reach(peer, "ESTABLISHED")
    peer.sends("FIN,ACK", seq=there.seq + 3)
    peer.gets("ACK", ack=there.seq)
    assert peer.app.state == "ESTABLISHED"
    peer.sends(seq=there.seq, data=b"abc")
    peer.gets("ACK", ack=there.seq + 4)
    assert peer.app.state == "CLOSE-WAIT"
    assert peer.app.receive() == b"abc"
    assert peer.app.outcome() == "END_OF_STREAM"
