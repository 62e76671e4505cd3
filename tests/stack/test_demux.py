"""From a segment to its record: thousands of connections, full tables, stale handles, TIME-WAIT."""

import random
from collections.abc import Callable

import pytest

from stack.bench import Bench, counted, dropped, flags_of, ip
from usertcp.testing._engine import Connection, EngineError
from usertcp.testing.packets import Address, Packet

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
SMALL = {"rcv_buffer": 4096, "snd_buffer": 4096}
MSL = 30.0


def name_of(bench: Bench, n: int) -> tuple[Address, int]:
    """A peer's address and port: few addresses, many ports, and the other way round."""
    if n % 2:
        return bench.host + n % 7, 1024 + n
    return bench.host + 10 + n, 4000 + n % 3


def opened(bench: Bench, listener: Connection, count: int) -> list[tuple[Packet, Connection]]:
    """So many connections, each with its SYN,ACK."""
    made = []
    for n in range(count):
        src, port = name_of(bench, n)
        answer = bench.opens(port, src=src, isn=n * 100_003)
        connection = listener.accept()
        assert connection is not None
        made.append((answer, connection))
    return made


@BOTH
def test_five_thousand_connections_each_find_their_own(ipv6: bool):
    """In random order, one segment each, in batches; then every second one is closed."""
    own = "fd00::1/64" if ipv6 else "10.0.0.1/8"
    bench = Bench(own=own, **SMALL)
    listener = bench.engine.listen(80)
    made = opened(bench, listener, 5000)
    assert bench.engine.counters()["connections"] == 5000
    order = list(range(5000))
    random.Random(7).shuffle(order)
    for at in range(0, 5000, 50):
        batch = [bench.ack_of(made[n][0], payload=b"%d" % n) for n in order[at : at + 50]]
        bench.arrives(*batch)
        for n in order[at : at + 50]:
            assert made[n][1].receive() == b"%d" % n
    bench.sent()
    for n in order[::2]:
        made[n][1].abort()
    resets = bench.sent()
    assert {(p.dst, p.segment.dport) for p in resets} == {name_of(bench, n) for n in order[::2]}
    for n in order[1::2]:
        answer, connection = made[n]
        bench.arrives(bench.ack_of(answer, seq=answer.segment.ack + len(b"%d" % n), payload=b"z"))
        assert connection.receive() == b"z"
    bench.sent()
    with dropped(bench.engine, tcp_listen_bad_ack=100):
        for n in order[:200:2]:
            assert [flags_of(p) for p in bench.arrives(bench.ack_of(made[n][0]))] == ["RST"]
    bench.engine.close()


@BOTH
def test_names_that_differ_in_one_part_are_apart(ipv6: bool):
    bench = Bench(ipv6=ipv6, **SMALL)
    packed = ip("fd00::9").packed if ipv6 else bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 9])
    bits = 64 if ipv6 else 24
    assert bench.engine.raw.address_add(packed, bits, 0, bench.engine.now) == 0
    eighty, other = bench.engine.listen(80), bench.engine.listen(81)
    names: list[dict[str, object]] = [
        {"sport": 5000}, {"sport": 5001}, {"sport": 5000, "dport": 81},
        {"sport": 5000, "src": bench.host + 1}, {"sport": 5000, "dst": bench.own + 8},
    ]  # fmt: skip
    found = []
    for name in names:
        (answer,) = bench.arrives(bench.tcp("SYN", seq=1000, **name))  # type: ignore[arg-type]
        bench.arrives(bench.ack_of(answer))
        connection = (other if name.get("dport") == 81 else eighty).accept()
        assert connection is not None
        found.append((answer, connection))
    for n, (answer, _) in enumerate(found):
        bench.arrives(bench.ack_of(answer, payload=bytes([n])))
    assert [c.receive() for _, c in found] == [bytes([n]) for n in range(5)]


@pytest.mark.rfc("SEC-02")
@BOTH
def test_a_full_table_is_an_error_for_connect_and_a_drop_for_arrivals(ipv6: bool):
    bench = Bench(ipv6=ipv6, max_connections=10, **SMALL)
    listener = bench.engine.listen(80)
    made = opened(bench, listener, 10)
    with (
        counted(bench.engine, connections=0, active_opens=0),
        pytest.raises(EngineError, match="TOO_MANY"),
    ):
        bench.engine.connect(str(bench.host), 9)
    (answer,) = bench.arrives(bench.syn(7000))
    with dropped(bench.engine, tcp_table_full=1):
        assert bench.arrives(bench.ack_of(answer)) == []
    made[3][1].abort()
    bench.sent()
    assert bench.arrives(bench.ack_of(answer)) == []
    assert listener.accept() is not None


