"""Names to addresses for `connect_tcp`: no DNS for numeric hosts; RFC 8305's order."""

from collections.abc import Collection, Iterable
from socket import AF_INET, AF_INET6, AF_UNSPEC, SOCK_STREAM, AddressFamily

import anyio

from usertcp._address import family_of, pack_text
from usertcp._errors import Code, os_error

Target = tuple[AddressFamily, bytes]


def order(found: Iterable[Target]) -> list[Target]:
    """As AnyIO: the first IPv6 address goes first, the first IPv4 address second."""
    targets: list[Target] = []
    v6_found = v4_found = False
    for target in found:
        family = target[0]
        if family == AF_INET6 and not v6_found:
            v6_found = True
            targets.insert(0, target)
        elif family == AF_INET and not v4_found and v6_found:
            v4_found = True
            targets.insert(1, target)
        else:
            targets.append(target)
    return targets


async def targets_of(
    host: str, port: int, family: AddressFamily, own: Collection[AddressFamily]
) -> list[Target]:
    """Addresses to try, in order; `family` restricts a name, `own` are the stack's families.

    `OSError` when the name does not resolve (`socket.gaierror`) or only to families that the stack
    has no address of (ENETUNREACH).
    """
    numeric = pack_text(host)
    if numeric is not None:
        return [(family_of(numeric), numeric)]
    found = await anyio.getaddrinfo(host, port, family=family, type=SOCK_STREAM)
    packed = [p for entry in found if (p := pack_text(entry[4][0])) is not None]
    usable = [(family_of(p), p) for p in dict.fromkeys(packed) if family_of(p) in own]
    if not usable:
        families = {entry[0].name for entry in found}
        have = ", ".join(f.name for f in sorted(own))
        about = f"{host} has {', '.join(sorted(families))} addresses, the stack {have}"
        raise os_error(Code.NO_ROUTE, about)
    return order(usable)


async def local_address(
    host: str | None, port: int | None, own: Collection[AddressFamily]
) -> tuple[AddressFamily, tuple[bytes | None, int]]:
    """(family, (address, port)) to connect from; (AF_UNSPEC, (None, 0)) without a host."""
    if not host:
        return AF_UNSPEC, (None, 0)
    numeric = pack_text(host)
    if numeric is None:
        found = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
        packed = [p for entry in found if (p := pack_text(entry[4][0])) is not None]
        numeric = next((p for p in packed if family_of(p) in own), packed[0])
    return family_of(numeric), (numeric, port or 0)
