"""packet.c against the kernel of this machine, over a veth pair in a namespace of its own."""

import errno
import os
import socket
import struct
import time

import pytest

from support.handmade import ACK, FIN, PSH, HandmadeTcp, ip_packet, parse
from support.netns import drop_capabilities, in_namespace, veth
from support.rawlink import (
    GSO_ECN,
    GSO_TCP4,
    GSO_TCP6,
    LINK_DOWN,
    NEEDS_CSUM,
    RX_CSUM,
    RX_GSO,
    SYSTEM,
    TRUNCATED,
    TX_CSUM,
    TX_TSO4,
    TX_TSO6,
    Marks,
    OpenError,
    RawLink,
)
from usertcp import netns

OUR_MAC = "02:00:00:00:00:02"
FAMILIES = {
    4: (socket.AF_INET, "10.7.0.1", "10.7.0.2"),
    6: (socket.AF_INET6, "fd07::1", "fd07::2"),
}
families = pytest.mark.parametrize("version", [4, 6])


def listener(version: int, port: int = 8080) -> socket.socket:
    family, kernel, _ = FAMILIES[version]
    sock = socket.socket(family)
    sock.settimeout(10)
    sock.bind((kernel, port))
    sock.listen()
    return sock


def tcp(link: RawLink, version: int) -> HandmadeTcp:
    _, kernel, ours = FAMILIES[version]
    return HandmadeTcp(link, (ours, 4000), (kernel, 8080))


