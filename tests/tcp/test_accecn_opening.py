"""How more accurate ECN is negotiated: RFC 9768 3.1 and 3.2.2.1 to 3.2.2.4."""

import pytest

from tcp.accecn import (
    ACCURATE,
    ASKS,
    CE,
    CLASSIC,
    CODES,
    ECT_0,
    FIELDS,
    NEITHER,
    NOT_ECT,
    OFFER,
    SETUP,
    ack,
    answered,
    asked,
    field,
    flags,
    mode,
    new_data,
    opened,
)
from usertcp.testing import Peer

# -- who asks and who agrees ----------------------------------------------------------------------


@pytest.mark.rfc("9768-01")
@pytest.mark.parametrize(
    ("use", "asks", "of_classic", "of_accurate"),
    [
        (0, "SYN", NEITHER, NEITHER), (1, SETUP, CLASSIC, CLASSIC), (2, "SYN", CLASSIC, CLASSIC),
        (3, ASKS, CLASSIC, ACCURATE), (4, SETUP, CLASSIC, ACCURATE), (5, "SYN", CLASSIC, ACCURATE),
    ],
)  # fmt: skip
def test_the_settings(peer: Peer, use: int, asks: str, of_classic: str, of_accurate: str):
    peer.configure(ecn=use).app.connect()
    got = peer.gets(asks)
    assert got.ecn == NOT_ECT
    assert not got.segment.options.extra  # 9768-24
    peer.app.listen()
    for port, flags_, expected in ((1001, SETUP, of_classic), (1002, ASKS, of_accurate)):
        other = peer.another(port)
        other.sends(flags_, seq=0, **OFFER)
        answer = other.gets(ack=1)
        assert field(answer) == {NEITHER: 0, CLASSIC: 1, ACCURATE: CODES[NOT_ECT]}[expected]
        other.sends(flags(CODES[NOT_ECT] if expected == ACCURATE else 0, "ACK"))
        info = peer.app.accept().info
        assert info.accecn == (expected == ACCURATE)
        assert info.ecn_ok == (0 if expected == NEITHER else 2)


@pytest.mark.rfc("9768-02")
@pytest.mark.parametrize("tos", FIELDS)
def test_the_synack_tells_how_the_syn_came(peer: Peer, tos: int):
    got = asked(peer, tos=tos).gets(ack=1)
    assert field(got) == CODES[tos]
    assert got.ecn == NOT_ECT
    peer.sends(flags(CODES[NOT_ECT], "ACK"))
    peer.app.accept()
    assert (mode(peer), peer.app.info.ce_in, new_data(peer)) == (ACCURATE, 0, ECT_0)


@pytest.mark.rfc("9768-02")
def test_without_it_a_marked_syn_that_asks_gets_the_other(peer: Peer):
    """A codepoint is allowed where AE says so; `ecn=2` agrees to what it knows."""
    assert field(asked(peer, tos=ECT_0, ecn=2).gets(ack=1)) == 1


@pytest.mark.rfc("9768-06", "9768-08")
@pytest.mark.parametrize("code", range(8))
def test_every_syn(peer: Peer, code: int):
    expected = {0: NEITHER, 3: CLASSIC}.get(code, ACCURATE)
    answer = asked(peer, code).gets(ack=1)
    assert field(answer) == {NEITHER: 0, CLASSIC: 1, ACCURATE: CODES[NOT_ECT]}[expected]
    peer.sends(flags(CODES[NOT_ECT] if expected == ACCURATE else 0, "ACK"))
    peer.app.accept()
    assert mode(peer) == expected


@pytest.mark.rfc("9768-08")
@pytest.mark.parametrize("reserved", [2, 4, 8, 14])
def test_the_other_reserved_bits_mean_nothing(peer: Peer, reserved: int):
    peer.configure(ecn=5).app.listen()
    peer.sends(ASKS, seq=0, reserved=reserved, **OFFER)
    got = peer.gets(ack=1)
    assert (field(got), got.segment.reserved) == (CODES[NOT_ECT], 0)


@pytest.mark.rfc("9768-03", "9768-05", "9768-08", "9768-18")
@pytest.mark.parametrize(
    ("code", "expected", "ect"),
    [
        (0, NEITHER, False), (1, CLASSIC, True), (2, ACCURATE, True), (3, ACCURATE, False),
        (4, ACCURATE, False), (5, ACCURATE, True), (6, ACCURATE, False), (7, NEITHER, False),
    ],
)  # fmt: skip
def test_every_synack(peer: Peer, code: int, expected: str, ect: bool):
    """Our SYN was Not-ECT: what calls it anything else has been rewritten on the way, and none of
    ours is ECN-capable. Feedback is given and heard all the same."""
    peer.configure(ecn=3).app.connect()
    peer.gets(ASKS)
    assert mode(peer) == NEITHER
    peer.sends(flags(code, "SYN", "ACK"), seq=0, **OFFER)
    assert field(peer.gets(seq=1, ack=1)) == (CODES[NOT_ECT] if expected == ACCURATE else 0)
    assert mode(peer) == expected
    assert peer.app.info.ecn_ok == {NEITHER: 0}.get(expected, 1 + ect)
    assert new_data(peer) == (ECT_0 if ect else NOT_ECT)
    peer.sends(data=b"y", tos=CE, flags=ack(0) if expected == ACCURATE else None)
    got = peer.gets(ack=2, within=0.5)
    assert field(got) == {NEITHER: 0, CLASSIC: 1, ACCURATE: 6}[expected]
    if expected == ACCURATE:
        peer.app.connection.set_option("ecn", 1)
        assert peer.app.connection.get_option("ecn") == ect
        peer.sends(ack(1), data=b"z")
        assert peer.app.info.ece_in == 1


