"""What a connection begins with: its local port (RFC 6056), its ISN (RFC 6528), its addresses."""

import ipaddress
from collections import Counter

import pytest

from stack.bench import Bench, EtherBench, counted, dropped, flags_of, ip
from usertcp.testing._engine import Connection, EngineError, EngineHarness
from usertcp.testing.packets import Segment

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
SMALL = {"rcv_buffer": 4096, "snd_buffer": 4096}


def engine_of(*, ipv6: bool = False, seed: int = 1, **options: object) -> EngineHarness:
    own = "fd00::1/64" if ipv6 else "10.0.0.1/8"
    return EngineHarness(own, seed=seed, **SMALL, **options)  # type: ignore[arg-type]


def ports_towards(engine: EngineHarness, host: str, port: int, count: int) -> list[int]:
    """The local ports of so many attempts, each given up at once."""
    found = []
    for _ in range(count):
        connection = engine.connect(host, port)
        found.append(connection.info.local[1])
        connection.abort()
    return found


def isn_of(engine: EngineHarness, host: str, port: int, local_port: int) -> int:
    connection = engine.connect(host, port, local_port=local_port)
    number = connection.info.iss
    connection.abort()
    return number


# -- ephemeral ports ------------------------------------------------------------------------------


@pytest.mark.rfc("6056-01")
@BOTH
def test_ports_are_of_the_upper_half_by_default(ipv6: bool):
    engine = engine_of(ipv6=ipv6)
    ports = ports_towards(engine, "fd00::2" if ipv6 else "10.0.0.2", 80, 2000)
    assert all(32768 <= port <= 65535 for port in ports)


@pytest.mark.rfc("6056-02", "6056-03", "5927-05")
def test_ports_towards_one_destination_come_again_late_and_are_no_sequence():
    """Small random steps from a secret place: none twice within thousands, no constant step."""
    engine = engine_of()
    ports = ports_towards(engine, "10.0.0.2", 80, 4000)
    assert len(set(ports)) == 4000
    steps = Counter((b - a) % 32768 for a, b in zip(ports, ports[1:], strict=False))
    assert len(steps) > 4
    assert max(steps.values()) < 1000


