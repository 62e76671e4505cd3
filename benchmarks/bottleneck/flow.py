"""One process of a measurement: the sender of one flow, or the receiver of all.

    python -m bottleneck.flow SPEC     SPEC: JSON, see Spec

The same AnyIO program on both TCPs. A receiver says `{"ready": true}` when it listens. Each prints
one line of JSON at the end: a sender what its TCP did, a receiver how much came when, by flow.
"""

import json
import os
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketAttribute

import usertcp

BLOCK = 64 * 1024
BIN = 100_000_000
"""Nanoseconds of CLOCK_MONOTONIC that are counted together."""
SAMPLE = 0.05
"""Seconds between looks at cwnd."""
BUFFER = 1 << 22
SEGMENT = 1448
"""Bytes of data in a full segment with timestamps."""
PRIORITY = 1
"""Of real time, where it is allowed, as for the forwarder: the kernel's TCP does not wait for a CPU
either, and what else the machine does is no property of a path."""
PATIENCE = 30.0
"""Seconds a process may take beyond what it was asked to."""
_CWND, _SRTT, _RETRANSMITS = 80, 68, 100  # where Linux's struct tcp_info has them
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Spec:
    """`link`: empty for the kernel's TCP. Times: seconds."""

    role: str
    link: str
    address: str
    host: str
    port: int
    seconds: float
    congestion: str = "cubic"
    busy_poll: float = 0.0
    capture: str | None = None
    """A pcapng file for what an end of usertcp sends and takes."""


@asynccontextmanager
async def _net(spec: Spec) -> Any:
    if not spec.link:
        yield anyio, None
        return
    opened = usertcp.open_stack(
        spec.link,
        addresses=[spec.address],
        congestion=spec.congestion,
        snd_buffer=BUFFER,
        rcv_buffer=BUFFER,
        linger=0,
        capture=spec.capture,
        busy_poll=spec.busy_poll,
    )
    async with opened as stack:
        yield usertcp, stack


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


# -- looking at a sender ---------------------------------------------------------------------------


def _kernel_sample(sock: socket.socket) -> tuple[float, float, int]:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    at = {name: struct.unpack_from("I", info, name)[0] for name in (_CWND, _SRTT, _RETRANSMITS)}
    return at[_CWND], at[_SRTT] / 1e3, at[_RETRANSMITS]


def _our_sample(stream: usertcp.TCPStream) -> tuple[float, float, int]:
    info = stream.statistics()
    return info.cwnd / SEGMENT, info.srtt_ns / 1e6, info.retransmits


def _kernel_counters() -> dict[str, int]:
    """Of this network namespace."""
    lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
    found: dict[str, int] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        found |= dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
    return {
        "timeouts": found["TCPTimeouts"],
        "probes": found["TCPLossProbes"],
        "recoveries": found["TCPSackRecovery"],
        "undone": found["TCPDSACKUndo"] + found["TCPFullUndo"] + found["TCPLossUndo"],
        "needless": found["TCPDSACKRecv"],
    }


def _our_counters(stack: usertcp.Stack) -> dict[str, int]:
    found = stack.statistics().counters
    return {
        "timeouts": found["tcp_rto_count"],
        "probes": found["tcp_tlp_probes"],
        "recoveries": found["tcp_fast_recoveries"],
        "undone": found["tcp_spurious_recoveries"],
        "needless": found["tcp_spurious_retransmits"],
    }


async def _send(spec: Spec) -> None:
    block = bytes(BLOCK)
    samples: list[tuple[float, float, int]] = []
    async with _net(spec) as (net, stack):
        before = _our_counters(stack) if stack else _kernel_counters()
        stream = await net.connect_tcp(spec.host, spec.port)
        if stack:
            look, what = _our_sample, stream
        else:
            look, what = _kernel_sample, stream.extra(SocketAttribute.raw_socket)
            used = what.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
            if used.decode() != spec.congestion:
                raise RuntimeError(f"the kernel uses {used.decode()}, not {spec.congestion}")

        async def watch() -> None:
            while True:
                samples.append(look(what))
                await anyio.sleep(SAMPLE)

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            with anyio.move_on_after(spec.seconds):
                while True:
                    await stream.send(block)
            group.cancel_scope.cancel()
        last = look(what)
        after = _our_counters(stack) if stack else _kernel_counters()
        port = stream.extra(SocketAttribute.local_port)
        if not stack:
            what.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        await anyio.aclose_forcefully(stream)
    _say(
        {
            "port": port,
            "counts": {name: after[name] - before[name] for name in after}
            | {"retransmits": last[2]},
            "samples": samples,
        }
    )


# -- the receiver ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Arrived:
    port: int
    first: int
    """The first bin."""
    bins: list[int]


async def _receive(spec: Spec) -> None:
    """Until standard input ends: an RST may be lost, and is not waited for."""
    flows: list[Arrived] = []

    async def serve(stream: Any) -> None:
        counted: Counter[int] = Counter()
        clock = time.monotonic_ns
        port = stream.extra(SocketAttribute.remote_port)
        try:
            while True:
                counted[clock() // BIN] += len(await stream.receive(BLOCK))
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
        finally:
            first, last = min(counted, default=0), max(counted, default=0)
            flows.append(Arrived(port, first, [counted[i] for i in range(first, last + 1)]))
            await anyio.aclose_forcefully(stream)

    async with _net(spec) as (net, _), anyio.create_task_group() as group:
        listener = await net.create_tcp_listener(local_host=spec.host, local_port=spec.port)
        group.start_soon(listener.serve, serve)
        _say({"ready": True})
        with anyio.fail_after(spec.seconds + PATIENCE):
            await anyio.wait_readable(0)
        group.cancel_scope.cancel()
    _say({"flows": [asdict(flow) for flow in flows]})


def main() -> None:
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    spec = Spec(**json.loads(sys.argv[1]))
    anyio.run(_send if spec.role == "send" else _receive, spec)


if __name__ == "__main__":
    main()
