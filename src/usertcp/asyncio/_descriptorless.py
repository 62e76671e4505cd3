"""A `socket.socket` that has no kernel socket: what Python's class knows, and all it cannot do."""

import errno
import os
import socket
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, AddressFamily, SocketKind
from typing import Any, NoReturn

from usertcp.asyncio._options import unsupported

_TYPE_FLAGS = SocketKind.SOCK_NONBLOCK | SocketKind.SOCK_CLOEXEC


def closed_error() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def blocking_error() -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


class Descriptorless(socket.socket):
    """`isinstance(..., socket.socket)` holds; `_socket.socket`'s own descriptor stays -1."""

    __slots__ = ("_family", "_is_closed")

    def __init__(  # not socket.socket's: that opens a descriptor
        self,
        family: int = AF_INET,
        type: int = SOCK_STREAM,  # noqa: A002
        proto: int = 0,
        fileno: int | None = None,
    ) -> None:
        self._is_closed = True
        if fileno is not None:
            raise unsupported("a socket made from a descriptor")
        if family == -1:
            family = AF_INET
        if family not in (AF_INET, AF_INET6):
            raise OSError(errno.EAFNOSUPPORT, "usertcp sockets are AF_INET or AF_INET6")
        if type not in (-1, 0) and type & ~_TYPE_FLAGS != SOCK_STREAM:
            raise OSError(errno.ESOCKTNOSUPPORT, "usertcp sockets are SOCK_STREAM")
        if proto not in (-1, 0, IPPROTO_TCP):
            raise OSError(errno.EPROTONOSUPPORT, "usertcp sockets speak TCP")
        self._family = AddressFamily(family)
        self._is_closed = False
        self._io_refs = 0
        self._closed = False

    @property
    def family(self) -> AddressFamily:
        return self._family

    @property
    def type(self) -> SocketKind:
        return SOCK_STREAM

    @property
    def proto(self) -> int:
        return IPPROTO_TCP

    # ---- never blocking --------------------------------------------------------------------------

    @property
    def timeout(self) -> float:
        return 0.0

    def gettimeout(self) -> float:
        return 0.0

    def getblocking(self) -> bool:
        return False

    def setblocking(self, flag: bool, /) -> None:
        if flag:
            raise unsupported("a blocking socket")

    def settimeout(self, value: float | None, /) -> None:
        if value != 0:
            raise unsupported("a blocking socket")

    def get_inheritable(self) -> bool:
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        if inheritable:
            raise unsupported("set_inheritable()")

    # ---- what needs a kernel socket --------------------------------------------------------------

    def dup(self) -> NoReturn:
        raise unsupported("dup()")

    def detach(self) -> NoReturn:
        raise unsupported("detach()")

    def makefile(self, *_args: Any, **_options: Any) -> NoReturn:
        raise unsupported("makefile()")

    def sendfile(self, *_args: Any, **_options: Any) -> NoReturn:
        raise unsupported("sendfile(); the event loop's sendfile() works")

    def sendto(self, *_args: Any) -> NoReturn:
        raise unsupported("sendto()")

    def recvmsg(self, *_args: Any) -> NoReturn:
        raise unsupported("recvmsg()")

    def recvmsg_into(self, *_args: Any) -> NoReturn:
        raise unsupported("recvmsg_into()")

    def recvfrom_into(self, *_args: Any, **_options: Any) -> NoReturn:
        raise unsupported("recvfrom_into()")

    def sendmsg_afalg(self, *_args: Any, **_options: Any) -> NoReturn:
        raise unsupported("sendmsg_afalg()")
