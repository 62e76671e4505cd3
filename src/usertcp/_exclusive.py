"""One stack per address of a device: a second one would answer the first one's peers with RST.

The claim is a UNIX socket with an abstract name (unix(7)). Such names belong to a network
namespace, as devices do, and are gone with their process, however it ends.
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


def claim_addresses(device: str, addresses: Iterable[IPv4Address | IPv6Address]) -> ExitStack:
    """Claims until the returned stack is closed. `OSError` (EADDRINUSE) names who was first."""
    claims = ExitStack()
    if sys.platform != "linux":
        return claims
    try:
        index = socket.if_nametoindex(device)
        for address in addresses:
            name = f"\0usertcp/{index}/{address}"
            claim = claims.enter_context(socket.socket(socket.AF_UNIX))
            try:
                claim.bind(name)
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise
                raise OSError(
                    errno.EADDRINUSE,
                    f"packet:{device}: {_holder(name)} has a stack with {address} already; "
                    "two would reset each other's connections",
                ) from None
            claim.listen(8)
    except BaseException:
        claims.close()
        raise
    return claims


def _holder(name: str) -> str:
    """The process that listens there, as far as it can be told."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(name)
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        except OSError:  # just gone, or asked by too many
            return "another process"
    pid: int = _CREDENTIALS.unpack(credentials)[0]
    if pid == os.getpid():
        return "this process"
    return f"process {pid}" if pid else "a process of another container"
