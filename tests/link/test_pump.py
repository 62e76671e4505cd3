"""The pump thread: TCP goes on while the program keeps its event loop busy.

The peer is the kernel's TCP over veth; the program blocks its loop with time.sleep.
"""

import hashlib
import json
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable

import anyio
import pytest

import usertcp
from support.netns import in_namespace, veth

OURS, THEIRS = "10.7.0.2", "10.7.0.1"
BLOCKED = 1.5  # seconds
INCOMING = 10_000_000
OUTGOING = 700_000
TOTAL_RTO = 240  # offset of tcpi_total_rto in struct tcp_info (Linux 6.7)

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class KernelPeer(threading.Thread):
    """A kernel socket that sends INCOMING bytes and receives OUTGOING, each way on its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server((THEIRS, 0))
        self.port = self.listener.getsockname()[1]
        self.received_at = 0.0
        self.timeouts = -1
        self.digest = ""

    def run(self) -> None:
        conn, _ = self.listener.accept()
        sender = threading.Thread(target=conn.sendall, args=(bytes(INCOMING),), daemon=True)
        sender.start()
        taken = hashlib.sha256()
        left = OUTGOING
        while left:
            data = conn.recv(65536)
            taken.update(data)
            left -= len(data)
        self.received_at = time.monotonic()
        self.digest = taken.hexdigest()
        sender.join()
        info = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        if len(info) >= TOTAL_RTO + 2:
            self.timeouts = struct.unpack_from("H", info, TOTAL_RTO)[0]
        conn.close()
        self.listener.close()


def run(backend: str, main: Callable[[], object]) -> None:
    anyio.run(main, backend=backend)  # type: ignore[arg-type]


def lose_one_in_a_hundred() -> None:
    """Of what comes to the kernel from us: data and acknowledgements."""
    rules = (
        "add table netdev loss",
        "add chain netdev loss in { type filter hook ingress device v0 priority 0; }",
        "add rule netdev loss in ip protocol tcp numgen random mod 100 == 7 counter drop",
    )
    subprocess.run(["nft", "-f", "-"], input="\n".join(rules), text=True, check=True)


def lost() -> int:
    command = ["nft", "-j", "list", "chain", "netdev", "loss", "in"]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    (rule,) = [entry["rule"] for entry in said["nftables"] if "rule" in entry]
    (counter,) = [part["counter"] for part in rule["expr"] if "counter" in part]
    return int(counter["packets"])


@pytest.mark.parametrize(
    ("seconds", "loss"), [(BLOCKED, False), pytest.param(5.0, True, marks=pytest.mark.slow)]
)
def test_a_blocked_program_costs_its_peer_nothing(backend: str, seconds: float, loss: bool) -> None:
    if loss and shutil.which("nft") is None:
        pytest.skip("no nft on this machine")

    @in_namespace
    def inside() -> None:
        veth()
        if loss:
            lose_one_in_a_hundred()
        peer = KernelPeer()
        peer.start()
        ours = bytes(i % 251 for i in range(OUTGOING))
        url = "packet:v1?offload=0" if loss else "packet:v1"

        async def main() -> None:
            async with usertcp.open_stack(url, addresses=[f"{OURS}/24"]) as stack:
                stream = await stack.connect_tcp(THEIRS, peer.port)
                await stream.send(ours)
                time.sleep(seconds)  # noqa: ASYNC251
                woke = time.monotonic()
                assert peer.received_at, "what was accepted did not leave while the loop was busy"
                assert peer.received_at < woke - seconds / 2
                left = INCOMING
                while left:
                    left -= len(await stream.receive())
                await stream.aclose()

        run(backend, main)
        peer.join(10)
        assert peer.digest == hashlib.sha256(ours).hexdigest()
        if loss:
            assert lost() > 0
        assert peer.timeouts <= 0  # a tail loss probe, milliseconds after a pause, is not one

    inside()


def test_without_the_pump_nothing_moves(backend: str) -> None:
    """So the test above tests something."""

    @in_namespace
    def inside() -> None:
        veth()
        peer = KernelPeer()
        peer.start()

        async def main() -> None:
            opened = usertcp.open_stack("packet:v1", addresses=[f"{OURS}/24"], pump=False)
            async with opened as stack:
                stream = await stack.connect_tcp(THEIRS, peer.port)
                await stream.send(bytes(OUTGOING))
                time.sleep(0.3)  # noqa: ASYNC251
                assert not peer.received_at
                await stream.aclose()

        run(backend, main)

    inside()


def test_both_ends_of_a_blocking_call_in_one_thread(backend: str) -> None:
    """A handshake and an exchange that the loop never sees."""

    @in_namespace
    def inside() -> None:
        veth()

        async def main() -> None:
            async with usertcp.open_stack("packet:v1", addresses=[f"{OURS}/24"]) as stack:
                listener = await stack.create_tcp_listener(local_port=80)
                await anyio.sleep(0.3)  # long enough that the pump is parked
                kernel = socket.create_connection((OURS, 80), timeout=5)
                kernel.sendall(b"blocking all the while")
                kernel.shutdown(socket.SHUT_WR)
                async with await listener.listeners[0].accept() as stream:
                    assert await stream.receive() == b"blocking all the while"
                    with pytest.raises(anyio.EndOfStream):
                        await stream.receive()
                kernel.close()
                await listener.aclose()

        run(backend, main)

    inside()


class Window(usertcp.CongestionControl):
    """Ten segments, and who asked for them."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def on_report(self, report: usertcp.CongestionReport) -> usertcp.CongestionDecision:
        self.threads.append(threading.get_ident())
        return usertcp.CongestionDecision(cwnd=10 * report.mss)


def test_the_pump_calls_no_congestion_control(backend: str) -> None:
    """All leaves while the loop is busy; what the control has to decide waits for the loop."""

    @in_namespace
    def inside() -> None:
        veth()
        peer = KernelPeer()
        peer.start()

        async def main() -> None:
            control = Window()
            async with usertcp.open_stack("packet:v1", addresses=[f"{OURS}/24"]) as stack:
                stream = await stack.connect_tcp(THEIRS, peer.port, congestion=control)
                await stream.send(bytes(OUTGOING))
                before = len(control.threads)
                time.sleep(BLOCKED)  # noqa: ASYNC251
                assert peer.received_at, "what was accepted did not leave while the loop was busy"
                assert len(control.threads) == before
                left = INCOMING
                while left:
                    left -= len(await stream.receive())
                assert len(control.threads) > before
                assert set(control.threads) == {threading.get_ident()}
                assert stream.statistics().congestion["overdue"] == 0
                await stream.aclose()

        run(backend, main)
        peer.join(10)

    inside()


def test_virtual_time_has_no_pump(backend: str) -> None:
    from usertcp.testing import virtual_loop_factory

    async def main() -> None:
        with pytest.raises(ValueError, match="virtual time"):
            async with usertcp.open_stack("memory:p", addresses=["10.0.0.1/24"], pump=True):
                pass

    if backend == "trio":
        import trio
        import trio.testing

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    else:
        anyio.run(main, backend_options={"loop_factory": virtual_loop_factory})
