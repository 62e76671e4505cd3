"""wire/tcp and wire/dump: the header both ways, its checksum, and its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.whitebox import addr, exact, ffi, lib, ones_sum, pseudo_header, reason

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << n for n in range(8))
u16, u32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
PAIRS = [("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "fe80::2")]


def parse(data):
    out = ffi.new("struct wb_seg *")
    return reason(lib.wb_tcp_parse(exact(data), len(data), out)), out


def write(seg):
    to = ffi.new("uint8_t[60]")
    length = lib.wb_tcp_write(to, seg)
    return bytes(to)[:length]


def segment(**fields):
    seg = ffi.new("struct wb_seg *")
    opt = fields.pop("opt", {})
    for name, value in fields.items():
        setattr(seg, name, value)
    for name, value in opt.items():
        setattr(seg.opt, name, value)
    return seg


HEADER = bytes.fromhex("0050 c350 01020304 0a0b0c0d 50 18 1234 0000 0007")


def test_each_field_at_its_place():
    why, seg = parse(HEADER + b"hello")
    assert why == "none"
    assert (seg.sport, seg.dport, seg.seq, seg.ack) == (80, 50000, 0x01020304, 0x0A0B0C0D)
    assert (seg.flags, seg.wnd, seg.urp) == (PSH | ACK, 0x1234, 7)
    assert (seg.data_at, seg.len) == (20, 5)
    assert write(seg) == HEADER


fields_of_a_header = st.fixed_dictionaries(
    {
        "sport": u16,
        "dport": u16,
        "seq": u32,
        "ack": u32,
        "flags": st.integers(0, 255),
        "wnd": u16,
        "urp": u16,
    }
)


@given(fields_of_a_header, st.booleans(), st.binary(max_size=30))
def test_round_trip(fields, has_ts, data):
    header = write(segment(**fields, opt={"has_ts": has_ts, "ts_val": 9}))
    assert len(header) == (32 if has_ts else 20)
    why, got = parse(header + data)
    assert why == "none"
    assert {name: getattr(got, name) for name in fields} == fields
    assert (got.data_at, got.len) == (len(header), len(data))
    assert (got.opt.has_ts, got.opt.ts_val) == (has_ts, 9 if has_ts else 0)


def test_every_truncation():
    full = HEADER[:12] + b"\xf0" + HEADER[13:] + b"\x01" * 40
    for length in range(60):
        assert parse(full[:length])[0] == "tcp_short"
    assert parse(full)[0] == "none"


@pytest.mark.parametrize("words", range(16))
def test_every_data_offset(words):
    packet = HEADER[:12] + bytes([words << 4 | 0x0F]) + HEADER[13:] + b"\x01" * 40
    why, seg = parse(packet)
    assert why == ("none" if words >= 5 else "tcp_short")
    if words >= 5:
        assert (seg.data_at, seg.len) == (words * 4, 60 - words * 4)


def test_options_malformed():
    assert parse(HEADER[:12] + b"\x60" + HEADER[13:] + b"\x02\x05\x00\x00")[0] == "tcp_options"


@pytest.mark.parametrize(("src", "dst"), PAIRS)
@given(data=st.binary(max_size=99), opt=st.booleans())
def test_checksum(src, dst, data, opt):
    header = write(segment(sport=1, dport=2, seq=3, flags=ACK, opt={"has_ts": opt}))
    packet = ffi.new("uint8_t[]", header + data)
    length = len(header) + len(data)
    lib.wb_tcp_checksum_set(packet, len(header), length, addr(src), addr(dst))
    wire = bytes(packet)
    assert ones_sum(pseudo_header(src, dst, 6, length) + wire) == 0xFFFF
    assert lib.wb_tcp_checksum_ok(addr(src), addr(dst), packet, length)
    assert lib.wb_tcp_checksum_ok(addr(dst), addr(src), packet, length)
    for at in {0, 13, 16, 17, length - 1}:
        packet[at] ^= 0x10
        assert not lib.wb_tcp_checksum_ok(addr(src), addr(dst), packet, length)
        packet[at] ^= 0x10


@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_partial_checksum_is_what_a_link_completes(src, dst):
    data = b"some payload of odd length"[:25]
    header = write(segment(sport=1, dport=2, flags=ACK))
    length = len(header) + len(data)
    partial = ffi.new("uint8_t[]", header + data)
    lib.wb_tcp_checksum_partial(partial, length, addr(src), addr(dst))
    final = 0xFFFF ^ ones_sum(bytes(partial))
    whole = bytes(partial)[:16] + final.to_bytes(2) + bytes(partial)[18:]
    assert lib.wb_tcp_checksum_ok(addr(src), addr(dst), exact(whole), length)


def dump(seg, seq_base=0, ack_base=0, cap=400):
    to = ffi.new("char[]", b"?" * (cap + 8))
    length = lib.wb_dump_tcp(to, cap, seg, seq_base, ack_base)
    assert to[length] == b"\0"
    return ffi.string(to).decode()


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (0, "."),
        (SYN, "SYN"),
        (SYN | ACK, "SYN,ACK"),
        (FIN | ACK, "FIN,ACK"),
        (FIN | PSH | ACK, "FIN,PSH,ACK"),
        (RST, "RST"),
        (255, "SYN,FIN,RST,PSH,URG,ECE,CWR,ACK"),
    ],
)
def test_flags_as_the_figures_write_them(flags, text):
    to = ffi.new("char[64]")
    assert lib.wb_dump_flags(to, 64, flags) == len(text)
    assert ffi.string(to).decode() == text


def test_a_line_per_segment():
    syn = segment(seq=100, flags=SYN, wnd=65535, opt={"has_mss": True, "mss": 1460})
    assert dump(syn) == "seq=100 SYN win=65535 <mss 1460>"
    data = segment(seq=1001, ack=2001, len=5, flags=PSH | ACK, wnd=9)
    assert dump(data, 1000, 2000) == "seq=1 ack=1 len=5 PSH,ACK win=9"
    assert dump(segment(seq=1, flags=RST), 2) == "seq=4294967295 RST win=0"


def test_all_options_in_the_line():
    opt = {
        "has_mss": True,
        "mss": 536,
        "sack_permitted": True,
        "has_ts": True,
        "ts_val": 7,
        "ts_ecr": 8,
        "has_wscale": True,
        "wscale": 3,
        "sack_count": 2,
        "sack": [11, 12, 14, 15, 0, 0, 0, 0],
    }
    line = dump(segment(flags=ACK | URG, urp=2, opt=opt), 0, 10)
    assert line == (
        "seq=0 ack=4294967286 URG,ACK win=0 urp=2 <mss 536,sackOK,ts 7:8,wscale 3,sack 1:2 4:5>"
    )


def test_a_line_is_cut_at_any_capacity():
    seg = segment(seq=1, ack=2, flags=ACK, opt={"has_ts": True})
    full = dump(seg)
    for cap in range(1, len(full) + 1):
        assert dump(seg, cap=cap) == full[: cap - 1]  # the text and its NUL
    assert lib.wb_dump_tcp(ffi.NULL, 0, seg, 0, 0) == 0
