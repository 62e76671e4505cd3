"""`usertcp forward`: a relay that passes on bytes, half-closes and resets, both ways."""

import errno
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import Popen  # noqa: TC003
from typing import Any

import click
import pytest
from click.testing import CliRunner

from support.cli import STACK, line_of, start, usertcp
from support.netns import in_namespace, veth
from usertcp.cli import main
from usertcp.cli._relay import Place
from usertcp.cli.forward import parse_place

RESET = b"\1\0\0\0\0\0\0\0"


@contextmanager
def relay(*words: str) -> Iterator[tuple["Popen[str]", list[dict[str, Any]]]]:
    """Running; its events so far. It must end in order when told to."""
    process = start("forward", "--json", *words, *STACK)
    events: list[dict[str, Any]] = []
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert first, process.stderr.read() if process.stderr else ""
        events.append(json.loads(first))

        def read() -> None:
            assert process.stdout is not None
            events.extend(json.loads(line) for line in process.stdout)

        reader = threading.Thread(target=read)
        reader.start()
        yield process, events
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        reader.join()
    finally:
        process.kill()
        process.wait()


def wait_for(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for event in events:
            if event["event"] == kind:
                return event
        time.sleep(0.01)
    raise AssertionError((kind, events))


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


class Server:
    """A kernel server that the test plays by hand."""

    def __init__(self, address: str = "10.7.0.1", port: int = 80) -> None:
        self._listening = socket.create_server((address, port))
        self._listening.settimeout(20)

    def accept(self) -> socket.socket:
        connection, _ = self._listening.accept()
        connection.settimeout(20)
        return connection


TO_STACK = ("--listen", "kernel:127.0.0.1:0", "--to", "stack:10.7.0.1:80")


def client_of(events: list[dict[str, Any]]) -> socket.socket:
    """A kernel client of a relay that listens on a kernel port."""
    port = int(events[0]["on"].rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=20)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
@in_namespace
def test_from_the_kernel_to_a_stack(loop: str):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    veth()
    server = Server()
    with relay(*TO_STACK, "--loop", loop) as (_, events), client_of(events) as client:
        peer = server.accept()
        sent = os.urandom(3_000_000)
        sender = threading.Thread(
            target=lambda: (client.sendall(sent), client.shutdown(socket.SHUT_WR))
        )
        sender.start()
        assert everything(peer) == sent  # the end of that direction came through
        sender.join()
        peer.sendall(b"and the other goes on")
        peer.close()
        assert everything(client) == b"and the other goes on"
        closed = wait_for(events, "closed")
    assert (closed["to_target"], closed["to_client"], closed["reset"]) == (3_000_000, 21, None)


@in_namespace
def test_from_a_stack_to_the_kernel():
    veth()
    server = Server("127.0.0.1", 8000)
    words = ("--listen", "stack:9000", "--to", "kernel:127.0.0.1:8000")
    with relay(*words) as (_, events):
        client = socket.create_connection(("10.7.0.2", 9000), timeout=20)
        with client, server.accept() as peer:
            peer.sendall(b"first")
            peer.shutdown(socket.SHUT_WR)
            assert everything(client) == b"first"
            client.sendall(b"then")
            client.shutdown(socket.SHUT_WR)
            assert everything(peer) == b"then"
        assert wait_for(events, "closed")["reset"] is None


def is_reset(connection: socket.socket) -> bool:
    """Whether a reset is the next thing that comes, with no orderly end before."""
    try:
        connection.recv(1)
    except OSError as error:
        return error.errno == errno.ECONNRESET
    return False


@in_namespace
def test_a_reset_arrives_as_a_reset_on_either_side():
    veth()
    server = Server()
    with relay(*TO_STACK) as (_, events):
        with client_of(events) as client:
            with server.accept() as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            assert is_reset(client)
        client = client_of(events)
        with server.accept() as peer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            assert is_reset(peer)


@in_namespace
def test_a_target_that_cannot_be_had_resets_the_client():
    veth()
    with relay(*TO_STACK) as (_, events):  # nobody listens there
        with suppress(ConnectionResetError), client_of(events) as client:  # at times already here
            assert is_reset(client)
        assert "refused" in wait_for(events, "failed")["error"]


def fill(client: socket.socket, most: int) -> int:
    """Sends until nothing more is taken. How many bytes were."""
    sent = 0
    try:
        while sent < most:
            sent += client.send(bytes(1 << 16))
    except TimeoutError:
        pass
    return sent


@in_namespace
def test_who_does_not_read_stops_the_sender():
    """What the relay holds is bounded: the sender is stopped by the windows, not by its memory."""
    veth()
    server = Server()
    with relay(*TO_STACK) as (_, events), client_of(events) as client:
        peer = server.accept()
        client.settimeout(1)
        sent = fill(client, 200_000_000)
        assert sent < 60_000_000  # what buffers and windows hold, and no more
        client.settimeout(20)
        client.shutdown(socket.SHUT_WR)
        assert len(everything(peer)) == sent
        peer.close()


@in_namespace
def test_connections_at_a_time():
    veth()
    server = Server()
    with (
        relay(*TO_STACK, "--max-connections", "1") as (_, events),
        client_of(events) as first,
        client_of(events) as second,
    ):
        peer = server.accept()
        second.sendall(b"x")
        time.sleep(0.3)
        assert len([event for event in events if event["event"] == "opened"]) == 1
        first.close()
        peer.close()
        with server.accept() as other:
            assert other.recv(1) == b"x"


@in_namespace
def test_a_place_that_is_taken_is_told_in_a_line():
    veth()
    with socket.create_server(("127.0.0.1", 8080)):
        done = usertcp("forward", "--listen", "kernel:127.0.0.1:8080", *TO_STACK[2:], *STACK)
    assert done.returncode == 1
    assert "in use" in line_of(done.stderr)
    done = usertcp("forward", "--listen", "stack:10.7.0.9:80", "--to", "kernel:127.0.0.1:1", *STACK)
    assert done.returncode == 1
    assert "10.7.0.9" in line_of(done.stderr)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("kernel:127.0.0.1:80", Place("kernel", "127.0.0.1", 80)),
        ("stack:[fd07::1]:80", Place("stack", "fd07::1", 80)),
        ("stack:80", Place("stack", None, 80)),
        ("kernel:*:80", Place("kernel", None, 80)),
    ],
)
def test_places(text: str, place: Place):
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text", ["", "80", "tcp:80", "stack:x", "stack:fd07::1:80", "stack:1:99999"]
)
def test_no_places(text: str):
    with pytest.raises(ValueError, match=r"expected|port|brackets"):
        parse_place(text)


@pytest.mark.parametrize(
    "words",
    [
        ("--listen", "kernel:80"),
        ("--listen", "kernel:80", "--to", "kernel:10.7.0.1:80"),
        ("--listen", "kernel:80", "--to", "stack:80"),
        ("--listen", "kernel:80", "--listen", "kernel:81", "--to", "stack:1.2.3.4:80"),
    ],
)
def test_usage(words: tuple[str, ...]):
    result = CliRunner().invoke(main, ["forward", *words, *STACK])
    assert result.exit_code == click.UsageError.exit_code, result.output
