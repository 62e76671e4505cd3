"""Drops at the IP layer: headers, addresses, fragments, extension headers, what is carried."""

import struct

import pytest

from stack.bench import Bench, dropped, ip
from stack.test_drops import mended
from usertcp.testing.packets import SYN, Icmp, Options, Segment, checksum

BOTH = pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])


def listening(*, ipv6: bool = False, **options: object) -> Bench:
    bench = Bench(ipv6=ipv6, **options)
    bench.engine.listen(80)
    return bench


def refused(bench: Bench, packet: bytes, **why: int) -> None:
    """Exactly these drops, no answer, nothing changed."""
    with dropped(bench.engine, **why):
        assert bench.arrives(packet) == []


def headed(packet: bytes, at: int, value: bytes) -> bytes:
    """IPv4: bytes of the header changed, its checksum right all the same."""
    packet = packet[:at] + value + packet[at + len(value) :]
    size = max(20, (packet[0] & 15) * 4)
    head = packet[:10] + b"\0\0" + packet[12:size]
    return head[:10] + struct.pack("!H", checksum(head)) + packet[12:]


# -- headers --------------------------------------------------------------------------------------


@pytest.mark.rfc("1122-01")
@pytest.mark.parametrize("version", [0, 1, 5, 7, 8, 15])
@BOTH
def test_ip_version(version: int, ipv6: bool):
    bench = listening(ipv6=ipv6)
    whole = bench.tcp("SYN", options=Options(mss=1460))
    refused(bench, bytes([version << 4 | whole[0] & 15]) + whole[1:], ip_version=1)


@BOTH
def test_ip_header_short(ipv6: bool):
    bench = listening(ipv6=ipv6)
    for size in range(1, 40 if ipv6 else 20):
        refused(bench, bench.tcp("SYN")[:size], ip_header_short=1)


def test_ip_header_short_with_options():
    """IHL reaches beyond what is there."""
    bench = listening()
    for ihl in range(6, 16):
        refused(bench, headed(bench.tcp("SYN")[:20], 0, bytes([0x40 | ihl])), ip_header_short=1)


@pytest.mark.attack(7, 8)
@pytest.mark.rfc("SEC-04")
def test_ip_length_v4():
    """Attacks 7, 8: total length below the header's or beyond the frame; an IHL below 5."""
    bench = listening()
    whole = bench.tcp("SYN")
    for total in [*range(20), len(whole) + 1, len(whole) + 100, 0xFFFF]:
        refused(bench, headed(whole, 2, struct.pack("!H", total)), ip_length=1)
    for ihl in range(5):
        refused(bench, headed(whole, 0, bytes([0x40 | ihl])), ip_length=1)


@pytest.mark.rfc("SEC-04")
def test_ip_length_v6():
    bench = listening(ipv6=True)
    whole = bench.tcp("SYN")
    for length in [len(whole) - 39, len(whole), 0xFFFF]:
        refused(bench, whole[:4] + struct.pack("!H", length) + whole[6:], ip_length=1)


@BOTH
def test_bytes_after_the_packet_are_the_links_padding(ipv6: bool):
    bench = listening(ipv6=ipv6)
    with dropped(bench.engine, tcp_no_listener=1):
        (answer,) = bench.arrives(bench.tcp("SYN", dport=81, seq=5) + b"\xaa" * 7)
    assert answer.segment.ack == 6


@BOTH
def test_an_echo_reply_that_would_not_fit_is_an_ip_length(ipv6: bool):
    """The request came in fragments or over a larger MTU; no reply of ours is fragmented."""
    bench = listening(ipv6=ipv6, mtu=1280)
    bench.engine.link.mtu = 9000
    room = 1280 - (40 if ipv6 else 20) - 8
    kind = 128 if ipv6 else 8
    assert len(bench.arrives(bench.packet(Icmp(type=kind, body=bytes(room))))) == 1
    refused(bench, bench.packet(Icmp(type=kind, body=bytes(room + 1))), ip_length=1)


@pytest.mark.rfc("1122-02")
def test_ip_checksum():
    bench = listening()
    whole = bench.tcp("SYN")
    for wrong in (0, 0xFFFF, struct.unpack("!H", whole[10:12])[0] ^ 1):
        refused(bench, whole[:10] + struct.pack("!H", wrong) + whole[12:], ip_checksum=1)


