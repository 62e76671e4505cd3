"""SO_REUSEPORT: several listeners of one address and port, connections spread by a keyed hash."""

import pytest

from stack.bench import Bench, counted, flags_of
from usertcp.testing._engine import Connection, EngineError

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def sharing(
    count: int, *, backlog: int = 256, ipv6: bool = False, **options: object
) -> tuple[Bench, list[Connection]]:
    bench = Bench(ipv6=ipv6, **options)
    listeners = [bench.engine.listen(80, backlog=backlog, share=True) for _ in range(count)]
    return bench, listeners


def queues(listeners: list[Connection]) -> list[int]:
    return [one.info.accept_queue for one in listeners]


def ports_of(listener: Connection) -> set[int]:
    """The peers' ports of all connections that wait there; accepts them."""
    found = set()
    while (connection := listener.accept()) is not None:
        found.add(connection.info.remote[1])
    return found


# -- who may listen ---------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(False, False), (True, False), (False, True)])
def test_unless_every_listener_asks_the_port_is_taken(first: bool, second: bool):
    bench = Bench()
    bench.engine.listen(80, share=first)
    with pytest.raises(EngineError, match="ADDRESS_IN_USE"):
        bench.engine.listen(80, share=second)
    bench.engine.listen(81, share=second)


def test_all_that_ask_share_and_then_no_other_one_may():
    bench, listeners = sharing(5)
    assert len({one.handle for one in listeners}) == 5
    assert bench.engine.counters()["listeners"] == 5
    with pytest.raises(EngineError, match="ADDRESS_IN_USE"):
        bench.engine.listen(80)
    for one in listeners:
        one.close()
    bench.engine.listen(80)
    with pytest.raises(EngineError, match="ADDRESS_IN_USE"):
        bench.engine.listen(80, share=True)


def test_port_zero_never_takes_a_shared_port():
    """As in Linux: sharing is asked for by number."""
    bench = Bench(port_first=40000, port_last=40003)
    found = {bench.engine.listen(0, share=True).info.local[1] for _ in range(4)}
    assert found == set(range(40000, 40004))
    with pytest.raises(EngineError, match="NO_PORTS"):
        bench.engine.listen(0, share=True)


def test_a_shared_address_is_more_specific_than_a_shared_wildcard():
    bench, everywhere = sharing(2)
    here = [bench.engine.listen(80, host="10.0.0.1", share=True) for _ in range(2)]
    for n in range(20):
        bench.opens(5000 + n)
    assert queues(everywhere) == [0, 0]
    assert sum(queues(here)) == 20


# -- who gets a connection --------------------------------------------------------------------


@BOTH
def test_connections_are_spread_evenly(ipv6: bool):
    bench, listeners = sharing(4, ipv6=ipv6)
    for n in range(400):
        bench.opens(5000 + n)
    found = queues(listeners)
    assert sum(found) == 400
    assert min(found) > 60, found  # 100 expected; 60 is more than four standard deviations off


def test_the_hash_is_keyed():
    """Two stacks give the same names to different listeners: nobody can aim at one."""
    given = []
    for seed in (1, 2):
        bench, listeners = sharing(2, seed=seed)
        for n in range(64):
            bench.opens(5000 + n)
        given.append(ports_of(listeners[0]))
    assert given[0] != given[1]


def test_the_same_name_goes_to_the_same_listener():
    bench, listeners = sharing(4)
    takers = set()
    for _ in range(5):
        bench.opens(5000)
        (taker,) = [one for one in listeners if one.info.accept_queue]
        takers.add(taker.handle)
        connection = taker.accept()
        assert connection is not None
        connection.abort()
        bench.sent()
    assert len(takers) == 1


def test_a_full_listener_does_not_spill_over():
    """As in Linux: the peer tries again, and the same listener takes it once there is room."""
    bench, listeners = sharing(2, backlog=2, syn_cookies=0)
    answers = [p for n in range(40) for p in bench.arrives(bench.syn(5000 + n))]
    assert [one.info.half_open for one in listeners] == [2, 2]
    for answer in answers:
        bench.arrives(bench.ack_of(answer))
    assert queues(listeners) == [2, 2]
    assert bench.engine.counters()["half_open_full"] == 36


