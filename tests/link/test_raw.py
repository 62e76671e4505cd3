"""rawip.c and its port claims: a stack on the host's own address, here that of a namespace."""

import errno
import os
import socket
import subprocess
import sys

import pytest

from support.handmade import ACK, FIN, PSH, RST, HandmadeTcp, ip_packet
from support.netns import drop_capabilities, in_namespace
from support.rawlink import NEEDS_CSUM, OpenError, RawLink
from usertcp import _claims, links, netns

FAMILIES = {
    4: (socket.AF_INET, "10.7.0.1", "10.7.0.2"),
    6: (socket.AF_INET6, "fd07::1", "fd07::2"),
}
families = pytest.mark.parametrize("version", [4, 6])


def two_hosts() -> netns.Namespace:
    """We are 10.7.0.1 and fd07::1; beside us another host: 10.7.0.2 and fd07::2."""
    other = netns.second_namespace()
    netns.veth_pair("h0", "h1")
    other.take("h1")
    for ifname, number, where in (("h0", 1, None), ("h1", 2, other)):
        for address in (f"10.7.0.{number}/24", f"fd07::{number}/64"):
            (where.run if where else lambda f, *a: f(*a))(netns.addr_add, ifname, address)
        (where.run if where else lambda f, *a: f(*a))(netns.link_up, ifname)
    return other


def tables() -> list[str]:
    def read(nft):
        return [table.get_attr("NFTA_TABLE_NAME") for table in nft.get_tables()]

    return _claims._nftables(read)


def remote_socket(other: netns.Namespace, version: int) -> socket.socket:
    sock = other.run(socket.socket, FAMILIES[version][0])
    sock.settimeout(10)
    return sock


@families
@in_namespace
def test_connection_to_a_claimed_port(version: int):
    other = two_hosts()
    _, ours, _ = FAMILIES[version]
    claim = _claims.claim_ports((61000, 61099))
    with RawLink("raw", port_first=61000, port_last=61099) as link:
        assert (link.info.medium, link.info.mtu) == (1, 1500)
        sock = remote_socket(other, version)
        sock.setblocking(False)
        assert sock.connect_ex((ours, 61005)) == errno.EINPROGRESS
        peer = HandmadeTcp(link, (ours, 61005), ("", 0))
        peer.accept()
        sock.settimeout(10)
        peer.send(ACK | PSH, b"hello")
        assert sock.recv(100) == b"hello"
        data = os.urandom(30000)
        sock.sendall(data)
        got, segments = peer.read(len(data))
        assert got == data
        for segment in segments:  # over veth they never were on a wire
            assert segment.partial
            assert segment.frame.marks.flags == NEEDS_CSUM
        peer.send(ACK | FIN)
        assert sock.recv(100) == b""
    claim.release()


@families
@in_namespace
def test_complete_checksums_are_not_vouched_for(version: int):
    other = two_hosts()
    other.run(netns.offloads, "h1", tso=False, gso=False, tx_csum=False)
    _, ours, _ = FAMILIES[version]
    claim = _claims.claim_ports((61000, 61099))
    with RawLink("raw", port_first=61000, port_last=61099) as link:
        sock = remote_socket(other, version)
        sock.setblocking(False)
        sock.connect_ex((ours, 61005))
        peer = HandmadeTcp(link, (ours, 61005), ("", 0))
        syn = peer.next()
        assert syn.checksum_ok
        assert syn.frame.marks.flags == 0
    claim.release()


@families
@in_namespace
def test_own_resets_pass_and_the_kernels_do_not(version: int):
    other = two_hosts()
    _, ours, _ = FAMILIES[version]
    claim = _claims.claim_ports((61000, 61099))
    with RawLink("raw", port_first=61000, port_last=61099) as link:
        sock = remote_socket(other, version)
        sock.settimeout(0.4)
        with pytest.raises(TimeoutError):  # nobody answers: the kernel is silent
            sock.connect((ours, 61005))
        sock.close()
        sock = remote_socket(other, version)
        sock.setblocking(False)
        sock.connect_ex((ours, 61006))
        peer = HandmadeTcp(link, (ours, 61006), ("", 0))
        peer.accept()
        peer.send(RST | ACK)
        sock.settimeout(10)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with pytest.raises(ConnectionRefusedError):  # outside the claim the kernel answers
        remote_socket(other, version).connect((ours, 62000))
    claim.release()
    with pytest.raises(ConnectionRefusedError):
        remote_socket(other, version).connect((ours, 61005))