@pytest.mark.attack(5)
@pytest.mark.rfc("9293-MUST-50", "9293-MUST-53", "SEC-06")
@pytest.mark.parametrize(
    "options",
    [
        "83070400000000", "89070400000000", "01830304", "8303", "44", "4400", "4401", "4405",
        "010144ff", "0707040000000083", "88",
    ],
)  # fmt: skip
def test_ip_options(options: str):
    """Attack 5: source routes, lengths of 0 and 1, lengths beyond the header."""
    bench = listening()
    data = bytes.fromhex(options)
    padded = data if len(data) % 4 == 0 else data + b"\x01" * (-len(data) % 4)
    if options in ("44", "88"):
        padded = b"\x01" * 3 + data
    refused(bench, bench.packet(Segment(sport=9, dport=80, flags=SYN), options=padded),
            ip_options=1)  # fmt: skip


@pytest.mark.rfc("9293-MUST-50")
def test_ip_options_that_are_well_formed_are_passed_over():
    """Every kind but the two source routes, every length that fits."""
    bench = listening()
    for kind in set(range(2, 256)) - {131, 137}:
        for size in (2, 3, 4, 8, 40):
            data = (bytes([kind, size]) + bytes(size - 2)).ljust(-size % 4 + size, b"\x01")
            made = Segment(sport=9, dport=81, flags=SYN)
            assert len(bench.arrives(bench.packet(made, options=data))) == 1
    assert set(bench.engine.drops()) == {"tcp_no_listener"}


# -- addresses ------------------------------------------------------------------------------------

BAD_SOURCES = [
    "0.0.0.0", "127.0.0.1", "127.255.1.1", "224.0.0.1", "239.1.2.3", "255.255.255.255",
    "10.0.0.255", "::", "::1", "ff02::1", "ff0e::7", "::ffff:10.0.0.2", "::ffff:0.0.0.0",
]  # fmt: skip
NOT_OURS = [
    "10.0.0.77", "10.0.0.0", "10.0.0.255", "255.255.255.255", "224.0.0.1", "239.1.2.3",
    "127.0.0.1", "0.0.0.0", "8.8.8.8", "fd00::77", "ff02::1", "ff02::1:ff00:1", "ff0e::1", "::1",
    "::", "fe80::1", "::ffff:10.0.0.1",
]  # fmt: skip


@pytest.mark.attack(46)
@pytest.mark.rfc("9293-MUST-63")
@pytest.mark.parametrize("source", BAD_SOURCES)
@pytest.mark.parametrize("flags", ["SYN", "ACK", "RST", "FIN,ACK"])
def test_ip_source(source: str, flags: str):
    """Attack 46; ::ffff:0:0/96 means IPv4 inside, and nothing on a wire (RFC 4942 2.2)."""
    src = ip(source)
    bench = Bench(ipv6=src.version == 6, own="" if src.version == 6 else "10.0.0.1/24")
    bench.engine.listen(80)
    refused(bench, bench.tcp(flags, src=src), ip_source=1)


def test_ip_source_is_ours():
    bench = Bench()
    assert bench.engine.raw.address_add(bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 9]), 24, 0, 0)\
        == 0  # fmt: skip
    bench.engine.listen(80)
    refused(bench, bench.tcp("SYN", src=ip("10.0.0.9")), ip_source=1)
    refused(bench, bench.packet(Icmp(type=8), src=ip("10.0.0.9")), ip_source=1)


@pytest.mark.rfc("1122-03", "9293-MUST-57")
@pytest.mark.parametrize("to", NOT_OURS)
@pytest.mark.parametrize("flags", ["SYN", "ACK", "RST", "FIN,ACK"])
def test_ip_not_ours(to: str, flags: str):
    dst = ip(to)
    bench = listening(ipv6=dst.version == 6)
    refused(bench, bench.tcp(flags, dst=dst), ip_not_ours=1)


def test_ipv4_does_not_come_inside_ipv6():
    """An IPv6 header with IPv4-mapped addresses is no way to the IPv4 listener."""
    bench = listening()
    mapped = {"src": ip("::ffff:10.0.0.2"), "dst": ip("::ffff:10.0.0.1")}
    refused(bench, bench.tcp("SYN", **mapped), ip_source=1)
    refused(bench, bench.packet(Icmp(type=128), **mapped), ip_source=1)


@pytest.mark.attack(33)
@pytest.mark.rfc("SEC-08")
@BOTH
@pytest.mark.parametrize("flags", ["SYN", "ACK", "RST", "SYN,ACK"])
def test_ip_land(flags: str, ipv6: bool):
    """Attack 33."""
    bench = listening(ipv6=ipv6)
    refused(bench, bench.tcp(flags, src=bench.own, sport=80), ip_land=1)
    refused(bench, bench.tcp(flags, src=bench.own), ip_land=1)


