"""Listeners: half-open queue, SYN,ACKs sent again, cookies in a flood, accept queue, closing."""

import ipaddress

import pytest

from stack.bench import FULL_OFFER, Bench, counted, dropped, flags_of
from support.states import reach
from usertcp.testing import Peer
from usertcp.testing._engine import Connection, EngineError, EngineHarness
from usertcp.testing.packets import Address, Options, Packet

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def listening(*, backlog: int = 16, **options: object) -> tuple[Bench, Connection]:
    bench = Bench(**options)
    return bench, bench.engine.listen(80, backlog=backlog)


def kinds(packets: list[Packet]) -> list[str]:
    return [flags_of(p) for p in packets]


# -- the half-open queue --------------------------------------------------------------------------


@pytest.mark.rfc("4987-01", "SEC-02")
@pytest.mark.parametrize("backlog", [1, 2, 16, 100])
@BOTH
def test_the_half_open_queue_is_bounded_by_the_backlog(backlog: int, ipv6: bool):
    bench, listener = listening(ipv6=ipv6, backlog=backlog, syn_cookies=0)
    with counted(bench.engine, half_open=backlog, half_open_full=20, syn_received=backlog + 20):
        sent = [p for n in range(backlog + 20) for p in bench.arrives(bench.syn(1000 + n))]
    assert kinds(sent) == ["SYN,ACK"] * backlog
    assert listener.info.half_open == backlog


@pytest.mark.parametrize("backlog", [0, -5])
def test_a_backlog_below_one_is_one(backlog: int):
    _, listener = listening(backlog=backlog)
    assert listener.info.backlog == 1


@pytest.mark.rfc("4987-01")
def test_half_open_entries_of_all_listeners_are_bounded_together():
    bench, first = listening(backlog=100, max_half_open=10, syn_cookies=0)
    second = bench.engine.listen(81, backlog=100)
    for n in range(20):
        bench.arrives(bench.syn(1000 + n, dport=80 + n % 2))
    assert first.info.half_open + second.info.half_open == 10
    assert bench.engine.counters()["half_open"] == 10


@pytest.mark.attack(26)
@pytest.mark.rfc("9293-MUST-22", "4987-04", "1122-10")
@pytest.mark.parametrize("retries", [0, 1, 3, 5])
def test_a_syn_ack_is_sent_again_with_back_off(retries: int):
    """After 1, 2, 4, ... s; then the entry ends with nothing said. Attack 26: nothing more."""
    bench, listener = listening(synack_retries=retries, rto_initial=1)
    (first,) = bench.arrives(bench.syn(5000, options=FULL_OFFER))
    began = bench.engine.now
    bench.engine.advance(200_000_000_000)
    taken = bench.engine.take()
    assert [(one.at - began) / 1e9 for one in taken] == [2**n - 1 for n in range(1, retries + 1)]
    for one in taken:
        again = one.packet.segment
        assert (again.seq, again.ack, flags_of(one.packet)) == (
            first.segment.seq, first.segment.ack, "SYN,ACK",
        )  # fmt: skip
        assert again.options.mss == first.segment.options.mss
        assert again.payload == b""
    counters = bench.engine.counters()
    assert counters.get("synack_retransmits", 0) == retries
    assert counters["half_open_timeouts"] == 1
    assert listener.info.half_open == 0
    assert bench.engine.state_of(5000, 80) == "LISTEN"


@pytest.mark.rfc("4987-04", "SEC-02")
def test_the_life_of_a_half_open_entry_is_bounded():
    """By default 63 s: then its place is free, and a late ACK is a stranger's."""
    bench, listener = listening(backlog=1, syn_cookies=0)
    (answer,) = bench.arrives(bench.syn(5000))
    bench.passes(62.9)
    assert listener.info.half_open == 1
    bench.passes(0.2)
    assert listener.info.half_open == 0
    with dropped(bench.engine, tcp_listen_bad_ack=1):
        assert kinds(bench.arrives(bench.ack_of(answer))) == ["RST"]
    assert kinds(bench.arrives(bench.syn(5001))) == ["SYN,ACK"]


def test_rto_max_bounds_the_back_off():
    bench, _ = listening(synack_retries=6, rto_initial=1, rto_max=3)
    bench.arrives(bench.syn(5000))
    began = bench.engine.now
    bench.engine.advance(60_000_000_000)
    assert [(one.at - began) / 1e9 for one in bench.engine.take()] == [1, 3, 6, 9, 12, 15]


@pytest.mark.rfc("9293-MUST-11", "9293-EV-19")
def test_a_reset_gives_the_place_back():
    bench, listener = listening(backlog=1, syn_cookies=0)
    (answer,) = bench.arrives(bench.syn(5000))
    with counted(bench.engine, half_open=-1):
        rst = bench.tcp("RST", sport=5000, seq=answer.segment.ack)
        assert bench.arrives(rst) == []
    assert kinds(bench.arrives(bench.syn(5001))) == ["SYN,ACK"]
    assert listener.accept() is None


