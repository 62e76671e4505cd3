"""Ports that a raw link takes from the kernel, by an nftables rule that keeps the kernel's RSTs in.

The kernel knows nothing of a raw link's connections and would answer each of their segments with
RST. Each claim is one table of the family inet with one chain at the output hook: what comes from a
process's socket may pass (so our own RSTs do), what else would leave the claimed ports with RST set
is dropped. The table's name says whose it is, `usertcp-PID-START-PIDNS-FIRST-LAST`; tables of
processes that are gone (same PID namespace, other or no process of that number) are removed when
the next claim is made.
"""

import errno
import os
import re
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from usertcp.netns import in_thread

DEFAULT = (61000, 61999)
WIDTH = 1000
_INET = 1  # NFPROTO_INET
_ACCEPT, _DROP = 1, 0
_TCP, _RST = 6, 0x04
_SKUID, _L4PROTO = 10, 16  # enum nft_meta_keys
_TRANSPORT = 2  # NFT_PAYLOAD_TRANSPORT_HEADER
_NEQ = 1
_OWNER = re.compile(r"usertcp-(\d+)-(\d+)-(\d+)-(\d+)-(\d+)")


class Owner(NamedTuple):
    """What a table's name says."""

    pid: int
    start: int
    pid_namespace: int
    first: int
    last: int

    @property
    def table(self) -> str:
        return "usertcp-" + "-".join(map(str, self))

    def is_alive(self) -> bool:
        """True also when it cannot be known, because it lives in another PID namespace."""
        return self.pid_namespace != _pid_namespace() or self.start == _start_of(self.pid)


class PortClaim:
    """A range of local ports that the kernel leaves alone until release()."""

    def __init__(self, owner: Owner) -> None:
        self.ports: tuple[int, int] = (owner.first, owner.last)
        self.table: str = owner.table
        self._finalizer = weakref.finalize(self, _remove_if_ours, owner)

    def release(self) -> None:
        self._finalizer()


def claim_ports(wanted: tuple[int, int] | None) -> PortClaim:
    """`wanted`, or some WIDTH ports that nobody uses.

    `ValueError` when the kernel may use some of `wanted` for itself, `OSError` (EADDRINUSE) when
    somebody does, `PermissionError` when nftables may not be changed.
    """
    taken = _remove_stale()
    if wanted is None:
        ports = _choose(taken)
    else:
        ports = wanted
        _check(ports, taken)
    owner = Owner(os.getpid(), _start_of(os.getpid()) or 0, _pid_namespace(), *ports)
    _nftables(lambda nft: _add_table(nft, owner))
    return PortClaim(owner)


# -- which ports -----------------------------------------------------------------------------------


def ephemeral_range() -> tuple[int, int]:
    """The ports from which the kernel picks for connect()."""
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(first), int(last)


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _kernel_ports() -> set[int]:
    """Local ports of the kernel's own TCP sockets."""
    found = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        found |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
    return found


def _choose(taken: Iterable[Owner]) -> tuple[int, int]:
    ours, kernel = ephemeral_range(), _kernel_ports()
    busy = [(owner.first, owner.last) for owner in taken] + [ours]
    starts = [*range(DEFAULT[0], 65536 - WIDTH, WIDTH), *range(DEFAULT[0] - WIDTH, 10000, -WIDTH)]
    for first in starts:
        ports = (first, first + WIDTH - 1)
        if not any(_overlap(ports, other) for other in busy) and kernel.isdisjoint(
            range(ports[0], ports[1] + 1)
        ):
            return ports
    raise OSError(
        errno.EADDRINUSE, f"raw: no {WIDTH} ports in a row are free; name a range: ports="
    )


def _check(ports: tuple[int, int], taken: Iterable[Owner]) -> None:
    first, last = ports
    ephemeral = ephemeral_range()
    if _overlap(ports, ephemeral):
        raise ValueError(
            f"raw: ports={first}-{last} overlaps {ephemeral[0]}-{ephemeral[1]}, from which the "
            "kernel serves other programs: choose ports outside, or move them with "
            "`sysctl net.ipv4.ip_local_port_range='32768 60999'`"
        )
    for owner in taken:
        if _overlap(ports, (owner.first, owner.last)):
            text = f"raw: process {owner.pid} has claimed ports {owner.first}-{owner.last}"
            raise OSError(errno.EADDRINUSE, text)
    used = sorted(port for port in _kernel_ports() if first <= port <= last)
    if used:
        text = f"raw: a kernel socket uses port {used[0]}: `ss -tlnp sport = {used[0]}` tells whose"
        raise OSError(errno.EADDRINUSE, text)


