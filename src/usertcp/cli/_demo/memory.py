"""The demo without privilege: two stacks in this process, joined by a link in memory.

The same servers, clients and checks as over veth, except that nothing here is the kernel's: no
curl, and kernel TCP is measured over loopback, with both ends in this process as ours are.
"""

import anyio
from anyio.abc import ByteStream, SocketAttribute

import usertcp
from usertcp.cli._demo import pcap, site, trials
from usertcp.cli._demo.run import PORT, TRACE, Run
from usertcp.cli._http import serve_connection

SERVER, CLIENT = ("10.7.0.1", "fd07::1"), ("10.7.0.2", "fd07::2")
FAMILIES = ("IPv4", "IPv6")
LINK = "memory:usertcp-demo"
SHORT, MANY = 5, 100
"""Short connections, and requests on the one that is kept alive, per family."""


async def play(run: Run) -> None:
    for part, capture in ((_pages, run.spec.pcap), (_bodies, None)):
        async with (
            usertcp.open_stack(
                LINK, addresses=_interfaces(SERVER), trace_capacity=TRACE, check_duplicates=False
            ) as server,
            usertcp.open_stack(
                LINK,
                addresses=_interfaces(CLIENT),
                capture=capture,
                trace_capacity=TRACE,
                check_duplicates=False,
            ) as client,
            await server.create_tcp_listener(local_port=PORT) as listener,
            anyio.create_task_group() as group,
        ):
            with run.using(server, client):
                group.start_soon(listener.serve, run.serve)
                await part(run, client)
                group.cancel_scope.cancel()
    await run.check("the capture is well-formed", 25, pcap.check_later, run.spec.pcap)


def _interfaces(hosts: tuple[str, str]) -> list[str]:
    return [f"{hosts[0]}/24", f"{hosts[1]}/64"]


async def _pages(run: Run, client: usertcp.Stack) -> None:
    for host, family in zip(SERVER, FAMILIES, strict=True):
        place = trials.Place(client.connect_tcp, host, PORT)
        name = f"usertcp fetches a page from usertcp, {family}"
        await run.check(name, 10, trials.get, run, place, {"/": site.HOME})
        await run.check(f"short connections, {family}", 10, trials.get_short, run, place, SHORT)
        name = f"one keep-alive connection, {family}"
        await run.check(name, 10, trials.get, run, place, site.pages(MANY))
    await run.check("every connection ends in order", 5, run.settle)


async def _bodies(run: Run, client: usertcp.Stack) -> None:
    place = trials.Place(client.connect_tcp, SERVER[0], PORT)
    name = "a large body from server to client"
    await run.check(name, 15, trials.receive_body, run, place)
    name = "a large body from client to server"
    await run.check(name, 15, trials.send_body, run, place)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, _serve_kernel)
        loopback = listener.extra(SocketAttribute.local_port)  # noqa: S610
        twin = trials.Place(anyio.connect_tcp, "127.0.0.1", loopback)
        name, path = "throughput beside kernel TCP", "memory (kernel: loopback)"
        await run.check(name, 30, trials.throughput, run, path, place, twin)
        group.cancel_scope.cancel()
    await run.check("these end in order too", 5, run.settle)


async def _serve_kernel(stream: ByteStream) -> None:
    async with stream:
        await serve_connection(stream, site.handle)
