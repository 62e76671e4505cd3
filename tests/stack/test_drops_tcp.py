"""Drops of segments that belong to no connection: headers, closed ports, listeners, full tables."""

import pytest

from stack.bench import FULL_OFFER, Bench, EtherBench, changes, counted, dropped, flags_of
from usertcp.testing import Peer
from usertcp.testing.packets import Options, parse_flags

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def listening(*, ipv6: bool = False, backlog: int = 16, **options: object) -> Bench:
    bench = Bench(ipv6=ipv6, **options)
    bench.engine.listen(80, backlog=backlog)
    return bench


def refused(bench: Bench, packet: bytes, **why: int) -> None:
    """Exactly these drops, no answer, nothing changed."""
    with dropped(bench.engine, **why):
        assert bench.arrives(packet) == []


def reset(bench: Bench, packet: bytes, **why: int) -> None:
    """Exactly these drops, one RST that fits the segment, nothing changed."""
    with dropped(bench.engine, **why), counted(bench.engine, resets_out=1):
        (answer,) = bench.arrives(packet)
    assert "RST" in flags_of(answer)


# -- headers --------------------------------------------------------------------------------------


@pytest.mark.attack(7)
@pytest.mark.rfc("SEC-04")
@BOTH
def test_tcp_short(ipv6: bool):
    """Attack 7: every length below a header, every data offset that is none."""
    bench = listening(ipv6=ipv6)
    for size in range(20):
        refused(bench, bench.packet(bytes(size), protocol=6), tcp_short=1)
    for offset in [*range(5), *range(6, 16)]:
        refused(bench, bench.tcp("SYN", data_offset=offset), tcp_short=1)


@pytest.mark.rfc("9293-MUST-3")
@BOTH
def test_tcp_checksum(ipv6: bool):
    bench = listening(ipv6=ipv6)
    for flags in ("SYN", "ACK", "RST", "."):
        refused(bench, bench.tcp(flags, checksum=0x1234), tcp_checksum=1)


@pytest.mark.attack(4)
@BOTH
def test_bad_options_do_not_excuse_a_tcp_checksum(ipv6: bool):
    """Attack 4: damage is damage first."""
    bench = listening(ipv6=ipv6)
    wrong = bench.tcp("SYN", options=Options(extra=b"\x02\0\0\0"), checksum=1)
    refused(bench, wrong, tcp_checksum=1)


WRONG_OPTIONS = [
    "0200", "0201", "0203", "0203aa", "020500", "01020405", "03020000", "0304", "040300", "0401",
    "0502", "0503aa", "050a" + "00" * 4, "0509" + "00" * 7, "0512" + "00" * 12, "052a" + "00" * 36,
    "0800", "0802", "0809" + "00" * 7, "080b" + "00" * 9, "080a" + "00" * 4, "01010102", "fe00",
    "fe01", "fe", "010101fe", "1dff", "1d00", "1d01", "2209", "1300",
]  # fmt: skip


@pytest.mark.attack(2, 4, 6)
@pytest.mark.rfc("9293-MUST-7", "9293-MUST-68", "SEC-06")
@pytest.mark.parametrize("data", WRONG_OPTIONS)
@BOTH
def test_tcp_options(data: str, ipv6: bool):
    """Attacks 2, 4, 6: lengths 0 and 1, wrong for the kind, beyond the header."""
    raw = bytes.fromhex(data)
    if raw in (b"\xfe", b"\x04\x01"):
        raw = b"\x01" * (4 - len(raw)) + raw
    raw += b"\x01" * (-len(raw) % 4)
    bench = listening(ipv6=ipv6)
    for flags in ("SYN", "ACK", "RST"):
        refused(bench, bench.tcp(flags, options=Options(extra=raw)), tcp_options=1)


@BOTH
def test_tcp_port_zero(ipv6: bool):
    bench = listening(ipv6=ipv6)
    for flags in ("SYN", "ACK", "SYN,ACK", "RST", "."):
        refused(bench, bench.tcp(flags, sport=0), tcp_port_zero=1)
        refused(bench, bench.tcp(flags, dport=0), tcp_port_zero=1)
        refused(bench, bench.tcp(flags, sport=0, dport=0), tcp_port_zero=1)


# -- nobody there ---------------------------------------------------------------------------------


@pytest.mark.attack(45)
@pytest.mark.rfc("9293-EV-01", "9293-EV-02", "SEC-14")
@BOTH
def test_tcp_no_listener(ipv6: bool):
    """Attack 45: all 256 sets of control bits to a closed port; RST to all but RST."""
    bench = listening(ipv6=ipv6)
    for flags in range(256):
        packet = bench.tcp(flags, dport=81, seq=500, ack=900, payload=b"abc")
        if flags & parse_flags("RST"):
            refused(bench, packet, tcp_no_listener=1)
            continue
        with dropped(bench.engine, tcp_no_listener=1):
            (answer,) = bench.arrives(packet)
        got = answer.segment
        if flags & parse_flags("ACK"):
            assert (flags_of(answer), got.seq) == ("RST", 900)
        else:
            length = 3 + bool(flags & 1) + bool(flags & 2)
            assert (flags_of(answer), got.seq, got.ack) == ("RST,ACK", 0, 500 + length)