@pytest.mark.attack(42)
@pytest.mark.rfc("6056-02", "6056-04")
def test_ports_towards_other_destinations_tell_nothing():
    """Attack 42: the first port of 2000 destinations is spread over the whole range."""
    engine = engine_of()
    first = [ports_towards(engine, str(ip(0x0A000002 + n)), 80, 1)[0] for n in range(2000)]
    assert len(set(first)) > 1850
    eighths = Counter((port - 32768) // 4096 for port in first)
    assert all(180 < eighths[n] < 330 for n in range(8))
    near = sum(abs(a - b) <= 8 for a, b in zip(first, first[1:], strict=False))
    assert near < 20


@pytest.mark.attack(42)
@pytest.mark.rfc("6056-04")
def test_watching_one_destination_tells_nothing_of_another():
    """Attack 42: what the victim's connections add is not seen in the attacker's ports."""
    engine = engine_of()
    other = engine_of()
    attacker, victims = "10.9.9.9", [str(ip(0x0A000002 + n)) for n in range(300)]
    quiet = ports_towards(other, attacker, 80, 20)
    busy: list[int] = []
    for n in range(20):
        busy += ports_towards(engine, attacker, 80, 1)
        for victim in victims[n * 15 : (n + 1) * 15]:
            ports_towards(engine, victim, 80, 1)
    steps = [(b - a) % 32768 for a, b in zip(busy, busy[1:], strict=False)]
    assert quiet[0] == busy[0]
    assert max(steps) <= 8 * 3


@pytest.mark.rfc("6056-02")
def test_two_seeds_choose_other_ports():
    found = {tuple(ports_towards(engine_of(seed=n), "10.0.0.2", 80, 5)) for n in range(8)}
    assert len(found) == 8


@pytest.mark.rfc("6056-01")
@BOTH
def test_a_port_with_a_listener_is_not_chosen(ipv6: bool):
    host = "fd00::2" if ipv6 else "10.0.0.2"
    engine = engine_of(ipv6=ipv6, port_first=40000, port_last=40009)
    for port in range(40000, 40009):
        engine.listen(port)
    assert ports_towards(engine, host, 80, 5) == [40009] * 5
    engine.listen(40009)
    with pytest.raises(EngineError, match="NO_PORTS"):
        engine.connect(host, 80)


@BOTH
def test_exhaustion_is_an_error_and_of_one_destination_only(ipv6: bool):
    host = "fd00::2" if ipv6 else "10.0.0.2"
    engine = engine_of(ipv6=ipv6, port_first=40000, port_last=40063)
    attempts = [engine.connect(host, 80) for _ in range(64)]
    assert {a.info.local[1] for a in attempts} == set(range(40000, 40064))
    with counted(engine, connections=0, active_opens=0):
        for _ in range(3):
            with pytest.raises(EngineError, match="NO_PORTS"):
                engine.connect(host, 80)
    engine.connect(host, 81)
    freed = attempts[17].info.local[1]
    attempts[17].abort()
    assert engine.connect(host, 80).info.local[1] == freed


def test_a_listener_without_a_port_gets_one():
    engine = engine_of(port_first=40000, port_last=40003)
    taken = {engine.listen(0).info.local[1] for _ in range(4)}
    assert taken == {40000, 40001, 40002, 40003}
    with pytest.raises(EngineError, match="NO_PORTS"):
        engine.listen(0)


# -- local ports in use ---------------------------------------------------------------------------


@pytest.mark.rfc("9293-MUST-41")
def test_a_second_listener_is_refused_and_the_first_undisturbed():
    bench = Bench()
    listener = bench.engine.listen(80)
    bench.opens(5000)
    bench.arrives(bench.syn(5001))
    with (
        counted(bench.engine, listeners=0, connections=0, half_open=0),
        pytest.raises(EngineError, match="ADDRESS_IN_USE"),
    ):
        bench.engine.listen(80)
    bench.engine.listen(80, host="10.0.0.1")  # more specific: another local end
    with pytest.raises(EngineError, match="ADDRESS_IN_USE"):
        bench.engine.listen(80, host="10.0.0.1")
    assert (listener.info.accept_queue, listener.info.half_open) == (1, 1)


@pytest.mark.rfc("9293-MUST-41", "9293-MUST-42")
@pytest.mark.parametrize("state", ["SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"])
def test_listening_on_the_port_of_a_connection(state: str):
    bench = Bench()
    connection = bench.engine.connect("10.0.0.2", 9, local_port=80)
    (syn,) = bench.sent()
    back = {"sport": 9, "seq": 70, "ack": syn.segment.end}
    if state == "SYN-RECEIVED":
        bench.arrives(bench.tcp("SYN", sport=9, seq=70))
    elif state == "ESTABLISHED":
        bench.arrives(bench.tcp("SYN,ACK", **back))
    listener = bench.engine.listen(80)
    assert bench.engine.state_of(9, 80) == state
    bench.opens(5000)
    assert listener.info.accept_queue == 1
    if state == "SYN-SENT":
        bench.arrives(bench.tcp("SYN,ACK", **back))
        assert connection.info.state.name == "ESTABLISHED"


@BOTH
def test_the_same_connection_twice_is_refused(ipv6: bool):
    host = "fd00::2" if ipv6 else "10.0.0.2"
    engine = engine_of(ipv6=ipv6)
    first = engine.connect(host, 9, local_port=80)
    with pytest.raises(EngineError, match="ADDRESS_IN_USE"):
        engine.connect(host, 9, local_port=80)
    engine.connect(host, 10, local_port=80)
    first.abort()
    engine.connect(host, 9, local_port=80)


# -- initial sequence numbers ---------------------------------------------------------------------


@pytest.mark.rfc("9293-MUST-8", "9293-SHLD-1", "6528-01")
@pytest.mark.parametrize("ticks", [1, 2, 1000, 250_000, 3 * 10**9])
@BOTH
def test_the_same_name_later_counts_4_us(ticks: int, ipv6: bool):
    engine = engine_of(ipv6=ipv6)
    host = "fd00::2" if ipv6 else "10.0.0.2"
    first = isn_of(engine, host, 9, 80)
    engine.advance(ticks * 4000)
    assert (isn_of(engine, host, 9, 80) - first) % 2**32 == ticks % 2**32


@pytest.mark.rfc("9293-MUST-8", "6528-01")
def test_passive_opens_count_too():
    bench = Bench(**SMALL)
    bench.engine.listen(80)
    numbers = []
    for _ in range(3):
        (answer,) = bench.arrives(bench.syn(5000))
        numbers.append(answer.segment.seq)
        bench.arrives(bench.tcp("RST", sport=5000, seq=1001))
        bench.passes(1)
    assert [(b - a) % 2**32 for a, b in zip(numbers, numbers[1:], strict=False)] == [250_000] * 2


@pytest.mark.attack(1)
@pytest.mark.rfc("9293-MUST-9", "6528-02", "9293-SEC-1")
def test_other_names_are_unrelated():
    """Attack 1: tuples that differ in one bit; no step, no shared bits, spread over the space."""
    engine = engine_of()
    numbers = [isn_of(engine, "10.0.0.2", 1 + n, 80) for n in range(3000)]
    assert len(set(numbers)) == 3000
    steps = Counter((b - a) % 2**32 for a, b in zip(numbers, numbers[1:], strict=False))
    assert max(steps.values()) == 1
    for bit in range(32):
        ones = sum(number >> bit & 1 for number in numbers)
        assert 1350 < ones < 1650, bit
    sixteenths = Counter(number >> 28 for number in numbers)
    assert all(120 < sixteenths[n] < 260 for n in range(16))


@pytest.mark.rfc("9293-MUST-9", "6528-02", "6528-03")
@BOTH
def test_every_part_of_the_name_counts_and_so_does_the_seed(ipv6: bool):
    host, other = ("fd00::2", "fd00::3") if ipv6 else ("10.0.0.2", "10.0.0.3")
    numbers = []
    for seed in range(1, 30):
        engine = engine_of(ipv6=ipv6, seed=seed)
        numbers += [
            isn_of(engine, host, 9, 80), isn_of(engine, other, 9, 80),
            isn_of(engine, host, 10, 80), isn_of(engine, host, 9, 81),
        ]  # fmt: skip
    assert len(set(numbers)) == len(numbers)
    assert min(abs(a - b) for a, b in zip(numbers, numbers[1:], strict=False)) > 1000


@pytest.mark.rfc("6528-03")
def test_the_same_seed_gives_the_same_numbers():
    """What makes simulations repeatable; production seeds come from the system's entropy."""
    assert isn_of(engine_of(seed=7), "10.0.0.2", 9, 80) == isn_of(
        engine_of(seed=7), "10.0.0.2", 9, 80
    )


# -- addresses ------------------------------------------------------------------------------------

NEVER = [
    "0.0.0.0", "255.255.255.255", "10.255.255.255", "224.0.0.1", "239.255.255.255", "127.0.0.1",
    "::", "ff02::1", "ff0e::1", "::1",
]  # fmt: skip


@pytest.mark.rfc("9293-MUST-46")
@pytest.mark.parametrize("host", [*NEVER, "10.0.0.1", "fd00::1"])
def test_opens_that_are_refused(host: str):
    """Broadcast, multicast, unspecified, loopback, ourselves: an error at once, nothing sent."""
    engine = engine_of(ipv6=":" in host)
    with (
        counted(engine, active_opens=0, connections=0),
        pytest.raises(EngineError, match="BAD_DESTINATION"),
    ):
        engine.connect(host, 80)
    assert engine.take() == []


@pytest.mark.rfc("9293-MUST-57", "9293-MUST-63")
@pytest.mark.parametrize("where", ["src", "dst"])
@pytest.mark.parametrize("host", ["10.0.0.255", "255.255.255.255", "224.0.0.1", "ff02::1"])
def test_no_syn_from_or_to_a_group_opens_anything(host: str, where: str):
    address = ip(host)
    bench = Bench(ipv6=address.version == 6)
    listener = bench.engine.listen(80)
    with dropped(bench.engine, **{"ip_source" if where == "src" else "ip_not_ours": 1}):
        assert bench.arrives(bench.tcp("SYN", **{where: address})) == []
    assert listener.info.half_open == 0


def add(engine: EngineHarness, text: str) -> None:
    interface = ipaddress.ip_interface(text)
    packed = interface.ip.packed
    if interface.version == 4:
        packed = bytes(10) + b"\xff\xff" + packed
    code = engine.raw.address_add(packed, interface.network.prefixlen, 0, engine.now)
    assert code == 0


@pytest.mark.rfc("9293-MUST-43", "9293-MUST-44")
@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("10.0.0.2", "10.0.0.1"), ("10.1.0.2", "10.1.0.1"), ("192.0.2.9", "192.0.2.1"),
        ("fd00::2", "fd00::1"), ("fd00:1::2", "fd00:1::1"), ("fe80::2", "fe80::9"),
        ("2001:db8::7", "2001:db8::1"),
    ],
)  # fmt: skip
def test_the_source_fits_the_destination(host: str, source: str):
    """RFC 6724 5: same family, same scope, longest prefix in common."""
    engine = EngineHarness("10.0.0.1/24", **SMALL)
    for text in ("10.1.0.1/24", "192.0.2.1/24", "fe80::9/64", "fd00::1/64", "fd00:1::1/64",
                 "2001:db8::1/64"):  # fmt: skip
        add(engine, text)
    connection = engine.connect(host, 80)
    assert connection.info.local[0] == source
    (syn,) = engine.take()
    assert str(syn.packet.src) == source