@pytest.mark.rfc("9768-18")
@pytest.mark.parametrize("passive", [False, True])
def test_a_marked_handshake_makes_the_first_window_small(peer: Peer, passive: bool):
    """3.2.2.2: our SYN or SYN,ACK is said to have come with CE."""
    if passive:
        asked(peer).gets(ack=1)
        peer.sends(flags(CODES[CE], "ACK"))
        peer.app.accept()
        assert peer.app.info.ece_in == 1
    else:
        answered(peer, CODES[CE]).gets(seq=1)
        assert peer.app.info.ece_in == 0
    peer.app.send(bytes(10000))
    assert len(peer.gets_all()) == 1


# -- the ACK of the SYN,ACK -----------------------------------------------------------------------


@pytest.mark.rfc("9768-16", "9768-14", "9768-15")
@pytest.mark.parametrize("tos", FIELDS)
def test_the_last_ack_tells_how_the_synack_came(peer: Peer, tos: int):
    """A pure ACK with the code; then the counter, which a mark on the SYN,ACK has raised."""
    peer.configure(ecn=3).app.connect()
    peer.gets(ASKS)
    peer.app.send(b"early")
    peer.sends(flags(CODES[NOT_ECT], "SYN", "ACK"), seq=0, tos=tos, **OFFER)
    pure, data = peer.gets_all()
    assert (pure.data, field(pure)) == (b"", CODES[tos])
    assert (data.data, field(data)) == (b"early", 6 if tos == CE else 5)
    assert peer.app.info.ce_in == (tos == CE)
    # It comes again: the same answer, and no mark is counted twice.
    for again in (tos, CE):
        peer.sends(flags(CODES[NOT_ECT], "SYN", "ACK"), seq=0, ack=1, tos=again, **OFFER)
        assert field(peer.gets(ack=1, len=0)) == CODES[again]
    peer.app.send(b"x")
    assert field(peer.gets(data=b"x")) == 6
    assert peer.app.info.ce_in == 1


@pytest.mark.rfc("9768-17", "9768-18")
@pytest.mark.parametrize(
    ("code", "s_cep", "ect", "hears"),
    [
        (0, 5, False, False), (1, 5, True, True), (2, 5, True, True), (3, 5, False, True),
        (4, 5, False, True), (5, 5, True, True), (6, 6, False, True), (7, 5, True, True),
    ],
)  # fmt: skip
def test_every_last_ack(peer: Peer, code: int, s_cep: int, ect: bool, hears: bool):
    asked(peer).gets(ack=1)
    peer.sends(flags(code, "ACK"))
    peer.app.accept()
    assert (mode(peer), 5 + peer.app.info.ece_in) == (ACCURATE, s_cep)
    assert new_data(peer) == (ECT_0 if ect else NOT_ECT)
    peer.sends(flags((s_cep + 1) % 8, "ACK"), ack=2, data=b"y", tos=CE)
    assert field(peer.gets(ack=2)) == 6  # feedback is given in any case
    new_data(peer, b"z")
    peer.sends(flags((s_cep + 2) % 8, "ACK"), ack=3)
    assert peer.app.info.ecn_reductions == (2 if hears else 0)


@pytest.mark.rfc("9768-17")
def test_a_handshake_that_data_ends_has_the_counter(peer: Peer):
    asked(peer).gets(ack=1)
    peer.sends(flags(6, "ACK"), data=b"x")  # the SYN,ACK came marked
    peer.app.accept()
    assert (mode(peer), peer.app.info.ece_in, peer.app.info.ecn_ok) == (ACCURATE, 1, 2)


@pytest.mark.rfc("9768-19")
@pytest.mark.parametrize(("first", "hears"), [(0, False), (1, True), (4, True), (5, True)])
def test_a_first_counter_of_zero(peer: Peer, first: int, hears: bool):
    """3.2.2.4. Any other first value is as good as 5."""
    opened(peer)
    assert new_data(peer) == ECT_0
    peer.sends(flags(first, "ACK"), ack=2)
    assert new_data(peer) == (ECT_0 if hears else NOT_ECT)
    before = peer.app.info.ecn_reductions
    peer.sends(flags((first + 1) % 8, "ACK"), ack=3)
    assert peer.app.info.ecn_reductions == (before + 1 if hears else 0)
    peer.sends(ack(0), data=b"y", tos=CE)
    assert field(peer.gets(ack=2)) == 6
