"""Socket addresses: what a program writes, the engine's 16 bytes, what getsockname answers."""

import errno
import os
import socket
from socket import AF_INET, AF_INET6
from typing import Any, TypeAlias

import trio

from usertcp._address import ANY, ANY_V4, family_of, pack_text
from usertcp._errors import ERRORS, code_of
from usertcp._sockopts import refuse

SockName: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
Endpoint: TypeAlias = tuple[bytes, int]

_SHAPES = {
    AF_INET: ((2,), "address should be a (host, port) tuple"),
    AF_INET6: ((2, 3, 4), "address should be a (host, port, [flowinfo, [scopeid]]) tuple"),
}


def wildcard(family: int) -> bytes:
    return ANY_V4 if family == AF_INET else ANY


def present(family: int, host: str, port: int) -> SockName:
    """The tuple a socket of `family` shows for an address as the engine's users see it."""
    if family == AF_INET:
        return host, port
    return host if ":" in host else f"::ffff:{host}", port, 0, 0


def numeric(family: int, address: Any) -> Endpoint:
    """The engine's form of a resolved address. `OSError` when it is of another family."""
    host, port = address[0], address[1]
    packed = pack_text(host)
    if packed is None or (family == AF_INET and family_of(packed) != AF_INET):
        raise socket.gaierror(socket.EAI_ADDRFAMILY, "Address family for hostname not supported")
    if family == AF_INET6 and ":" not in host:
        raise refuse(errno.EAFNOSUPPORT)
    if not 0 <= port <= 65535:
        raise OverflowError("port must be 0-65535.")
    return packed, port


def check_shape(family: int, address: Any) -> None:
    lengths, message = _SHAPES[socket.AddressFamily(family)]
    if not isinstance(address, tuple) or len(address) not in lengths:
        raise ValueError(message)


async def resolve(family: int, address: Any, *, v6only: bool, local: bool) -> tuple[Any, ...]:
    """`address` with its names looked up, as trio's sockets do it; no checkpoint when numeric.

    `ValueError` for what has not the shape of an address, `socket.gaierror` for unknown names.
    """
    check_shape(family, address)
    host, port = address[0], address[1]
    if isinstance(port, int) and isinstance(host, str) and _is_numeric(family, host):
        return tuple(address)
    if host == "<broadcast>":
        host = "255.255.255.255"
    flags = socket.AI_PASSIVE if local else 0
    if family == AF_INET6 and not v6only:
        flags |= socket.AI_V4MAPPED
    found = await trio.socket.getaddrinfo(
        host or None, port, family, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags
    )
    name = found[0][4]
    if family == AF_INET:
        return name
    return (*name[:2], *(address[2:] or name[2:3]), *(address[3:] or name[3:4]))


def _is_numeric(family: int, host: str) -> bool:
    try:
        socket.inet_pton(family, host)
    except OSError:
        return False
    return True


def errno_of(code: int) -> int:
    known = code_of(code)
    return (ERRORS[known].errno if known is not None else 0) or errno.EIO


def system_error(code: int) -> OSError:
    """What a socket raises for a code of the engine, in the system's words."""
    return refuse(errno_of(code))


def connect_error(code: int, address: Any) -> OSError:
    """In the words of trio's own sockets."""
    return OSError(code, f"Error connecting to {address!r}: {os.strerror(code)}")
