"""Private network namespaces, veth pairs and addresses, without root and without the `ip` program.

    enter_private_namespace()                 # this process, for good; single-threaded
    veth_pair("v0", "v1")                     # v0 for the kernel, v1 for a stack
    addr_add("v0", "10.7.0.1/24"); link_up("v0")
    quiet("v1"); link_up("v1")
    with second_namespace() as other:         # another network beside it, held by a descriptor
        other.take("v1")
        other.popen([sys.executable, "peer.py"])

Nothing here has a name in the file system: a namespace ends with the last process or descriptor in
it, and its devices with it. Functions act on the namespace of the calling thread, and may be called
inside a running event loop: netlink is spoken in a thread of its own.
"""

import array
import ctypes
import errno
import fcntl
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_interface
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

__all__ = [
    "Namespace",
    "addr_add",
    "device_exists",
    "device_mac",
    "enter_private_namespace",
    "link_delete",
    "link_down",
    "link_up",
    "offloads",
    "private_network",
    "quiet",
    "route_add",
    "second_namespace",
    "veth_pair",
]

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCGIFHWADDR, _SIOCETHTOOL = 0x8913, 0x8914, 0x8927, 0x8946
_IFF_UP, _IFF_RUNNING, _IFF_NOARP = 0x1, 0x40, 0x80
_IFA_F_NODAD, _IFA_F_TENTATIVE = 0x02, 0x40
_ADDR_GEN_NONE = 1
_ETHTOOL = {"rx_csum": 0x15, "tx_csum": 0x17, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}
_libc = ctypes.CDLL(None, use_errno=True)


# -- namespaces ------------------------------------------------------------------------------------


def enter_private_namespace() -> None:
    """Leave the machine's network for an empty one with a loopback device that is up.

    Without privilege a user namespace is made as well, in which this process is root over that
    network only. There is no way back, so call it in a process made for the purpose, before it
    starts threads.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError(
            "a process with several threads cannot change its namespace: call "
            "enter_private_namespace() first thing, in a process of its own"
        )
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _unshare(_CLONE_NEWNET) == 0:
        link_up("lo")
        return
    code = _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    if code:
        raise _why_refused(code)
    Path("/proc/self/setgroups").write_text("deny")  # the price of mapping a group unprivileged
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    link_up("lo")


def _unshare(flags: int) -> int:
    return 0 if _libc.unshare(flags) == 0 else ctypes.get_errno()


def _why_refused(code: int) -> OSError:
    knobs = (
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "sysctl kernel.unprivileged_userns_clone=1",
        ),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    )
    for path, bad, command in knobs:
        with suppress(OSError):
            if Path(path).read_text().strip() == bad:
                hint = f"this machine forbids it: as root, `{command}`"
                break
    else:
        hint = "run as root, or in a container started with --privileged or --cap-add SYS_ADMIN"
    return PermissionError(
        code, f"cannot make a private network namespace ({os.strerror(code)}); {hint}"
    )


class Namespace:
    """A network namespace held open by a descriptor; it ends with close() and its last process."""

    def __init__(self, fd: int) -> None:
        self.fd: int = fd

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` inside, in a thread of its own. Sockets it makes stay in there."""

        def inside() -> T:
            _setns(self.fd)
            return function(*args, **kwargs)

        return in_thread(inside)

    def popen(self, command: Sequence[str], **kwargs: Any) -> "subprocess.Popen[Any]":
        return self.run(lambda: subprocess.Popen(command, **kwargs))

    def take(self, ifname: str) -> None:
        """Move a device of the caller's namespace in here: down, without addresses."""
        _netlink("link", "set", index=_index(ifname), net_ns_fd=self.fd)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def second_namespace() -> Namespace:
    """A new network beside the calling thread's, its loopback up. Needs the same privilege."""

    def make() -> int:
        code = _unshare(_CLONE_NEWNET)
        if code:
            raise _why_refused(code)
        link_up("lo")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    return Namespace(in_thread(make))


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot enter the network namespace: {os.strerror(code)}")


def in_thread(function: Callable[[], T]) -> T:
    """The result of `function`, run in a new thread, which starts in the caller's namespace."""
    result: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            result.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body, name="usertcp-netns")
    try:
        thread.start()
        thread.join()
    except RuntimeError:
        body()  # the interpreter ends: it starts no threads, and no event loop is in the way
    if failure:
        raise failure[0]
    return result[0]


# -- devices and addresses -------------------------------------------------------------------------


def _netlink(what: str, *args: Any, **kwargs: Any) -> None:
    """`_netlink("link", "set", ...)`, in a thread: pyroute2 cannot share one with an event loop."""
    from pyroute2 import IPRoute

    def speak() -> None:
        with IPRoute() as ip:
            answer = getattr(ip, what)(*args, **kwargs)
            list(answer or ())  # a refusal is only told to who reads the answer

    in_thread(speak)


def _index(ifname: str) -> int:
    try:
        return socket.if_nametoindex(ifname)
    except OSError:
        raise OSError(errno.ENODEV, f"there is no network device {ifname!r} here") from None


