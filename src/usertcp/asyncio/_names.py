"""Socket addresses as the kernel gives them, and what they mean on a stack."""

import errno
import socket
from socket import AF_INET, AddressFamily
from typing import TYPE_CHECKING, Any, TypeAlias

from usertcp._address import (
    ANY,
    ANY_V4,
    SockAddr,
    family_of,
    is_loopback,
    pack,
    pack_text,
    text_of,
)
from usertcp._errors import Code, exception

if TYPE_CHECKING:
    from usertcp.stacks import Stack

Name: TypeAlias = tuple[Any, ...]
"""(host, port), and for IPv6 (host, port, flowinfo, scope)."""


def name_of(family: AddressFamily, host: str, port: int) -> Name:
    return (host, port) if family == AF_INET else (host, port, 0, 0)


def endpoint_name(family: AddressFamily, endpoint: SockAddr) -> Name:
    return name_of(family, *endpoint)


def pack_name(family: AddressFamily, address: object, *, passive: bool) -> tuple[bytes, int]:
    """What a program gave to bind() or connect(), as the engine takes it. May resolve a name."""
    if not isinstance(address, tuple) or len(address) < 2:
        raise TypeError(f"an address like ('10.7.0.2', 80) is needed, not {address!r}")
    host, port = address[:2]
    if not isinstance(port, int):
        raise TypeError(f"a port is an int, not {port!r}")
    if not 0 <= port <= 65535:
        raise OverflowError("port must be 0-65535.")
    if isinstance(host, bytes | bytearray):
        host = bytes(host).decode("ascii")
    if host == "":
        return (ANY_V4 if family == AF_INET else ANY), port
    packed = pack_text(host)
    if packed is None:
        flags = socket.AI_PASSIVE if passive else 0
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, flags)
        packed = pack_text(str(found[0][4][0])) or ANY
    if family == AF_INET and family_of(packed) != AF_INET:
        raise OSError(errno.EAFNOSUPPORT, f"{host}: not an address of an AF_INET socket")
    return packed, port


def own_address(stack: "Stack", family: AddressFamily) -> bytes | None:
    """The stack's first address of a family."""
    return next((p for a in stack.addresses if family_of(p := pack(a.ip)) == family), None)


def listen_addresses(stack: "Stack", packed: bytes, *, only_v6: bool) -> list[bytes]:
    """The engine's addresses for a bound socket. `OSError` for what is not the stack's.

    A loopback address stands for the stack's first address of its family: no packet for it would
    ever come over a link. `::` of an IPv6-only socket is one address per IPv6 address, since the
    engine's own takes in IPv4.
    """
    family = family_of(packed)
    own = [p for a in stack.addresses if family_of(p := pack(a.ip)) == family]
    if packed == ANY and not only_v6:
        return [ANY]
    if is_loopback(packed):
        result = own[:1]
    elif packed == ANY_V4:
        result = [ANY_V4] if own else []
    elif packed == ANY:
        result = own
    else:
        result = [packed] if packed in own else []
    if not result:
        have = ", ".join(str(interface.ip) for interface in stack.addresses)
        raise exception(
            -Code.ADDRESS_NOT_AVAILABLE, f"listen on {text_of(packed)} (the stack has {have})"
        )
    return result
