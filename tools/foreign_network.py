"""Runs a command in a network and with an /etc/hosts of its own, for foreign test suites.

    python tools/foreign_network.py tun HOSTS COMMAND...        # localhost is behind a TUN device
    python tools/foreign_network.py loopback HOSTS COMMAND...   # localhost is loopback, as usual

With `tun`, what calls itself localhost is the kernel's end of the device `utun7`, and whoever opens
`tun:utun7` is a host of its own, with the addresses of OURS. The device stays when nobody has it
open: each test opens a stack of its own on it. All ends with the command.

How many TCP connections the kernel has opened and accepted meanwhile is appended, as a line of JSON,
to the file `FOREIGN_COUNTS`.
"""

import ctypes
import fcntl
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

from usertcp import netns

DEVICE = "utun7"
KERNEL = ("10.8.0.1/24", "fd08::1/64")
OURS = ("10.8.0.2/24", "fd08::2/64")
LOOPBACK = "10.8.0.3"
"""Whoever connects to it from the TUN device gets to 127.0.0.1."""
REWRITING = f"""
table ip nat {{
    chain prerouting {{
        type nat hook prerouting priority -100
        iifname {DEVICE} ip daddr {LOOPBACK} dnat to 127.0.0.1
    }}
}}
"""
OWN_NAME = "usertcp.test"

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x1, 0x1000, 0x4000

_libc = ctypes.CDLL(None, use_errno=True)


def hosts_text(mode: str) -> str:
    kernel = ("127.0.0.1", "::1") if mode == "loopback" else KERNEL
    lines = [f"{address.split('/')[0]} localhost" for address in kernel]
    lines += [f"{address.split('/')[0]} {OWN_NAME}" for address in OURS]
    return "\n".join([*lines, "127.0.1.1 " + os.uname().nodename]) + "\n"


def check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def own_hosts(path: Path, text: str) -> None:
    """/etc/hosts says `text` to this process and its children."""
    path.write_text(text)
    check(_libc.unshare(_CLONE_NEWNS), "cannot make a private mount namespace")
    check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount /")
    check(_libc.mount(os.fsencode(path), b"/etc/hosts", None, _MS_BIND, None), "mount /etc/hosts")


def lasting_tun() -> None:
    fd = os.open("/dev/net/tun", os.O_RDWR)
    flags = _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), flags))
    fcntl.ioctl(fd, _TUNSETPERSIST, 1)
    os.close(fd)
    for address in KERNEL:
        netns.addr_add(DEVICE, address)
    netns.link_up(DEVICE)
    Path(f"/proc/sys/net/ipv4/conf/{DEVICE}/route_localnet").write_text("1")
    subprocess.run(["nft", "-f", "-"], input=REWRITING, text=True, check=True)


def ordinary_device() -> None:
    """With a link-local address, for which some tests look, and an IPv4 address, without which
    getaddrinfo(AI_ADDRCONFIG) tells none.
    """
    netns.veth_pair("k0", "k1")
    netns.addr_add("k0", "10.9.0.1/24")
    netns.addr_add("k0", "fe80::1/64")
    netns.link_up("k1")
    netns.link_up("k0")


def kernel_connections() -> dict[str, int]:
    lines = Path("/proc/net/snmp").read_text().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("Tcp:"))
    counts = dict(zip(names, map(int, values), strict=True))
    return {"kernel opened": counts["ActiveOpens"], "kernel accepted": counts["PassiveOpens"]}


def main() -> None:
    mode, hosts, *command = sys.argv[1:]
    netns.enter_private_namespace()
    own_hosts(Path(hosts), hosts_text(mode))
    ordinary_device()
    if mode == "tun":
        lasting_tun()
    done = subprocess.run(command, check=False)
    if path := os.environ.get("FOREIGN_COUNTS"):
        with open(path, "a") as file:
            file.write(json.dumps(kernel_connections()) + "\n")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