def expected_of_listener(flags: int) -> str:
    if flags & parse_flags("RST"):
        return "tcp_listen_not_syn"
    if flags & parse_flags("ACK"):
        return "tcp_listen_bad_ack"
    if not flags & parse_flags("SYN"):
        return "tcp_listen_not_syn"
    return "tcp_flags" if flags & parse_flags("FIN") else ""


@pytest.mark.attack(45)
@pytest.mark.rfc("9293-EV-03", "SEC-14")
@BOTH
def test_tcp_listen_not_syn_and_tcp_listen_bad_ack(ipv6: bool):
    """Attack 45 at a listener: only a SYN with neither RST, ACK nor FIN opens anything."""
    for flags in range(256):
        why = expected_of_listener(flags)
        bench = listening(ipv6=ipv6, rcv_buffer=4096, snd_buffer=4096)
        packet = bench.tcp(flags, seq=500, ack=900)
        if why == "tcp_listen_bad_ack":
            reset(bench, packet, tcp_listen_bad_ack=1)
        elif why:
            refused(bench, packet, **{why: 1})
        else:
            ecn = flags & parse_flags("ECE,CWR") == parse_flags("ECE,CWR")
            answer = "SYN,ECE,ACK" if ecn else "SYN,ACK"  # RFC 3168 6.1.1
            assert [flags_of(p) for p in bench.arrives(packet)] == [answer]
            assert bench.engine.drops() == {}
        bench.engine.close()


@pytest.mark.parametrize("flags", ["SYN,FIN", "SYN,FIN,PSH,URG", "SYN,FIN,ECE,CWR"])
@BOTH
def test_tcp_flags_at_a_listener(flags: str, ipv6: bool):
    refused(listening(ipv6=ipv6), listening(ipv6=ipv6).tcp(flags), tcp_flags=1)


@pytest.mark.parametrize("flags", ["SYN,FIN", "SYN,FIN,ACK"])
def test_tcp_flags_in_syn_sent(peer: Peer, flags: str):
    peer.app.connect()
    peer.gets("SYN")
    with dropped(peer.engine, tcp_flags=1):
        peer.sends(flags, seq=0, ack=1)
        peer.gets_nothing()


@pytest.mark.rfc("9768-11")
@pytest.mark.parametrize(
    ("first", "second"), [("SYN,AE,CWR,ECE", "SYN,ECE,CWR"), ("SYN,ECE,CWR", "SYN,AE,CWR,ECE")]
)
@BOTH
def test_tcp_ecn_mixed(first: str, second: str, ipv6: bool):
    """RFC 9768 3.1.5: two modes of feedback in one handshake; the entry goes with the RST."""
    bench = listening(ipv6=ipv6, ecn=5)
    assert len(bench.arrives(bench.tcp(first, seq=500))) == 1
    before = bench.engine.drops()
    with counted(bench.engine, resets_out=1, half_open=-1, connections=0):
        (answer,) = bench.arrives(bench.tcp(second, seq=500))
    assert (flags_of(answer), answer.segment.ack) == ("RST,ACK", 501)
    assert changes(before, bench.engine.drops()) == {"tcp_ecn_mixed": 1}
    assert bench.passes(60) == [], "nothing is left that would send again"


# -- full ------------------------------------------------------------------------------------------


@pytest.mark.rfc("4987-01", "SEC-02")
@pytest.mark.parametrize("limit", ["backlog", "max_half_open"])
@BOTH
def test_tcp_half_open_full(limit: str, ipv6: bool):
    """Without cookies a SYN that finds no room is dropped; the peer will send it again."""
    if limit == "backlog":
        bench = listening(ipv6=ipv6, backlog=3, syn_cookies=0)
    else:
        bench = listening(ipv6=ipv6, max_half_open=3, syn_cookies=0)
    for port in range(3):
        assert len(bench.arrives(bench.syn(5000 + port))) == 1
    for port in range(10):
        with counted(bench.engine, half_open_full=1, syn_received=1, half_open=0):
            refused(bench, bench.syn(6000 + port), tcp_half_open_full=1)
    again = bench.arrives(bench.syn(5001))
    assert [flags_of(p) for p in again] == ["SYN,ACK"]