@pytest.mark.rfc("SEC-02")
def test_memory_that_runs_out_is_an_error_and_nothing_else():
    bench = Bench(memory_limit=120_000, **SMALL)
    attempts: list[Connection] = []

    def connect_to_the_end() -> None:
        for port in range(1, 3000):
            attempts.append(bench.engine.connect("10.0.0.2", port))  # noqa: PERF401

    with pytest.raises(EngineError, match="NO_MEMORY"):
        connect_to_the_end()
    assert 32 <= len(attempts) < 2999
    assert bench.engine.memory <= 120_000
    for attempt in attempts:
        attempt.abort()
    bench.sent()
    bench.engine.connect("10.0.0.2", 1)
    assert len(bench.sent()) == 1


# -- handles --------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Connection], object]] = {
    "accept": lambda c: c.accept(),
    "send": lambda c: c.send(b"x"),
    "receive": lambda c: c.receive(),
    "shutdown": lambda c: c.shutdown(),
    "close": lambda c: c.close(),
    "abort": lambda c: c.abort(),
    "set_option": lambda c: c.set_option("nodelay", 1),
    "get_option": lambda c: c.get_option("nodelay"),
    "info": lambda c: c.info,
}


@pytest.mark.parametrize("call", CALLS)
def test_a_stale_handle_is_an_error(call: str):
    """Given up, and its place taken by another: nothing reaches the newcomer."""
    bench = Bench(max_connections=1, **SMALL)
    old = bench.engine.connect("10.0.0.2", 9)
    old.abort()
    bench.sent()
    new = bench.engine.connect("10.0.0.2", 9)
    bench.sent()
    assert old.handle & 0xFFFFFFFF == new.handle & 0xFFFFFFFF
    with pytest.raises(EngineError, match="STALE_HANDLE"):
        CALLS[call](old)
    assert bench.sent() == []
    assert new.info.state.name == "SYN_SENT"


def test_handles_that_never_were():
    bench = Bench(**SMALL)
    bench.engine.listen(80)
    live = bench.engine.connect("10.0.0.2", 9).handle
    numbers = random.Random(3)
    wild = [0, 1, 1 << 31, 1 << 32, (1 << 64) - 1, live + 1, live ^ 1 << 30, live + (1 << 32)]
    wild += [numbers.getrandbits(64) for _ in range(500)]
    for handle in wild:
        for call in CALLS.values():
            with pytest.raises(EngineError, match="STALE_HANDLE"):
                call(Connection(bench.engine, handle))
    assert bench.engine.raw.peek(0, bench.engine.now) < 0
    assert len(bench.engine.raw.list_info()) == 2


def test_a_connection_is_no_listener_and_a_listener_no_connection():
    bench = Bench(**SMALL)
    connection, listener = bench.engine.connect("10.0.0.2", 9), bench.engine.listen(80)
    with pytest.raises(EngineError, match="STALE_HANDLE"):
        connection.accept()
    for call in ("send", "receive", "shutdown"):
        with pytest.raises(EngineError, match="STALE_HANDLE"):
            CALLS[call](listener)
    for call in ("set_option", "get_option"):
        with pytest.raises(EngineError, match="NOT_SUPPORTED"):
            CALLS[call](listener)
    assert bench.engine.is_listening(80)


def test_a_connection_that_ended_stays_for_its_user():
    """Its name is free at once; its handle says how it ended until it is given up."""
    bench = Bench(**SMALL)
    listener = bench.engine.listen(80)
    answer = bench.opens(5000)
    old = listener.accept()
    assert old is not None
    bench.arrives(bench.ack_of(answer, payload=b"last"))
    bench.arrives(bench.tcp("RST", sport=5000, seq=answer.segment.ack + 4))
    assert bench.engine.state_of(5000, 80) == "LISTEN"
    bench.opens(5000, isn=77_000)
    new = listener.accept()
    assert new is not None
    assert old.receive() == b"last"
    with pytest.raises(EngineError, match="RESET"):
        old.receive()
    old.close()
    with pytest.raises(EngineError, match="STALE_HANDLE"):
        old.close()
    assert new.info.state.name == "ESTABLISHED"


# -- TIME-WAIT ------------------------------------------------------------------------------------


def into_time_wait(bench: Bench, listener: Connection, n: int) -> tuple[Packet, Packet]:
    """A whole connection, closed by the stack first. Returns its SYN,ACK and its last ACK."""
    src, port = name_of(bench, n)
    answer = bench.opens(port, src=src, isn=n * 100_003)
    connection = listener.accept()
    assert connection is not None
    connection.close()
    (fin,) = bench.sent()
    assert flags_of(fin) == "FIN,ACK"
    (last,) = bench.arrives(bench.ack_of(fin, flags=17))
    return answer, last