@pytest.mark.rfc("4987-06")
def test_data_of_a_syn_takes_no_memory():
    """It is not kept: the handshake's ACK does not cover it, so the peer sends it again."""
    bench, listener = listening()
    bench.arrives(bench.syn(4999))
    before = bench.engine.memory
    (answer,) = bench.arrives(bench.syn(5000, payload=b"early" * 200))
    assert answer.segment.ack == 1001
    assert bench.engine.memory == before
    bench.arrives(bench.ack_of(answer, payload=b"early"))
    connection = listener.accept()
    assert connection is not None
    assert connection.receive() == b"early"


# -- cookies in a flood ---------------------------------------------------------------------------


def spoofed(bench: Bench, n: int) -> tuple[Address, int]:
    if bench.own.version == 4:
        return ipaddress.ip_address(0x0B000000 + n * 7919 % (1 << 24)), 1024 + n % 60000
    return ipaddress.ip_address(int(bench.own) + (n + 10 << 20)), 1024 + n % 60000


@pytest.mark.attack(25)
@pytest.mark.rfc("4987-02", "4987-03", "SEC-02")
@BOTH
def test_a_legitimate_client_gets_through_a_flood(ipv6: bool):
    """Attack 25: 10 000 SYNs from nowhere within a second; memory is that of the full queue."""
    bench, listener = listening(ipv6=ipv6, backlog=64)
    bench.opens(4999, options=FULL_OFFER)
    first = listener.accept()
    assert first is not None
    first.abort()
    bench.sent()
    full = 0
    for n in range(10_000):
        src, port = spoofed(bench, n)
        assert kinds(bench.arrives(bench.syn(port, src=src, isn=n, options=FULL_OFFER))) == [
            "SYN,ACK"
        ]
        bench.engine.advance(100_000)
        bench.engine.take()
        if n == 200:
            full = bench.engine.memory
        if n == 5000:
            (client,) = bench.arrives(bench.syn(5000, options=FULL_OFFER))
            assert bench.arrives(bench.ack_of(client, payload=b"GET")) == []
            connection = listener.accept()
            assert connection is not None
            assert connection.receive() == b"GET"
            info = connection.info
            connection.abort()
            bench.engine.take()
    counters = bench.engine.counters()
    assert bench.engine.memory - full == 2 << 20  # the client's ring, kept for the next
    assert counters["half_open"] == 64
    assert counters["half_open_full"] == counters["cookies_sent"] == 10_001 - 64
    assert counters["cookies_ok"] == counters["passive_opens"] - 1 == 1
    assert (info.snd_mss, info.sack_ok, info.wscale_ok) == (1440 if ipv6 else 1460, True, True)
    assert (info.snd_wscale, info.timestamps_ok) == (7, True)
    assert bench.engine.drops() == {}
    bench.passes(70)
    assert bench.engine.counters().get("half_open", 0) == 0
    bench.engine.close()


COOKIE_SIZES = (216, 536, 1220, 1360, 1440, 1460)  # what a cookie can remember


@pytest.mark.rfc("4987-03")
@pytest.mark.parametrize("sack", [False, True])
@pytest.mark.parametrize("wscale", [None, 0, 1, 7, 14])
@pytest.mark.parametrize("mss", [None, 216, 536, 1000, 1460])
def test_cookies_keep_options_with_timestamps(mss: int | None, wscale: int | None, sack: bool):
    bench, listener = listening(syn_cookies=2)
    offer = Options(mss=mss, wscale=wscale, sack_permitted=sack, timestamps=(77, 0))
    answer = bench.opens(5000, options=offer)
    connection = listener.accept()
    assert connection is not None
    info = connection.info
    assert info.timestamps_ok
    assert info.sack_ok is sack
    assert info.wscale_ok is (wscale is not None)
    assert info.snd_wscale == (wscale or 0)
    assert answer.segment.options.sack_permitted is sack
    assert (answer.segment.options.wscale is None) is (wscale is None)
    announced = 536 if mss is None else mss
    assert info.snd_mss == max(size for size in COOKIE_SIZES if size <= announced)


@pytest.mark.rfc("4987-03")
def test_cookies_without_timestamps_offer_what_they_remember():
    """The SYN,ACK promises nothing that the ACK could not bring back."""
    bench, listener = listening(syn_cookies=2)
    answer = bench.opens(5000, options=Options(mss=1460, wscale=7, sack_permitted=True))
    options = answer.segment.options
    assert (options.mss, options.wscale, options.sack_permitted) == (1460, None, False)
    connection = listener.accept()
    assert connection is not None
    assert (connection.info.snd_mss, connection.info.sack_ok) == (1460, False)


def test_cookies_of_two_stacks_differ():
    """And of one, by peer and by ISN: nobody can reuse what another was given."""
    answers = []
    for seed in (1, 2):
        bench, _ = listening(syn_cookies=2, seed=seed)
        for port, isn in ((5000, 1), (5000, 2), (5001, 1)):
            (answer,) = bench.arrives(bench.syn(port, isn=isn))
            answers.append(answer.segment.seq)
    assert len(set(answers)) == 6