# -- who owns a table ------------------------------------------------------------------------------


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino


def _start_of(pid: int) -> int | None:
    """When a process began, in ticks since boot: with its number, a name that is never reused."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _remove_stale() -> list[Owner]:
    """Removes the tables of the dead; returns the others' owners."""

    def sweep(nft: Any) -> list[Owner]:
        alive = []
        for message in nft.get_tables():
            name = message.get_attr("NFTA_TABLE_NAME")
            if (match := _OWNER.fullmatch(name)) is None:
                continue
            owner = Owner(*map(int, match.groups()))
            if owner.is_alive():
                alive.append(owner)
            else:
                nft.table("del", name=name)
        return alive

    alive: list[Owner] = _nftables(sweep)
    return alive


# -- nftables --------------------------------------------------------------------------------------


def _nftables(work: Callable[[Any], Any]) -> Any:
    """Runs `work` with pyroute2's NFTables, in a thread: it cannot share one with an event loop."""

    def speak() -> Any:
        from pyroute2.nftables.main import NFTables

        with NFTables(nfgen_family=_INET) as nft:
            return work(nft)

    try:
        return in_thread(speak)
    except Exception as error:
        code = getattr(error, "code", None) or getattr(error, "errno", None)
        if code in (errno.EPERM, errno.EACCES):
            raise PermissionError(
                errno.EPERM,
                "raw: needs CAP_NET_ADMIN for its nftables rule: run as root, "
                "or inside `unshare -Urn`",
            ) from None
        if code in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL):
            raise OSError(
                errno.EOPNOTSUPP, "raw: this kernel has no nftables: `modprobe nf_tables`"
            ) from error
        raise


def _expression(kind: str, **fields: Any) -> dict[str, Any]:
    data = [(f"NFTA_{kind.upper()}_{key.upper()}", value) for key, value in fields.items()]
    return {"attrs": [("NFTA_EXPR_NAME", kind), ("NFTA_EXPR_DATA", {"attrs": data})]}


def _data(value: bytes) -> dict[str, Any]:
    return {"attrs": [("NFTA_DATA_VALUE", value)]}


def _verdict(code: int) -> dict[str, Any]:
    verdict = {"attrs": [("NFTA_VERDICT_CODE", code)]}
    return _expression("immediate", dreg=0, data={"attrs": [("NFTA_DATA_VERDICT", verdict)]})


def _from_a_process() -> list[dict[str, Any]]:
    """Matches what a socket with an owner sends; the kernel's own answers have none."""
    return [_expression("meta", dreg=1, key=_SKUID)]


def _reset_from(first: int, last: int) -> list[dict[str, Any]]:
    return [
        _expression("meta", dreg=1, key=_L4PROTO),
        _expression("cmp", sreg=1, op=0, data=_data(bytes([_TCP]))),
        _expression("payload", dreg=1, base=_TRANSPORT, offset=0, len=2),
        _expression(
            "range",
            sreg=1,
            op=0,
            from_data=_data(first.to_bytes(2, "big")),
            to_data=_data(last.to_bytes(2, "big")),
        ),
        _expression("payload", dreg=1, base=_TRANSPORT, offset=13, len=1),
        _expression("bitwise", sreg=1, dreg=1, len=1, mask=_data(bytes([_RST])), xor=_data(b"\0")),
        _expression("cmp", sreg=1, op=_NEQ, data=_data(b"\0")),
    ]


def _add_table(nft: Any, owner: Owner) -> None:
    table = owner.table
    nft.table("add", name=table)
    try:
        nft.chain("add", table=table, name="output", hook="output", type="filter", policy=_ACCEPT)
        rules = (
            [*_from_a_process(), _verdict(_ACCEPT)],
            [*_reset_from(owner.first, owner.last), _verdict(_DROP)],
        )
        for rule in rules:
            nft.rule("add", table=table, chain="output", expressions=(rule,))
    except BaseException:
        nft.table("del", name=table)
        raise


def _remove_if_ours(owner: Owner) -> None:
    if owner.pid == os.getpid():  # not in a child that was forked meanwhile
        _nftables(lambda nft: nft.table("del", name=owner.table))
