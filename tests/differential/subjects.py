"""The two TCPs: the engine in virtual time, and the kernel behind a TUN device of this namespace.

Both have the same address; a subject takes the peer's packets, makes the user's calls, and says
what came out, what was returned and in which state it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from usertcp import netns
from usertcp._errors import ERRORS, Code
from usertcp.testing import EngineError, EngineHarness
from usertcp.testing.packets import Packet, PacketError, Segment, decode

OURS = {4: "10.9.0.1", 6: "fd09::1"}
PEER = {4: "10.9.0.2", 6: "fd09::2"}
PORT = 80
DEVICE = "udiff0"
MTU = 1500
MS = 1_000_000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x1, 0x1000
_RTAX_RTO_MIN = 13  # only counts where it is locked
_TCP_INFO, _LINGER_NOW = 11, struct.pack("ii", 1, 0)
# net/tcp_states.h, which netinet/tcp.h and ss show as well.
_STATES = {
    1: "ESTABLISHED", 2: "SYN-SENT", 3: "SYN-RECEIVED", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2",
    6: "TIME-WAIT", 7: "CLOSED", 8: "CLOSE-WAIT", 9: "LAST-ACK", 10: "LISTEN", 11: "CLOSING",
}  # fmt: skip
SYSCTLS = {
    "tcp_congestion_control": "reno",
    "tcp_ecn": "0",
    "tcp_early_retrans": "0",  # no tail loss probe: time is not what is compared
    "tcp_recovery": "0",  # nor what a duplicate ACK says of losses
    "tcp_reordering": "300",
    "tcp_invalid_ratelimit": "0",
    "tcp_autocorking": "0",
    "tcp_fastopen": "0",
}
ESSENTIAL = {"tcp_invalid_ratelimit"}


def calls_error(code: int) -> str:
    """The name of an errno; of reading and writing alike."""
    return errno.errorcode.get(code, str(code))


class Ours:
    """A stack in virtual time; retransmission is put off beyond the program's end."""

    def __init__(self) -> None:
        addresses = ["10.9.0.1/24", "fd09::1/64"]
        self.engine = EngineHarness(
            *addresses, mtu=MTU, quick_acks=16, rto_min=30.0, rto_initial=30.0, nodelay=True,
            challenge_ack_limit=10_000, user_timeout=1000.0,
        )  # fmt: skip
        self.listener = self.engine.listen(PORT)
        self.connection: Any = None

    def inject(self, data: bytes) -> None:
        self.engine.inject(data)

    def connect(self, version: int, port: int) -> None:
        self.connection = self.engine.connect(PEER[version], port)

    def accept(self) -> bool:
        self.connection = self.listener.accept()
        return self.connection is not None

    def outcome(self) -> list[Packet]:
        """All that follows within the time of a delayed ACK."""
        self.engine.advance(60 * MS)
        return [one.packet for one in self.engine.take()]

    def set_nodelay(self, value: bool) -> None:
        self.connection.set_option("nodelay", int(value))

    def call(self, name: str, data: bytes) -> str:
        try:
            match name:
                case "send":
                    return str(self.connection.send(data))
                case "receive":
                    return self._receive()
                case "shutdown":
                    self.connection.shutdown()
                case "close":
                    self.connection.close()
                case "abort":
                    self.connection.abort()
        except EngineError as error:
            return calls_error(ERRORS[Code[error.name]].errno)
        return "0"

    def _receive(self) -> str:
        try:
            got = self.connection.receive()
        except EngineError as error:
            if error.name == "END_OF_STREAM":
                return "end"
            raise
        return repr(got) if got else "EAGAIN"

    def state_of(self, port: int) -> str:
        """Of whatever it knows of that port of the peer."""
        return self.engine.state_of(port)

    def state(self) -> str:
        try:
            return str(self.connection.info.state)
        except EngineError:
            return "CLOSED"

    def close(self) -> None:
        self.engine.close()


