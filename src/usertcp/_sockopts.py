"""Socket options: what setsockopt and getsockopt of a socket without a kernel descriptor mean.

For the sockets that trio and asyncio programs get. An option is one of four things:

- the engine's (`ENGINE`): TCP_NODELAY, SO_SNDBUF, SO_LINGER, IP_TTL, ...;
- remembered (`REMEMBERED`): accepted and read back; the socket gives it a meaning (IPV6_V6ONLY,
  or it has none here (keep-alive);
- a fact that is only read (`Options.get`): SO_TYPE, SO_ERROR, SO_ACCEPTCONN, TCP_INFO;
- unknown: ENOPROTOOPT, as in the kernel.

Nothing here waits or knows an event loop.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable
from socket import IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from usertcp._congestion import congestion_controls
from usertcp._info import ConnectionInfo
from usertcp._tcp_info import pack_tcp_info
from usertcp.streams import StreamOption

if TYPE_CHECKING:
    from typing_extensions import Buffer

Key: TypeAlias = tuple[int, int]
"""(level, option), as the two first arguments of setsockopt."""

_INT_MAX = 2**31 - 1
MIN_BUFFER = 2048
"""Less than this SO_SNDBUF and SO_RCVBUF never mean."""


class EngineOption(NamedTuple):
    """An option that the engine has too."""

    option: StreamOption
    to_engine: Callable[[int], int]
    from_engine: Callable[[int], int]
    default: int
    """What getsockopt says while there is no connection."""


def _same(value: int) -> int:
    return value


def _flag(value: int) -> int:
    return int(value != 0)


def _buffer_size(value: int) -> int:
    return max(value, MIN_BUFFER)


def _in_range(first: int, last: int) -> Callable[[int], int]:
    def check(value: int) -> int:
        if not first <= value <= last:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return value

    return check


_hops = _in_range(1, 255)


def _set_hops(value: int) -> int:
    return 64 if value == -1 else _hops(value)


def _seconds(value: int) -> int:
    return _in_range(1, 32767)(value) * 1000  # the kernel's bounds


_MTU_DISCOVER = EngineOption(StreamOption.MTU_DISCOVER, _in_range(0, 3), _same, 1)
_TOS = EngineOption(StreamOption.DSCP, lambda v: (v & 0xFF) >> 2, lambda v: v << 2, 0)
_HOPS = EngineOption(StreamOption.TTL, _set_hops, _same, 64)

TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 18)
TCP_INFO = getattr(socket, "TCP_INFO", 11)
TCP_NOTSENT_LOWAT: Key = (IPPROTO_TCP, getattr(socket, "TCP_NOTSENT_LOWAT", 25))
TCP_CONGESTION: Key = (IPPROTO_TCP, getattr(socket, "TCP_CONGESTION", 13))
BIND_NO_PORT: Key = (IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24))
FASTOPEN: Key = (IPPROTO_TCP, getattr(socket, "TCP_FASTOPEN", 23))
FASTOPEN_CONNECT: Key = (IPPROTO_TCP, 30)
"""TCP_FASTOPEN_CONNECT of linux/tcp.h."""
MSG_FASTOPEN = 0x20000000
V6ONLY: Key = (IPPROTO_IPV6, socket.IPV6_V6ONLY)
REUSEADDR: Key = (SOL_SOCKET, socket.SO_REUSEADDR)
PATH_MTU: tuple[Key, Key] = ((IPPROTO_IP, 14), (IPPROTO_IPV6, 24))
"""IP_MTU and IPV6_MTU of linux/in.h."""
REUSEPORT: Key = (SOL_SOCKET, getattr(socket, "SO_REUSEPORT", 15))
LINGER: Key = (SOL_SOCKET, socket.SO_LINGER)
SNDBUF: Key = (SOL_SOCKET, socket.SO_SNDBUF)
_LINGER = struct.Struct("@ii")
_NEVER_MS = 2**63 // 10**6

ENGINE: dict[Key, EngineOption] = {
    (IPPROTO_TCP, socket.TCP_NODELAY): EngineOption(StreamOption.NODELAY, _flag, _flag, 1),
    SNDBUF: EngineOption(StreamOption.SND_LIMIT, _buffer_size, _same, 0),
    (SOL_SOCKET, socket.SO_RCVBUF): EngineOption(StreamOption.RCV_LIMIT, _buffer_size, _same, 0),
    TCP_NOTSENT_LOWAT: EngineOption(StreamOption.NOTSENT_LOWAT, lambda v: max(v, 0), _same, 0),
    (IPPROTO_TCP, TCP_USER_TIMEOUT): EngineOption(
        StreamOption.USER_TIMEOUT,
        lambda ms: _in_range(0, _INT_MAX)(ms) * 1_000_000,
        lambda ns: ns // 1_000_000 if ns // 1_000_000 <= _INT_MAX else 0,
        0,
    ),
    (SOL_SOCKET, socket.SO_KEEPALIVE): EngineOption(StreamOption.KEEPALIVE, _flag, _same, 0),
    (IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 4)): EngineOption(
        StreamOption.KEEPALIVE_IDLE, _seconds, lambda ms: ms // 1000, 7200
    ),
    (IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", 5)): EngineOption(
        StreamOption.KEEPALIVE_INTERVAL, _seconds, lambda ms: ms // 1000, 75
    ),
    (IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", 6)): EngineOption(
        StreamOption.KEEPALIVE_COUNT, _in_range(1, 127), _same, 9
    ),
    (IPPROTO_IP, socket.IP_TOS): _TOS,
    (IPPROTO_IPV6, getattr(socket, "IPV6_TCLASS", 67)): _TOS,
    (IPPROTO_IP, 10): _MTU_DISCOVER,  # IP_MTU_DISCOVER: linux/in.h; socket has no name for it
    (IPPROTO_IPV6, 23): _MTU_DISCOVER,
    (IPPROTO_IP, socket.IP_TTL): _HOPS,
    (IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS): _HOPS,
}

REMEMBERED: dict[Key, int] = {
    REUSEADDR: 0,
    V6ONLY: 0,
    BIND_NO_PORT: 0,
    REUSEPORT: 0,
    (SOL_SOCKET, socket.SO_OOBINLINE): 0,
    (SOL_SOCKET, socket.SO_DONTROUTE): 0,
    (SOL_SOCKET, socket.SO_BROADCAST): 0,
    (SOL_SOCKET, socket.SO_RCVLOWAT): 1,
    (SOL_SOCKET, getattr(socket, "SO_PRIORITY", 12)): 0,
    (SOL_SOCKET, getattr(socket, "SO_BUSY_POLL", 46)): 0,
    (IPPROTO_TCP, getattr(socket, "TCP_QUICKACK", 12)): 1,
    (IPPROTO_TCP, getattr(socket, "TCP_DEFER_ACCEPT", 9)): 0,
    FASTOPEN: 0,
    FASTOPEN_CONNECT: 0,
}
"""What means nothing here is accepted: programs close a connection on which it fails."""

_FLAGS = {
    REUSEADDR,
    V6ONLY,
    BIND_NO_PORT,
    REUSEPORT,
    (SOL_SOCKET, socket.SO_OOBINLINE),
    (SOL_SOCKET, socket.SO_DONTROUTE),
    (SOL_SOCKET, socket.SO_BROADCAST),
}


def refuse(code: int, about: str = "") -> OSError:
    """An `OSError` with the system's words for `code`, which choose its subclass."""
    text = os.strerror(code)
    return OSError(code, f"{about}: {text}" if about else text)


