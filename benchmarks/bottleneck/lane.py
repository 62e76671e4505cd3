"""A network with a bottleneck in it: senders, forwarder and receivers in three namespaces.

    senders      |            forwarder           |   receivers
    s0 kernel ---- m0 --.                  .-- n0 ---- r0 kernel
    s1 usertcp --- m1 --+-- rate, queue, --+-- n1 ---- r1 usertcp
                            loss, delay

Every device has its offloads off. On an end that usertcp owns the kernel is silent. Lanes share
nothing but the machine.
"""

import json
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from bottleneck.flow import PATIENCE, Spec
from usertcp import netns

HERE = Path(__file__).resolve().parent
MTU = 1500
NETWORK = "10.9.0.0/24"
KERNEL, OURS = "kernel", "usertcp"
STACKS = (KERNEL, OURS)
_SCOPE_LINK = 253


@dataclass(frozen=True, slots=True)
class Link:
    """What the forwarder does, both ways but for the loss. Bit/s (0: no limit), s, bytes, ratio."""

    rate: float = 0.0
    rtt: float = 0.0
    queue: int = 1 << 20
    blur: int = 0
    """Of the queue: to be had by chance."""
    loss: float = 0.0
    period: int = 0
    """Every n-th segment with data is lost; 0: none for that reason."""

    def specs(self, seed: int) -> list[str]:
        link = f"{self.rate:.0f}:{self.rtt / 2 * 1e6:.0f}:{self.queue}:{self.blur}"
        return [f"forth={link}:{self.loss * 1e6:.0f}:{self.period}:{seed}", f"back={link}:0:0:0"]


def build(directory: str) -> Path:
    """Compiles the forwarder."""
    program = Path(directory) / "forwarder"
    source = HERE / "forwarder.c"
    subprocess.run(["gcc", "-std=gnu11", "-O2", "-o", str(program), str(source)], check=True)
    return program


def _address(side: str, stack: str) -> str:
    return f"10.9.0.{1 + STACKS.index(stack) + (0 if side == 's' else 100)}"


def _mac(side: str, stack: str) -> str:
    return f"02:00:00:09:0{'sr'.index(side)}:0{STACKS.index(stack)}"


def _set_up_end(side: str, stack: str) -> None:
    device = f"{side}{STACKS.index(stack)}"
    if stack == OURS:
        netns.quiet(device)
    else:
        with IPRoute() as ip:
            ip.link("set", index=socket.if_nametoindex(device), address=_mac(side, stack))
        netns.addr_add(device, f"{_address(side, stack)}/24")
    _set_up_middle(device)


def _set_up_middle(device: str) -> None:
    netns.offloads(device, tso=False, gso=False, gro=False, tx_csum=False)
    netns.link_up(device)


def _forget_paths() -> None:
    """The kernel would start a connection from what the one before it learnt."""
    Path("/proc/sys/net/ipv4/tcp_no_metrics_save").write_text("1")


def _use(congestion: str) -> None:
    """A route may name an algorithm that the machine's sysctl keeps from namespaces."""
    with IPRoute() as ip:
        ip.route(
            "replace",
            dst=NETWORK,
            oif=socket.if_nametoindex("s0"),
            scope=_SCOPE_LINK,
            metrics={"cc_algo": congestion},
        )


class Process:
    """A child that talks in lines of JSON."""

    def __init__(self, where: netns.Namespace, command: list[str]) -> None:
        self._command = command
        self._child: subprocess.Popen[bytes] = where.popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE.parent
        )

    def line(self, timeout: float) -> bytes:
        assert self._child.stdout is not None
        if not select.select([self._child.stdout], [], [], timeout)[0]:
            raise RuntimeError(f"no answer within {timeout:.0f} s: {self._command}")
        line: bytes = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"died: {self._command}")
        return line

    def end_input(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()

    def close(self) -> None:
        self._child.kill()
        self._child.wait(10)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class Lane:
    """Three namespaces; `run` measures in them, one thing at a time."""

    def __init__(self, program: Path, exits: ExitStack) -> None:
        self._program = program
        self._port = 10_000  # one per run: what is left of the one before may linger
        self._senders, self._middle, self._receivers = (
            exits.enter_context(netns.second_namespace()) for _ in range(3)
        )
        for side, inner, where in (("s", "m", self._senders), ("r", "n", self._receivers)):
            where.run(_forget_paths)
            for number, stack in enumerate(STACKS):
                outer, middle = f"{side}{number}", f"{inner}{number}"
                netns.veth_pair(outer, middle, MTU)
                where.take(outer)
                self._middle.take(middle)
                self._middle.run(netns.quiet, middle)
                self._middle.run(_set_up_middle, middle)
                where.run(_set_up_end, side, stack)

    @contextmanager
    def _forwarder(self, path: Link, seed: int) -> Iterator[Process]:
        sides = [
            ",".join(f"{inner}{n}={_mac(side, stack)}" for n, stack in enumerate(STACKS))
            for side, inner in (("s", "m"), ("r", "n"))
        ]
        process = Process(self._middle, [str(self._program), *sides, *path.specs(seed)])
        try:
            process.line(PATIENCE)
            yield process
        finally:
            process.close()

    def _flow(self, exits: ExitStack, where: netns.Namespace, spec: Spec) -> Process:
        command = [sys.executable, "-m", "bottleneck.flow", json.dumps(asdict(spec))]
        process = Process(where, command)
        exits.callback(process.close)
        return process

    def run(
        self,
        path: Link,
        seed: int,
        senders: list[tuple[str, str]],
        seconds: float,
        *,
        receiver: str = KERNEL,
        busy_poll: float = 0.0,
        capture: str | None = None,
    ) -> dict[str, Any]:
        """Flows of `senders`, (stack, congestion control) each, to one receiver. `busy_poll`: of
        ends of usertcp, see `usertcp.open_stack`."""
        self._port += 1
        host = _address("r", receiver)
        for congestion in {name for stack, name in senders if stack == KERNEL}:
            self._senders.run(_use, congestion)

        def spec(side: str, stack: str, congestion: str) -> Spec:
            device, mac = f"{side}{STACKS.index(stack)}", _mac(side, stack)
            return Spec(
                role="send" if side == "s" else "receive",
                link=f"packet:{device}?mac={mac}&offload=0" if stack == OURS else "",
                address=f"{_address(side, stack)}/24",
                host=host,
                port=self._port,
                seconds=seconds,
                congestion=congestion,
                busy_poll=busy_poll,
                capture=capture if side == "s" and stack == OURS else None,
            )

        with self._forwarder(path, seed) as forwarder, ExitStack() as exits:
            taker = self._flow(exits, self._receivers, spec("r", receiver, "cubic"))
            taker.line(PATIENCE)
            givers = [self._flow(exits, self._senders, spec("s", *one)) for one in senders]
            told = [json.loads(giver.line(seconds + PATIENCE)) for giver in givers]
            taker.end_input()
            arrived = json.loads(taker.line(PATIENCE))["flows"]
            forwarder.end_input()
            passed = json.loads(forwarder.line(PATIENCE))
        flows = {flow["port"]: flow for flow in arrived}
        return {"forwarder": passed, "flows": [flows[one["port"]] | one for one in told]}
