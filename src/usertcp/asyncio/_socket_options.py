"""getsockopt and setsockopt: what is set before there is a connection is kept for it."""

import errno
import operator
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

from usertcp._errors import os_error
from usertcp._tcp_info import pack_tcp_info
from usertcp.asyncio import _options
from usertcp.asyncio._options import SOL, TCP, Key
from usertcp.streams import StreamOption

if TYPE_CHECKING:
    from collections.abc import Iterable

    from usertcp._stack import Endpoint
    from usertcp.asyncio._socket_state import SocketState

V6ONLY: Key = (_options.IPV6, socket.IPV6_V6ONLY)
_LINGER: Key = (SOL, socket.SO_LINGER)
_CONGESTION: Key = (TCP, _options.TCP_CONGESTION)
_PATH_MTU = ((_options.IP, _options.IP_MTU), (_options.IPV6, _options.IPV6_MTU))
_WITHOUT_CONNECTION = {
    (TCP, socket.TCP_NODELAY): 1,
    (SOL, socket.SO_KEEPALIVE): 0,
    (TCP, socket.TCP_KEEPIDLE): 7200,
    (TCP, socket.TCP_KEEPINTVL): 75,
    (TCP, socket.TCP_KEEPCNT): 9,
    (SOL, socket.SO_SNDBUF): 0,
    (SOL, socket.SO_RCVBUF): 0,
    (_options.IP, _options.IP_MTU_DISCOVER): 1,
    (_options.IPV6, _options.IPV6_MTU_DISCOVER): 1,
    (_options.IP, socket.IP_TTL): 64,
    (_options.IPV6, socket.IPV6_UNICAST_HOPS): 64,
}


def remembered(sock: "SocketState", key: Key) -> int:
    return sock._options.get(key, _options.REMEMBERED.get(key, 0))  # noqa: SLF001


def apply(sock: "SocketState", key: Key, value: int) -> None:
    """To a connection that is there now."""
    end, now = sock.endpoint, sock._now()  # noqa: SLF001
    if key == _LINGER:
        code = end.engine.set_option(end.handle, StreamOption.LINGER, value, now)
        if code < 0:
            raise os_error(code, "option SO_LINGER")
    elif key == _CONGESTION:
        code = end.engine.set_option(end.handle, StreamOption.CONGESTION, value, now)
        if code < 0:
            raise os_error(code, "option TCP_CONGESTION")
    else:
        _options.set_engine(end.engine, end.handle, key, value, now)
    sock._settle()  # noqa: SLF001


def serve_fast_open(sock: "SocketState", ends: "Iterable[Endpoint]") -> None:
    """TCP_FASTOPEN of a listener: to the engine's."""
    limit, now = remembered(sock, _options.FASTOPEN), sock._now()  # noqa: SLF001
    for end in ends:
        end.engine.set_option(end.handle, StreamOption.FAST_OPEN, limit, now)


def _int_of(value: Any) -> int:
    if isinstance(value, bytes | bytearray | memoryview):
        if len(value) < 4:
            raise OSError(errno.EINVAL, "an option is an int, or 4 bytes at least")
        return int.from_bytes(bytes(value)[:4], sys.byteorder, signed=True)
    if value is None:
        raise OSError(errno.EINVAL, "an option without a value is not known here")
    return operator.index(value)


def set_option(sock: "SocketState", key: Key, value: Any) -> None:
    if key == _LINGER:
        number = _options.linger_value(value)
    elif key == _CONGESTION:
        number = _options.congestion_value(value)
    elif _options.is_known(key):
        number = _int_of(value)
    else:
        raise _options.unknown(*key)
    if number < 0 and key in (_options.FASTOPEN, _options.FASTOPEN_CONNECT):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    sock._options[key] = number  # noqa: SLF001
    if key == _options.FASTOPEN and sock.listening:
        serve_fast_open(sock, sock._ends)  # noqa: SLF001
    if sock._remote is not None:  # noqa: SLF001
        apply(sock, key, number)


def get_option(sock: "SocketState", key: Key, buflen: int) -> int | bytes:
    if key == (TCP, socket.TCP_INFO):
        return pack_tcp_info(sock.info())[: buflen or 4096]
    if key == (TCP, _options.TCP_CONGESTION):
        return _options.congestion_struct(_congestion_of(sock))[:buflen]
    if key == _LINGER:
        linger = _linger_of(sock)
        return _options.linger_struct(linger)[:buflen] if buflen else int(linger == 0)
    value = _number(sock, key)
    return struct.pack("=i", value)[:buflen] if buflen else value


def _linger_of(sock: "SocketState") -> int:
    if sock._remote is None:  # noqa: SLF001
        return sock._options.get(_LINGER, -1)  # noqa: SLF001
    end = sock.endpoint
    return end.engine.get_option(end.handle, StreamOption.LINGER)[1]


def _congestion_of(sock: "SocketState") -> int:
    chosen = sock._options.get(_CONGESTION, 0)  # noqa: SLF001
    if sock._remote is None:  # noqa: SLF001
        return chosen
    end = sock.endpoint
    code, index = end.engine.get_option(end.handle, StreamOption.CONGESTION)
    return index if code == 0 else chosen


def _number(sock: "SocketState", key: Key) -> int:
    facts = {
        (SOL, socket.SO_TYPE): int(socket.SOCK_STREAM),
        (SOL, _options.SO_PROTOCOL): socket.IPPROTO_TCP,
        (SOL, _options.SO_DOMAIN): int(sock.family),
        (SOL, socket.SO_ACCEPTCONN): int(sock.listening),
    }
    if key in facts:
        return facts[key]
    if key == (SOL, socket.SO_ERROR):
        return _error_of(sock)
    if key == (TCP, socket.TCP_MAXSEG):
        return sock.info().snd_mss
    if key in _PATH_MTU:
        if sock._remote is None:  # noqa: SLF001
            raise OSError(errno.ENOTCONN, "a path is known of connections only")
        return sock.info().pmtu
    if sock._remote is not None:  # noqa: SLF001
        end = sock.endpoint
        value = _options.get_engine(end.engine, end.handle, key)
        if value is not None:
            return value
    if not _options.is_known(key):
        raise _options.unknown(*key)
    default = _options.REMEMBERED.get(key, _WITHOUT_CONNECTION.get(key, 0))
    return sock._options.get(key, default)  # noqa: SLF001


def _error_of(sock: "SocketState") -> int:
    end = sock._end  # noqa: SLF001
    if end is None or not end.ended or not end.error:
        return 0
    return os_error(end.error).errno or errno.EIO
