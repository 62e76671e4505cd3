"""The control socket: how `usertcp ss` and `usertcp capture` reach a running stack.

Opt-in, a UNIX socket that only its owner may use: mode 0600, in a directory of the owner's, and the
peer's uid is looked at (SO_PEERCRED). JSON lines: one request, then one reply whose `rows` says how
many lines follow.

    {"request": "hello"}         {"ok": true, "pid": 7, "link": {...}, "addresses": [...]}
    {"request": "connections"}   {"ok": true, "rows": 2}, then a line per connection
    {"request": "statistics"}    {"ok": true, "counters": {...}, "link": {...}, ...}
    {"request": "capture"}       with a pipe's write end (SCM_RIGHTS): pcapng goes there until the
                                 client sends another line or hangs up
    anything else                {"ok": false, "error": "..."}

A thread serves it, so that it works on every event loop and needs no task group; what touches the
stack is done in the stack's loop. Bounded: CLIENTS at a time, LINE bytes of a request, ANSWER
seconds for the loop, STALL for a client that does not read.
"""

import array
import concurrent.futures
import errno
import json
import logging
import os
import socket
import stat
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
from anyio.abc import TaskStatus

from usertcp._binding import ffi, lib
from usertcp._control_path import CLIENTS, PathArgument, listen
from usertcp._environment import CONTROL
from usertcp._errors import exception
from usertcp._info import ConnectionInfo, LinkInfo
from usertcp.stacks import Stack

LINE = 4096
ANSWER = 2.0
STALL = 10.0

logger = logging.getLogger("usertcp.control")
T = TypeVar("T")


class ControlError(Exception):
    """A request that cannot be served; its text goes to the client."""


# -- the server ------------------------------------------------------------------------------------


