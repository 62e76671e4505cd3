"""ECN with the kernel at the other end and netfilter as the router that marks, both ways.

the kernel === v0  nft  v1 === the stack
"""

import hashlib
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import anyio
import pytest

import usertcp
from support.netns import in_namespace, kernel_counts, veth

KERNEL = {4: "10.7.0.1", 6: "fd07::1"}
OURS = {4: "10.7.0.2", 6: "fd07::2"}
DATA = os.urandom(4 << 20)
TRIES = 3
"""Nothing is lost, so nothing is sent again; but a machine that is late, or a cable of veth that
changes the order, leads to it now and then. One go of these is without."""
ROUTER = """
table inet router {
    chain in {
        type filter hook prerouting priority mangle;
        ip ecn ect0 numgen random mod 100 < 20 ip ecn set ce
        ip6 ecn ect0 numgen random mod 100 < 20 ip6 ecn set ce
    }
    chain out {
        type filter hook postrouting priority mangle;
        ip ecn ect0 numgen random mod 100 < 20 ip ecn set ce
        ip6 ecn ect0 numgen random mod 100 < 20 ip6 ecn set ce
    }
}
"""


def network(asks: bool) -> None:
    if shutil.which("nft") is None:
        pytest.skip("no nft on this machine")
    try:
        Path("/proc/sys/net/ipv4/tcp_ecn").write_text("1" if asks else "2")
    except OSError:
        pytest.skip("/proc/sys is read-only here")
    veth()
    command = ["nft", "-f", "-"]
    if subprocess.run(command, input=ROUTER.encode(), check=False).returncode:
        pytest.skip("this kernel's netfilter cannot mark")


def exchange(sock: socket.socket) -> None:
    """The kernel's program: DATA out while what the stack sends comes in, then its hash."""
    sock.settimeout(30)
    sender = threading.Thread(target=sock.sendall, args=(DATA,), daemon=True)
    sender.start()
    found, left = hashlib.sha256(), len(DATA)
    while left:
        part = sock.recv(min(left, 65536))
        assert part
        found.update(part)
        left -= len(part)
    sender.join(30)
    sock.sendall(found.digest())
    sock.close()


async def both_ways(stream: usertcp.TCPStream) -> usertcp.ConnectionInfo:
    found, left = hashlib.sha256(), len(DATA)
    async with stream, anyio.create_task_group() as group:
        group.start_soon(stream.send, DATA)
        while left:
            part = await stream.receive(min(left, 65536))
            found.update(part)
            left -= len(part)
        assert found.digest() == hashlib.sha256(DATA).digest()
        digest = b""
        while len(digest) < 32:
            digest += await stream.receive()
        assert digest == found.digest()
        return stream.statistics()


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("link", ["packet:v1", "packet:v1?offload=0"], ids=["offload", "plain"])
@pytest.mark.parametrize("who", ["stack", "kernel"])
@pytest.mark.rfc("3168-01", "3168-08", "3168-09")
@in_namespace
def test_marks_both_ways(who: str, link: str, version: int):
    network(asks=who == "kernel")
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    async def main() -> usertcp.ConnectionInfo:
        addresses = [f"{OURS[4]}/24", f"{OURS[6]}/64"]
        stack_cm = usertcp.open_stack(
            link, addresses=addresses, check_duplicates=False, ecn=1 if who == "stack" else 2
        )
        with anyio.fail_after(60):
            async with stack_cm as stack:
                if who == "stack":
                    stream = await stack.connect_tcp(KERNEL[version], 8080)
                    return await both_ways(stream)
                listener = await stack.create_tcp_listener(local_host=OURS[version], local_port=80)
                async with listener:
                    threading.Thread(target=call, daemon=True).start()
                    return await both_ways(await listener.listeners[0].accept())

    def call() -> None:
        sock = socket.socket(family)
        sock.settimeout(30)
        sock.connect((OURS[version], 80))
        exchange(sock)

    def serve(server: socket.socket) -> None:
        exchange(server.accept()[0])

    def one_go() -> usertcp.ConnectionInfo:
        with socket.create_server((KERNEL[version], 8080), family=family) as server:
            if who == "stack":
                threading.Thread(target=serve, args=[server], daemon=True).start()
            before = kernel_counts()
            info = anyio.run(main)
            after = kernel_counts()
        assert info.ecn_ok == 2
        assert info.ce_in > 0  # the kernel's data, marked
        assert info.ecn_reductions > 0  # ours: the kernel has said ECE, and took CWR for an answer
        assert info.ece_in < info.segs_in
        # Our ECE, as the kernel counts it.
        assert after["TCPDeliveredCE"] > before["TCPDeliveredCE"]
        return info

    goes = (one_go() for _ in range(TRIES))
    assert any(info.retransmits == info.rto_count == 0 for info in goes)
