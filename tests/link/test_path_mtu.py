"""Path MTU discovery against the kernel: two routers of the kernel with a narrow link between them.

curl  far0 === wide0  router  mid0 === near0  router  v0 === v1  the stack
        MTU 1500                1300                  1500
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import anyio
import pytest

import usertcp
from support.netns import in_namespace
from usertcp import netns

OURS = {4: "10.7.0.2", 6: "fd07::2"}
ROUTER = {4: "10.7.0.1", 6: "fd07::1"}
NARROW = 1300
DATA = os.urandom(3 << 20)
SILENCE = """
table inet hole {
    chain output {
        type filter hook output priority 0;
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
}
"""


def routed() -> tuple[netns.Namespace, netns.Namespace]:
    """The far network, and the router between that sees the narrow link."""
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    near, middle, far = (netns.second_namespace() for _ in range(3))
    try:
        near.run(forward)
        middle.run(forward)
    except OSError:
        pytest.skip("/proc/sys is read-only here")
    netns.veth_pair("v0", "v1", 1500)
    netns.quiet("v1")
    end("v0", near, 7, 1)
    netns.link_up("v1")
    netns.veth_pair("near0", "mid0", NARROW)
    end("near0", near, 8, 1)
    end("mid0", middle, 8, 2)
    netns.veth_pair("wide0", "far0", 1500)
    end("wide0", middle, 9, 1)
    end("far0", far, 9, 2)
    route(near, 9, 8, 2)
    route(middle, 7, 8, 1)
    route(far, 7, 9, 1)
    return near, far


def forward() -> None:
    """Forbidden where /proc/sys is read-only."""
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", name).write_text("1")


def end(name: str, where: netns.Namespace, network: int, host: int) -> None:
    """A device goes there, and is host HOST of network NETWORK."""
    where.take(name)
    where.run(netns.addr_add, name, f"10.{network}.0.{host}/24")
    where.run(netns.addr_add, name, f"fd0{network}::{host}/64")
    where.run(netns.link_up, name)


def route(where: netns.Namespace, to: int, by: int, host: int) -> None:
    """To network TO by way of host HOST of network BY."""
    where.run(netns.route_add, f"10.{to}.0.0/24", via=f"10.{by}.0.{host}")
    where.run(netns.route_add, f"fd0{to}::/64", via=f"fd0{by}::{host}")


async def serve(stream: anyio.abc.ByteStream) -> None:
    """GET: the data. PUT: the hash of what came."""
    async with stream:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        answer = DATA
        if head.startswith(b"PUT"):
            found = hashlib.sha256(body)
            left = len(DATA) - len(body)
            while left:
                part = await stream.receive(min(left, 65536))
                found.update(part)
                left -= len(part)
            answer = found.hexdigest().encode()
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)


def curl(far: netns.Namespace, url: str, *options: str) -> "subprocess.Popen[bytes]":
    command = ["curl", "-gsS", "--max-time", "40", "-H", "Expect:", *options, url]
    return far.popen(command, stdout=subprocess.PIPE)


async def output(process: "subprocess.Popen[bytes]") -> bytes:
    found, _ = await anyio.to_thread.run_sync(process.communicate)
    assert process.returncode == 0
    return bytes(found)


async def both_ways(link: str, version: int, far: netns.Namespace) -> dict[str, int]:
    """A download and an upload; the stack's counters afterwards."""
    host = OURS[version]
    url = f"http://[{host}]:80/" if version == 6 else f"http://{host}:80/"
    stack_cm = usertcp.open_stack(
        link,
        addresses=[f"{OURS[4]}/24", f"{OURS[6]}/64"],
        gateway=[ROUTER[4], ROUTER[6]],
        check_duplicates=False,
    )
    with anyio.fail_after(90), tempfile.NamedTemporaryFile() as file:
        file.write(DATA)
        file.flush()
        async with stack_cm as stack:
            listener = await stack.create_tcp_listener(local_host=host, local_port=80)
            async with listener, anyio.create_task_group() as group:
                group.start_soon(listener.serve, serve)
                assert await output(curl(far, url)) == DATA
                hashed = await output(curl(far, url, "--upload-file", file.name))
                assert hashed.decode() == hashlib.sha256(DATA).hexdigest()
                assert await output(curl(far, url)) == DATA
                group.cancel_scope.cancel()
            assert all(row.pmtu <= NARROW for row in stack.connections() if row.remote[1])
            return dict(stack.statistics().counters)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("link", ["packet:v1", "packet:v1?offload=0"], ids=["offload", "plain"])
@pytest.mark.rfc("1191-02", "8201-03")
@in_namespace
def test_the_kernel_s_reports(link: str, version: int):
    _, far = routed()
    counters = anyio.run(both_ways, link, version, far)
    assert counters["pmtu_lowered"] == 1  # once for all connections that go there
    assert counters["pmtu_found"] == 0
    assert counters["tcp_rto_count"] <= 1


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("link", ["packet:v1", "packet:v1?offload=0"], ids=["offload", "plain"])
@pytest.mark.rfc("4821-01")
@in_namespace
def test_a_router_that_says_nothing(link: str, version: int):
    if shutil.which("nft") is None:
        pytest.skip("no nft on this machine")
    near, far = routed()
    near.popen(["nft", "-f", "-"], stdin=subprocess.PIPE).communicate(SILENCE.encode())
    counters = anyio.run(both_ways, link, version, far)
    assert counters["pmtu_lowered"] == 0
    assert counters["pmtu_found"] >= 1