def _ioctl(request: int, ifname: str, data: bytes = b"") -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, request, struct.pack("16s24s", ifname.encode(), data))


def _flags(ifname: str, *, on: int = 0, off: int = 0) -> None:
    _index(ifname)
    (flags,) = struct.unpack_from("H", _ioctl(_SIOCGIFFLAGS, ifname), 16)
    _ioctl(_SIOCSIFFLAGS, ifname, struct.pack("H", (flags | on) & ~off & 0xFFFF))


def device_exists(ifname: str) -> bool:
    with suppress(OSError):
        return socket.if_nametoindex(ifname) > 0
    return False


def device_mac(ifname: str) -> str:
    return _ioctl(_SIOCGIFHWADDR, ifname)[18:24].hex(":")


def veth_pair(a: str, b: str, mtu: int = 1500) -> None:
    """Two devices joined by a cable; both still down."""
    _netlink("link", "add", ifname=a, kind="veth", peer={"ifname": b, "mtu": mtu}, mtu=mtu)


def link_up(ifname: str) -> None:
    """Returns when the device's IPv6 addresses answer, which the kernel sees to a moment later."""
    _flags(ifname, on=_IFF_UP)
    _settle(ifname)


def _settle(ifname: str) -> None:
    (flags,) = struct.unpack_from("H", _ioctl(_SIOCGIFFLAGS, ifname), 16)
    end = time.monotonic() + 1
    while flags & _IFF_RUNNING and time.monotonic() < end and not _is_settled(ifname):
        time.sleep(0.001)


def _is_settled(ifname: str) -> bool:
    """Whether each address that is past duplicate detection has its route to this machine."""
    try:
        addresses = Path("/proc/thread-self/net/if_inet6").read_text().splitlines()
        routes = Path("/proc/thread-self/net/ipv6_route").read_text()
    except OSError:  # no IPv6 here
        return True
    rows = [line.split() for line in addresses]
    return all(
        f"{address} 80 " in routes
        for address, _, _, _, flags, name in rows
        if name == ifname and not int(flags, 16) & _IFA_F_TENTATIVE
    )


def link_down(ifname: str) -> None:
    _flags(ifname, off=_IFF_UP)


def link_delete(ifname: str) -> None:
    _netlink("link", "del", index=_index(ifname))


def addr_add(ifname: str, interface: str) -> None:
    """`interface` as in "10.7.0.1/24" or "fd07::1/64"; usable at once (no duplicate detection)."""
    address = ip_interface(interface)
    flags = {"flags": _IFA_F_NODAD} if address.version == 6 else {}
    _netlink(
        "addr",
        "add",
        index=_index(ifname),
        address=str(address.ip),
        prefixlen=address.network.prefixlen,
        **flags,
    )
    _settle(ifname)


def route_add(network: str, *, via: str | None = None, device: str | None = None) -> None:
    """`network` as in "10.8.0.0/24", or "default"."""
    way: dict[str, Any] = {"dst": network}
    if via is not None:
        way["gateway"] = via
    if device is not None:
        way["oif"] = _index(device)
    _netlink("route", "add", **way)


def quiet(ifname: str) -> None:
    """Keep the kernel silent on a device that a stack will own: no IPv6, no ARP. Before link_up."""
    index = _index(ifname)
    try:
        Path(f"/proc/sys/net/ipv6/conf/{ifname}/disable_ipv6").write_text("1")
    except OSError:  # /proc/sys is read-only in many containers: at least no address of its own
        spec = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_NONE)]})]}
        with suppress(Exception):
            _netlink("link", "set", index=index, IFLA_AF_SPEC=spec)
    _flags(ifname, on=_IFF_NOARP)


def offloads(ifname: str, **wanted: bool) -> None:
    """Switch tso, gso, gro, tx_csum, rx_csum of a device; what is not named stays as it is."""
    for name, value in wanted.items():
        command = _ETHTOOL.get(name)
        if command is None:
            raise ValueError(f"offload {name!r}: expected one of {', '.join(_ETHTOOL)}")
        buffer = array.array("I", [command, int(value)])
        try:
            _ioctl(_SIOCETHTOOL, ifname, struct.pack("P", buffer.buffer_info()[0]))
        except OSError as error:
            raise OSError(
                error.errno, f"{ifname}: cannot switch {name}: {error.strerror}"
            ) from None


@contextmanager
def private_network(
    kernel: str = "v0",
    ours: str = "v1",
    *,
    addresses: Sequence[str] = ("10.7.0.1/24", "fd07::1/64"),
    mtu: int = 1500,
) -> Iterator[None]:
    """A veth pair in the current (private) namespace: `addresses` for the kernel on one end, the
    other end silent, for a stack. Gone at the end of the block.
    """
    veth_pair(kernel, ours, mtu)
    try:
        quiet(ours)
        for address in addresses:
            addr_add(kernel, address)
        link_up(ours)
        link_up(kernel)
        yield
    finally:
        with suppress(OSError):
            link_delete(kernel)