class Kernel:
    """The kernel of this machine in the current (private) namespace, for many programs."""

    def __init__(self) -> None:
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(self.fd, _TUNSETIFF, request)
        self.missing = [name for name, value in SYSCTLS.items() if not _sysctl(name, value)]
        with suppress(OSError):
            Path(f"/proc/sys/net/ipv6/conf/{DEVICE}/router_solicitations").write_text("0")
        for version, length in ((4, 24), (6, 64)):
            netns.addr_add(DEVICE, f"{OURS[version]}/{length}")
        netns.link_up(DEVICE)
        _slow_retransmission()
        self.listeners = {4: _listener(4), 6: _listener(6)}
        self.sock: socket.socket | None = None
        self._version, self._port = 4, 0
        self._error: OSError | None = None

    def begin(self, version: int, port: int) -> None:
        """A new program: of its peer's port alone is listened to."""
        self._version, self._port, self._error = version, port, None
        while self.read(0.0) is not None:
            pass

    def inject(self, data: bytes) -> None:
        os.write(self.fd, data)

    def connect(self, version: int, port: int) -> None:
        self.sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
        self.sock.setblocking(False)
        self.sock.connect_ex((PEER[version], port))

    def accept(self) -> bool:
        with suppress(BlockingIOError):
            self.sock = self.listeners[self._version].accept()[0]
            self.sock.setblocking(False)
            return True
        return False

    def read(self, within: float) -> Packet | None:
        """The next packet of the program's connection, or None when none comes `within` s."""
        while select.select([self.fd], [], [], within)[0]:
            data = os.read(self.fd, 65536)
            with suppress(PacketError):
                packet = decode(data)
                if packet.dst == ip_address(PEER[self._version]) and self._is_ours(packet):
                    return packet
        return None

    def _is_ours(self, packet: Packet) -> bool:
        return not isinstance(packet.body, Segment) or packet.body.dport == self._port

    def set_nodelay(self, value: bool) -> None:
        assert self.sock is not None
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(value))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)  # RFC 6093 advises it

    def call(self, name: str, data: bytes) -> str:
        assert self.sock is not None
        try:
            match name:
                case "send":
                    return str(self.sock.send(data))
                case "receive":
                    return self._receive(self.sock)
                case "shutdown":
                    self.sock.shutdown(socket.SHUT_WR)
                case "abort":
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOW)
        except OSError as error:
            return calls_error(error.errno or 0)
        if name in ("close", "abort"):
            self.sock.close()
            self.sock = None
        return "0"

    def state(self) -> str:
        if self.sock is None:
            return "CLOSED"
        return _STATES[self.sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]]

    def _receive(self, sock: socket.socket) -> str:
        """All there is: a call of the kernel's ends at the urgent mark."""
        got = b""
        try:
            if self._error is not None:
                raise self._error
            while piece := sock.recv(1 << 20):
                got += piece
        except BlockingIOError:
            if not got:
                raise
        except OSError as error:
            self._error = error if got else None  # told by the next call, as it would have been
            if not got:
                raise
        return repr(got) if got else "end"

    def end(self) -> None:
        """Whatever is left of a program is reset."""
        for one in (self.sock, *self._queued()):
            if one is not None:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOW)
                one.close()
        self.sock = None

    def _queued(self) -> list[socket.socket]:
        found = []
        for listener in self.listeners.values():
            with suppress(BlockingIOError):
                while True:
                    found.append(listener.accept()[0])
        return found

    def close(self) -> None:
        for listener in self.listeners.values():
            listener.close()
        os.close(self.fd)


def _sysctl(name: str, value: str) -> bool:
    """False: not to be set here, or unknown to this kernel."""
    try:
        Path(f"/proc/sys/net/ipv4/{name}").write_text(value)
    except OSError:
        return False
    return True


def _slow_retransmission() -> None:
    """The routes to the peer say: no time-out before 30 s."""
    from pyroute2 import IPRoute

    def speak() -> None:
        with IPRoute() as ip:
            index = ip.link_lookup(ifname=DEVICE)[0]
            for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
                network = f"{PEER[version]}/{32 if version == 4 else 128}"
                metrics = {"lock": 1 << _RTAX_RTO_MIN, "rto_min": 30_000}
                ip.route("replace", dst=network, oif=index, family=family, metrics=metrics)

    netns.in_thread(speak)


def _listener(version: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    sock.bind((OURS[version], PORT))
    sock.listen(16)
    sock.setblocking(False)
    return sock
