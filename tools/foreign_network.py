"""Runs a command in a network and with an /etc/hosts and a /tmp of its own, for foreign tests.

    python tools/foreign_network.py cable HOSTS COMMAND...     # localhost is at a cable's other end
    python tools/foreign_network.py loopback HOSTS COMMAND...  # localhost is loopback, as usual

With `cable`, what calls itself localhost is the kernel's end of a veth pair, and whoever opens its
other end, `packet:ours7`, is a host of its own, with the addresses of OURS: each test opens a stack
there. All ends with the command.

How many TCP connections the kernel has opened and accepted meanwhile is appended, as a line of
JSON, to the file `FOREIGN_COUNTS`.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

from usertcp import netns

DEVICE, OUR_DEVICE = "kernel7", "ours7"
KERNEL = ("10.8.0.1/24", "fd08::1/64")
OURS = ("10.8.0.2/24", "fd08::2/64")
LOOPBACK = "10.8.0.3"
"""Whoever connects to it over the cable gets to 127.0.0.1."""
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

ROOT = Path(__file__).resolve().parents[1]
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


def mount(
    what: object, where: object, kind: bytes | None, flags: int, options: bytes = b""
) -> None:
    source, target = os.fsencode(str(what)), os.fsencode(str(where))
    check(_libc.mount(source, target, kind, flags, options), f"mount {where}")


def own_mounts() -> None:
    check(_libc.unshare(_CLONE_NEWNS), "cannot make a private mount namespace")
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)


def own_hosts(path: Path, text: str) -> None:
    """/etc/hosts says `text` to this process and its children."""
    path.write_text(text)
    mount(path, "/etc/hosts", None, _MS_BIND)


def own_tmp(place: Path) -> None:
    """An empty /tmp, since suites write files of fixed names; this checkout stays where it is."""
    place.mkdir(exist_ok=True)
    mount("none", place, b"tmpfs", 0, b"mode=1777")
    if ROOT.is_relative_to("/tmp"):
        kept = place / ROOT.relative_to("/tmp")
        kept.mkdir(parents=True)
        mount(ROOT, kept, None, _MS_BIND | _MS_REC)
    mount(place, "/tmp", None, _MS_BIND | _MS_REC)
    os.chdir(os.getcwd())  # the same, as it is seen now


def cable() -> None:
    netns.veth_pair(DEVICE, OUR_DEVICE)
    netns.quiet(OUR_DEVICE)
    netns.link_up(OUR_DEVICE)
    for address in (*KERNEL, f"{LOOPBACK}/24"):
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
    own_mounts()
    own_hosts(Path(hosts), hosts_text(mode))
    own_tmp(Path(hosts).with_suffix(".tmp"))
    ordinary_device()
    if mode == "cable":
        cable()
    done = subprocess.run(command, check=False)
    if path := os.environ.get("FOREIGN_COUNTS"):
        with open(path, "a") as file:
            file.write(json.dumps(kernel_connections()) + "\n")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