# -- half-open entries and cookies ------------------------------------------------------------


def test_half_open_entries_stay_with_their_listener():
    """Also when others come and go meanwhile, which changes who gets the next one."""
    bench, listeners = sharing(3)
    answers = [p for n in range(60) for p in bench.arrives(bench.syn(5000 + n))]
    expected = [one.info.half_open for one in listeners]
    assert min(expected) > 0
    late = [bench.engine.listen(80, backlog=256, share=True) for _ in range(5)]
    for answer in answers:
        assert bench.arrives(bench.ack_of(answer)) == []
    assert queues(listeners) == expected
    assert queues(late) == [0] * 5


@pytest.mark.parametrize("cookies", [1, 2])
def test_cookies_go_to_the_listener_of_their_syn(cookies: int):
    bench, listeners = sharing(3, max_half_open=5, syn_cookies=cookies)
    names = range(5000, 5060)
    with counted(bench.engine, cookies_sent=60 if cookies == 2 else 55):
        answers = {n: bench.arrives(bench.syn(n)) for n in names}
    for (answer,) in answers.values():
        assert bench.arrives(bench.ack_of(answer)) == []
    first = [ports_of(one) for one in listeners]
    assert set().union(*first) == set(names)
    again, others = sharing(3, backlog=256, syn_cookies=0)
    for n in names:
        again.opens(n)
    assert [ports_of(one) for one in others] == first


@BOTH
def test_closing_one_listener_keeps_what_the_others_have(ipv6: bool):
    """Its own queues are reset; connections, half-open entries and cookies of the others go on."""
    bench, listeners = sharing(3, ipv6=ipv6, syn_cookies=1, backlog=64, max_half_open=20)
    half = {n: bench.arrives(bench.syn(n)) for n in range(5000, 5020)}
    by_cookie = {n: bench.arrives(bench.syn(n)) for n in range(6000, 6030)}
    going, *staying = listeners
    lost = going.info.half_open
    with counted(bench.engine, half_open=-lost, listeners=-1, resets_out=lost):
        going.close()
    reset = {p.segment.dport for p in bench.sent()}
    assert len(reset) == lost > 0
    assert reset <= set(half)
    assert [flags_of(p) for n in set(half) - reset for p in half[n]] == ["SYN,ACK"] * (20 - lost)
    for n, (answer,) in (half | by_cookie).items():
        if n not in reset:
            assert bench.arrives(bench.ack_of(answer)) == []
    assert sum(queues(staying)) == 20 - lost + 30
    for n in range(7000, 7010):
        bench.opens(n)
    staying[0].close()
    staying[1].close()
    bench.sent()
    assert [flags_of(p) for p in bench.arrives(bench.syn(8000))] == ["RST,ACK"]


def test_a_leaving_listener_moves_only_its_own_names():
    """So the others' handshakes by cookie, of which no record exists, are not moved around."""
    before, after = [], []
    for leaves, found in ((False, before), (True, after)):
        bench, listeners = sharing(4)
        if leaves:
            listeners.pop(1).close()
        for n in range(200):
            bench.opens(5000 + n)
        found += [ports_of(one) for one in listeners]
    gone = before.pop(1)
    assert gone
    for then, now in zip(before, after, strict=True):
        assert then <= now <= then | gone


def test_a_new_listener_in_the_place_of_a_closed_one_takes_part():
    bench, listeners = sharing(2)
    listeners[0].close()
    fresh = bench.engine.listen(80, backlog=256, share=True)
    for n in range(60):
        bench.opens(5000 + n)
    assert fresh.info.accept_queue > 10
    assert fresh.info.accept_queue + listeners[1].info.accept_queue == 60
    with pytest.raises(EngineError, match="STALE_HANDLE"):
        listeners[0].accept()
