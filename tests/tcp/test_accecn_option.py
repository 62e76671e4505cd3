"""AccECN options, RFC 9768 3.2.3: when they are sent, what they say, and what is believed."""

import pytest

from tcp.accecn import (
    ASKS,
    CE,
    CODES,
    ECT_0,
    ECT_1,
    NOT_ECT,
    OFFER,
    ack,
    filled,
    flags,
    opened,
    option,
    options,
    tells,
)
from usertcp.testing import Peer

START = {"e0b": 1, "ceb": 0, "e1b": 1}
TS = OFFER | {"ts": (1000, 0)}


def synack(peer: Peer, extra: bytes = b"", **fields: object) -> None:
    peer.sends(flags(CODES[NOT_ECT], "SYN", "ACK"), seq=0, options=extra, **(OFFER | fields))


def client(peer: Peer, extra: bytes = option(), **config: object) -> Peer:
    """Our handshake is done, with that option on the SYN,ACK."""
    peer.configure(ecn=3, **config).app.connect()
    peer.gets(ASKS)
    synack(peer, extra)
    peer.gets(seq=1)
    return peer


def receives(peer: Peer, tos: int, size: int = 1, **fields: object) -> dict[str, int] | None:
    """The option on the ACK of such data, delayed or not."""
    peer.sends(ack(0), data=bytes(size), tos=tos, **fields)
    return options(peer.gets_all(within=0.5)[-1])


# -- the handshake --------------------------------------------------------------------------------


@pytest.mark.rfc("9768-24", "9768-25")
def test_a_server_sends_one_on_its_first_synack(peer: Peer):
    """What a SYN has is not looked at; a SYN,ACK sent again has none, nor has anything after."""
    peer.configure(ecn=5).app.listen()
    peer.sends(ASKS, seq=0, options=option(0, 0, 0), **TS)
    assert options(peer.gets(ack=1)) == START
    assert options(peer.gets(ack=1, within=1.1)) is None
    peer.sends(flags(CODES[NOT_ECT], "ACK"), options=option())
    peer.app.accept()
    assert receives(peer, ECT_0) is None
    assert receives(peer, CE) is None


@pytest.mark.rfc("9768-26")
def test_a_second_syn_is_answered_without(peer: Peer):
    peer.configure(ecn=5).app.listen()
    peer.sends(ASKS, seq=0, **OFFER)
    assert options(peer.gets(ack=1)) == START
    peer.sends(ASKS, seq=0, **OFFER)
    assert options(peer.gets(ack=1)) is None


@pytest.mark.rfc("9768-24", "9768-25")
@pytest.mark.parametrize("extra", [b"", option()])
def test_a_client_sends_them_first_and_with_its_first_data(peer: Peer, extra: bytes):
    """Whatever the SYN,ACK had: the two ways are two."""
    peer.configure(ecn=3).app.connect()
    assert options(peer.gets(ASKS)) is None
    synack(peer, extra)
    assert options(peer.gets(seq=1, len=0)) == START
    peer.app.send(bytes(4000))
    sent = peer.gets_all()
    assert [options(got) for got in sent] == [START, None, None]
    assert [len(got.data) for got in sent] == [1460 - 12, 1460, 1092]


@pytest.mark.rfc("9768-26")
def test_a_client_whose_first_data_is_lost_stops(peer: Peer):
    client(peer)
    peer.app.send(b"abc")
    assert options(peer.gets(data=b"abc")) == START
    assert options(peer.gets(data=b"abc", within=2)) is None
    peer.sends(ack(0), ack=4, options=option(4))
    assert receives(peer, CE) is None  # the flags alone tell now


@pytest.mark.rfc("9768-26")
def test_a_client_whose_first_ack_is_lost_stops(peer: Peer):
    client(peer)
    synack(peer, ack=1)
    assert options(peer.gets(seq=1)) is None
    assert receives(peer, ECT_0) is None


# -- what is sent ---------------------------------------------------------------------------------


