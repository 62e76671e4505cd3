"""tun.c against the kernel of this machine, in a namespace of its own."""

import errno
import os
import socket
from pathlib import Path

import pytest

from support.handmade import ACK, PSH, HandmadeTcp, ip_packet
from support.netns import drop_capabilities, in_namespace
from support.rawlink import (
    LINK_DOWN,
    NEEDS_CSUM,
    RX_CSUM,
    RX_GSO,
    SYSTEM,
    TX_CSUM,
    TX_TSO4,
    TX_TSO6,
    Marks,
    OpenError,
    RawLink,
)
from usertcp import netns

FAMILIES = {
    4: (socket.AF_INET, "10.8.0.1", "10.8.0.2"),
    6: (socket.AF_INET6, "fd08::1", "fd08::2"),
}
families = pytest.mark.parametrize("version", [4, 6])
needs_tun = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="no access to /dev/net/tun"
)
pytestmark = needs_tun


def tun(**options: int) -> RawLink:
    link = RawLink("tun", "utun7", **options)
    netns.addr_add("utun7", "10.8.0.1/24")
    netns.addr_add("utun7", "fd08::1/64")
    netns.link_up("utun7")
    return link


def connected(link: RawLink, version: int) -> tuple[HandmadeTcp, socket.socket]:
    family, kernel, ours = FAMILIES[version]
    with socket.socket(family) as server:
        server.settimeout(10)
        server.bind((kernel, 8080))
        server.listen()
        peer = HandmadeTcp(link, (ours, 4000), (kernel, 8080))
        peer.connect()
        sock, _ = server.accept()
        sock.settimeout(10)
        return peer, sock


@families
@in_namespace
def test_super_segments_both_ways(version: int):
    with tun() as link:
        assert link.info.caps == TX_CSUM | TX_TSO4 | TX_TSO6 | RX_CSUM | RX_GSO
        assert (link.info.medium, link.info.mtu, link.info.gso_max) == (1, 1500, 65535)
        peer, kernel = connected(link, version)
        data = os.urandom(60000)
        peer.send(ACK | PSH, data, gso_size=1400, partial=True)
        received = b""
        while len(received) < len(data):
            received += kernel.recv(65536)
        assert received == data
        kernel.sendall(data)
        got, segments = peer.read(len(data))
        assert got == data
        assert any(s.frame.marks.gso_size for s in segments)
        assert all(s.partial and s.frame.marks.flags == NEEDS_CSUM for s in segments)


@families
@in_namespace
def test_without_offload(version: int):
    with tun(offload=0) as link:
        assert (link.info.caps, link.info.gso_max) == (0, 0)
        peer, kernel = connected(link, version)
        peer.send(ACK | PSH, b"a" * 1400)
        assert kernel.recv(5000) == b"a" * 1400
        kernel.sendall(bytes(30000))
        data, segments = peer.read(30000)
        assert data == bytes(30000)
        assert all(s.checksum_ok and s.frame.marks == Marks() for s in segments)
        assert max(len(s.frame.data) for s in segments) <= 1500


@in_namespace
def test_kernel_chooses_a_name():
    with RawLink("tun", "") as link:
        assert netns.device_exists(link.name)


@in_namespace
def test_mtu_is_set():
    with RawLink("tun", "utun7", mtu=9000) as link:
        assert link.info.mtu == 9000
        assert Path("/proc/thread-self/net/dev").read_text().count("utun7") == 1
    assert not netns.device_exists("utun7")
    with pytest.raises(OpenError) as caught:
        RawLink("tun", "utun7", mtu=60)
    assert caught.value.code == -4


@in_namespace
def test_two_queues_share_a_device():
    with RawLink("tun", "utun7", queues=1) as one, RawLink("tun", "utun7", queues=1) as two:
        assert one.info.fd != two.info.fd
        with pytest.raises(OpenError) as caught:
            RawLink("tun", "utun7")
        assert (caught.value.code, caught.value.errno) == (SYSTEM, errno.EINVAL)


@in_namespace
def test_why_it_cannot_be_opened():
    with RawLink("tun", "utun7"):
        with pytest.raises(OpenError) as caught:
            RawLink("tun", "utun7")
        assert (caught.value.code, caught.value.errno) == (SYSTEM, errno.EBUSY)
    with pytest.raises(OpenError) as caught:
        RawLink("tun", "x" * 16)
    assert caught.value.code == -4
    drop_capabilities()
    with pytest.raises(OpenError) as caught:
        RawLink("tun", "utun8")
    assert (caught.value.code, caught.value.errno) == (SYSTEM, errno.EPERM)


@in_namespace
def test_device_removed_is_a_failed_link():
    with tun() as link:
        netns.link_delete("utun7")
        assert link.recv() == LINK_DOWN
        assert link.send(ip_packet("10.8.0.2", "10.8.0.1", b"x")) == 1


@in_namespace
def test_device_down_comes_back():
    with tun() as link:
        netns.link_down("utun7")
        assert isinstance(link.recv(), list)
        assert link.send(ip_packet("10.8.0.2", "10.8.0.1", b"x")) == 1
        assert link.info.tx_errors == 1
        assert isinstance(link.recv(), list)
        netns.link_up("utun7")
        connected(link, 4)