@families
@in_namespace
def test_only_claimed_ports_and_icmp_errors_arrive(version: int):
    other = two_hosts()
    family, ours, theirs = FAMILIES[version]
    with RawLink("raw", port_first=61000, port_last=61099) as link, socket.socket(family) as server:
        server.bind((ours, 8080))
        server.listen()
        remote_socket(other, version).connect((ours, 8080))
        for port in (60999, 61100):
            with pytest.raises(ConnectionRefusedError):
                remote_socket(other, version).connect((ours, port))
        assert link.recv() == []
        assert not link.is_readable()
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.sendto(b"x", (theirs, 9))  # port unreachable
        (frame,) = link.frames()
        assert frame.data[9 if version == 4 else 6] == (1 if version == 4 else 58)
        assert frame.data[0] >> 4 == version


@in_namespace
def test_ipv6_header_is_rebuilt():
    other = two_hosts()
    with RawLink("raw", port_first=61000, port_last=61099) as link:
        sock = remote_socket(other, 6)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x48)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 33)
        sock.setblocking(False)
        sock.connect_ex(("fd07::1", 61000))
        (frame,) = link.frames()
        assert frame.data[:2] == b"\x64\x80"
        assert (frame.data[6], frame.data[7]) == (6, 33)
        assert int.from_bytes(frame.data[4:6], "big") == len(frame.data) - 40
        assert frame.data[8:24] == socket.inet_pton(socket.AF_INET6, "fd07::2")
        assert frame.data[24:40] == socket.inet_pton(socket.AF_INET6, "fd07::1")


@in_namespace
def test_what_cannot_be_sent_is_an_error_of_that_frame_only():
    two_hosts()
    with RawLink("raw", port_first=61000, port_last=61099) as link:
        link.queue(ip_packet("10.7.0.1", "10.7.0.2", b"x" * 40))
        link.queue(ip_packet("10.7.0.1", "10.7.0.2", b"x" * 3000))
        link.queue(ip_packet("10.7.0.1", "192.0.2.1", b"x" * 40))
        link.queue(ip_packet("fd07::1", "fd07::2", b"x" * 40))
        link.queue(ip_packet("10.7.0.1", "10.7.0.2", b"x" * 40))
        assert link.flush() == 2
        assert (link.info.tx_errors, link.info.tx_frames) == (2, 3)


@in_namespace
def test_options_are_checked():
    for options in (
        {},
        {"port_first": 2, "port_last": 1},
        {"port_first": 1, "port_last": 2, "mtu": 9},
    ):
        with pytest.raises(OpenError) as caught:
            RawLink("raw", **options)
        assert caught.value.code == -4
    drop_capabilities()
    with pytest.raises(OpenError) as caught:
        RawLink("raw", port_first=1, port_last=2)
    assert caught.value.errno == errno.EPERM


@in_namespace
def test_claim_lasts_from_open_to_close():
    with links.open_link("raw:?ports=61000-61099&mtu=1400") as link:
        assert link.ports == (61000, 61099)
        assert link.info().mtu == 1400
        (table,) = tables()
        assert table.startswith(f"usertcp-{os.getpid()}-")
        assert table.endswith("-61000-61099")
    assert tables() == []
    link.close()


@in_namespace
def test_claims_do_not_overlap():
    with links.open_raw() as one, links.open_raw() as two:
        assert one.ports == (61000, 61999)
        assert two.ports == (62000, 62999)
        with pytest.raises(OSError, match="has claimed ports 62000-62999") as caught:
            links.open_raw(ports=(62999, 63010))
        assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(ValueError, match="ip_local_port_range"):
            links.open_raw(ports=(40000, 41000))
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 63500))
            sock.listen()
            with pytest.raises(OSError, match="uses port 63500"):
                links.open_raw(ports=(63500, 63500))
    assert tables() == []


@in_namespace
def test_claim_of_a_dead_process_is_removed_at_the_next_start():
    code = "import os; from usertcp import links; link = links.open_raw(); os._exit(1)"
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(tables()) == 1
    with links.open_raw() as link:
        assert link.ports == (61000, 61999)
        (table,) = tables()
        assert table.startswith(f"usertcp-{os.getpid()}-")
    assert tables() == []


@in_namespace
def test_claim_ends_with_the_interpreter():
    code = "from usertcp import links; link = links.open_raw()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert tables() == []


@in_namespace
def test_claim_of_another_pid_namespace_is_left_alone():
    owner = _claims.Owner(1, 2, 3, 61000, 61999)
    _claims._nftables(lambda nft: _claims._add_table(nft, owner))
    with links.open_raw() as link:
        assert link.ports == (62000, 62999)
    assert tables() == [owner.table]


@in_namespace
def test_claim_needs_privilege_and_says_so():
    drop_capabilities()
    with pytest.raises(PermissionError, match="CAP_NET_ADMIN"):
        links.open_raw()
