"""A whole stack over each link, against the kernel: data both ways, both ways of opening."""

import hashlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

import usertcp
from support.netns import in_namespace, veth
from usertcp import _claims, links, netns

DATA = os.urandom(300_000)
KERNEL = {4: "10.7.0.1", 6: "fd07::1"}
OURS = {4: "10.7.0.2", 6: "fd07::2"}
Where = Callable[..., socket.socket]

needs_tun = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="no access to /dev/net/tun"
)
LINKS = [
    "packet:v1",
    "packet:v1?mac=02:00:00:00:00:02",
    "packet:v1?offload=0&mtu=1400",
    pytest.param("tun:utun0", marks=needs_tun),
    pytest.param("tun:utun0?offload=0", marks=needs_tun),
    "raw:",
]


def network(url: str) -> tuple[links.Link, Where]:
    """The stack's link, and how to make a kernel socket of the other host."""
    if url.startswith("packet"):
        veth()
        return links.open_link(url), socket.socket
    if url.startswith("tun"):
        link = links.open_link(url)
        for address in KERNEL.values():
            netns.addr_add(link.name, f"{address}/{24 if '.' in address else 64}")
        netns.link_up(link.name)
        return link, socket.socket
    other = netns.second_namespace()
    netns.veth_pair("h0", "h1")
    other.take("h1")
    for version, prefix in ((4, 24), (6, 64)):
        netns.addr_add("h0", f"{OURS[version]}/{prefix}")
        other.run(netns.addr_add, "h1", f"{KERNEL[version]}/{prefix}")
    netns.link_up("h0")
    other.run(netns.link_up, "h1")
    return links.open_link(url), lambda *args: other.run(socket.socket, *args)


def echo_hash(sock: socket.socket) -> None:
    """The kernel's side: DATA out, its hash of what came back."""
    sock.sendall(DATA)
    got = hashlib.sha256()
    while chunk := sock.recv(65536):
        got.update(chunk)
    sock.sendall(got.digest())
    sock.close()


async def turn_round(stream: anyio.abc.ByteStream) -> None:
    async with stream:
        data = b""
        while len(data) < len(DATA):
            data += await stream.receive(65536)
        assert data == DATA
        await stream.send(data)
        await stream.send_eof()
        digest = b""
        while len(digest) < 32:
            digest += await stream.receive()
        assert digest == hashlib.sha256(DATA).digest()


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("url", LINKS)
@in_namespace
def test_both_ways(url: str, version: int):
    link, kernel_socket = network(url)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    server = kernel_socket(family)
    server.settimeout(20)
    server.bind((KERNEL[version], 8080))
    server.listen()
    port = link.ports[0] if link.ports else 7000

    def serve() -> None:
        sock, peer = server.accept()
        if link.ports:
            assert link.ports[0] <= peer[1] <= link.ports[1]
        sock.settimeout(20)
        echo_hash(sock)

    def call() -> None:
        sock = kernel_socket(family)
        sock.settimeout(20)
        sock.connect((OURS[version], port))
        echo_hash(sock)

    async def main() -> None:
        addresses = [f"{OURS[4]}/24", f"{OURS[6]}/64"]
        with anyio.fail_after(30):
            stack_cm = usertcp.open_stack(link, addresses=addresses, check_duplicates=False)
            async with stack_cm as stack:
                threading.Thread(target=serve, daemon=True).start()
                await turn_round(await stack.connect_tcp(KERNEL[version], 8080))
                listener = await stack.create_tcp_listener(
                    local_host=OURS[version], local_port=port
                )
                async with listener, anyio.create_task_group() as group:
                    threading.Thread(target=call, daemon=True).start()

                    async def handle(stream: anyio.abc.ByteStream) -> None:
                        await turn_round(stream)
                        group.cancel_scope.cancel()

                    group.start_soon(listener.serve, handle)
                statistics = stack.statistics().link
                assert statistics.tx_errors == statistics.rx_errors == 0

    anyio.run(main)
    server.close()
    if link.ports:
        tables = _claims._nftables(lambda nft: list(nft.get_tables()))
        assert tables == []


BULK = DATA * 50
ROUNDS = 10  # until the kernel has sent segments of the same length often enough


async def take_bulk(stack: usertcp.Stack, where: Where, version: int) -> None:
    """A kernel socket sends it, and all of it comes."""

    def feed() -> None:
        sock = where(socket.AF_INET if version == 4 else socket.AF_INET6)
        sock.settimeout(20)
        sock.connect((OURS[version], 7000))
        with sock:
            sock.sendall(BULK)

    multi = await stack.create_tcp_listener(local_host=OURS[version], local_port=7000)
    (listener,) = multi.listeners
    threading.Thread(target=feed, daemon=True).start()
    async with listener, await listener.accept() as stream:
        pieces = [piece async for piece in stream]
    assert hashlib.sha256(b"".join(pieces)).digest() == hashlib.sha256(BULK).digest()


@pytest.mark.parametrize("how", ["alone", "both versions", "captured", "too small"])
@pytest.mark.parametrize("url", ["packet:v1", pytest.param("tun:utun0", marks=needs_tun)])
@in_namespace
def test_bulk_becomes_the_users_without_a_copy(url: str, how: str, tmp_path: Path):
    """Where the link guesses right what comes, and as well where it does not: with two lengths of
    headers, a capture, which wants frames in one piece, buffers smaller than what comes.
    """
    link, where = network(url)
    file = tmp_path / "c.pcapng" if how == "captured" else None

    async def main() -> None:
        with anyio.fail_after(30):
            async with usertcp.open_stack(
                link,
                addresses=[f"{OURS[4]}/24", f"{OURS[6]}/64"],
                check_duplicates=False,
                capture=file,
            ) as stack:
                if how == "too small":
                    stack.engine._post(20_000)
                for _ in range(ROUNDS):
                    async with anyio.create_task_group() as group:
                        group.start_soon(take_bulk, stack, where, 4)
                        if how == "both versions":
                            group.start_soon(take_bulk, stack, where, 6)
                    kept = stack.statistics().counters["texts_kept"]
                    if how != "alone" or kept:
                        break
        if file is not None:
            assert file.read_bytes().count(DATA[1000:1100]) > 25
            assert kept == 0
        elif how == "alone":
            assert kept > 0

    anyio.run(main)