@BOTH
def test_tcp_half_open_full_for_want_of_memory(ipv6: bool):
    probe = Bench(ipv6=ipv6, syn_cookies=0)
    probe.engine.listen(80)
    bench = Bench(ipv6=ipv6, syn_cookies=0, memory_limit=probe.engine.memory + 6000)
    bench.engine.listen(80, backlog=4096)
    for port in range(4000):
        bench.arrives(bench.syn(5000 + port))
    assert set(bench.engine.drops()) == {"tcp_half_open_full"}
    assert bench.engine.memory <= probe.engine.memory + 6000
    assert bench.engine.is_listening(80)


@pytest.mark.attack(28)
@pytest.mark.rfc("SEC-02")
@BOTH
def test_tcp_accept_full(ipv6: bool):
    """Attack 28: the third segment is dropped and the entry stays, until there is room."""
    bench = listening(ipv6=ipv6, backlog=2)
    answers = [bench.arrives(bench.syn(5000 + n))[0] for n in range(2)]
    for answer in answers:
        bench.arrives(bench.ack_of(answer))
    (third,) = bench.arrives(bench.syn(5002))
    for _ in range(3):
        with counted(bench.engine, accept_overflows=1, half_open=0, connections=0):
            refused(bench, bench.ack_of(third), tcp_accept_full=1)
    row = next(r for r in bench.engine.raw.list_info() if r.state.name == "LISTEN")
    assert (row.accept_queue, row.half_open, row.backlog) == (2, 1, 2)
    assert not isinstance(bench.engine.raw.accept(row.handle, bench.engine.now), int)
    with counted(bench.engine, passive_opens=1, half_open=-1, connections=1):
        bench.arrives(bench.ack_of(third))


@pytest.mark.rfc("SEC-02")
@BOTH
def test_tcp_table_full(ipv6: bool):
    bench = listening(ipv6=ipv6, max_connections=2)
    for port in (5000, 5001):
        bench.opens(port)
    (third,) = bench.arrives(bench.syn(5002))
    with counted(bench.engine, connections=0, half_open=0):
        refused(bench, bench.ack_of(third), tcp_table_full=1)


# -- cookies ---------------------------------------------------------------------------------------


@pytest.mark.attack(27)
@pytest.mark.rfc("4987-02")
@BOTH
def test_tcp_cookie_bad(ipv6: bool):
    """Attack 27: every field the cookie covers; a good one is good once per handshake."""
    bench = listening(ipv6=ipv6, syn_cookies=2)
    (answer,) = bench.arrives(bench.syn(5000, options=FULL_OFFER))
    got = answer.segment
    forged = [
        {"ack": got.end + 1}, {"ack": got.end - 1}, {"ack": got.end ^ 1 << 24},
        {"ack": got.end ^ 1 << 31}, {"seq": got.ack + 1}, {"seq": got.ack - 1}, {"sport": 5001},
    ]  # fmt: skip
    for fields in forged:
        with counted(bench.engine, cookies_bad=1):
            reset(bench, bench.ack_of(answer, **fields), tcp_cookie_bad=1)
    with counted(bench.engine, cookies_ok=1, cookies_bad=0, passive_opens=1):
        assert bench.arrives(bench.ack_of(answer)) == []


@BOTH
def test_tcp_cookie_bad_with_data_is_not_answered(ipv6: bool):
    """It may have overtaken the ACK that completes the handshake."""
    bench = listening(ipv6=ipv6, syn_cookies=2)
    (answer,) = bench.arrives(bench.syn(5000))
    late = bench.ack_of(answer, seq=answer.segment.ack + 5, payload=b"late")
    refused(bench, late, tcp_cookie_bad=1)


@pytest.mark.rfc("4987-04")
def test_tcp_cookie_bad_when_it_is_old():
    """Two periods of 64 s: good in the second, forgotten in the third."""
    for wait, good in ((0, True), (63, True), (128, False), (64 * 32, False)):
        bench = listening(syn_cookies=2)
        (answer,) = bench.arrives(bench.syn(5000))
        bench.passes(wait)
        bench.arrives(bench.syn(5001))  # another cookie keeps the gate open
        outcome = bench.arrives(bench.ack_of(answer))
        assert (outcome == []) is good
        assert bench.engine.drops() == ({} if good else {"tcp_cookie_bad": 1})
        bench.engine.close()


def test_cookies_of_nobody_are_not_looked_at():
    """While none was sent lately no ACK can be one: blind guessing has no target."""
    bench = listening()
    reset(bench, bench.tcp("ACK", seq=7, ack=9), tcp_listen_bad_ack=1)


# -- an Ethernet detail ----------------------------------------------------------------------------


@BOTH
def test_a_reset_goes_back_where_the_segment_came_from(ipv6: bool):
    bench = EtherBench(ipv6=ipv6)
    bench.frames()
    with dropped(bench.engine, tcp_no_listener=1):
        (frame,) = bench.hears(bench.tcp("SYN"))
    assert (frame.dst, bench.neighbours) == (bytes.fromhex("020000000002"), 0)