@pytest.mark.attack(22)
@pytest.mark.rfc("5961-09")
def test_a_cookie_leaves_no_wide_acceptance():
    """Attack 22: after it, an ACK of bytes that were never sent is outside."""
    bench, listener = listening(syn_cookies=2)
    answer = bench.opens(5000)
    assert listener.accept() is not None
    with dropped(bench.engine, tcp_ack_outside=1):
        wrong = bench.ack_of(answer, ack=answer.segment.seq, payload=b"x")
        assert kinds(bench.arrives(wrong)) == ["ACK"]


# -- the accept queue and the end -----------------------------------------------------------------


@pytest.mark.rfc("SEC-02")
@pytest.mark.parametrize("cookies", [0, 1, 2])
def test_the_accept_queue_is_bounded(cookies: int):
    bench, listener = listening(backlog=4, syn_cookies=cookies)
    answers = [
        answer for n in range(12) for answer in bench.arrives(bench.syn(5000 + n))
    ]  # fmt: skip
    for answer in answers:
        bench.arrives(bench.ack_of(answer))
    assert listener.info.accept_queue == 4
    assert bench.engine.drops().get("tcp_accept_full", 0) == len(answers) - 4
    assert sum(listener.accept() is not None for _ in range(12)) == 4


def test_connections_are_accepted_in_their_order():
    bench, listener = listening()
    for port in (5003, 5001, 5002):
        bench.opens(port)
    accepted = [listener.accept() for _ in range(3)]
    assert [c.info.remote[1] for c in accepted if c is not None] == [5003, 5001, 5002]
    assert listener.accept() is None


@BOTH
def test_closing_a_listener_resets_its_queues(ipv6: bool):
    """RFC 9293 3.10.4: half-open entries and connections nobody will accept; not the accepted."""
    bench, listener = listening(ipv6=ipv6)
    accepted = bench.opens(5000)
    connection = listener.accept()
    assert connection is not None
    waiting = bench.opens(5001)
    (half,) = bench.arrives(bench.syn(5002))
    with counted(bench.engine, half_open=-1, connections=-1, listeners=-1, resets_out=2):
        listener.close()
    sent = {p.segment.dport: p.segment for p in bench.sent()}
    assert set(sent) == {5001, 5002}
    for answer in (waiting, half):
        rst = sent[answer.segment.dport]
        assert (rst.seq, rst.ack) == (answer.segment.end, answer.segment.ack)
    assert bench.arrives(bench.ack_of(accepted, payload=b"on")) == []
    assert connection.receive() == b"on"
    bench.sent()
    with dropped(bench.engine, tcp_no_listener=1):
        assert kinds(bench.arrives(bench.syn(5003))) == ["RST,ACK"]
    with pytest.raises(EngineError, match="STALE_HANDLE"):
        listener.accept()


def test_a_handle_of_a_closed_listener_is_stale_also_when_its_place_is_taken():
    engine = EngineHarness("10.0.0.1/24")
    old = engine.listen(80)
    old.close()
    new = engine.listen(80)
    assert old.handle != new.handle
    for call in (old.accept, old.close, old.abort, lambda: old.send(b"x"), lambda: old.info):
        with pytest.raises(EngineError, match="STALE_HANDLE"):
            call()
    assert engine.is_listening(80)


def test_the_most_specific_listener_wins():
    bench = Bench()
    packed = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 9])
    assert bench.engine.raw.address_add(packed, 24, 0, bench.engine.now) == 0
    everywhere = bench.engine.listen(80)
    v4 = bench.engine.listen(80, host="0.0.0.0")
    here = bench.engine.listen(80, host="10.0.0.1")
    bench.opens(5000)
    bench.opens(5000, dst=ipaddress.ip_address("10.0.0.9"))
    assert [x.info.accept_queue for x in (everywhere, v4, here)] == [0, 1, 1]
    here.close()
    bench.sent()
    bench.opens(5001)
    assert [x.info.accept_queue for x in (everywhere, v4)] == [0, 2]
    v4.close()
    bench.sent()
    bench.opens(5002)
    assert everywhere.info.accept_queue == 1


@pytest.mark.rfc("9293-MAY-2", "6191-03")
def test_a_syn_for_time_wait_opens_only_where_somebody_listens(peer: Peer):
    """Without a listener there is nothing to open: the wait goes on, and the SYN is answered."""
    there = reach(peer, "TIME-WAIT")
    for _ in range(2):
        peer.sends("SYN", seq=there.seq + 100_000)
        peer.gets("ACK", seq=there.nxt, ack=there.seq)
        assert peer.app.state == "TIME-WAIT"
    peer.advance(peer.engine.config.msl * 2)
    assert peer.app.state == "CLOSED"