def as_int(value: "int | Buffer") -> int:
    """The number in an argument of setsockopt: an int, or the bytes of a C int."""
    if isinstance(value, int):
        if not -_INT_MAX - 1 <= value <= _INT_MAX:
            raise OverflowError("Python int too large to convert to C int")
        return value
    raw = bytes(value)
    if len(raw) < 4:
        raise refuse(errno.EINVAL)
    return int.from_bytes(raw[:4], "little" if struct.pack("=H", 1)[0] else "big", signed=True)


def _congestion_of(value: "int | Buffer") -> int | None:
    """The index of a congestion control's name; None: there is none of that name."""
    name = "" if isinstance(value, int) else bytes(value).rstrip(b"\0").decode(errors="replace")
    known = congestion_controls()
    return known.index(name) if name in known else None


def linger_of(value: "int | Buffer") -> tuple[int, int]:
    """(on, seconds) of a SO_LINGER argument."""
    if isinstance(value, int) or len(raw := bytes(value)) < _LINGER.size:
        raise refuse(errno.EINVAL)
    on, seconds = _LINGER.unpack_from(raw)
    return int(on), int(seconds)


def _path_mtu(info: ConnectionInfo | None) -> int:
    if info is None or not info.pmtu:
        raise refuse(errno.ENOTCONN)
    return info.pmtu


class Live(Protocol):
    """What `Options` asks about the socket they are of."""

    @property
    def family(self) -> int: ...
    def engine_option(self, option: StreamOption) -> int | None:
        """The value in use; None without a connection."""

    def info(self) -> ConnectionInfo | None:
        """A snapshot; None without a connection or listener."""

    def is_listening(self) -> bool: ...
    def take_error(self) -> int:
        """The errno of what went wrong since it was last asked; 0 for nothing."""


