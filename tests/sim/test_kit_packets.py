"""The kit's own packets, notation and oracle: what judges must be judged too."""

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usertcp.testing import oracle, packets
from usertcp.testing._figure_text import parse
from usertcp.testing.impair import flip_bit
from usertcp.testing.notation import Pattern, describe, relative
from usertcp.testing.packets import Icmp, Options, Packet, PacketError, Segment

V4 = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("10.0.0.2")
V6 = ipaddress.ip_address("fd00::1"), ipaddress.ip_address("fd00::2")
U32 = st.integers(0, 2**32 - 1)
U16 = st.integers(0, 2**16 - 1)

OPTIONS = st.builds(
    Options,
    mss=st.none() | U16,
    wscale=st.none() | st.integers(0, 14),
    sack_permitted=st.booleans(),
    sack=st.lists(st.tuples(U32, U32), max_size=1).map(tuple),
    timestamps=st.none() | st.tuples(U32, U32),
)
SEGMENTS = st.builds(
    Segment,
    sport=U16, dport=U16, seq=U32, ack=U32, flags=st.integers(0, 255), window=U16, urgent=U16,
    options=OPTIONS, payload=st.binary(max_size=40),
)  # fmt: skip


def test_checksum_of_rfc_1071():
    assert packets.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF ^ 0xDDF2


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xff", b"\1\2\3"])
def test_checksum_completes_to_all_ones(data: bytes):
    value = packets.checksum(data).to_bytes(2)
    assert packets.checksum(data + b"\0" * (len(data) % 2) + value) == 0


@pytest.mark.parametrize("hosts", [V4, V6])
@given(segment=SEGMENTS)
def test_what_is_encoded_is_decoded(hosts, segment: Segment):
    packet = Packet(src=hosts[0], dst=hosts[1], body=segment)
    again = packets.decode(packet.encode())
    assert again.segment == segment
    assert (again.src, again.dst, again.ttl) == (packet.src, packet.dst, packet.ttl)


@pytest.mark.parametrize("hosts", [V4, V6])
def test_every_flipped_bit_is_seen(hosts):
    """But for those of IPv6 fields that no checksum covers."""
    segment = Segment(sport=1, dport=2, flags=packets.ACK, payload=b"odd")
    data = Packet(src=hosts[0], dst=hosts[1], body=segment).encode()
    unseen = [*range(4), *range(8, 32), *range(56, 64)] if hosts[0].version == 6 else []
    for bit in set(range(len(data) * 8)) - set(unseen):
        try:
            found = packets.decode(flip_bit(data, bit)).body
        except PacketError:
            continue
        assert isinstance(found, bytes), bit  # the protocol number was hit


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("0204", "length"), ("0200", "length"), ("02", "length"), ("020300", "value"),
        ("050200", "value"), ("00000001", "not zero"),
    ],
)  # fmt: skip
def test_malformed_options_are_named(raw: str, why: str):
    with pytest.raises(PacketError, match=why):
        Options.decode(bytes.fromhex(raw))


@pytest.mark.parametrize("hosts", [V4, V6])
def test_icmp(hosts):
    message = Icmp(type=3, code=4, rest=1400, body=b"quoted")
    packet = Packet(src=hosts[0], dst=hosts[1], body=message)
    assert packets.decode(packet.encode()).body == message


def test_relative():
    assert relative(5, 0xFFFFFFF0) == 21
    assert relative(0xFFFFFFF0, 5) == -21


SEGMENT = Segment(
    sport=1, dport=2, seq=101, ack=301, flags=packets.PSH | packets.ACK, payload=b"hello",
    options=Options(sack=((304, 307),)),
)  # fmt: skip


def test_describe():
    assert describe(SEGMENT, 100, 300, window=False) == "seq=1 ack=1 len=5 PSH,ACK <sack 4:7>"
    syn = Segment(sport=1, dport=2, seq=9, flags=packets.SYN, options=Options(mss=1460))
    assert describe(syn) == "seq=9 SYN win=65535 <mss 1460>"


def test_pattern_matches_what_it_says():
    assert Pattern.parse("seq=101 ack=301 len=5 PSH,ACK sack=[304:307]").differences(SEGMENT) == []
    assert Pattern.parse("seq=* ack=* len=5 ACK,PSH").differences(SEGMENT) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("seq=101 ack=301 PSH,ACK", "len 5, not 0"),
        ("seq=101 ack=301 len=5 ACK", "flags PSH,ACK, not ACK"),
        ("seq=100 ack=301 len=5 PSH,ACK", "seq 101, not 100"),
        ("seq=101 ack=300 len=5 PSH,ACK", "ack 301, not 300"),
        ("seq=101 ack=301 len=5 PSH,ACK win=1", "window 65535, not 1"),
    ],
)
def test_pattern_says_what_differs(text: str, why: str):
    assert Pattern.parse(text).differences(SEGMENT) == [why]


@pytest.mark.parametrize("text", ["seq=1 SNY", "seq=1 ACK", "seq=1 ack=1 ACK length=4 foo=3"])
def test_pattern_refuses_nonsense(text: str):
    with pytest.raises(ValueError, match=r"in|has"):
        Pattern.parse(text)


