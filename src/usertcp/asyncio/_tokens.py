"""Kernel sockets in a program that asked for a stack: taken as tickets, let pass, or refused.

Some libraries make their sockets themselves and hand them to the loop. `adopt`: the kernel's socket
is a ticket; a socket of ours does its work, and is found again by it. It stays open as long:
programs ask it for its name. `kernel`: it is used as it is, past the stack. `error`, the default:
neither.
"""

import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import WeakKeyDictionary, finalize

from usertcp._bypass import BYPASS
from usertcp.asyncio._socket import Socket

if TYPE_CHECKING:
    from usertcp.asyncio._opening import LoopStack

logger = logging.getLogger("usertcp.asyncio")

SO_DOMAIN = getattr(socket, "SO_DOMAIN", 39)  # known to Python from 3.12 on
_passing = ContextVar("usertcp_passing", default=False)


def is_kernel_tcp(sock: object) -> bool:
    """Whether it is a socket that a stack should have had, or stands for one as gunicorn's do."""
    return (
        not isinstance(sock, Socket)
        and getattr(sock, "type", None) == SOCK_STREAM
        and family_of(sock) in (AF_INET, AF_INET6)
    )


def family_of(sock: Any) -> int:
    """What the kernel says: uvicorn's --fd calls every socket a UNIX one. -1 of no socket."""
    family: int = getattr(sock, "family", -1)
    if family == AF_UNIX:
        try:
            family = sock.getsockopt(socket.SOL_SOCKET, SO_DOMAIN)
        except (AttributeError, OSError):
            pass
    return family


def give_name(token: Any, listening: Socket) -> None:
    """Listening binds a socket that is not bound yet: its user may ask it for the port."""
    host, port = token.getsockname()[:2]
    if port == 0:
        with (
            suppress(OSError),  # the port is not free in the kernel, which is no failure of ours
            socket.fromfd(token.fileno(), family_of(token), SOCK_STREAM) as same,
        ):
            same.bind((host, listening.getsockname()[1]))


def _is_closed(token: socket.socket) -> bool:
    try:
        return token.fileno() == -1
    except AttributeError:  # gunicorn's, which has let go of the socket
        return True


class Tokens:
    """The tickets of one loop, and the count of what went past its stack."""

    def __init__(self, own: "LoopStack") -> None:
        self._own = own
        self._adopted: WeakKeyDictionary[socket.socket, Socket] = WeakKeyDictionary()

    def find(self, token: object) -> Socket | None:
        """The socket of ours that this one stands for."""
        try:
            ours = self._adopted.get(cast("socket.socket", token))
        except TypeError:  # neither a socket nor like one
            return None
        if ours is not None and _is_closed(cast("socket.socket", token)):
            self.forget(cast("socket.socket", token))
            return None
        return ours

    def adopt(self, token: socket.socket, ours: Socket, what: str) -> None:
        self._note(what, f"adopted by {ours!r}", warn=False)
        self._adopted[token] = ours
        finalize(token, ours.close).atexit = False  # it was dropped: ours closes without a word

    def forget(self, token: socket.socket) -> None:
        ours = self._adopted.pop(token, None)
        if ours is not None:
            ours.close()

    def claim(self, token: socket.socket, ours: Socket) -> None:
        """A transport takes ours over: the ticket is closed with it."""
        self._adopted.pop(token, None)
        ours._token = token  # noqa: SLF001

    def decide(self, what: str, *, can_adopt: bool = True) -> Literal["adopt", "kernel"]:
        """What to do with a kernel socket in the call `what`; raises when it is refused."""
        if _passing.get():
            return "kernel"
        policy = self._own.policy
        if policy == "kernel":
            self._note(what, "left to the kernel, past the usertcp stack")
            return "kernel"
        if policy == "adopt" and can_adopt:
            return "adopt"
        self._note(what, "refused", warn=False)
        if policy == "adopt":
            raise OSError(
                errno.EOPNOTSUPP,
                f"{what}: a kernel TCP socket that is connected already cannot be taken over by "
                f"the usertcp stack; {BYPASS}=kernel (or bypass='kernel') lets it "
                "pass",
            )
        raise OSError(
            errno.EOPNOTSUPP,
            f"{what}: a kernel TCP socket was given to an event loop whose TCP is a usertcp stack. "
            f"{BYPASS}=adopt (or bypass='adopt') takes it as a ticket for a socket "
            f"on the stack; {BYPASS}=kernel lets it pass the stack by",
        )

    @contextmanager
    def pass_by(self, what: str, about: str) -> Iterator[None]:
        """Something that the policy `kernel` allows: inside, kernel sockets are not looked at."""
        self._note(what, about)
        token = _passing.set(True)
        try:
            yield
        finally:
            _passing.reset(token)

    def _note(self, what: str, about: str, *, warn: bool = True) -> None:
        counts, key = self._own.bypasses, f"{what} {about.split(' ', maxsplit=1)[0]}"
        counts[key] += 1
        stack = self._own.at_hand()
        if stack is not None and stack.bypasses is not counts:  # an ambient one
            stack.bypasses[key] += 1
        if counts[key] == 1:
            logger.log(
                logging.WARNING if warn else logging.INFO,
                "usertcp: kernel TCP socket in %s: %s (told once; loop.usertcp.bypasses counts)",
                what,
                about,
            )