@pytest.mark.rfc("9768-22", "9768-29")
@pytest.mark.parametrize("passive", [False, True])
def test_what_has_ever_changed_is_told_with_what_changes(peer: Peer, passive: bool):
    opened(peer, passive=passive)
    assert receives(peer, NOT_ECT) is None
    assert receives(peer, ECT_0, 10) == {"e0b": 11}
    assert receives(peer, ECT_0, 10) == {"e0b": 21}
    assert receives(peer, CE, 5) == {"e0b": 21, "ceb": 5}
    assert receives(peer, ECT_0, 1) == {"e0b": 22, "ceb": 5}
    assert receives(peer, NOT_ECT) is None
    assert receives(peer, ECT_1, 7) == {"e0b": 22, "ceb": 5, "e1b": 8}
    assert receives(peer, ECT_0, 1) == {"e0b": 23, "ceb": 5, "e1b": 8}
    peer.sends(ack(0), tos=CE)  # no payload: no bytes
    assert receives(peer, NOT_ECT) is None
    assert peer.app.info.ce_bytes_in == 5


@pytest.mark.rfc("9768-22")
def test_the_other_order_where_it_is_shorter(peer: Peer):
    opened(peer)
    assert receives(peer, ECT_1, 10) == {"e1b": 11}
    assert receives(peer, CE, 10) == {"e1b": 11, "ceb": 10}


def test_data_has_it_too_and_is_shorter_by_it(peer: Peer):
    opened(peer)
    peer.app.send(b"x")
    peer.gets(data=b"x")
    peer.sends(ack(0), ack=2, data=b"a", tos=ECT_0)
    peer.app.send(bytes(3000))
    sent = peer.gets_all()
    assert [options(got) for got in sent] == [{"e0b": 2}, None, None]
    assert [len(got.data) for got in sent] == [1460 - 8, 1460, 88]


@pytest.mark.rfc("9768-23")
def test_the_low_24_bits(peer: Peer):
    """Counted past 2^24 in both directions."""
    opened(peer, rcv_buffer=1 << 18)
    total, told = 1, []
    connection = peer.app.connection
    for _ in range(260):
        peer.sends_together(*(peer.segment(ack(0), data=bytes(65000)),), tos=ECT_0)
        total += 65000
        told.append(options(peer.gets_all()[-1]))
        while len(connection.receive(65536)) == 65536:
            pass
    assert told[-1] == {"e0b": total % 2**24}
    assert total > 2**24


@pytest.mark.rfc("9768-28")
def test_sack_blocks_come_first(peer: Peer):
    """Two of them; what is left, if it does for what has changed, is the option's."""
    opened(peer, offer=TS)
    assert receives(peer, ECT_0, 1, seq=3) == {"e0b": 2}  # one block
    got = None
    for number, seq in enumerate((5, 7, 9)):
        peer.sends(ack(0), data=b"x", tos=ECT_0, seq=seq)
        (got,) = peer.gets_all()
        assert options(got) == {"e0b": 3 + number}
        assert len(got.sack) == 2
    peer.sends(ack(0), data=b"x", tos=CE, seq=11)
    (got,) = peer.gets_all()
    assert (options(got), len(got.sack)) == ({"e0b": 5, "ceb": 1}, 2)
    peer.sends(ack(0), data=b"x", tos=ECT_1, seq=13)
    (got,) = peer.gets_all()  # three fields do not fit, and one that changed is the last
    assert (options(got), len(got.sack)) == (None, 3)
    peer.sends(ack(0), data=b"x", tos=ECT_1, seq=1)
    peer.sends(ack(0), data=b"x" * 12, tos=NOT_ECT, seq=2)
    assert options(peer.gets_all(within=0.5)[-1]) == {"e0b": 5, "ceb": 1, "e1b": 3}


# -- what is believed -----------------------------------------------------------------------------


@pytest.mark.rfc("9768-22")
@pytest.mark.parametrize("kind", [172, 174])
@pytest.mark.parametrize("length", range(2, 37))
def test_every_length(peer: Peer, kind: int, length: int):
    """As many whole fields as there are; the rest is padding."""
    client(peer)
    body = option(ceb=1000, kind=kind)[2:] + bytes(range(40))
    peer.app.send(bytes(1000))
    peer.gets_all()
    peer.sends(ack(1), ack=1001, options=bytes([kind, length]) + body[: length - 2])
    info = peer.app.info
    assert (info.ce_bytes_delivered, info.ece_in) == (1000 if length >= 8 else 0, 1)