@pytest.mark.rfc("9293-MUST-43", "9293-MUST-45")
def test_the_given_source_is_kept_whatever_else_is_added():
    bench = Bench(own="10.0.0.9/24")
    add(bench.engine, "10.0.0.1/24")
    connection = bench.engine.connect("10.0.0.2", 9, local_host="10.0.0.9", local_port=80)
    (syn,) = bench.sent()
    add(bench.engine, "10.0.0.3/24")
    answer = Segment(sport=9, dport=80, seq=1, ack=syn.segment.end, flags=18)
    (ack,) = bench.arrives(bench.packet(answer, src=ip("10.0.0.2")))
    connection.send(b"x")
    (data,) = bench.sent()
    assert {str(p.src) for p in (syn, ack, data)} == {"10.0.0.9"}
    assert flags_of(data) == "PSH,ACK"


@pytest.mark.parametrize(
    ("local", "error"),
    [("10.0.0.77", "ADDRESS_NOT_AVAILABLE"), ("127.0.0.1", "ADDRESS_NOT_AVAILABLE"),
     ("10.0.0.255", "ADDRESS_NOT_AVAILABLE"), ("224.0.0.1", "ADDRESS_NOT_AVAILABLE"),
     ("fd00::1", "INVALID")],
)  # fmt: skip
def test_sources_that_are_refused(local: str, error: str):
    engine = EngineHarness("10.0.0.1/24")
    with pytest.raises(EngineError, match=error):
        engine.connect("10.0.0.2", 80, local_host=local)
    if error != "INVALID":
        with pytest.raises(EngineError, match=error):
            engine.listen(80, host=local)


def test_no_address_of_the_family_is_no_route():
    with pytest.raises(EngineError, match="NO_ROUTE"):
        engine_of().connect("fd00::2", 80)


def test_port_zero_is_no_destination():
    with pytest.raises(EngineError, match="INVALID"):
        engine_of().connect("10.0.0.2", 0)


@pytest.mark.rfc("9293-MUST-57")
def test_on_ethernet_a_broadcast_address_of_any_prefix_is_one():
    bench = EtherBench(own="10.0.0.1/24")
    add(bench.engine, "172.16.0.1/20")
    for host in ("10.0.0.255", "172.16.15.255"):
        with pytest.raises(EngineError, match="BAD_DESTINATION"):
            bench.engine.connect(host, 80)
    assert isinstance(bench.engine.connect("172.16.0.255", 80), Connection)
