"""Where the comparison runs: two private namespaces and identical veth pairs between them.

One pair per cell: where both ends are the kernel's, where both are ours, and, when asked for, the
two mixed ones. Clients live in the first namespace (this process's), servers in the second. On an
end that usertcp owns the kernel has no address, is not who the frames are for, and stays silent.
"""

import json
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from ipaddress import ip_interface
from pathlib import Path
from typing import IO, Any

from pyroute2 import IPRoute

from arena.programs import Job
from arena.worker import Spec
from usertcp import netns

MTU = 1500
_SCOPE_LINK = 253
START_TIMEOUT = 30.0
"""Seconds a worker process may take to start."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Which TCP each end runs on, and the pair it has to itself."""

    name: str
    client_ours: bool
    server_ours: bool
    subnet: int

    @property
    def client_device(self) -> str:
        return f"c{self.subnet}"

    @property
    def server_device(self) -> str:
        return f"s{self.subnet}"

    @property
    def client_address(self) -> str:
        return f"10.8.{self.subnet}.1/24"

    @property
    def server_host(self) -> str:
        return f"10.8.{self.subnet}.2"

    @property
    def server_address(self) -> str:
        return f"{self.server_host}/24"


KERNEL = Cell("kernel-kernel", client_ours=False, server_ours=False, subnet=1)
OURS = Cell("ours-ours", client_ours=True, server_ours=True, subnet=2)
MIXED = (
    Cell("ours-kernel", client_ours=True, server_ours=False, subnet=3),
    Cell("kernel-ours", client_ours=False, server_ours=True, subnet=4),
)


def _set_up_end(cell: Cell, *, client: bool, congestion: str) -> None:
    device = cell.client_device if client else cell.server_device
    if cell.client_ours if client else cell.server_ours:
        netns.quiet(device)
        netns.link_up(device)
        return
    netns.addr_add(device, cell.client_address if client else cell.server_address)
    netns.link_up(device)
    with IPRoute() as ip:
        # By name. A route may name an algorithm that the machine's sysctl keeps from namespaces.
        ip.route(
            "replace",
            dst=str(ip_interface(cell.server_address).network),
            oif=socket.if_nametoindex(device),
            scope=_SCOPE_LINK,
            metrics={"cc_algo": congestion},
        )


def _make_room() -> None:
    """For the kernel's connections in TIME-WAIT; nothing else of it is touched."""
    for name, value in (("tcp_tw_reuse", "1"), ("ip_local_port_range", "1024 65535")):
        with suppress(OSError):  # /proc/sys is read-only in many containers
            Path("/proc/sys/net/ipv4", name).write_text(value)


@contextmanager
def places(cells: list[Cell], congestion: str) -> Iterator[netns.Namespace]:
    """The pairs of `cells`; yields the servers' namespace. Call in a private namespace."""
    with netns.second_namespace() as servers:
        _make_room()
        servers.run(_make_room)
        for cell in cells:
            netns.veth_pair(cell.client_device, cell.server_device, MTU)
            servers.take(cell.server_device)
            servers.run(_set_up_end, cell, client=False, congestion=congestion)
            _set_up_end(cell, client=True, congestion=congestion)
        yield servers


class Worker:
    """A process of arena.worker, and the pipe to it."""

    def __init__(self, spec: Spec, namespace: netns.Namespace | None) -> None:
        command = [sys.executable, "-m", "arena.worker", json.dumps(asdict(spec))]
        options: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "cwd": Path(__file__).resolve().parent.parent,
        }
        self._name = f"{spec.role} ({spec.surface}, {spec.loop}, {spec.link or 'kernel'})"
        popen = namespace.popen if namespace else subprocess.Popen
        self._process: subprocess.Popen[bytes] = popen(command, **options)
        self._answer("started", START_TIMEOUT)

    def _answer(self, key: str, timeout: float) -> dict[str, Any]:
        line = _read_line(self._process.stdout, timeout)
        if not line:
            raise RuntimeError(f"{self._name}: no answer within {timeout:.0f} s")
        answer: dict[str, Any] = json.loads(line)
        if key not in answer:
            raise RuntimeError(f"{self._name}: {answer.get('error', answer)}")
        return answer

    def tell(self, job: Job) -> None:
        self._write(json.dumps(asdict(job)))

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def ready(self, job: Job) -> None:
        self.tell(job)
        self._answer("ready", job.limit + 5)

    def outcome(self, job: Job) -> dict[str, Any]:
        self.tell(job)
        return self._answer("value", job.limit + 5)

    def stop(self) -> None:
        self._write("stop")
        self._answer("stopped", 10)

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _read_line(pipe: IO[bytes] | None, timeout: float) -> bytes:
    """One line, or nothing when it does not come in time. The pipe holds one line at a time."""
    assert pipe is not None
    if not select.select([pipe], [], [], timeout)[0]:
        return b""
    return pipe.readline()


class Pairing:
    """Client on CPU 0 and server on CPU 1, both through `surface` on `loop`, for one cell."""

    def __init__(self, cell: Cell, surface: str, loop: str, servers: netns.Namespace) -> None:
        self.cell = cell
        self._surface = surface
        self._workers: list[Worker] = []
        try:
            self._server = self._start("server", loop, servers)
            self._client = self._start("client", loop, None)
        except BaseException:
            self.close()
            raise

    def _start(self, role: str, loop: str, where: netns.Namespace | None) -> Worker:
        client = role == "client"
        ours = self.cell.client_ours if client else self.cell.server_ours
        device = self.cell.client_device if client else self.cell.server_device
        mac = f"02:00:00:08:{self.cell.subnet:02}:0{2 - client}"
        spec = Spec(
            role=role,
            surface=self._surface,
            loop=loop,
            cpu=0 if client else 1,
            link=f"packet:{device}?mac={mac}" if ours else "",
            address=self.cell.client_address if client else self.cell.server_address,
        )
        worker = Worker(spec, where)
        self._workers.append(worker)
        return worker

    def measure(self, workload: str, port: int, warm_up: float, seconds: float) -> dict[str, Any]:
        job = Job(workload, self.cell.server_host, port, warm_up, seconds)
        self._server.ready(job)
        try:
            return self._client.outcome(job)
        finally:
            self._server.stop()

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
