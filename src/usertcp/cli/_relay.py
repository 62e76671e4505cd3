"""A relay between kernel sockets and a stack: what `usertcp forward` is made of.

Each direction holds at most CHUNK bytes; a side that does not read stops the other by its window.
The end of a direction is passed on as the end of that direction (FIN), a reset as a reset (RST), a
target that cannot be had as a reset of the client.
"""

import errno
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import anyio
from anyio.abc import SocketAttribute, TaskGroup, TaskStatus

import usertcp
from usertcp.cli._common import reason, show_address
from usertcp.streams import StreamOption

CHUNK = 1 << 16
TELL_DELAY = 0.05
_RESETS = frozenset((errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNABORTED))


class Side(Protocol):
    """One connection, of the kernel or of a stack."""

    async def receive(self) -> bytes:
        """b"" at the end of the direction; `OSError` when the connection died."""

    async def send(self, data: bytes) -> None: ...
    async def send_eof(self) -> None: ...
    async def close(self, *, reset: bool) -> None: ...


class KernelSide:
    """A kernel socket, non-blocking, by hand: closing must be able to reset, without a FIN."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock

    async def receive(self) -> bytes:
        while True:
            try:
                data = self._sock.recv(CHUNK)
            except BlockingIOError:
                await anyio.wait_readable(self._sock)
                continue
            await anyio.lowlevel.checkpoint()
            return data

    async def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                await anyio.wait_writable(self._sock)
        await anyio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)
        await anyio.lowlevel.checkpoint()

    async def close(self, *, reset: bool) -> None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        anyio.notify_closing(self._sock)
        self._sock.close()


class StackSide:
    """A connection of a stack."""

    def __init__(self, stream: usertcp.TCPStream) -> None:
        self._stream = stream

    async def receive(self) -> bytes:
        try:
            return await self._stream.receive(CHUNK)
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise _os_error(error) from None

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise _os_error(error) from None

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def close(self, *, reset: bool) -> None:
        if reset:
            try:
                self._stream.set_option(StreamOption.LINGER, 0)
            except anyio.ClosedResourceError:
                pass
        await self._stream.aclose()


def _os_error(error: Exception) -> OSError:
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause
    return ConnectionResetError(errno.ECONNRESET, reason(error))


# -- where from and where to -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """`kernel:HOST:PORT` or `stack:HOST:PORT`."""

    kind: str
    host: str | None
    port: int

    def __str__(self) -> str:
        return f"{self.kind}:{show_address((self.host or '*', self.port))}"


Tell: TypeAlias = Callable[[dict[str, Any]], None]


async def connect(place: Place, stack: usertcp.Stack) -> Side:
    """`OSError` when it cannot be had."""
    assert place.host is not None
    if place.kind == "stack":
        return StackSide(await stack.connect_tcp(place.host, place.port))
    found = await anyio.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, proto, _, address in found:
        sock = socket.socket(family, kind, proto)
        try:
            await _kernel_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return KernelSide(sock)
    assert failure is not None
    raise failure


async def _kernel_connect(sock: socket.socket, address: Any) -> None:
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        await anyio.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        where = show_address(address)
        error = OSError(code, "")
        raise type(error)(code, f"connect to {where}: {errno.errorcode.get(code, code)}")


async def listen_kernel(place: Place, task: "Listening", task_status: TaskStatus[str]) -> None:
    [(family, kind, proto, _, address), *_] = await anyio.getaddrinfo(
        place.host or "0.0.0.0",
        place.port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )
    with socket.socket(family, kind, proto) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
        sock.setblocking(False)
        task_status.started(show_address(sock.getsockname()))
        while True:
            await task.room()
            client, peer = await _kernel_accept(sock, task)
            task.begin(KernelSide(client), show_address(peer))


async def _kernel_accept(sock: socket.socket, task: "Listening") -> tuple[socket.socket, Any]:
    while True:
        try:
            return sock.accept()
        except BlockingIOError:
            await anyio.wait_readable(sock)
        except OSError as error:
            task.tell({"event": "accept failed", "error": reason(error)})
            await anyio.sleep(TELL_DELAY)  # no descriptors left, say


async def listen_stack(
    place: Place, stack: usertcp.Stack, task: "Listening", task_status: TaskStatus[str]
) -> None:
    multi = await stack.create_tcp_listener(local_host=place.host, local_port=place.port)
    async with multi, anyio.create_task_group() as group:
        address = multi.extra(SocketAttribute.local_address)  # noqa: S610
        assert isinstance(address, tuple)
        task_status.started(show_address(address))

        async def accept(listener: Any) -> None:
            while True:
                await task.room()
                stream = await listener.accept()
                peer = stream.extra(SocketAttribute.remote_address)  # noqa: S610
                task.begin(StackSide(stream), show_address(peer))

        for listener in multi.listeners:
            group.start_soon(accept, listener)


class Listening:
    """One `--listen` with its `--to`: at most `most` connections at a time."""

    def __init__(
        self, target: Place, stack: usertcp.Stack, group: TaskGroup, tell: Tell, *, most: int
    ) -> None:
        self.target = target
        self.tell = tell
        self._stack = stack
        self._group = group
        self._free = anyio.Semaphore(most)
        self._number = 0

    async def room(self) -> None:
        """Before an accept; what `begin` then starts gives it back."""
        await self._free.acquire()

    def begin(self, client: Side, peer: str) -> None:
        self._number += 1
        self._group.start_soon(self._relay, client, peer, self._number)

    async def _relay(self, client: Side, peer: str, number: int) -> None:
        facts: dict[str, Any] = {"connection": number, "peer": peer, "to": str(self.target)}
        target: Side | None = None
        try:
            try:
                target = await connect(self.target, self._stack)
            finally:
                if target is None:
                    with anyio.CancelScope(shield=True):
                        await client.close(reset=True)
            self.tell({"event": "opened", **facts})
            self.tell({"event": "closed", **facts, **await _Relay(client, target).run()})
        except OSError as error:
            self.tell({"event": "failed", **facts, "error": reason(error)})
        finally:
            self._free.release()


class _Relay:
    """Two sides, joined."""

    def __init__(self, client: Side, target: Side) -> None:
        self._client, self._target = client, target
        self._died: str | None = None
        self._counts = {"to_target": 0, "to_client": 0}
        self._scope = anyio.CancelScope()

    async def run(self) -> dict[str, Any]:
        """Until both directions ended, or one side died; cancelled, both are reset."""
        orderly = False
        try:
            with self._scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._copy, self._client, self._target, "to_target")
                    group.start_soon(self._copy, self._target, self._client, "to_client")
                orderly = self._died is None
        finally:
            with anyio.CancelScope(shield=True):
                await self._target.close(reset=not orderly)
                await self._client.close(reset=not orderly)
        return {**self._counts, "reset": self._died}

    async def _copy(self, source: Side, sink: Side, name: str) -> None:
        try:
            while data := await source.receive():
                await sink.send(data)
                self._counts[name] += len(data)
            await sink.send_eof()
        except OSError as error:
            if error.errno not in _RESETS and error.errno != errno.ENOTCONN:
                self._died = self._died or reason(error)
            self._died = self._died or "connection reset"
            self._scope.cancel()
