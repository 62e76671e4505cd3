"""Socket options: those of the engine, those taken and remembered."""

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from usertcp._congestion import congestion_controls
from usertcp._errors import Code, os_error
from usertcp._stack import Engine
from usertcp.streams import StreamOption

Key: TypeAlias = tuple[int, int]

TCP, IP, IPV6, SOL = socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.SOL_SOCKET
SO_PROTOCOL, SO_DOMAIN, SO_INCOMING_CPU = 38, 39, 49
IP_BIND_ADDRESS_NO_PORT, TCP_FASTOPEN_CONNECT, TCP_CONGESTION = 24, 30, 13
IP_MTU_DISCOVER, IP_MTU, IPV6_MTU_DISCOVER, IPV6_MTU = 10, 14, 23, 24  # linux/in.h
_LINGER = struct.Struct("ii")


def _plain(value: int) -> int:
    return value


def _seconds(value: int) -> int:
    if not 1 <= value <= 32767:  # the kernel's bounds
        raise OSError(errno.EINVAL, f"{value} is not between 1 and 32767 seconds")
    return value * 1000


# The engine's own: (option, what a program gives -> ours, ours -> what it sees).
_ENGINE: dict[Key, tuple[StreamOption, Callable[[int], int], Callable[[int], int]]] = {
    (TCP, socket.TCP_NODELAY): (StreamOption.NODELAY, lambda v: int(v != 0), _plain),
    (TCP, socket.TCP_USER_TIMEOUT): (
        StreamOption.USER_TIMEOUT,
        lambda v: v * 1_000_000 if v else (1 << 63) - 1,  # 0: the kernel's default, here: none
        lambda v: min(v // 1_000_000, 0x7FFFFFFF),
    ),
    (SOL, socket.SO_KEEPALIVE): (StreamOption.KEEPALIVE, lambda v: int(v != 0), _plain),
    (TCP, socket.TCP_KEEPIDLE): (StreamOption.KEEPALIVE_IDLE, _seconds, lambda v: v // 1000),
    (TCP, socket.TCP_KEEPINTVL): (StreamOption.KEEPALIVE_INTERVAL, _seconds, lambda v: v // 1000),
    (TCP, socket.TCP_KEEPCNT): (StreamOption.KEEPALIVE_COUNT, _plain, _plain),
    (TCP, socket.TCP_NOTSENT_LOWAT): (StreamOption.NOTSENT_LOWAT, lambda v: max(v, 0), _plain),
    (SOL, socket.SO_SNDBUF): (StreamOption.SND_LIMIT, _plain, _plain),
    (SOL, socket.SO_RCVBUF): (StreamOption.RCV_LIMIT, _plain, _plain),
    (IP, IP_MTU_DISCOVER): (StreamOption.MTU_DISCOVER, _plain, _plain),
    (IPV6, IPV6_MTU_DISCOVER): (StreamOption.MTU_DISCOVER, _plain, _plain),
    (IP, socket.IP_TTL): (StreamOption.TTL, _plain, _plain),
    (IPV6, socket.IPV6_UNICAST_HOPS): (StreamOption.TTL, _plain, _plain),
    (IP, socket.IP_TOS): (StreamOption.DSCP, lambda v: v >> 2 & 63, lambda v: v << 2),
    (IPV6, socket.IPV6_TCLASS): (StreamOption.DSCP, lambda v: v >> 2 & 63, lambda v: v << 2),
}
_LIMITS = (StreamOption.SND_LIMIT, StreamOption.RCV_LIMIT)

REUSEPORT: Key = (SOL, socket.SO_REUSEPORT)
FASTOPEN: Key = (TCP, socket.TCP_FASTOPEN)
FASTOPEN_CONNECT: Key = (TCP, TCP_FASTOPEN_CONNECT)
MSG_FASTOPEN = 0x20000000
# Taken and told back. Listening asks for SO_REUSEPORT and TCP_FASTOPEN, connecting for
# TCP_FASTOPEN_CONNECT; the others, which frameworks set on every socket, mean nothing here.
REMEMBERED: dict[Key, int] = {
    (SOL, socket.SO_REUSEADDR): 0,
    REUSEPORT: 0,
    (SOL, socket.SO_OOBINLINE): 0,
    (SOL, socket.SO_PRIORITY): 0,
    (SOL, SO_INCOMING_CPU): -1,
    (TCP, socket.TCP_QUICKACK): 1,
    (TCP, socket.TCP_CORK): 0,
    (TCP, socket.TCP_DEFER_ACCEPT): 0,
    FASTOPEN: 0,
    FASTOPEN_CONNECT: 0,
    (IP, IP_BIND_ADDRESS_NO_PORT): 0,
    (IPV6, socket.IPV6_V6ONLY): 0,
}


def unsupported(what: str) -> OSError:
    return OSError(
        errno.EOPNOTSUPP, f"{what}: a usertcp socket has no kernel socket underneath that could"
    )


def congestion_value(value: Any) -> int:
    """The index of a congestion control; ENOENT, as the kernel, when there is none of that name."""
    name = bytes(value).rstrip(b"\0").decode(errors="replace") if not isinstance(value, int) else ""
    if name not in congestion_controls():
        raise OSError(errno.ENOENT, f"congestion: {name!r} is none of {congestion_controls()}")
    return congestion_controls().index(name)


def congestion_struct(index: int) -> bytes:
    return congestion_controls()[index].encode().ljust(16, b"\0")


def unknown(level: int, option: int) -> OSError:
    return OSError(errno.ENOPROTOOPT, f"socket option {option} of level {level} is not known here")


def is_known(key: Key) -> bool:
    return key in _ENGINE or key in REMEMBERED


def set_engine(engine: Engine, handle: int, key: Key, value: int, now: int) -> None:
    """An option that the engine has; nothing for one that it has not."""
    if key not in _ENGINE:
        return
    option, inward, _ = _ENGINE[key]
    code = engine.set_option(handle, option, inward(value), now)
    if code == -Code.INVALID and option in _LIMITS:
        return  # as the kernel: a size it cannot give is not refused
    if code < 0:
        raise os_error(code, f"option {option.name} = {value}")


def get_engine(engine: Engine, handle: int, key: Key) -> int | None:
    if key not in _ENGINE:
        return None
    option, _, outward = _ENGINE[key]
    code, value = engine.get_option(handle, option)
    if code < 0:
        raise os_error(code, f"option {option.name}")
    return outward(value)


def linger_value(value: object) -> int:
    """`SO_LINGER`'s struct to ours: -1 delivers what was accepted, 0 resets."""
    if not isinstance(value, bytes | bytearray | memoryview) or len(value) < _LINGER.size:
        raise OSError(errno.EINVAL, "SO_LINGER: struct.pack('ii', on, seconds) is needed")
    on, seconds = _LINGER.unpack_from(value)
    return 0 if on and seconds == 0 else -1


def linger_struct(value: int) -> bytes:
    return _LINGER.pack(1, 0) if value == 0 else _LINGER.pack(0, 0)
