"""Which addresses and ports sockets have bound: the engine only knows listeners and connections.

A bound socket that does not listen yet holds a `Claim`. Whether the engine has a listener on the
same address, or the address at all, is found by listening for a moment: nothing is received
meanwhile.
"""

import errno
from collections.abc import Iterable
from socket import AF_INET, AF_INET6
from weakref import WeakKeyDictionary, WeakSet

from usertcp._address import ANY, ANY_V4, family_of, pack
from usertcp._sockopts import FASTOPEN, Options, refuse
from usertcp._stack import Endpoint
from usertcp.stacks import Stack
from usertcp.streams import StreamOption
from usertcp.trio._names import system_error

PORT_TRIES = 50


class Claim:
    """A bound name; given back when its socket is closed or forgotten."""

    __slots__ = ("__weakref__", "addresses", "is_listening", "packed", "port", "reuse", "share")

    def __init__(self, packed: bytes, addresses: list[bytes], *, reuse: bool) -> None:
        self.packed = packed
        self.addresses = addresses
        """What the engine must listen on for it."""
        self.port = 0
        self.reuse = reuse
        self.share = False
        """The port with others that do (SO_REUSEPORT)."""
        self.is_listening = False

    def conflicts(self, other: "Claim", port: int) -> bool:
        if other is self or other.port != port:
            return False
        if self.share and other.share:
            return False
        if self.reuse and other.reuse and not other.is_listening:
            return False
        return any(_overlap(a, b) for a in self.addresses for b in other.addresses)


def _overlap(a: bytes, b: bytes) -> bool:
    if a == b or ANY in (a, b):
        return True
    return family_of(a) == family_of(b) == AF_INET and ANY_V4 in (a, b)


_claims: WeakKeyDictionary[Stack, WeakSet[Claim]] = WeakKeyDictionary()


def bind(stack: Stack, packed: bytes, port: int, *, v6only: bool, reuse: bool) -> Claim:
    """Claims the name. `port` 0 takes a free one. `OSError`: EADDRINUSE, EADDRNOTAVAIL."""
    claim = bind_address(stack, packed, v6only=v6only, reuse=reuse)
    choose_port(stack, claim, port)
    return claim


def bind_address(stack: Stack, packed: bytes, *, v6only: bool, reuse: bool) -> Claim:
    """Without a port: `choose_port` or `connect` finds one. `OSError`: EADDRNOTAVAIL."""
    if packed == ANY and v6only:
        addresses = [a for a in _own(stack) if family_of(a) == AF_INET6]
    elif packed in (ANY, ANY_V4):
        addresses = [packed]
    else:
        if stack.engine.address_state(packed) < 0:
            raise refuse(errno.EADDRNOTAVAIL)
        addresses = [packed]
    if not addresses:
        raise refuse(errno.EADDRNOTAVAIL)
    return Claim(packed, addresses, reuse=reuse)


def choose_port(stack: Stack, claim: Claim, port: int) -> None:
    """Gives the claim this port, or a free one for 0. `OSError`: EADDRINUSE."""
    claims = _claims.setdefault(stack, WeakSet())
    for _ in range(PORT_TRIES if port == 0 else 1):
        wanted = port or _free_port(stack, claim.addresses[0])
        if any(claim.conflicts(other, wanted) for other in claims):
            continue
        code = _try(stack, claim, wanted)
        if code < 0 and port != 0:
            raise system_error(code)
        if code >= 0:
            claim.port = wanted
            claims.add(claim)
            return
    raise refuse(errno.EADDRINUSE)


def listens(stack: Stack, claim: Claim) -> None:
    """Before the engine listens on a claim. `OSError`: EADDRINUSE, another socket listens there."""
    for other in _claims.get(stack, ()):
        if other.is_listening and claim.conflicts(other, claim.port):
            raise refuse(errno.EADDRINUSE)
    claim.is_listening = True


def release(stack: Stack, claim: Claim) -> None:
    _claims.get(stack, WeakSet()).discard(claim)


def _own(stack: Stack) -> list[bytes]:
    return [pack(interface.ip) for interface in stack.addresses]


def _free_port(stack: Stack, packed: bytes) -> int:
    engine, now = stack.engine, stack.driver.now()
    code, handle = engine.listen(packed, 0, 1, now)
    if code < 0:
        raise system_error(code)
    _, port = engine.local_endpoint(handle)
    engine.close(handle, now)
    return port


def _try(stack: Stack, claim: Claim, port: int) -> int:
    engine, now = stack.engine, stack.driver.now()
    for packed in claim.addresses:
        code, handle = engine.listen(packed, port, 1, now, share=claim.share)
        if code < 0:
            return code
        engine.close(handle, now)
    return 0


def serve_fast_open(stack: Stack, ends: Iterable[Endpoint], options: Options) -> None:
    """TCP_FASTOPEN of a listener: to the engine's."""
    limit, now = options.remembered.get(FASTOPEN, 0), stack.driver.now()
    for end in ends:
        stack.engine.set_option(end.handle, StreamOption.FAST_OPEN, limit, now)
