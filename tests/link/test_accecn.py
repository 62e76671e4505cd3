"""More accurate ECN over the kernel as router, with netfilter marking both ways.

a stack === v0  kernel, nft  w0 === a stack

A stack's super-segments are cut by the kernel, which knows nothing of the counter in their flags:
what the two ends count must agree to the packet.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import anyio
import pytest

import usertcp
from support.netns import in_namespace, veth
from usertcp import netns

DATA = os.urandom(12 << 20)  # some 200 super-segments: with one in 20 marked, never none
ROUTER = """
table ip router {
    chain forward {
        type filter hook forward priority mangle;
        ip ecn ect0 numgen random mod 100 < 5 ip ecn set ce
    }
}
"""


def network() -> None:
    if shutil.which("nft") is None:
        pytest.skip("no nft on this machine")
    veth()
    netns.veth_pair("w0", "w1", 1500)
    netns.quiet("w1")
    netns.addr_add("w0", "10.8.0.1/24")
    netns.link_up("w1")
    netns.link_up("w0")
    try:
        for device in ("v0", "w0"):  # v1 and w1 hear the same, and would send it round
            Path(f"/proc/sys/net/ipv4/conf/{device}/forwarding").write_text("1")
    except OSError:
        pytest.skip("/proc/sys is read-only here")
    for device in ("v0", "w0"):  # what leaves the router has been cut
        netns.offloads(device, tso=False, gso=False)
    if subprocess.run(["nft", "-f", "-"], input=ROUTER.encode(), check=False).returncode:
        pytest.skip("this kernel's netfilter cannot mark")


async def both_ways(stream: usertcp.TCPStream) -> None:
    found, left = hashlib.sha256(), len(DATA)
    async with anyio.create_task_group() as group:
        group.start_soon(stream.send, DATA)
        while left:
            part = await stream.receive(min(left, 65536))
            found.update(part)
            left -= len(part)
    assert found.digest() == hashlib.sha256(DATA).digest()


async def settled(*streams: usertcp.TCPStream) -> list[usertcp.ConnectionInfo]:
    """When all is acknowledged: what came last has been told."""
    while True:
        infos = [stream.statistics() for stream in streams]
        if not any(info.flight_size for info in infos):
            return infos
        await anyio.sleep(0.01)


@pytest.mark.parametrize("options", ["", "?offload=0"], ids=["offload", "plain"])
@pytest.mark.parametrize("accepts", [5, 2], ids=["both", "one"])
@pytest.mark.rfc("9768-05", "9768-14", "9768-15", "9768-22")
@in_namespace
def test_marks_both_ways(accepts: int, options: str):
    network()

    async def main() -> list[usertcp.ConnectionInfo]:
        near = usertcp.open_stack(
            f"packet:v1{options}", addresses=["10.7.0.2/24"], gateway="10.7.0.1", ecn=3,
            check_duplicates=False,
        )  # fmt: skip
        far = usertcp.open_stack(
            f"packet:w1{options}", addresses=["10.8.0.2/24"], gateway="10.8.0.1", ecn=accepts,
            check_duplicates=False,
        )  # fmt: skip
        with anyio.fail_after(60):
            async with (
                near as a, far as b,
                await b.create_tcp_listener(local_port=80) as multi,
                await a.connect_tcp("10.8.0.2", 80) as stream,
                await multi.listeners[0].accept() as accepted,
                anyio.create_task_group() as group,
            ):  # fmt: skip
                group.start_soon(both_ways, stream)
                await both_ways(accepted)
                return await settled(stream, accepted)

    ends = anyio.run(main)
    assert [info.accecn for info in ends] == [accepts == 5] * 2
    for sender, receiver in (ends, reversed(ends)):
        assert sender.ecn_ok == 2
        assert receiver.ce_in > 0
        assert sender.ecn_reductions > 0
        if sender.accecn:
            assert sender.ece_in == receiver.ce_in
            assert sender.ce_bytes_delivered == receiver.ce_bytes_in
