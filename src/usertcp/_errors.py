"""The engine's error codes as Python sees them, and the `OSError` each one becomes.

`ERRORS` is the twin of csrc/base/errors.def; tests/aio/test_errors.py compares the two. Nothing
here knows AnyIO: what a stream or listener raises for a code is decided in `_faces`, with the
exceptions made here as causes.
"""

import errno
import os
from enum import IntEnum
from typing import NamedTuple


class Code(IntEnum):
    """Codes of errors.def. Engine calls return them negated, events carry them positive."""

    WOULD_BLOCK = 1
    STALE_HANDLE = 2
    CLOSING = 3
    INVALID = 4
    NO_MEMORY = 5
    TOO_MANY = 6
    ADDRESS_IN_USE = 7
    ADDRESS_NOT_AVAILABLE = 8
    NO_ROUTE = 9
    HOST_UNREACHABLE = 10
    REFUSED = 11
    RESET = 12
    TIMED_OUT = 13
    END_OF_STREAM = 14
    ABORTED = 15
    LINK_DOWN = 16
    NOT_SUPPORTED = 17
    BAD_DESTINATION = 18
    NO_PORTS = 19
    NET_UNREACHABLE = 20
    SYSTEM = 21


class ErrorInfo(NamedTuple):
    """One line of errors.def, and the errno that sockets use for the same thing (0: none)."""

    exception: str
    sentence: str
    errno: int


ERRORS: dict[Code, ErrorInfo] = {
    Code.WOULD_BLOCK: ErrorInfo(
        "BlockingIOError", "nothing to do now: wait for the event", errno.EAGAIN
    ),
    Code.STALE_HANDLE: ErrorInfo(
        "ClosedResourceError",
        "the handle is of a connection or listener that is closed",
        errno.EBADF,
    ),
    Code.CLOSING: ErrorInfo(
        "ClosedResourceError", "this side has already closed its direction", errno.EPIPE
    ),
    Code.INVALID: ErrorInfo("ValueError", "an argument is out of its range", errno.EINVAL),
    Code.NO_MEMORY: ErrorInfo(
        "MemoryError", "a memory limit of the stack is reached", errno.ENOMEM
    ),
    Code.TOO_MANY: ErrorInfo("OSError", "the stack's table of connections is full", errno.ENFILE),
    Code.ADDRESS_IN_USE: ErrorInfo(
        "OSError", "the local address and port are in use", errno.EADDRINUSE
    ),
    Code.ADDRESS_NOT_AVAILABLE: ErrorInfo(
        "OSError", "the local address is not one of the stack's", errno.EADDRNOTAVAIL
    ),
    Code.NO_ROUTE: ErrorInfo("OSError", "no route leads to the remote address", errno.ENETUNREACH),
    Code.HOST_UNREACHABLE: ErrorInfo(
        "OSError",
        "the remote host or its gateway does not answer on the link",
        errno.EHOSTUNREACH,
    ),
    Code.REFUSED: ErrorInfo(
        "ConnectionRefusedError", "the remote host refused the connection", errno.ECONNREFUSED
    ),
    Code.RESET: ErrorInfo(
        "ConnectionResetError", "the remote host reset the connection", errno.ECONNRESET
    ),
    Code.TIMED_OUT: ErrorInfo("TimeoutError", "the remote host stopped answering", errno.ETIMEDOUT),
    Code.END_OF_STREAM: ErrorInfo("EndOfStream", "the remote host has sent all it will send", 0),
    Code.ABORTED: ErrorInfo(
        "ConnectionAbortedError", "the connection was aborted on this side", errno.ECONNABORTED
    ),
    Code.LINK_DOWN: ErrorInfo("OSError", "the link under the stack failed", errno.ENETDOWN),
    Code.NOT_SUPPORTED: ErrorInfo(
        "OSError", "this operation is not supported here", errno.EOPNOTSUPP
    ),
    Code.BAD_DESTINATION: ErrorInfo(
        "OSError", "the remote address cannot be connected to", errno.ENETUNREACH
    ),
    Code.NO_PORTS: ErrorInfo(
        "OSError", "no free local port is left for this destination", errno.EADDRNOTAVAIL
    ),
    Code.NET_UNREACHABLE: ErrorInfo(
        "OSError", "a router reports the destination unreachable", errno.ENETUNREACH
    ),
    Code.SYSTEM: ErrorInfo("OSError", "the operating system refused; errno tells why", 0),
}


def code_of(number: int) -> Code | None:
    """The code for what a call returned (negated) or an event carried; None for one not listed."""
    try:
        return Code(abs(number))
    except ValueError:
        return None


def name_of(number: int) -> str:
    """`RESET` and the like; `ERROR 99` for a code this version does not know."""
    code = code_of(number)
    return f"ERROR {abs(number)}" if code is None else code.name


def os_error(number: int, about: str = "", system_errno: int = 0) -> OSError:
    """The exception a socket would raise for this code: an `OSError` with errno.

    `OSError` picks the subclass by errno (ECONNREFUSED gives `ConnectionRefusedError`, ETIMEDOUT
    `TimeoutError`, ...). `about` is put before the sentence: what was being done, to whom.
    """
    code = code_of(number)
    if code is None:
        number_text = f"{name_of(number)} of the engine"
        return OSError(errno.EIO, f"{about}: {number_text}" if about else number_text)
    _, sentence, eno = ERRORS[code]
    if code is Code.SYSTEM and system_errno:
        eno, sentence = system_errno, os.strerror(system_errno)
    return OSError(eno or errno.EIO, f"{about}: {sentence}" if about else sentence)


def exception(number: int, about: str = "", system_errno: int = 0) -> Exception:
    """What a call that is no stream operation raises: `ValueError`, `MemoryError` or `os_error`."""
    code = code_of(number)
    if code is not None and ERRORS[code].exception in ("ValueError", "MemoryError"):
        sentence = ERRORS[code].sentence
        text = f"{about}: {sentence}" if about else sentence
        return ValueError(text) if code is Code.INVALID else MemoryError(text)
    return os_error(number, about, system_errno)
