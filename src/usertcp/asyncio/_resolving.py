"""Addresses for create_connection and create_server: asyncio's rules, numeric hosts without DNS."""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from socket import AF_INET, AF_UNSPEC, SOCK_STREAM, AddressFamily
from typing import TYPE_CHECKING, Any, TypeAlias

from usertcp._address import family_of, is_loopback, pack_text
from usertcp._errors import Code, os_error

if TYPE_CHECKING:
    from usertcp.stacks import Stack

Target: TypeAlias = tuple[AddressFamily, bytes, int]
"""Family, the engine's address, port."""


async def resolve(
    loop: asyncio.AbstractEventLoop,
    address: Sequence[Any],
    *,
    family: int = AF_UNSPEC,
    proto: int = 0,
    flags: int = 0,
) -> list[Target]:
    """In the resolver's order, each once. `OSError` when there is none."""
    host, port = address[:2]
    if isinstance(host, bytes | bytearray):
        host = bytes(host).decode("idna")
    if isinstance(host, str) and host and isinstance(port, int | None):
        packed = pack_text(host)
        if packed is not None and family in (AF_UNSPEC, family_of(packed)):
            if not 0 <= (port or 0) <= 65535:
                raise OverflowError("port must be 0-65535.")
            return [(family_of(packed), packed, port or 0)]
    found = await loop.getaddrinfo(
        host, port, family=family, type=SOCK_STREAM, proto=proto, flags=flags
    )
    result = [
        (AddressFamily(entry[0]), packed, int(entry[4][1]))
        for entry in found
        if (packed := pack_text(str(entry[4][0]))) is not None
    ]
    if not result:
        raise OSError(f"getaddrinfo({host!r}) returned empty list")
    return list(dict.fromkeys(result))


def usable(stack: "Stack", targets: Iterable[Target], host: object) -> list[Target]:
    """Those of a family that the stack has an address of; ENETUNREACH when there is none."""
    targets = list(targets)
    result = [target for target in targets if target[0] in stack.families]
    if result:
        return result
    have = ", ".join(family.name for family in sorted(stack.families))
    families = ", ".join(sorted({target[0].name for target in targets}))
    raise os_error(Code.NO_ROUTE, f"{host} has {families} addresses, the stack {have}")


def interleaved(targets: list[Target], first: int) -> list[Target]:
    """RFC 8305 4: families take turns, after `first` of the first one."""
    groups: OrderedDict[AddressFamily, list[Target]] = OrderedDict()
    for target in targets:
        groups.setdefault(target[0], []).append(target)
    lists = list(groups.values())
    result: list[Target] = []
    if first > 1:
        result.extend(lists[0][: first - 1])
        del lists[0][: first - 1]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*lists))
    result.extend(target for target in turns if target is not None)
    return result


def all_loopback(targets: Iterable[Target]) -> bool:
    return all(is_loopback(packed) for _, packed, _ in targets)


def v4_first(targets: Iterable[Target]) -> list[Target]:
    """A fixed order for listeners."""
    return sorted(targets, key=lambda target: target[0] != AF_INET)