class ControlServer:
    """Serves a stack's control socket from the moment it is made until `close()`.

    `path`: a file, a directory (then PID.sock in it) or True for the default one. `captured`: the
    stack writes a capture of its own, which a client must not end.
    """

    def __init__(self, stack: Stack, path: PathArgument = True, *, captured: bool = False) -> None:
        self._stack = stack
        self._captured = captured
        self._sock, self.path = listen(path)
        self._inode = self.path.lstat().st_ino
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="usertcp-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hangs up on everybody and removes the socket. Idempotent."""
        if self._closed or self._pid != os.getpid():  # a forked child's copy is not ours to end
            return
        self._closed = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes the thread
        with self._lock:
            for client in self._clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._sock.close()
        with suppress(OSError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._is_closed():
            try:
                client, _ = self._sock.accept()
            except OSError:
                if self._is_closed():
                    return
                threading.Event().wait(0.1)  # no descriptors left, say: not in a busy circle
                continue
            with self._lock:
                refused = self._refusal(client)
                if not refused:
                    self._clients.add(client)
            if refused:
                logger.warning("control socket %s: %s", self.path, refused)
                with suppress(OSError), client:
                    client.sendall(_line({"ok": False, "error": refused}))
                continue
            threading.Thread(
                target=self._serve, args=(client,), name="usertcp-control-client", daemon=True
            ).start()

    def _is_closed(self) -> bool:
        return self._closed

    def _refusal(self, client: socket.socket) -> str:
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, uid, _ = struct.unpack("iII", credentials)
        if uid not in (os.geteuid(), 0):
            return f"user {uid} may not look at a program of user {os.geteuid()}"
        if len(self._clients) >= CLIENTS:
            return f"{CLIENTS} clients are connected already"
        return ""

    def _serve(self, client: socket.socket) -> None:
        session = _Session(self, client)
        try:
            with client:
                session.run()
        except OSError:
            pass  # the client is gone
        finally:
            with self._lock:
                self._clients.discard(client)

    def in_loop(self, function: Callable[[Stack], T]) -> T:
        """`function(stack)`, called in the stack's loop. `ControlError` when that does not come."""
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        stack = self._stack

        def call() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                if stack.engine.freed:
                    raise ControlError("the stack is closed")  # noqa: TRY301
                done.set_result(function(stack))
            except BaseException as error:
                done.set_exception(error)

        try:
            stack.driver.call_in_loop(call)
        except Exception as error:  # the loop ended this moment
            raise ControlError(f"the event loop is gone: {error}") from None
        try:
            return done.result(ANSWER)
        except concurrent.futures.TimeoutError:
            done.cancel()
            raise ControlError(
                f"the program's event loop has been busy for {ANSWER:g} s and does not answer"
            ) from None

    def start_capture(self, fd: int) -> None:
        if self._captured:
            raise ControlError("the stack writes a capture of its own already")
        self._captured = True
        try:
            self.in_loop(lambda stack: _capture(stack, f"/proc/self/fd/{fd}"))
        except BaseException:
            self._captured = False
            raise

    def stop_capture(self) -> None:
        with suppress(ControlError):
            self.in_loop(lambda stack: _capture(stack, None))
        self._captured = False


def _capture(stack: Stack, path: str | None) -> None:
    link = lib.ut_stack_link(stack.engine._stack)  # noqa: SLF001 - the tap has no other way in
    if path is None:
        lib.ut_link_capture_stop(link)
        return
    system_error = ffi.new("int *")
    if code := lib.ut_link_capture(link, os.fsencode(path), system_error):
        raise ControlError(str(exception(code, "capture", system_error[0])))


# -- one client ------------------------------------------------------------------------------------


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def connection_document(info: ConnectionInfo) -> dict[str, Any]:
    """A row as JSON has it: the field names of `ConnectionInfo`, the state by its RFC name."""
    values = {name: getattr(info, name) for name in ConnectionInfo.__dataclass_fields__}
    return values | {"state": str(info.state)}


def _link_document(info: LinkInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in LinkInfo.__dataclass_fields__}


class _Session:
    """Requests of one client, in its own thread."""

    def __init__(self, server: ControlServer, client: socket.socket) -> None:
        self._server = server
        self._client = client
        self._buffer = b""
        self._fds: list[int] = []

    def run(self) -> None:
        self._client.settimeout(None)
        try:
            while (line := self._read_line()) is not None:
                try:
                    self._answer(line)
                except ControlError as error:
                    self._send(_line({"ok": False, "error": str(error)}))
        finally:
            self._drop_fds()

    def _drop_fds(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def _read_line(self) -> bytes | None:
        while b"\n" not in self._buffer:
            if len(self._buffer) > LINE:
                self._send(_line({"ok": False, "error": f"a request has at most {LINE} bytes"}))
                return None
            data, ancillary, _, _ = self._client.recvmsg(LINE, socket.CMSG_SPACE(4))
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds = array.array("i")
                    fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
                    self._fds.extend(fds)
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _send(self, data: bytes) -> None:
        self._client.settimeout(STALL)
        self._client.sendall(data)
        self._client.settimeout(None)

    def _answer(self, line: bytes) -> None:
        try:
            request = json.loads(line)["request"]
        except (ValueError, TypeError, KeyError):
            raise ControlError('a request is a JSON object like {"request": "hello"}') from None
        match request:
            case "hello":
                self._send(_line(self._hello()))
            case "connections":
                rows = self._server.in_loop(lambda stack: stack.connections())
                self._send(_line({"ok": True, "rows": len(rows)}))
                for row in rows:
                    self._send(_line(connection_document(row)))
            case "statistics":
                self._send(_line(self._statistics()))
            case "capture":
                self._record()
            case _:
                raise ControlError(f"unknown request {request!r}")

    def _hello(self) -> dict[str, Any]:
        stack, info = self._server.in_loop(lambda stack: (stack, stack.statistics().link))
        return {
            "ok": True,
            "pid": os.getpid(),
            "program": sys.argv[:1],
            "addresses": [str(address) for address in stack.addresses],
            "link": _link_document(info),
        }

    def _statistics(self) -> dict[str, Any]:
        found = self._server.in_loop(lambda stack: stack.statistics())
        return {
            "ok": True,
            "counters": dict(found.counters),
            "link": _link_document(found.link),
            "unfinished": found.unfinished,
            "memory_in_use": found.memory_in_use,
            "polls": found.polls,
            "bypasses": dict(found.bypasses),
        }

    def _record(self) -> None:
        if not self._fds:
            raise ControlError("a capture needs the write end of a pipe with its request")
        if not stat.S_ISFIFO(os.fstat(self._fds[0]).st_mode):
            self._drop_fds()
            raise ControlError("a capture is written to a pipe only")
        try:
            self._server.start_capture(self._fds[0])
        finally:
            self._drop_fds()  # the engine opened it for itself
        try:
            self._send(_line({"ok": True}))
            self._read_line()
        finally:
            self._server.stop_capture()


# -- ways to have one ------------------------------------------------------------------------------


def from_environment(stack: Stack, *, captured: bool = False) -> ControlServer | None:
    """What USERTCP_CONTROL asks for: a path, or 1 for the default one, or 0 for none.

    The second stack with one path (a worker process, say) goes without, and says so in the log.
    """
    wanted = os.environ.get(CONTROL, "").strip()
    if wanted in ("", "0"):
        return None
    try:
        return ControlServer(stack, wanted, captured=captured)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise OSError(error.errno, f"{CONTROL}: {error.strerror or error}") from None
        logger.warning("%s; this stack has no control socket", error)
        return None


async def serve(
    stack: Stack,
    path: PathArgument = True,
    *,
    task_status: TaskStatus[Path] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """A task that serves the control socket until it is cancelled; `started` tells the path."""
    with ControlServer(stack, path) as server:
        task_status.started(server.path)
        await anyio.sleep_forever()
