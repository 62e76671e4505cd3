"""What `usertcp doctor` looks at: each check tries the thing itself, and knows what mends it."""

import array
import errno
import fcntl
import importlib.metadata
import importlib.util
import os
import platform
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

OK, MISSING, NOTE = "ok", "missing", "note"
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
RMEM_WANTED = 8 << 20
"""Bytes of receive queue that packet: and raw: links ask for."""
_PYTHON = shlex.quote(os.path.realpath(sys.executable))
"""The interpreter that a capability would be given to: this one."""
_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_TUNSETIFF, _TUNGETFEATURES = 0x400454CA, 0x800454CF
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x1, 0x1000, 0x4000
_SIOCETHTOOL = 0x8946
_OFFLOADS = {"rx": 0x14, "tx": 0x16, "tso": 0x1E, "gso": 0x23, "gro": 0x2B}
_ETHERNET = "1"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `fix`: the command that mends it, or ""."""

    name: str
    status: str
    detail: str
    fix: str = ""


def capabilities() -> int:
    """The effective ones of this process, as a bit mask."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def has(capability: int) -> bool:
    return bool(capabilities() >> capability & 1)


# -- this Python -----------------------------------------------------------------------------------


def python() -> Iterator[Check]:
    free = " free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    text = f"{platform.python_implementation()} {platform.python_version()}{free}"
    yield Check("python", OK, f"{text} on Linux {platform.release()} {platform.machine()}")
    try:
        from usertcp._binding import checksum_name

        yield Check("engine", OK, f"compiled; checksums by {checksum_name()}")
    except ImportError as error:
        yield Check("engine", MISSING, str(error), "pip install --force-reinstall usertcp")
    for name, why in (("uvloop", "a faster asyncio"), ("trio", "the other event loop")):
        if importlib.util.find_spec(name) is None:
            yield Check(f"loop {name}", NOTE, f"not installed: {why}", f"pip install {name}")
        else:
            yield Check(f"loop {name}", OK, importlib.metadata.version(name))
    yield Check("loop asyncio", OK, "part of Python")


# -- privileges ------------------------------------------------------------------------------------


def privileges() -> Iterator[Check]:
    uid = os.geteuid()
    yield Check("user", OK, f"uid {uid}" + (" (root)" if uid == 0 else ""))
    for name, number, use in (
        ("CAP_NET_RAW", CAP_NET_RAW, "packet: and raw: links"),
        ("CAP_NET_ADMIN", CAP_NET_ADMIN, "making TUN devices and veth pairs, nftables"),
    ):
        if has(number):
            yield Check(name, OK, f"held: {use}")
        else:
            fix = f"sudo setcap cap_net_raw,cap_net_admin+ep {_PYTHON}"
            yield Check(name, MISSING, f"not held: {use} need it", fix)


def namespaces() -> Iterator[Check]:
    """Asks a child to enter one and to make a cable in it: `demo` and tests need no more."""
    code = (
        "from usertcp import netns\nnetns.enter_private_namespace()\nnetns.veth_pair('v0', 'v1')\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Check("private network namespace", MISSING, str(error))
        return
    if done.returncode == 0:
        detail = "can be had, with veth pairs in it: demo and tests need no privilege"
        yield Check("private network namespace", OK, detail)
        return
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    text = last.partition(": ")[2] or last
    _, _, fix = text.partition("`")
    command = fix.partition("`")[0] or "sudo sysctl user.max_user_namespaces=10000"
    yield Check("private network namespace", MISSING, text, command)


# -- ways to the network ---------------------------------------------------------------------------


def packet_socket() -> Iterator[Check]:
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            yield Check("AF_PACKET", OK, "packet sockets can be opened: packet: links work")
            try:
                sock.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
            except OSError as error:
                detail = f"refused ({error.strerror}): packet: links work without offload"
                yield Check("vnet headers", NOTE, detail)
            else:
                yield Check("vnet headers", OK, "packet sockets take them: offload works")
    except OSError as error:
        fix = f"sudo setcap cap_net_raw+ep {_PYTHON}"
        if error.errno == errno.EAFNOSUPPORT:
            fix = "sudo modprobe af_packet"
        yield Check("AF_PACKET", MISSING, f"no packet sockets: {error.strerror}", fix)


def tun() -> Iterator[Check]:
    path = Path("/dev/net/tun")
    make = "sudo modprobe tun || sudo sh -c 'mkdir -p /dev/net && mknod /dev/net/tun c 10 200'"
    if not path.exists():
        yield Check("/dev/net/tun", MISSING, "there is no such device", make)
        return
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        fix = "sudo chmod 666 /dev/net/tun" if error.errno == errno.EACCES else make
        yield Check("/dev/net/tun", MISSING, f"cannot be opened: {error.strerror}", fix)
        return
    try:
        features = struct.unpack("I", fcntl.ioctl(fd, _TUNGETFEATURES, bytes(4)))[0]
        offload = "with" if features & _IFF_VNET_HDR else "without"
        yield Check("/dev/net/tun", OK, f"can be opened, {offload} offload")
        flags = _IFF_TUN | _IFF_NO_PI
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"", flags))  # gone with the descriptor
        yield Check("TUN devices", OK, "can be made: tun: links work")
    except OSError as error:
        fix = "sudo ip tuntap add dev utun0 mode tun user $USER"
        yield Check("TUN devices", MISSING, f"cannot be made: {error.strerror}", fix)
    finally:
        os.close(fd)


