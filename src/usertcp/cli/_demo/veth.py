"""The demo in a private namespace: kernel TCP on v0, usertcp on v1, a veth cable between them.

A second cable of the same kind leads to a second namespace: there the same programs run over kernel
TCP alone, for the comparison. Nothing of it has a name outside; it ends with the process.
"""

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

import usertcp
from usertcp import netns
from usertcp.cli._demo import fetch, pcap, site, trials
from usertcp.cli._demo.run import PORT, TRACE, Run

KERNEL = ("10.7.0.1", "fd07::1")
OURS = ("10.7.0.2", "fd07::2")
PREFIXES = (24, 64)
LINK = "packet:v1?mac=02:00:00:07:00:02"
"""A station address of its own: what the device's own is stays the kernel's."""
FAMILIES = ("IPv4", "IPv6")
TWIN_NEAR, TWIN_FAR = "10.7.1.1", "10.7.1.2"
SHORT, MANY = 5, 100
"""Short connections, and requests on the one that is kept alive, per family."""
START = 15.0
"""Seconds a peer process may take to start."""


class Peer:
    """A process of peer.py: what serves on kernel TCP at `hosts`."""

    def __init__(self, hosts: Sequence[str], where: netns.Namespace | None = None) -> None:
        command = [sys.executable, "-m", "usertcp.cli._demo.peer", *hosts]
        popen = where.popen if where else subprocess.Popen
        self._process: subprocess.Popen[bytes] = popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.ports: dict[str, dict[str, int]] = {}

    def wait_ready(self) -> None:
        output = self._process.stdout
        assert output is not None
        line = output.readline() if select.select([output], [], [], START)[0] else b""
        if not line:
            raise RuntimeError(f"the server on kernel TCP did not start within {START:g} s")
        self.ports = json.loads(line)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True, slots=True)
class Scene:
    peer: Peer
    twin: Peer


def _interfaces(hosts: Sequence[str]) -> list[str]:
    return [f"{host}/{length}" for host, length in zip(hosts, PREFIXES, strict=False)]


def _kernel_end(device: str, host: str) -> None:
    netns.addr_add(device, f"{host}/24")
    netns.link_up(device)


@contextmanager
def scene() -> Iterator[Scene]:
    """Builds it all in the private namespace that the caller has entered."""
    with (
        netns.private_network("v0", "v1", addresses=_interfaces(KERNEL)),
        netns.second_namespace() as far,
    ):
        netns.veth_pair("t0", "t1")
        far.take("t1")
        far.run(_kernel_end, "t1", TWIN_FAR)
        _kernel_end("t0", TWIN_NEAR)
        peers = [Peer(KERNEL), Peer([TWIN_FAR], far)]
        try:
            for peer in peers:
                peer.wait_ready()
            yield Scene(*peers)
        finally:
            for peer in peers:
                peer.close()


async def play(run: Run, the: Scene) -> None:
    async with usertcp.open_stack(
        LINK,
        addresses=_interfaces(OURS),
        gateway=list(KERNEL),
        capture=run.spec.pcap,
        trace_capacity=TRACE,
    ) as stack:
        with run.using(stack):
            await _pages(run, the, stack)
    # The large bodies go without the capture: it would hold them, and slow down what is compared.
    async with usertcp.open_stack(
        LINK, addresses=_interfaces(OURS[:1]), trace_capacity=TRACE
    ) as stack:
        with run.using(stack):
            await _bodies(run, the, stack)
    await run.check("the capture is well-formed", 25, pcap.check_later, run.spec.pcap)


async def _pages(run: Run, the: Scene, stack: usertcp.Stack) -> None:
    listener = await stack.create_tcp_listener(local_port=PORT)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, run.serve)
        for host, family in zip(OURS, FAMILIES, strict=True):
            await _serve_family(run, host, family)
        for host, family in zip(KERNEL, FAMILIES, strict=True):
            await _fetch_family(run, stack, the.peer, host, family)
        await run.check("every connection ends in order", 5, run.settle)
        group.cancel_scope.cancel()


async def _serve_family(run: Run, host: str, family: str) -> None:
    """The client is a program on kernel TCP, the server is on usertcp."""
    name = f"{fetch.tool()} fetches a page from usertcp, {family}"
    await run.check(name, 10, trials.fetch_home, host, PORT)
    await run.check(f"short connections, {family}", 10, trials.fetch_short, host, PORT, SHORT)
    name = f"one keep-alive connection, {family}"
    await run.check(name, 10, trials.fetch_many, host, PORT, MANY)


async def _fetch_family(run: Run, stack: usertcp.Stack, peer: Peer, host: str, family: str) -> None:
    """The client is on usertcp, the servers are on kernel TCP."""
    page = trials.Place(stack.connect_tcp, host, peer.ports[host]["http.server"])
    name = f"usertcp fetches from http.server, {family}"
    await run.check(name, 10, trials.get, run, page, {"/": site.HOME})
    pages = trials.Place(stack.connect_tcp, host, peer.ports[host]["anyio"])
    name = f"usertcp keeps a connection alive, {family}"
    await run.check(name, 10, trials.get, run, pages, site.pages(MANY))


async def _bodies(run: Run, the: Scene, stack: usertcp.Stack) -> None:
    host = KERNEL[0]
    peer = trials.Place(stack.connect_tcp, host, the.peer.ports[host]["anyio"])
    twin = trials.Place(anyio.connect_tcp, TWIN_FAR, the.twin.ports[TWIN_FAR]["anyio"])
    name = "a large body from the kernel to usertcp"
    await run.check(name, 15, trials.receive_body, run, peer)
    name = "a large body from usertcp to the kernel"
    await run.check(name, 15, trials.send_body, run, peer)
    name = "throughput beside kernel TCP"
    await run.check(name, 30, trials.throughput, run, "veth", peer, twin)
    await run.check("these end in order too", 5, run.settle)