# -- what is carried ------------------------------------------------------------------------------


@pytest.mark.attack(10, 17, 34, 35, 36)
@pytest.mark.parametrize("field", [0x2000, 0x0001, 0x1FFF, 0x2001, 0x3FFF, 0x6000])
def test_ip_fragment_v4(field: int):
    """Attacks 10, 17, 34 to 36: no fragment reaches TCP, the tiny first one included."""
    bench = listening()
    packet = headed(bench.tcp("SYN"), 6, struct.pack("!H", field))
    refused(bench, packet, ip_fragment=1)
    refused(bench, mended(packet[:28]), ip_fragment=1)


def extended(bench: Bench, *headers: tuple[int, bytes], last: int = 6) -> bytes:
    """An IPv6 SYN behind extension headers (kind, bytes without the next-header byte)."""
    kinds = [kind for kind, _ in headers] + [last]
    chain = b"".join(bytes([kinds[i + 1]]) + body for i, (_, body) in enumerate(headers))
    segment = Segment(sport=40001, dport=80, flags=SYN).encode(bench.host, bench.own)
    return bench.packet(chain + segment, protocol=kinds[0])


def fragment(offset: int, more: int) -> tuple[int, bytes]:
    return 44, b"\0" + struct.pack("!HI", offset << 3 | more, 7)


@pytest.mark.parametrize(("offset", "more"), [(0, 1), (1, 0), (5, 1), (8191, 0), (8191, 1)])
def test_ip_fragment_v6(offset: int, more: int):
    bench = listening(ipv6=True)
    refused(bench, extended(bench, fragment(offset, more)), ip_fragment=1)


@pytest.mark.rfc("6946-01")
def test_an_atomic_fragment_is_a_whole_packet():
    bench = Bench(ipv6=True)
    with dropped(bench.engine, tcp_no_listener=1):
        assert len(bench.arrives(extended(bench, fragment(0, 0)))) == 1


PAD = b"\0\1\4" + bytes(4)  # a header of 8 bytes whose options are padding
WRONG_EXTENSIONS = {
    "cut": [(0, b"\0")],
    "longer than the packet": [(60, b"\xff\1\4" + bytes(4))],
    "option longer than its header": [(0, b"\0\1\5" + bytes(4))],
    "option kind alone at the end": [(60, b"\0\1\3\0\0\0\5")],
    "option that discards": [(0, b"\0\x40\4" + bytes(4))],
    "option that asks for an error": [(60, b"\0\x80\4" + bytes(4))],
    "option that asks for an error unless multicast": [(60, b"\0\xc2\4" + bytes(4))],
    "jumbo payload": [(0, b"\0\xc2\4\0\1\0\0")],
    "hop-by-hop not first": [(60, PAD), (0, PAD)],
    "hop-by-hop twice": [(0, PAD), (0, PAD)],
    "routing type 0": [(43, b"\0\0\0" + bytes(4))],
    "routing type 0, segments left": [(43, b"\0\0\1" + bytes(4))],
    "routing with segments left": [(43, b"\0\4\1" + bytes(4))],
    "chain of 64": [(60, PAD)] * 64,
}


@pytest.mark.attack(9)
@pytest.mark.rfc("8200-06", "SEC-03")
@pytest.mark.parametrize("which", WRONG_EXTENSIONS)
def test_ip6_extension(which: str):
    """Attack 9."""
    bench = listening(ipv6=True)
    headers = WRONG_EXTENSIONS[which]
    packet = extended(bench, *headers)
    if which == "cut":
        packet = bench.packet(b"\6\0\1\4", protocol=0)
    refused(bench, packet, ip6_extension=1)


def test_ip6_extension_lengths_swept():
    """Each length byte against a packet too small for it."""
    bench = listening(ipv6=True)
    for kind in (0, 43, 60):
        for length in range(4, 256):
            refused(bench, extended(bench, (kind, bytes([length]) + bytes(6))), ip6_extension=1)


@pytest.mark.parametrize("protocol", [0, 2, 4, 17, 41, 47, 50, 51, 58, 132, 255])
def test_ip_protocol_v4(protocol: int):
    bench = listening()
    refused(bench, bench.packet(b"x" * 20, protocol=protocol), ip_protocol=1)


@pytest.mark.parametrize("protocol", [1, 2, 4, 17, 41, 47, 50, 51, 59, 132, 135, 255])
def test_ip_protocol_v6(protocol: int):
    bench = listening(ipv6=True)
    refused(bench, bench.packet(b"x" * 24, protocol=protocol), ip_protocol=1)
