"""The half-open queue, SYN cookies and the accept queue of a listener (RFC 4987)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

import pytest

from usertcp.testing._engine import SECOND, EngineHarness
from usertcp.testing.packets import ACK, RST, SYN, Options, Packet, Segment

US, THEM = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("10.0.0.9")
FULL = Options(mss=1460, sack_permitted=True, timestamps=(9000, 0), wscale=7)
Make = Callable[..., "Net"]


class Net:
    def __init__(self, **config: object) -> None:
        self.engine = EngineHarness("10.0.0.1/24", **config)  # type: ignore[arg-type]

    def gives(self, port: int, flags: int, **fields: object) -> list[Segment]:
        segment = Segment(sport=port, dport=80, flags=flags, **fields)  # type: ignore[arg-type]
        self.engine.inject(Packet(src=THEM, dst=US, body=segment).encode())
        return self.takes()

    def takes(self) -> list[Segment]:
        return [one.packet.segment for one in self.engine.take()]

    def syn(self, port: int, options: Options | None = None) -> Segment:
        (answer,) = self.gives(port, SYN, seq=500, options=options or Options(mss=1460))
        assert (answer.flags, answer.ack) == (SYN | ACK, 501)
        return answer

    def ack(self, port: int, of: Segment, **fields: object) -> list[Segment]:
        return self.gives(port, ACK, **({"seq": 501, "ack": of.seq + 1} | fields))

    def counter(self, name: str) -> int:
        return self.engine.counters().get(name, 0)


@pytest.fixture
def net() -> Iterator[Make]:
    made: list[Net] = []

    def make(**config: object) -> Net:
        made.append(Net(**config))
        return made[-1]

    yield make
    for one in made:
        one.engine.close()


@pytest.mark.rfc("4987-04")
def test_entries_are_asked_again_then_given_up(net: Make):
    one = net(synack_retries=2)
    one.engine.listen(80)
    first, start, at = one.syn(1), one.engine.now, []
    one.engine.on_emitted = lambda emitted: at.append((emitted.at - start) / SECOND)
    one.engine.advance(20 * SECOND)
    assert at == [1, 3]
    assert one.counter("half_open_timeouts") == 1
    assert one.counter("half_open") == 0
    assert first.seq != 0


def test_a_repeated_syn_gets_the_same_answer(net: Make):
    one = net()
    one.engine.listen(80)
    assert one.syn(1).seq == one.syn(1).seq


def test_a_reset_ends_an_entry_silently(net: Make):
    one = net()
    one.engine.listen(80)
    one.syn(1)
    assert one.gives(1, RST, seq=501) == []
    assert one.counter("half_open") == 0


def test_a_wrong_ack_is_reset_and_the_entry_stays(net: Make):
    one = net()
    one.engine.listen(80)
    answer = one.syn(1)
    (reset,) = one.ack(1, answer, ack=answer.seq + 7)
    assert (reset.flags, reset.seq) == (RST, (answer.seq + 7) % 2**32)
    assert one.counter("half_open") == 1


@pytest.mark.rfc("4987-01")
def test_without_cookies_a_full_queue_refuses(net: Make):
    one = net(syn_cookies=0)
    one.engine.listen(80, backlog=2)
    one.syn(1), one.syn(2)
    assert one.gives(3, SYN, seq=500) == []
    assert one.engine.drops()["tcp_half_open_full"] == 1


@pytest.mark.rfc("4987-02", "4987-03", "4987-06")
def test_a_cookie_brings_the_options_back(net: Make):
    one = net(syn_cookies=2)
    listener = one.engine.listen(80)
    memory = one.engine.memory
    answer = one.syn(1, FULL)
    assert one.engine.memory == memory
    assert answer.options.timestamps is not None
    assert answer.options.timestamps[1] == 9000
    back = Options(timestamps=(9001, answer.options.timestamps[0]))
    assert one.ack(1, answer, options=back) == []
    connection = listener.accept()
    assert connection is not None
    info = connection.info
    assert (info.snd_wscale, info.sack_ok, info.timestamps_ok) == (7, True, True)
    assert info.snd_mss == 1460
    assert one.counter("cookies_ok") == 1


@pytest.mark.parametrize(
    ("announced", "used"), [(1460, 1460), (1459, 1440), (600, 536), (217, 216), (None, 536)]
)
def test_a_cookie_rounds_the_mss_down(net: Make, announced: int | None, used: int):
    one = net(syn_cookies=2)
    listener = one.engine.listen(80)
    one.ack(1, one.syn(1, Options(mss=announced)))
    connection = listener.accept()
    assert connection is not None
    assert connection.info.snd_mss == used


@pytest.mark.parametrize("how", ["forged", "old", "of another port", "of another SYN"])
def test_a_bad_cookie_opens_nothing(net: Make, how: str):
    one = net(syn_cookies=2)
    listener = one.engine.listen(80)
    answer, port, fields = one.syn(1), 1, {}
    match how:
        case "forged":
            fields["ack"] = answer.seq + 2
        case "old":
            one.engine.advance(150 * SECOND)
            one.syn(9)  # cookies are in use still
        case "of another port":
            port = 2
        case "of another SYN":
            fields["seq"] = 777
    (reset,) = one.ack(port, answer, **fields)
    assert reset.flags == RST
    assert listener.accept() is None
    assert one.engine.drops()["tcp_cookie_bad"] == one.counter("cookies_bad") == 1


def test_data_that_overtakes_a_cookie_is_not_reset(net: Make):
    one = net(syn_cookies=2)
    listener = one.engine.listen(80)
    answer = one.syn(1)
    assert one.ack(1, answer, seq=601, payload=b"later") == []
    one.ack(1, answer, payload=bytes(100))
    connection = listener.accept()
    assert connection is not None
    assert len(connection.receive()) == 100


@pytest.mark.rfc("4987-02")
def test_a_flood_takes_no_more_than_the_queue(net: Make):
    one = net()
    listener = one.engine.listen(80, backlog=8)
    for port in range(1, 2000):
        one.gives(port, SYN, seq=500)
    assert one.counter("half_open") == 8
    one.ack(5000, one.syn(5000))
    assert listener.accept() is not None


def test_a_full_accept_queue_keeps_the_entry(net: Make):
    one = net()
    listener = one.engine.listen(80, backlog=1)
    one.ack(1, one.syn(1))
    answer = one.syn(2)
    assert one.ack(2, answer) == []
    assert one.engine.drops()["tcp_accept_full"] == one.counter("accept_overflows") == 1
    info = listener.info
    assert (info.half_open, info.accept_queue, info.backlog) == (1, 1, 1)
    assert listener.accept() is not None
    assert one.ack(2, answer) == []
    second = listener.accept()
    assert second is not None
    assert str(second.info.state) == "ESTABLISHED"


def test_closing_a_listener_resets_what_waits(net: Make):
    one = net()
    listener = one.engine.listen(80)
    one.ack(1, one.syn(1))
    one.syn(2)
    listener.close()
    assert {(s.dport, s.flags) for s in one.takes()} == {(1, RST | ACK), (2, RST | ACK)}
    assert one.engine.raw.list_info() == []


def test_a_table_that_is_full_takes_no_connection(net: Make):
    one = net(max_connections=1)
    listener = one.engine.listen(80)
    one.ack(1, one.syn(1))
    one.ack(2, one.syn(2))
    assert one.engine.drops()["tcp_table_full"] == 1
    assert listener.accept() is not None
    assert listener.accept() is None
