"""Kernel sockets that libraries bring to trio by `trio.socket.from_stdlib_socket`.

hypercorn and AnyIO's listener make theirs that way, past the socket factory. While a factory of
ours is in use in a run, the function decides by its policy (`usertcp._bypass`); in other runs, and
for all but TCP sockets, it is trio's own.
"""

import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from socket import AF_INET6, IPPROTO_IPV6, SOCK_STREAM
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import trio

from usertcp._address import is_loopback, pack_text
from usertcp._bypass import BYPASS, Policy
from usertcp._sockopts import REUSEADDR, REUSEPORT, V6ONLY, refuse
from usertcp.trio._names import present
from usertcp.trio._raw_io import RawSocket
from usertcp.trio._socket import TCPSocket

if TYPE_CHECKING:
    from usertcp.stacks import Stack

logger = logging.getLogger("usertcp.trio")
CALL = "from_stdlib_socket"


class Decider(Protocol):
    """Whose policy and stack count for kernel sockets; without a stack they are trio's."""

    @property
    def stack(self) -> "Stack | None": ...

    @property
    def bypass(self) -> Policy: ...


_current: "trio.lowlevel.RunVar[Decider | None]" = trio.lowlevel.RunVar("usertcp", None)
_lock = Lock()
_watching: list[Decider] = []
_trios_own = trio.socket.from_stdlib_socket


@contextmanager
def watched(factory: Decider) -> Iterator[None]:
    """Inside, kernel TCP sockets given to trio in this run are decided upon by `factory`."""
    former = _current.get()
    _current.set(factory)
    module: Any = trio.socket
    with _lock:
        _watching.append(factory)
        if module.from_stdlib_socket is _trios_own:
            module.from_stdlib_socket = _from_stdlib_socket
    try:
        yield
    finally:
        _current.set(former)
        with _lock:
            _watching.remove(factory)
            if not _watching and module.from_stdlib_socket is _from_stdlib_socket:
                module.from_stdlib_socket = _trios_own


class AdoptedSocket(TCPSocket):
    """Keeps its ticket open, which its user may ask for its name, and closes it with itself."""

    def __init__(self, raw: RawSocket, token: socket.socket) -> None:
        super().__init__(raw)
        self._token = token

    def close(self) -> None:
        self._token.close()
        super().close()


def _from_stdlib_socket(sock: socket.socket) -> trio.socket.SocketType:
    """Trio's own, but for TCP sockets in a run whose sockets are a usertcp stack's."""
    if isinstance(sock, RawSocket):
        return TCPSocket(sock)
    try:
        factory = _current.get()
    except RuntimeError:  # outside a run
        factory = None
    is_tcp = sock.family in (socket.AF_INET, AF_INET6) and sock.type == SOCK_STREAM
    if factory is None or not is_tcp or factory.stack is None:
        return _trios_own(sock)
    return _decide(factory.stack, factory.bypass, sock)


def _decide(stack: "Stack", bypass: Policy, token: socket.socket) -> trio.socket.SocketType:
    if bypass == "kernel":
        about = "left to the kernel, past the usertcp stack"
        _note(stack, f"{CALL} left", about, logging.WARNING)
        return _trios_own(token)
    if bypass == "error" or _is_connected(token):
        _note(stack, f"{CALL} refused", "refused", logging.INFO)
        raise OSError(
            errno.EOPNOTSUPP,
            f"{CALL}: a kernel TCP socket was given to trio in a run whose TCP is a usertcp stack. "
            f"{BYPASS}=adopt (or bypass='adopt') takes one that is not connected as a ticket for a "
            f"socket on the stack; {BYPASS}=kernel lets it pass the stack by",
        )
    try:
        made = AdoptedSocket(_in_place_of(stack, token), token)
    except OSError as exc:
        raise OSError(exc.errno, f"{CALL}: {exc.strerror}") from exc
    _note(stack, f"{CALL} adopted", f"adopted by {made!r}", logging.INFO)
    return made


def _is_connected(token: socket.socket) -> bool:
    try:
        token.getpeername()
    except OSError:
        return False
    return True


def _in_place_of(stack: "Stack", token: socket.socket) -> RawSocket:
    """A socket of ours that is bound, and listens, where the kernel's does."""
    made = RawSocket(stack, token.family)
    try:
        if token.family == AF_INET6:
            made.setsockopt(*V6ONLY, token.getsockopt(IPPROTO_IPV6, socket.IPV6_V6ONLY))
        for option in (REUSEADDR, REUSEPORT):
            made.setsockopt(*option, token.getsockopt(*option))
        name = token.getsockname()
        if name[1]:
            made.bind(_on_the_stack(stack, token.family, name))
        if token.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            made.listen()
    except BaseException:
        made.close()
        raise
    return made


def _on_the_stack(stack: "Stack", family: int, name: tuple[Any, ...]) -> tuple[Any, ...]:
    """No packet for a loopback address comes over a link: the stack's own stands for it."""
    packed = pack_text(name[0])
    if packed is None or not is_loopback(packed):
        return name
    own = [interface.ip for interface in stack.addresses]
    text = next((str(ip) for ip in own if (ip.version == 6) == (family == AF_INET6)), None)
    if text is None:
        raise refuse(errno.EADDRNOTAVAIL)
    logger.warning(
        "usertcp: a server asked for %s; on this stack it listens on the stack's own address "
        "instead (%s), which other hosts reach",
        name[0],
        text,
    )
    return present(family, text, name[1])


def _note(stack: "Stack", what: str, about: str, level: int) -> None:
    counts = stack.bypasses
    counts[what] += 1
    if counts[what] == 1:
        logger.log(
            level,
            "usertcp: kernel TCP socket in %s: %s (told once; statistics().bypasses counts)",
            CALL,
            about,
        )
