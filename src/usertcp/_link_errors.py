"""Why a link could not be opened, and the command that mends it."""

import errno
import os

from usertcp._errors import Code, exception

_PRIVILEGE = (
    "run as root, inside `unshare -Urn` (a private network), or give the interpreter the "
    "capability: `setcap {capability}+ep $(readlink -f $(command -v python3))`"
)


def link_error(kind: str, name: str, code: int, system_errno: int) -> Exception:
    """The exception for what `ut_link_*` reported: `code` negated, errno with SYSTEM."""
    what = f"{kind}:{name}"
    if code == -Code.SYSTEM:
        hint = _TUN if kind == "tun" else _DEVICE
        text = hint.get(system_errno)
        if text is None:
            return exception(code, what, system_errno)
        reason = os.strerror(system_errno)
        return OSError(system_errno, f"{what}: {text.format(name=name)} ({reason})")
    if code == -Code.NOT_SUPPORTED:
        text = (
            f"{what}: {name!r} is not an Ethernet device; for one that carries IP use tun: or raw:"
        )
        return OSError(errno.EOPNOTSUPP, text)
    if code == -Code.INVALID:
        if kind in ("packet", "tun") and not 0 < len(os.fsencode(name)) < 16:
            return ValueError(f"{what}: a device's name has 1 to 15 bytes")
        return ValueError(f"{what}: an option is out of range (is mtu larger than the device's?)")
    return exception(code, what)


_DEVICE = {
    errno.ENODEV: "there is no network device {name!r} here; `ip link` lists them, "
    "`ip link add {name} type veth peer name {name}-peer` makes one",
    errno.ENETDOWN: "the device is down: `ip link set {name} up`",
    errno.EPERM: "needs CAP_NET_RAW: " + _PRIVILEGE.format(capability="cap_net_raw"),
    errno.EACCES: "needs CAP_NET_RAW: " + _PRIVILEGE.format(capability="cap_net_raw"),
    errno.EAFNOSUPPORT: "this kernel has no packet sockets: `modprobe af_packet`",
}
_TUN = {
    errno.ENOENT: "there is no /dev/net/tun: `modprobe tun`, or in a container "
    "`mkdir -p /dev/net && mknod /dev/net/tun c 10 200`",
    errno.ENODEV: "this kernel has no TUN devices: `modprobe tun`",
    errno.ENXIO: "this kernel has no TUN devices: `modprobe tun`",
    errno.EACCES: "/dev/net/tun may not be opened: run as root, or `chmod 666 /dev/net/tun`",
    errno.EPERM: "making a TUN device needs CAP_NET_ADMIN: run as root, inside `unshare -Urn`, or "
    "have one made for you: `ip tuntap add dev {name} mode tun user $USER`",
    errno.EBUSY: "the device is in use by another program; `ip -d link show {name}` tells its kind",
    errno.EINVAL: "a device of that name exists and is no TUN device of this kind: "
    "`ip -d link show {name}`; one made with multi_queue wants ?queues=1",
}
