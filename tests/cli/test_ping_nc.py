"""`usertcp ping` and `usertcp nc` with the kernel at the other end of a cable."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.cli import STACK, clean_environment, line_of, start, usertcp
from support.netns import in_namespace, veth


def kernel_server(handle: Callable[[socket.socket], None], port: int = 80) -> threading.Thread:
    """Serves one connection in a thread."""
    listening = socket.create_server(("10.7.0.1", port))

    def serve() -> None:
        with listening:
            listening.settimeout(30)
            connection, _ = listening.accept()
        with connection:
            connection.settimeout(30)
            handle(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def connect(port: int, address: str = "10.7.0.2") -> socket.socket:
    """To a command that may just be starting."""
    end = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection((address, port), timeout=20)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@in_namespace
def test_ping_measures_connecting():
    veth()
    with socket.create_server(("10.7.0.1", 80)):
        done = usertcp("ping", "10.7.0.1", "80", "-c", "3", "-i", "0.01", "--json", *STACK)
    result = json.loads(done.stdout)
    assert (done.returncode, result["kind"]) == (0, "tcp-connect")
    assert (result["sent"], result["connected"], result["refused"]) == (3, 3, 0)
    assert 0 < result["min_ms"] <= result["avg_ms"] <= result["max_ms"]

    done = usertcp("ping", "10.7.0.1:81", "-c", "2", "-i", "0", *STACK)
    assert done.returncode == 1
    assert "refused by 10.7.0.1:81" in done.stdout
    assert "2 attempts, 0 connected, 2 refused, 0% unanswered" in done.stdout

    done = usertcp("ping", "10.7.0.77:80", "-c", "1", "-W", "0.2", *STACK)
    assert done.returncode == 1
    assert "no answer" in done.stdout


@in_namespace
def test_ping_on_trio_with_the_options_from_the_environment():
    veth()
    environment = clean_environment(
        USERTCP_LINK="packet:v1", USERTCP_ADDRESS="10.7.0.2/24,fd07::2/64", USERTCP_MTU="1400"
    )
    with socket.create_server(("10.7.0.1", 80)):
        done = usertcp("ping", "10.7.0.1:80", "-c", "1", "--loop", "trio", env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@in_namespace
def test_nc_half_closes(loop: str):
    """Our FIN comes while the peer still has all of its answer to send."""
    veth()
    got: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        got.append(everything(connection))
        connection.sendall(b"y" * 3_000_000)

    server = kernel_server(handle)
    done = usertcp("nc", "10.7.0.1", "80", "--json", "--loop", loop, *STACK, input="x" * 2_000_000)
    server.join()
    assert (done.returncode, done.stdout) == (0, "y" * 3_000_000)
    assert got == [b"x" * 2_000_000]
    result = json.loads(done.stderr)
    assert (result["sent"], result["received"], result["error"]) == (2_000_000, 3_000_000, None)
    assert result["peer"] == "10.7.0.1:80"


@in_namespace
def test_nc_from_and_to_files(tmp_path: Path):
    veth()
    content = os.urandom(5_000_000)
    file = tmp_path / "in"
    file.write_bytes(content)
    server = kernel_server(lambda connection: connection.sendall(everything(connection)))
    with file.open("rb") as source, file.open("rb") as same:
        command = [sys.executable, "-m", "usertcp", "nc", "10.7.0.1", "80", *STACK]
        done = subprocess.run(
            command, stdin=source, capture_output=True, check=False, env=clean_environment()
        )
        untouched = same.read() == content
    assert untouched
    server.join()
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(content).digest()


@in_namespace
def test_nc_listens():
    veth()
    process = start("nc", "-l", "9000", "-v", *STACK)
    with connect(9000) as connection:
        connection.sendall(b"from the kernel")
        connection.shutdown(socket.SHUT_WR)
        assert process.stdin is not None
        process.stdin.write("from nc")
        process.stdin.close()
        assert everything(connection) == b"from nc"
    assert process.wait(20) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "from the kernel"
    assert process.stderr is not None
    assert "listening on" in process.stderr.read()


@in_namespace
def test_nc_quits_when_the_peer_has_ended():
    veth()
    server = kernel_server(lambda connection: connection.sendall(b"bye"))
    process = start("nc", "-q", "10.7.0.1", "80", *STACK)  # its standard input stays open
    server.join()
    assert process.stdout is not None
    assert process.stdout.read() == "bye"
    assert process.wait(20) == 0


@in_namespace
def test_nc_tells_of_refusal_and_reset_in_a_line():
    veth()
    done = usertcp("nc", "-z", "10.7.0.1", "81", *STACK)
    assert done.returncode == 1
    assert "refused" in line_of(done.stderr)

    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    kernel_server(reset)
    process = start("nc", "10.7.0.1", "80", *STACK)
    assert process.wait(20) == 1
    assert process.stderr is not None
    assert "reset" in line_of(process.stderr.read())


@in_namespace
def test_errors_of_a_stack_are_lines():
    veth()
    for words, status, part in (
        (("--link", "packet:none", "--address", "10.7.0.2/24"), 1, "there is no network device"),
        (("--link", "none", "--address", "10.7.0.2/24"), 2, "no kind of link"),
        (("--link", "packet:v1", "--address", "10.7.0.2"), 2, "has no prefix length"),
        (("--link", "packet:v1"), 2, "which address?"),
        (("--address", "10.7.0.2/24"), 2, "which link?"),
        ((*STACK, "--gateway", "x"), 2, "not an IP address"),
        ((*STACK, "--pcap", "/nowhere/x"), 1, "No such file"),
        ((*STACK, "--mtu", "9"), 2, "--mtu"),
    ):
        done = usertcp("nc", "-z", "10.7.0.1", "80", *words)
        assert done.returncode == status, (words, done.stderr)
        assert part in done.stderr
        assert "Traceback" not in done.stderr