class Options:
    """What setsockopt was told about one socket, before it has a connection and after."""

    __slots__ = ("congestion", "engine", "linger", "remembered")

    def __init__(self, like: "Options | None" = None) -> None:
        """`like`: the listener's, for an accepted socket."""
        self.remembered: dict[Key, int] = dict(like.remembered) if like else {}
        self.engine: dict[Key, int] = dict(like.engine) if like else {}
        self.linger: tuple[int, int] = like.linger if like else (0, 0)
        self.congestion: int | None = like.congestion if like else None

    def set(
        self, level: int, name: int, value: "int | Buffer | None", optlen: int | None = None
    ) -> tuple[StreamOption, int] | None:
        """Keeps the value. The result is what a connection must be told, if anything.

        `OSError`: ENOPROTOOPT for an unknown option, EINVAL for a bad value.
        """
        if value is None:
            value = bytes(optlen or 0)
        key = (level, name)
        if (known := ENGINE.get(key)) is not None:
            translated = known.to_engine(as_int(value))
            self.engine[key] = translated
            if known.option is StreamOption.USER_TIMEOUT and translated == 0:
                translated = _NEVER_MS * 10**6  # the kernel's 0: the system's default
            return known.option, translated
        if key in REMEMBERED:
            number = as_int(value)
            if (key == FASTOPEN and number < 0) or (
                key == FASTOPEN_CONNECT and number not in (0, 1)
            ):
                raise refuse(errno.EINVAL)
            self.remembered[key] = int(number != 0) if key in _FLAGS else number
            return None
        if key == LINGER:
            self.linger = linger_of(value)
            return StreamOption.LINGER, self.engine_linger
        if key == TCP_CONGESTION and (index := _congestion_of(value)) is not None:
            self.congestion = index
            return StreamOption.CONGESTION, index
        self._set_rare(key, value)
        return None

    @staticmethod
    def _set_rare(key: Key, value: "int | Buffer") -> None:
        if key == (SOL_SOCKET, getattr(socket, "SO_BINDTODEVICE", 25)):
            if isinstance(value, int) or bytes(value).strip(b"\0"):
                raise refuse(errno.ENODEV, "a usertcp stack has one link")
        elif key == TCP_CONGESTION:
            raise refuse(errno.ENOENT)  # not one that there is
        elif key[0] != SOL_SOCKET or key[1] not in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            raise refuse(errno.ENOPROTOOPT)

    @property
    def engine_linger(self) -> int:
        return 0 if self.linger == (1, 0) else -1

    def for_connection(self) -> list[tuple[StreamOption, int]]:
        """What a new connection must be told."""
        told = [
            (ENGINE[key].option, value)
            for key, value in self.engine.items()
            if value or ENGINE[key].option is not StreamOption.USER_TIMEOUT
        ]
        if self.congestion is not None:
            told.append((StreamOption.CONGESTION, self.congestion))
        if self.engine_linger == 0:
            told.append((StreamOption.LINGER, 0))
        return told

    def get(self, live: Live, level: int, name: int, buflen: int | None = None) -> int | bytes:
        """What getsockopt answers: an int, or with `buflen` bytes."""
        if buflen is not None and not 0 < buflen <= 1024:
            raise OSError("getsockopt buflen out of range")
        key = (level, name)
        if key == LINGER:
            raw = _LINGER.pack(*self.linger)
        elif key == (IPPROTO_TCP, TCP_INFO):
            raw = pack_tcp_info(live.info())
        elif key == TCP_CONGESTION:
            info = live.info()
            chosen = congestion_controls()[self.congestion or 0]
            raw = (info.congestion_control if info else chosen).encode().ljust(16, b"\0")
        elif key in PATH_MTU:
            raw = struct.pack("@i", _path_mtu(live.info()))
        else:
            raw = struct.pack("@i", self._get_int(live, key))
        if buflen is None:
            return int(struct.unpack_from("@i", raw)[0])
        return raw[:buflen]

    def _get_int(self, live: Live, key: Key) -> int:
        if (known := ENGINE.get(key)) is not None:
            value = live.engine_option(known.option)
            if value is None:
                value = self.engine.get(key)
            return known.default if value is None else min(known.from_engine(value), _INT_MAX)
        if key in REMEMBERED:
            return self.remembered.get(key, REMEMBERED[key])
        level, name = key
        if level == SOL_SOCKET:
            if name == socket.SO_TYPE:
                return int(socket.SOCK_STREAM)
            if name == socket.SO_ERROR:
                return live.take_error()
            if name == socket.SO_ACCEPTCONN:
                return int(live.is_listening())
            if name == getattr(socket, "SO_DOMAIN", 39):
                return live.family
            if name == getattr(socket, "SO_PROTOCOL", 38):
                return int(IPPROTO_TCP)
        elif key == (IPPROTO_TCP, socket.TCP_MAXSEG):
            info = live.info()
            return info.snd_mss if info is not None and info.snd_mss else 536
        raise refuse(errno.ENOPROTOOPT)