def nftables() -> Iterator[Check]:
    """raw: links keep the kernel from answering with RST by a rule of nftables."""
    if not has(CAP_NET_ADMIN):
        fix = f"sudo setcap cap_net_raw,cap_net_admin+ep {_PYTHON}"
        yield Check("nftables", MISSING, "raw: links need CAP_NET_ADMIN for their rule", fix)
        return
    try:
        with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)) as sock:
            sock.settimeout(2)
            sock.bind((0, 0))
            # NFT_MSG_GETGEN: does the kernel know nftables at all?
            sock.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0))
            answer = sock.recv(4096)
        failed = struct.unpack_from("=H", answer, 4)[0] == 2  # NLMSG_ERROR
        code = -struct.unpack_from("=i", answer, 16)[0] if failed else 0
        if code:
            raise OSError(code, os.strerror(code))  # noqa: TRY301
        yield Check("nftables", OK, "the kernel takes rules: raw: links work")
    except OSError as error:
        detail = f"not available ({error.strerror or error}): raw: links cannot work"
        yield Check("nftables", MISSING, detail, "sudo modprobe nf_tables")


def receive_buffer() -> Iterator[Check]:
    try:
        most = int(Path("/proc/sys/net/core/rmem_max").read_text())
    except (OSError, ValueError):
        yield Check("rmem_max", NOTE, "cannot be read here")
        return
    detail = f"{most} bytes"
    if has(CAP_NET_ADMIN):
        yield Check("rmem_max", OK, f"{detail}; with CAP_NET_ADMIN no limit")
    elif most < RMEM_WANTED:
        fix = f"sudo sysctl -w net.core.rmem_max={RMEM_WANTED}"
        yield Check("rmem_max", NOTE, f"{detail}: bursts may be lost on packet: and raw:", fix)
    else:
        yield Check("rmem_max", OK, detail)


# -- devices ---------------------------------------------------------------------------------------


def _offloads(name: str) -> str:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for label, command in _OFFLOADS.items():
            buffer = array.array("I", [command, 0])
            request = struct.pack("16sP", name.encode(), buffer.buffer_info()[0])
            try:
                fcntl.ioctl(sock, _SIOCETHTOOL, request.ljust(40, b"\0"))
            except OSError:
                continue
            found.append(f"{label} {'on' if buffer[1] else 'off'}")
    return ", ".join(found) or "unknown"


def devices() -> Iterator[Check]:
    for number, name in sorted(socket.if_nameindex()):
        path = Path("/sys/class/net", name)
        try:
            kind = (path / "type").read_text().strip()
            state = (path / "operstate").read_text().strip()
            mtu = (path / "mtu").read_text().strip()
        except OSError:  # /sys is of another network namespace
            yield Check(f"device {name}", NOTE, f"number {number}; /sys does not show it")
            continue
        what = "packet: can use it" if kind == _ETHERNET else "no Ethernet: not for packet:"
        detail = f"{what}; {state}, mtu {mtu}, offloads {_offloads(name)}"
        if state == "down":
            yield Check(f"device {name}", NOTE, detail, f"sudo ip link set {name} up")
        else:
            yield Check(f"device {name}", OK, detail)


def tools() -> Iterator[Check]:
    package = {"ip": "iproute2", "tshark": "tshark", "curl": "curl"}
    for name, use in (("ip", "setting devices up"), ("tshark", "reading captures")):
        if shutil.which(name):
            yield Check(f"tool {name}", OK, use)
        else:
            yield Check(
                f"tool {name}", NOTE, f"missing: {use}", f"sudo apt install {package[name]}"
            )


def everything() -> Iterator[Check]:
    for part in (python, privileges, namespaces, packet_socket, tun, nftables, receive_buffer):
        yield from part()
    yield from devices()
    yield from tools()