def device_socket(ifname: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((ifname, 0))
    return sock


def frame_to(mac: str, kind: bytes = b"\x08\x00", payload: bytes = bytes(46)) -> bytes:
    return bytes.fromhex(mac.replace(":", "")) + b"\2\0\0\0\0\1" + kind + payload


def promiscuity(ifname: str) -> int:
    from pyroute2 import IPRoute

    with IPRoute() as ip:
        (link,) = ip.get_links(index=socket.if_nametoindex(ifname))
        return int(link.get_attr("IFLA_PROMISCUITY"))


@families
@in_namespace
def test_super_segments_both_ways(version: int):
    veth()
    with RawLink("packet", "v1", mac=OUR_MAC) as link, listener(version) as server:
        assert link.info.caps == TX_CSUM | TX_TSO4 | TX_TSO6 | RX_CSUM | RX_GSO
        assert link.info.gso_max == 65535
        peer = tcp(link, version)
        peer.connect()
        kernel, _ = server.accept()
        kernel.settimeout(10)

        data = os.urandom(60000)
        peer.send(ACK | PSH, data, gso_size=1448, partial=True)
        received = b""
        while len(received) < len(data):
            received += kernel.recv(65536)
        assert received == data

        answer = os.urandom(400000)
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        kernel.sendall(answer)
        got, segments = peer.read(len(answer))
        assert got == answer
        merged = [s for s in segments if s.frame.marks.gso_size]
        assert merged, "the kernel's segments arrive merged"
        for segment in segments:
            marks = segment.frame.marks
            assert marks.flags == NEEDS_CSUM
            assert segment.partial
            assert (marks.csum_start, marks.csum_offset) == (34 if version == 4 else 54, 16)
        assert {s.frame.marks.gso for s in merged} == {GSO_TCP4 if version == 4 else GSO_TCP6}
        assert link.info.tx_errors == link.info.rx_errors == link.info.tx_full == 0
        assert link.info.rx_bytes > len(answer)


@families
@in_namespace
def test_without_offload_on_either_end(version: int):
    veth()
    netns.offloads("v0", tso=False, gso=False, gro=False, tx_csum=False)
    with RawLink("packet", "v1", mac=OUR_MAC, offload=0) as link, listener(version) as server:
        assert link.info.caps == RX_CSUM | RX_GSO
        assert link.info.gso_max == 0
        peer = tcp(link, version)
        peer.connect()
        kernel, _ = server.accept()
        for i in range(10):
            peer.send(ACK | PSH, bytes([i]) * 1000)
        assert kernel.recv(10000, socket.MSG_WAITALL) == b"".join(
            bytes([i]) * 1000 for i in range(10)
        )
        kernel.sendall(bytes(20000))
        data, segments = peer.read(20000)
        assert data == bytes(20000)
        assert all(s.checksum_ok and s.frame.marks == Marks() for s in segments)


@in_namespace
def test_receive_marks_are_told_without_offload_too():
    """What the kernel leaves unfinished arrives so in any case: hidden, it would look damaged."""
    veth()
    with RawLink("packet", "v1", mac=OUR_MAC, offload=0) as link, listener(4) as server:
        peer = tcp(link, 4)
        peer.connect()
        kernel, _ = server.accept()
        kernel.sendall(b"x" * 100)
        _, (segment,) = peer.read(100)
        assert segment.partial
        assert segment.frame.marks.flags == NEEDS_CSUM


@in_namespace
def test_partial_checksum_of_a_small_segment_is_completed():
    veth()
    with RawLink("packet", "v1", mac=OUR_MAC) as link, listener(4) as server:
        peer = tcp(link, 4)
        peer.connect()
        kernel, _ = server.accept()
        peer.send(ACK | PSH, b"hello", partial=True)
        assert kernel.recv(100) == b"hello"
        peer.send(ACK | FIN, partial=True)
        assert kernel.recv(100) == b""


@in_namespace
def test_ecn_mark_of_a_super_segment_passes_both_ways():
    veth()
    with RawLink("packet", "v1") as a, RawLink("packet", "v0") as b:
        peer = HandmadeTcp(a, ("10.7.0.2", 1), ("10.7.0.1", 2))
        peer.their_mac = b.mac
        packet, marks = peer.segment(ACK | 0x80, bytes(5000), gso_size=1000, partial=True)
        a.send(packet, Marks(**{**marks.__dict__, "flags": NEEDS_CSUM | GSO_ECN}))
        (frame,) = b.frames(lambda f: len(f.data) > 5000)
        assert frame.marks.flags == NEEDS_CSUM | GSO_ECN
        assert frame.marks.gso_size == 1000
        assert frame.data == packet


@in_namespace
def test_filter_keeps_out_what_is_not_ours():
    veth()
    with RawLink("packet", "v1", mac=OUR_MAC) as link, device_socket("v0") as sock:
        sock.send(frame_to("02:00:00:00:00:99"))
        sock.send(frame_to(OUR_MAC, b"\x88\xb5"))  # another protocol
        sock.send(frame_to(OUR_MAC, b"\x81\x00", b"\0\5\x08\0" + bytes(46)))  # a VLAN
        sock.send(frame_to("02:00:00:00:00:03"))
        wanted = [
            frame_to(OUR_MAC, b"\x08\x00"),
            frame_to(OUR_MAC, b"\x86\xdd"),
            frame_to("ff:ff:ff:ff:ff:ff", b"\x08\x06"),
            frame_to("33:33:ff:00:00:02", b"\x86\xdd"),
        ]
        for frame in wanted:
            sock.send(frame)
        got = link.frames(lambda f: f.data[6:12] == b"\2\0\0\0\0\1", count=5, within=0.5)
        assert [frame.data for frame in got] == wanted


@in_namespace
def test_own_frames_are_not_received():
    veth()
    with RawLink("packet", "v1") as link:
        link.send(frame_to("ff:ff:ff:ff:ff:ff"))
        assert link.frames(lambda f: f.data[6:12] == b"\2\0\0\0\0\1", within=0.2) == []


@in_namespace
def test_promiscuous_only_with_a_mac_of_its_own():
    veth()
    with RawLink("packet", "v1"):
        assert promiscuity("v1") == 0
    with RawLink("packet", "v1", mac=netns.device_mac("v1")):
        assert promiscuity("v1") == 0
    with RawLink("packet", "v1", mac=OUR_MAC) as link:
        assert promiscuity("v1") == 1
        assert link.mac.hex(":") == OUR_MAC
    assert promiscuity("v1") == 0


@in_namespace
def test_frame_larger_than_the_slot_is_flagged():
    """BIG TCP: super-segments above 64 KiB."""
    from pyroute2 import IPRoute

    veth()
    with IPRoute() as ip:
        ip.link("set", index=socket.if_nametoindex("v0"), gso_max_size=180000, gso_max_segs=1000)
        ip.link("set", index=socket.if_nametoindex("v1"), gso_max_size=180000, gso_max_segs=1000)
    with RawLink("packet", "v1", mac=OUR_MAC, buffer=32 << 20) as link, listener(6) as server:
        peer = tcp(link, 6)
        peer.connect()
        kernel, _ = server.accept()
        kernel.setblocking(False)
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        payload = bytes(4 << 20)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                kernel.send(payload)
            except BlockingIOError:
                pass
            (frame,) = link.frames()
            peer.answer_neighbour(frame)
            if frame.marks.flags & TRUNCATED:
                assert len(frame.data) == 65536 + 192
                return
            segment = parse(frame, ethernet=True)
            if segment is not None and segment.seq == peer.ack:
                peer.ack = (peer.ack + len(segment.data)) % 2**32
                peer.send(ACK)
        pytest.skip("this kernel made no super-segment above 64 KiB")


@in_namespace
def test_mtu_is_the_devices_or_less():
    veth(mtu=9000)
    with RawLink("packet", "v1") as link:
        assert link.info.mtu == 9000
    with RawLink("packet", "v1", mtu=1400) as link:
        assert link.info.mtu == 1400
    for mtu in (9001, 67):
        with pytest.raises(OpenError) as caught:
            RawLink("packet", "v1", mtu=mtu)
        assert caught.value.code == -4


@in_namespace
def test_frame_too_long_is_an_error_of_that_frame_only():
    veth()
    with RawLink("packet", "v1") as link, RawLink("packet", "v0") as far:
        good = [frame_to(far.mac.hex(":"), payload=bytes([i]) * 100) for i in range(3)]
        link.queue(good[0])
        link.queue(frame_to(far.mac.hex(":"), payload=bytes(3000)))
        link.queue(good[1])
        link.queue(good[2])
        assert link.flush() == 1
        assert [f.data for f in far.frames(lambda f: f.data in good, count=3)] == good
        assert link.info.tx_errors == 1
        assert link.info.tx_frames == 3


@in_namespace
def test_batch_flushes_itself_when_full():
    veth()
    with RawLink("packet", "v1") as link, RawLink("packet", "v0") as far:
        for i in range(150):
            link.queue(frame_to(far.mac.hex(":"), payload=struct.pack(">H", i) + bytes(44)))
        assert link.info.tx_frames == 128
        link.flush()
        got = far.frames(lambda f: f.data[12:14] == b"\x08\x00", count=150)
        assert [int.from_bytes(f.data[14:16], "big") for f in got] == list(range(150))
        assert link.info.flush_calls == 3


@in_namespace
def test_queue_overrun_is_counted():
    veth()
    with RawLink("packet", "v1", buffer=4096) as link, device_socket("v0") as sock:
        for _ in range(1000):
            sock.send(frame_to(link.mac.hex(":"), payload=bytes(1000)))
        assert link.info.rx_missed > 900


@in_namespace
def test_device_taken_down_comes_back():
    veth()
    with RawLink("packet", "v1") as link, device_socket("v0") as sock:
        netns.link_down("v1")
        assert link.recv() == []
        assert link.send(frame_to("ff:ff:ff:ff:ff:ff")) == 1
        assert link.info.tx_errors == 1
        assert link.recv() == []
        netns.link_up("v1")
        assert comes_through(sock, link)


def comes_through(sock: socket.socket, link: RawLink) -> bool:
    """Whether a frame does; the kernel wakes the other end of a cable a moment after the one."""
    frame = frame_to(link.mac.hex(":"))
    for _ in range(50):
        sock.send(frame)
        if link.frames(lambda f: f.data == frame, within=0.1):
            return True
    return False


@pytest.mark.parametrize("look_between", [True, False])
@in_namespace
def test_device_removed_is_a_failed_link(look_between: bool):
    veth()
    with RawLink("packet", "v1") as link:
        if look_between:
            netns.link_down("v1")
            assert link.recv() == []
        netns.link_delete("v0")
        assert link.recv() == LINK_DOWN
        assert link.recv() == LINK_DOWN
        assert link.send(frame_to("ff:ff:ff:ff:ff:ff")) == 1


@in_namespace
def test_removal_is_noticed_by_sending_too():
    veth()
    with RawLink("packet", "v1") as link:
        netns.link_delete("v0")
        assert link.send(frame_to("ff:ff:ff:ff:ff:ff")) == 1
        assert link.recv() == LINK_DOWN


@in_namespace
def test_why_it_cannot_be_opened():
    netns.veth_pair("v0", "v1")
    reasons = {"nope": (SYSTEM, errno.ENODEV), "v1": (SYSTEM, errno.ENETDOWN), "lo": (-17, 0)}
    for name, (code, number) in reasons.items():
        with pytest.raises(OpenError) as caught:
            RawLink("packet", name)
        assert (caught.value.code, caught.value.errno) == (code, number)
    for name in ("", "x" * 16):
        with pytest.raises(OpenError) as caught:
            RawLink("packet", name)
        assert caught.value.code == -4
    netns.link_up("v1")
    drop_capabilities()
    with pytest.raises(OpenError) as caught:
        RawLink("packet", "v1")
    assert (caught.value.code, caught.value.errno) == (SYSTEM, errno.EPERM)


@in_namespace
def test_short_and_odd_frames_pass_as_they_are():
    veth()
    with RawLink("packet", "v1") as link, RawLink("packet", "v0") as far:
        packet = frame_to(far.mac.hex(":"), payload=ip_packet("10.7.0.2", "10.7.0.1", b"odd"))
        for head in (14, 15, 34, len(packet)):
            link.send(packet, head=head)
            (frame,) = far.frames(lambda f: f.data == packet)
            assert frame.marks == Marks()