def test_figure_lines():
    steps = parse("""
        1.  CLOSED                                       LISTEN   # comment
        a.connect()      b.close()
        SYN-SENT     --> seq=100 SYN              --> SYN-RECEIVED
                     --x seq=101 ack=301 len=5 PSH,ACK
        SYN-SENT     --> seq=100 SYN              ...
                     ... seq=100 SYN              --> (back to LISTEN)
        FIN-WAIT-1   --> seq=100 ack=300 FIN,ACK  ... FIN-WAIT-1
                     x-- seq=1 ack=2 ACK          <--
        ... 1.5 RTO
        ...
        TIME-WAIT                                 CLOSED
    """)
    assert [step.kind for step in steps] == (
        ["states", "call", *["segment"] * 6, "wait", "wait", "states"]
    )
    assert (steps[0].left, steps[0].right) == ("CLOSED", "LISTEN")
    assert steps[1].calls == ("a.connect()", "b.close()")
    assert (steps[2].sender, steps[2].fate, steps[2].right) == ("a", "arrives", "SYN-RECEIVED")
    assert (steps[3].sender, steps[3].fate) == ("a", "lost")
    assert (steps[4].sender, steps[4].fate) == ("a", "stays")
    assert (steps[5].sender, steps[5].fate, steps[5].right) == (None, "arrives at b", None)
    assert (steps[6].left, steps[6].right) == ("FIN-WAIT-1", "FIN-WAIT-1")
    assert (steps[7].sender, steps[7].fate) == ("b", "lost")
    assert (steps[8].amount, steps[8].unit) == (1.5, "RTO")


@pytest.mark.parametrize("line", ["OPEN CLOSED", "--> seq=1 SYN <--", "what is this"])
def test_figure_refuses_what_it_cannot_read(line: str):
    with pytest.raises(ValueError, match=r"state|arrows|cannot be read|control bit"):
        parse(line)


def emitted(**changes: object) -> bytes:
    segment = replace(SEGMENT, **changes)  # type: ignore[arg-type]
    return Packet(src=V4[0], dst=V4[1], body=segment).encode()


def test_oracle_lets_good_packets_pass():
    assert oracle.check_emitted(emitted(), 1500).segment == SEGMENT


@pytest.mark.rfc("9293-MUST-2", "9293-MUST-65")
@pytest.mark.parametrize(
    "changes",
    [
        {"checksum": 1},
        {"flags": packets.PSH},
        {"flags": packets.SYN | packets.FIN | packets.ACK},
        {"flags": packets.RST | packets.ACK},
        {"reserved": 2},
        {"urgent": 3},
        {"options": Options(mss=1460)},
        {"options": Options(wscale=2)},
        {"options": Options(sack=((7, 7),))},
        {"options": Options(sack=((1, 3), (7, 9), (7, 9)))},
        {"options": Options(timestamps=(1, 2), extra=bytes.fromhex("080a0000000000000000"))},
        {"payload": bytes(1500)},
        {"sport": 0},
    ],
)
def test_oracle_stops_bad_packets(changes: dict[str, object]):
    with pytest.raises(oracle.OracleError):
        oracle.check_emitted(emitted(**changes), 1500)


def flows() -> tuple[oracle.FlowOracle, oracle.FlowOracle]:
    a, b = oracle.FlowOracle("a"), oracle.FlowOracle("b")
    syn = Segment(sport=1, dport=2, seq=100, flags=packets.SYN, window=1000)
    synack = Segment(
        sport=2, dport=1, seq=300, ack=101, flags=packets.SYN | packets.ACK, window=1000
    )
    a.emitted(syn)
    b.delivered_from_peer(syn, a)
    b.emitted(synack)
    a.delivered_from_peer(synack, b)
    return a, b


def test_flow_oracle_guards_the_window():
    a, _ = flows()
    fits = Segment(sport=1, dport=2, seq=101, ack=301, flags=packets.ACK, payload=bytes(1000))
    a.emitted(replace(fits, window=1000))
    probe = replace(fits, seq=1101, payload=b"p", window=1000)
    a.emitted(probe)
    with pytest.raises(oracle.OracleError, match="beyond the window"):
        a.emitted(replace(fits, seq=102, window=1000, payload=bytes(1001)))


def test_flow_oracle_guards_the_right_edge():
    a, _ = flows()
    ack = Segment(sport=1, dport=2, seq=101, ack=301, flags=packets.ACK, window=1000)
    a.emitted(ack)
    a.emitted(replace(ack, ack=501, window=800))
    with pytest.raises(oracle.OracleError, match="moved left"):
        a.emitted(replace(ack, ack=501, window=799))


def test_flow_oracle_guards_the_ecn_flags():
    a, b = flows()
    plain = Segment(sport=1, dport=2, seq=101, ack=301, flags=packets.ACK, window=1000)
    for flags, message in ((packets.CWR, "CWR without data"), (packets.AE, "AE though not")):
        with pytest.raises(oracle.OracleError, match=message):
            a.emitted(replace(plain, flags=packets.ACK | flags))
    with pytest.raises(oracle.OracleError, match="ECN though not"):
        a.emitted(replace(plain, payload=b"x"), tos=2)
    a.ecn_codes, b.ecn_codes = {7}, {2}  # RFC 9768: a counter
    a.emitted(replace(plain, flags=packets.ACK | packets.CWR | packets.AE))
    a.emitted(replace(plain, payload=b"x"), tos=2)
