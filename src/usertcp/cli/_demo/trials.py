"""What is tried, whatever the link: pages, keep-alive, bodies by SHA-256, throughput."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import anyio
from anyio.abc import ByteStream

from usertcp.cli._demo import fetch, site
from usertcp.cli._demo.run import MismatchError, Run
from usertcp.cli._http import Client

SEED = 2026
REPEATS = 5
"""Transfers each way of which the throughput is the median."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server, and the `connect_tcp` that leads there."""

    connect_tcp: Callable[[str, int], Awaitable[ByteStream]]
    host: str
    port: int

    def dial(self) -> Awaitable[ByteStream]:
        return self.connect_tcp(self.host, self.port)


def url(host: str, port: int, path: str) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"


async def _run_fetch(urls: Sequence[str], pages: Sequence[str], *, close: bool) -> None:
    done = await anyio.run_process(fetch.command(urls, close=close), check=False)
    if done.returncode:
        raise MismatchError(f"{fetch.tool()} says: {done.stderr.decode().strip()}")
    output, wanted = done.stdout.decode(), fetch.expected(pages, close=close)
    if output != wanted:
        raise MismatchError(f"{fetch.tool()} got {output[:200]!r} instead of {wanted[:200]!r}")


async def fetch_home(host: str, port: int) -> str:
    await _run_fetch([url(host, port, "/")], [site.HOME], close=False)
    lacking = "" if fetch.tool() == "curl" else " (curl is not installed)"
    return f"{len(site.HOME)} bytes from {url(host, port, '/')} over kernel TCP{lacking}"


async def fetch_short(host: str, port: int, count: int) -> str:
    """`count` connections, one request each, closed by the server."""
    for number in range(count):
        await _run_fetch([url(host, port, f"/page/{number}")], [site.page(number)], close=True)
    return f"{count} processes, {count} connections, every page right"


async def fetch_many(host: str, port: int, count: int) -> str:
    """`count` requests by one process over one connection."""
    urls = [url(host, port, f"/page/{number}") for number in range(count)]
    await _run_fetch(urls, [site.page(number) for number in range(count)], close=False)
    return f"{count} requests, 1 connection, every page right"


async def get(run: Run, place: Place, paths: dict[str, str]) -> str:
    """Each path over one connection, and what must come."""
    async with await place.dial() as stream:
        client = Client(stream, place.host)
        for path, wanted in paths.items():
            reply = await client.request("GET", path)
            if reply.status != 200 or reply.text != wanted:
                raise MismatchError(f"GET {path}: {reply.status} {reply.text[:100]!r}")
        run.note(stream)
    return f"{len(paths)} of {len(paths)} pages right, from {url(place.host, place.port, '/')}"


async def get_short(run: Run, place: Place, count: int) -> str:
    """`count` connections, one request each."""
    for number in range(count):
        await get(run, place, {f"/page/{number}": site.page(number)})
    return f"{count} connections, every page right"


async def receive_body(run: Run, place: Place) -> str:
    size = run.spec.size
    async with await place.dial() as stream:
        reply = await Client(stream, place.host).request("GET", f"/body/{SEED}/{size}")
        run.note(stream)
    found, wanted = site.digest(reply.body), site.digest(site.body(SEED, size))
    if found != wanted:
        raise MismatchError(f"{sum(map(len, reply.body))} bytes, SHA-256 {found}, not {wanted}")
    return f"{size:,} bytes, SHA-256 {found[:16]}..."


async def send_body(run: Run, place: Place) -> str:
    size = run.spec.size
    body = site.body(SEED + 1, size)
    async with await place.dial() as stream:
        reply = await Client(stream, place.host).request("PUT", "/digest", body)
        run.note(stream)
    if reply.text != site.digest(body):
        raise MismatchError(f"the peer counts SHA-256 {reply.text[:100]}, not {site.digest(body)}")
    return f"{size:,} bytes, SHA-256 {reply.text[:16]}..."


async def transfer(run: Run, place: Place) -> tuple[float, float]:
    """Gb/s of payload received and sent, over one connection; no hashing on the clock."""
    size = run.spec.size
    body = site.body(SEED, size)
    async with await place.dial() as stream:
        client = Client(stream, place.host)
        await client.request("HEAD", f"/body/{SEED}/{size}")  # the peer makes the body
        begun = time.perf_counter()
        reply = await client.request("GET", f"/body/{SEED}/{size}")
        received = time.perf_counter()
        if sum(map(len, reply.body)) != size:
            raise MismatchError(f"{sum(map(len, reply.body))} of {size} bytes came")
        del reply
        turned = time.perf_counter()
        answer = await client.request("PUT", "/count", body)
        sent = time.perf_counter()
        if answer.text != str(size):
            raise MismatchError(f"{answer.text[:20]} of {size} bytes arrived")
        run.note(stream)
    return size * 8e-9 / (received - begun), size * 8e-9 / (sent - turned)


async def throughput(run: Run, path: str, ours: Place, kernel: Place) -> str:
    """The same transfers over usertcp and over kernel TCP, taking turns."""
    results: dict[str, list[tuple[float, float]]] = {"usertcp": [], "kernel": []}
    for _ in range(REPEATS):
        for name, place in (("kernel", kernel), ("usertcp", ours)):
            results[name].append(await transfer(run, place))
    figures: dict[str, Any] = {
        "unit": "Gb/s of payload, median",
        "path": path,
        "bytes": run.spec.size,
        "repeats": REPEATS,
    }
    for name, pairs in results.items():
        figures[name] = {
            "receive": round(median(pair[0] for pair in pairs), 3),
            "send": round(median(pair[1] for pair in pairs), 3),
        }
    figures["ratio"] = {
        way: round(figures["usertcp"][way] / figures["kernel"][way], 3)
        for way in ("receive", "send")
    }
    run.emit({"event": "throughput", "figures": figures})
    return (
        f"usertcp {figures['usertcp']['receive']} received, {figures['usertcp']['send']} sent; "
        f"kernel {figures['kernel']['receive']}, {figures['kernel']['send']} Gb/s"
    )
