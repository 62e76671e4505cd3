"""Attacks on memory and tables: peers that take and never give."""

import ipaddress
import time
from contextlib import suppress

import pytest

from stack.bench import FULL_OFFER, Bench
from usertcp.testing._engine import EngineError

SMALL = {"rcv_buffer": 4096, "snd_buffer": 4096}


@pytest.mark.attack(23)
@pytest.mark.rfc("SEC-11")
def test_a_thousand_peers_with_closed_windows_are_outlived():
    """Sockstress: each asks for a page, closes its window and answers nothing any more."""
    bench = Bench(own="10.0.0.1/8", memory_limit=8 << 20, user_timeout=60, **SMALL)
    listener = bench.engine.listen(80, backlog=2000)
    connections = []
    for n in range(1000):
        source = ipaddress.ip_address("10.1.0.1") + n
        answer = bench.opens(5000, src=source)
        bench.arrives(bench.ack_of(answer, window=0))
        made = listener.accept()
        assert made is not None
        with suppress(EngineError):  # the limit holds, and says so
            made.send(bytes(4096))
        connections.append(made)
    assert bench.engine.memory <= 8 << 20
    bench.passes(120)  # the probes stay unanswered for longer than the user time-out
    assert all(one.error == "TIMED_OUT" for one in connections if one.info.snd_queued or one.error)
    for one in connections:
        one.close()
    bench.passes(120)
    assert bench.engine.counters().get("connections", 0) == 0
    bench.opens(6000)  # and there is room for others
    assert listener.accept() is not None


@pytest.mark.attack(47)
def test_no_choice_of_ports_makes_the_table_slow():
    """Names that differ in one octet, and in patterns: a keyed hash sees no pattern."""

    def opened(names: list[tuple[str, int]]) -> float:
        bench = Bench(own="10.0.0.1/8", **SMALL, max_connections=20_000)
        listener = bench.engine.listen(80, backlog=20_000)
        begun = time.process_time()
        for host, port in names:
            bench.opens(port, src=ipaddress.ip_address(host), options=FULL_OFFER)
            assert listener.accept() is not None
        return time.process_time() - begun

    count = 1500
    plain = [(f"10.{n % 250}.{n // 250}.9", 1024 + n * 31 % 60_000) for n in range(count)]
    patterns = {
        "one host": [("10.0.0.9", 1024 + n) for n in range(count)],
        "one port": [(f"10.9.{n // 250}.{1 + n % 250}", 4096) for n in range(count)],
        "powers of two": [(f"10.{n % 128 * 2}.0.9", 1024 + n // 128 * 4096) for n in range(count)],
    }
    usual = min(opened(plain) for _ in range(3))
    for name, names in patterns.items():
        assert min(opened(names) for _ in range(3)) < 3 * usual, name
