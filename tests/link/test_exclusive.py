"""One stack per address of a device: the second is refused, with the first one's process named."""

import errno
import os
import signal
import socket
from ipaddress import ip_interface

import anyio
import pytest

import usertcp
from support.netns import in_namespace, veth
from usertcp import netns
from usertcp._exclusive import claim_addresses

OWN = "10.7.0.2/24"
IP = ip_interface(OWN).ip


def opening(address: str = OWN, link: str = "packet:v1"):
    return usertcp.open_stack(link, addresses=[address], linger=0)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@in_namespace
def test_in_one_process():
    veth()

    async def main() -> None:
        before = descriptors()
        async with opening():
            there = descriptors()
            for _ in range(20):  # also when many have asked
                refused = pytest.raises(
                    OSError, match=r"packet:v1: .* has a stack with 10\.7\.0\.2"
                )
                with refused as caught:
                    async with opening(link="packet:v1?offload=0"):
                        pass
                assert caught.value.errno == errno.EADDRINUSE
            assert descriptors() == there
            async with opening("10.7.0.3/24"), opening(link="packet:v0"):
                pass
        async with opening():
            pass
        assert descriptors() == before

    anyio.run(main)


@in_namespace
def test_what_could_not_be_opened_keeps_nothing():
    veth()

    async def main() -> None:
        with pytest.raises(OSError, match="nowhere"):
            async with usertcp.open_stack("packet:v1", addresses=[OWN], capture="/nowhere/it"):
                pass
        async with opening():
            pass

    anyio.run(main)


@in_namespace
def test_another_process_is_named_and_its_death_frees():
    veth()
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        with claim_addresses("v1", [IP]):
            os.write(tell, b"x")
            signal.pause()
    assert os.read(ready, 1) == b"x"

    async def main() -> None:
        async with opening():
            pass

    try:
        with pytest.raises(OSError, match=f"process {pid} has a stack with"):
            anyio.run(main)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    anyio.run(main)


@in_namespace
def test_a_namespace_has_its_own():
    """Devices of other namespaces may have the same number: lo is 1 everywhere."""

    def claimed() -> int:
        with claim_addresses("lo", [IP]):
            return socket.if_nametoindex("lo")

    with netns.second_namespace() as other, claim_addresses("lo", [IP]):
        assert other.run(claimed) == 1
        with pytest.raises(OSError, match="this process has a stack with"):
            claimed()