@pytest.mark.attack(30)
@pytest.mark.rfc("SEC-02", "9293-MUST-13")
@BOTH
def test_the_time_wait_table_is_bounded_and_the_oldest_gives_way(ipv6: bool):
    """Attack 30."""
    bench = Bench(own="fd00::1/64" if ipv6 else "10.0.0.1/8", max_time_wait=100, msl=MSL, **SMALL)
    listener = bench.engine.listen(80)
    for n in range(300):
        into_time_wait(bench, listener, n)
        bench.passes(0.01)
        if n == 150:
            memory = bench.engine.memory
    counters = bench.engine.counters()
    assert counters["time_wait"] == 100
    assert counters["time_wait_entered"] == 300
    assert counters["time_wait_evicted"] == 200
    assert counters.get("connections", 0) == 0
    assert bench.engine.memory == memory
    waiting = {r.remote for r in bench.engine.raw.list_info() if r.state.name == "TIME_WAIT"}
    assert waiting == {
        (str(src), port) for src, port in (name_of(bench, n) for n in range(200, 300))
    }
    bench.passes(2 * MSL)
    assert bench.engine.counters().get("time_wait", 0) == 0


def test_without_time_wait_records_a_name_is_free_at_once():
    bench = Bench(max_time_wait=0, **SMALL)
    listener = bench.engine.listen(80)
    answer, last = into_time_wait(bench, listener, 1)
    assert bench.engine.counters().get("time_wait", 0) == 0
    with dropped(bench.engine, tcp_listen_bad_ack=1):
        late = bench.ack_of(answer, seq=last.segment.ack)
        assert [flags_of(p) for p in bench.arrives(late)] == ["RST"]


@pytest.mark.rfc("9293-MUST-13", "6528-04")
@BOTH
def test_a_name_in_time_wait_is_in_use_for_connect_and_open_for_a_newer_syn(ipv6: bool):
    bench = Bench(ipv6=ipv6, msl=MSL, **SMALL)
    listener = bench.engine.listen(80)
    src, port = name_of(bench, 3)
    _, last = into_time_wait(bench, listener, 3)
    with pytest.raises(EngineError, match="ADDRESS_IN_USE"):
        bench.engine.connect(str(src), port, local_port=80)
    with counted(bench.engine, time_wait_reused=1, half_open=1):
        (answer,) = bench.arrives(bench.syn(port, src=src, isn=last.segment.ack + 1000))
    gap = (answer.segment.seq - last.segment.seq) % 2**32
    assert 0 < gap < 2**31
    assert bench.arrives(bench.ack_of(answer)) == []
    assert listener.accept() is not None


@BOTH
def test_a_retransmitted_fin_restarts_the_wait(ipv6: bool):
    bench = Bench(ipv6=ipv6, msl=MSL, **SMALL)
    listener = bench.engine.listen(80)
    src, port = name_of(bench, 3)
    _, last = into_time_wait(bench, listener, 3)
    fin = bench.ack_of(last, flags=17, seq=last.segment.ack - 1, ack=last.segment.seq)
    for _ in range(3):
        bench.passes(50)
        (again,) = bench.arrives(fin)
        assert (again.segment.seq, again.segment.ack) == (last.segment.seq, last.segment.ack)
    row = bench.engine.find(port, 80)
    assert row is not None
    assert row.remote[0] == str(src)
    bench.passes(2 * MSL + 0.01)
    assert bench.engine.state_of(port, 80) == "LISTEN"


@pytest.mark.rfc("9293-MAY-2", "6528-04")
@pytest.mark.parametrize("cookies", [0, 1, 2])
def test_time_wait_does_not_give_way_to_a_syn_that_gets_no_entry(cookies: int):
    """Dropped or answered by a cookie, whose number is no larger: the wait goes on instead."""
    bench = Bench(syn_cookies=cookies, msl=MSL, **SMALL)
    listener = bench.engine.listen(80, backlog=1)
    _, last = into_time_wait(bench, listener, 3)
    src, port = name_of(bench, 3)
    bench.arrives(bench.syn(6000))
    again = bench.syn(port, src=src, isn=last.segment.ack + 1000)
    with dropped(bench.engine, tcp_time_wait=1):
        assert [flags_of(p) for p in bench.arrives(again)] == ["ACK"]
    if cookies != 2:
        bench.arrives(bench.tcp("RST", sport=6000, seq=1001))
        assert [flags_of(p) for p in bench.arrives(again)] == ["SYN,ACK"]