@pytest.mark.parametrize("length", [0, 1, 39, 255])
def test_a_length_that_is_none(peer: Peer, length: int):
    client(peer)
    peer.sends(ack(0), data=b"x", options=bytes([172, length, 0, 0]))
    assert peer.engine.drops()["tcp_options"] == 1


@pytest.mark.rfc("9768-23")
def test_counters_that_go_round(peer: Peer):
    client(peer)
    heard = 0
    for step in (2**23, 2**23, 2**23, 5):
        heard += step
        peer.sends(ack(0), data=b"x", options=option(ceb=heard))
        assert peer.app.info.ce_bytes_delivered == heard


def test_an_old_one_is_not_heard(peer: Peer):
    client(peer)
    peer.app.send(bytes(5000))
    peer.gets_all()
    peer.sends(ack(2), ack=3001, options=option(ceb=2000))
    peer.sends(ack(1), ack=1501, options=option(ceb=1000))
    assert peer.app.info.ce_bytes_delivered == 2000


@pytest.mark.rfc("9768-21")
@pytest.mark.parametrize(
    ("segments", "least", "ceb", "taken"),
    [(8, 0, 1000, 8), (10, 2, 1000, 2), (9, 0, 0, 0), (10, 7, 6990, 7), (10, 1, 9000, 9)],
)
def test_bytes_tell_whether_it_wrapped(peer: Peer, segments: int, least: int, ceb: int, taken: int):
    """A.2.2 with its examples: so many marked bytes do not fit in so few segments."""
    filled(peer)
    extra = option(1 + segments * 1000 - ceb, ceb)
    tells(peer, segments, least, options=extra)
    assert peer.app.info.ece_in == taken


@pytest.mark.rfc("9768-21", "9768-19")
@pytest.mark.parametrize("first", [option(0), option(1, 0, 0), option(0, 0, 1, length=5)])
def test_zeroed_options_are_ignored(peer: Peer, first: bytes):
    """3.2.3.2.4: and the flags are read with caution."""
    client(peer, first)
    peer.app.send(bytes(1000))
    peer.gets_all()
    peer.sends(ack(1), ack=1001, options=option(ceb=1000))
    info = peer.app.info
    assert (info.ce_bytes_delivered, info.ece_in, info.ecn_ok) == (0, 1, 2)


@pytest.mark.rfc("9768-19")
@pytest.mark.parametrize("first", [option(1), option(77, 5, 99), option(length=2), b""])
def test_any_other_first_value_is_good(peer: Peer, first: bytes):
    client(peer, first)
    before = peer.app.info.ce_bytes_delivered
    peer.app.send(bytes(1000))
    peer.gets_all()
    peer.sends(ack(1), ack=1001, options=option(77, before + 1000, 99))
    assert peer.app.info.ce_bytes_delivered == before + 1000


@pytest.mark.rfc("9768-27")
@pytest.mark.parametrize(
    ("marks", "ceb", "left"), [(0, 1000, NOT_ECT), (1, 1000, ECT_0), (1, 0, ECT_0)]
)
def test_bytes_marked_and_no_packet(peer: Peer, marks: int, ceb: int, left: int):
    """Somebody rewrites the flags or the option: nothing is ECN-capable any more."""
    client(peer)
    peer.app.send(bytes(1000))
    peer.gets_all()
    peer.sends(ack(marks), ack=1001, options=option(1001 - ceb, ceb))
    peer.app.send(b"x")
    assert peer.gets(data=b"x", within=3).ecn == left
    peer.sends(ack(marks), data=b"y", tos=CE)
    assert peer.gets(ack=2).segment.flags & 0x1C0  # feedback goes on


@pytest.mark.rfc("9768-27")
def test_a_packet_told_of_before_its_bytes(peer: Peer):
    """An ACK without an option came between."""
    filled(peer)
    tells(peer, 1, 0, options=option(1001))
    tells(peer, 2, 1)
    tells(peer, 3, 1, options=option(2001, 1000))
    assert peer.app.info.ecn_ok == 2


def test_it_ends_with_the_connection(peer: Peer):
    opened(peer)
    memory = peer.app.info.memory
    peer.sends("RST", seq=1)
    assert peer.app.state == "CLOSED"
    other = peer.another(1001)
    other.app.listen()
    other.sends("SYN", seq=0, **OFFER)
    other.gets("SYN,ACK")
    other.sends("ACK")
    assert other.app.accept().info.memory < memory
