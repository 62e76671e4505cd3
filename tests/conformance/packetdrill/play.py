"""Plays a script through the adapter as packetdrill would, without packetdrill.

    play.py --adapter FILE --flags profile=linux,... --family v4|v6 SCRIPT

Our own scripts use a part of the language (script.py): absolute and relative times, ranges,
blocking calls, packets in and out with options, and a dozen system calls. Exit status 1 with the
line that failed. `run.py` plays the same scripts with packetdrill itself.
"""

import argparse
import ctypes as c
import errno
import ipaddress
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

from script import CONSTANTS, FLAGS, Event, Packet, ScriptError, parse

SLOTS = (
    "free socket bind listen accept connect read readv recv recvfrom recvmsg write writev send "
    "sendto sendmsg fcntl ioctl close shutdown getsockopt setsockopt poll netdev_send "
    "netdev_receive usleep gettimeofday epoll_create epoll_ctl epoll_wait pipe splice"
).split()
TOLERANCE_US = 4000


class Table(c.Structure):
    _fields_: ClassVar = [("userdata", c.c_void_p), *((name, c.c_void_p) for name in SLOTS)]


class Door:
    """The adapter's table, callable by name."""

    def __init__(self, adapter: Path, flags: str) -> None:
        library = c.CDLL(str(adapter), use_errno=True)
        self.table = Table()
        library.packetdrill_interface_init(flags.encode(), c.byref(self.table))

    def __call__(self, slot: str, *args: object, wide: bool = False) -> int:
        function = c.CFUNCTYPE(c.c_ssize_t if wide else c.c_int, use_errno=True)
        return int(function(getattr(self.table, slot))(c.c_void_p(self.table.userdata), *args))

    def now(self) -> int:
        tv = (c.c_long * 2)()
        self("gettimeofday", tv, None)
        return int(tv[0]) * 1_000_000 + int(tv[1])


def checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Player:
    """One script, one connection under test."""

    def __init__(self, door: Door, family: str) -> None:
        self.door = door
        is_v4 = family == "v4"
        self.family = socket.AF_INET if is_v4 else socket.AF_INET6
        self.local = ipaddress.ip_address("192.168.0.1" if is_v4 else "fd3d:a0b:17d6::1")
        self.remote = ipaddress.ip_address("192.0.2.1" if is_v4 else "fd3d:fa7b:d17d::1")
        # Of these addresses, under the key a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4.
        self.cookie = "3021b9d889017eeb" if is_v4 else "c1d1e9742a47a9bc"
        self.local_port, self.remote_port = 8080, 40000
        self.local_isn: int | None = None
        self.local_ts: int | None = None
        self.ts_first = 0
        self.fds: dict[int, int] = {}
        self.thread: threading.Thread | None = None
        self.start = door.now()
        self.last = 0.0

    # -- packets ----------------------------------------------------------------------------------

    def options(self, text: str, *, out: bool) -> bytes:
        data = b""
        for item in [part.strip() for part in text.split(",") if part.strip()]:
            words = item.split()
            if words[0] == "mss":
                data += struct.pack("!BBH", 2, 4, int(words[1]))
            elif words[0] == "nop":
                data += b"\1"
            elif words[0] == "wscale":
                data += struct.pack("!BBB", 3, 3, int(words[1]))
            elif words[0] == "FO":
                cookie = bytes.fromhex("".join(words[1:]).replace("TFO_COOKIE", self.cookie))
                data += struct.pack("!BB", 34, 2 + len(cookie)) + cookie
            elif words[0] == "sackOK":
                data += b"\4\2"
            elif words[0] == "sack":
                edges = [int(word) for pair in words[1:] for word in pair.split(":")]
                base = 0 if out else self.isn()
                data += struct.pack("!BB", 5, 2 + 4 * len(edges))
                data += b"".join(struct.pack("!I", base + edge) for edge in edges)
            elif words[0] == "TS":
                value, echo = int(words[2]), int(words[4])
                if not out:
                    echo = echo + self.ts_base() if echo else 0
                data += struct.pack("!BBII", 8, 10, value, echo)
            else:
                raise ScriptError(f"option {item}")
        return data + bytes(-len(data) % 4)

    def isn(self) -> int:
        return self.local_isn or 0

    def ts_base(self) -> int:
        return 0 if self.local_ts is None else self.local_ts - self.ts_first

    def inject(self, p: Packet) -> None:
        options = self.options(p.options or "", out=False)
        flags = sum(FLAGS[letter] for letter in p.flags)
        ack = 0 if p.ack is None else p.ack + self.isn()
        tcp = struct.pack(
            "!HHIIBBHHH", self.remote_port, self.local_port, p.seq & 0xFFFFFFFF, ack & 0xFFFFFFFF,
            (20 + len(options)) << 2, flags, p.window or 0, 0, 0,
        ) + options + bytes(p.length)  # fmt: skip
        pseudo = self.remote.packed + self.local.packed + struct.pack("!II", len(tcp), 6)
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
        if self.remote.version == 4:
            head = struct.pack("!BBHIBBH", 0x45, p.ecn or 0, 20 + len(tcp), 0, 255, 6, 0)
            head += self.remote.packed + self.local.packed
            head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        else:
            head = struct.pack("!IHBB", 6 << 28 | (p.ecn or 0) << 20, len(tcp), 6, 255)
            head += self.remote.packed + self.local.packed
        if self.door("netdev_send", head + tcp, c.c_size_t(len(head + tcp))) != 0:
            raise ScriptError("the adapter took no packet")

    def receive(self) -> tuple[bytes, int, int]:
        """The segment, the ECN field before it, and when."""
        buffer, size, at = c.create_string_buffer(65536), c.c_size_t(65536), c.c_longlong()
        self.door("netdev_receive", buffer, c.byref(size), c.byref(at))
        data = buffer.raw[: size.value]
        if not data:
            raise ScriptError("no packet came")
        if data[0] >> 4 == 4:
            return data[20:], data[1] & 3, at.value
        return data[40:], data[1] >> 4 & 3, at.value

    def expect(self, event: Event, p: Packet) -> None:
        payload, at, first_seq = 0, 0, None
        while first_seq is None or payload < p.length:
            tcp, ecn, at = self.receive()
            if p.ecn not in (None, ecn):
                raise ScriptError(f"expected ECN field {p.ecn}, got {ecn}")
            _, _, seq, ack, offset, bits, window = struct.unpack("!HHIIBBH", tcp[:16])
            head = offset >> 4 << 2
            payload += len(tcp) - head
            if self.local_isn is None and bits & 2:
                self.local_isn = seq
                self.local_port, self.remote_port = struct.unpack("!HH", tcp[:4])
            first_seq = seq if first_seq is None else first_seq
        got = "".join(letter for letter in "FSRPEWU." if bits & FLAGS[letter])
        found = (got, (first_seq - self.isn()) & 0xFFFFFFFF, payload, ack if bits & 16 else None)
        wanted = ("".join(x for x in "FSRPEWU." if x in p.flags), p.seq, p.length, p.ack)
        if found != wanted:
            raise ScriptError(f"expected {wanted}, got {found} (flags, sequence, bytes, ack)")
        if p.window is not None and p.window != window:
            raise ScriptError(f"expected window {p.window}, got {window}")
        if p.options is not None:
            self.expect_options(p.options, tcp[20:head])
        self.check_time(event, at)

    def expect_options(self, text: str, found: bytes) -> None:
        wanted = self.options(text, out=True)
        at = found.find(b"\x08\x0a")
        if at >= 0 and "TS" in text:
            value = struct.unpack("!I", found[at + 2 : at + 6])[0]
            where = wanted.find(b"\x08\x0a") + 2
            script = struct.unpack("!I", wanted[where : where + 4])[0]
            if self.local_ts is None:
                self.local_ts, self.ts_first = value, script
            wanted = wanted[:where] + found[at + 2 : at + 6] + wanted[where + 4 :]
        if wanted != found:
            raise ScriptError(f"expected options {wanted.hex()}, got {found.hex()}")

    # -- calls ------------------------------------------------------------------------------------

    def address(self, port: int, ip: object) -> bytes:
        packed = ip.packed  # type: ignore[attr-defined]
        if self.family == socket.AF_INET:
            return struct.pack("=H", self.family) + struct.pack("!H", port) + packed + bytes(8)
        return struct.pack("=H", self.family) + struct.pack("!HI", port, 0) + packed + bytes(4)

    def number(self, text: str) -> int:
        text = text.strip("[]")
        return sum(CONSTANTS[x] if x in CONSTANTS else int(x) for x in text.split("|"))

    def call(self, event: Event) -> int:
        name, args = event.call, event.arguments
        if name == "socket":
            fd = self.door("socket", self.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            self.fds[event.result] = fd
            return event.result if fd >= 0 else fd
        fd = self.fds[int(args[0])]
        if name in {"bind", "connect"}:
            address = self.address(8080, self.local if name == "bind" else self.remote)
            return self.door(name, fd, address, len(address))
        if name == "accept":
            size, where = c.c_uint32(28), c.create_string_buffer(28)
            new = self.door("accept", fd, where, c.byref(size))
            if new >= 0 and where.raw[2:4] != struct.pack("!H", self.remote_port):
                raise ScriptError(f"accept told port {where.raw[2:4].hex()}")
            self.fds[event.result] = new
            return event.result if new >= 0 else new
        if name in ("read", "write", "send"):
            count = int(args[2])
            more = [self.number(args[3])] if name == "send" else []
            buffer = c.create_string_buffer(max(count, 1))
            return self.door(name, fd, buffer, c.c_size_t(count), *more, wide=True)
        if name in ("setsockopt", "getsockopt"):
            value, size = c.c_int(self.number(args[3])), c.c_uint32(4)
            wanted = value.value
            last = 4 if name == "setsockopt" else c.byref(size)
            level, option = self.number(args[1]), self.number(args[2])
            result = self.door(name, fd, level, option, c.byref(value), last)
            if result == 0 and value.value != wanted:
                raise ScriptError(f"option is {value.value}")
            return result
        if name == "ioctl":
            out = c.c_int(-1)
            result = self.door("ioctl", fd, c.c_ulong(self.number(args[1])), c.byref(out))
            if out.value != self.number(args[2]):
                raise ScriptError(f"ioctl gave {out.value}")
            return result
        return self.door(name, fd, *[self.number(a) for a in args[1:]])

    def checked_call(self, event: Event) -> None:
        result = self.call(event)
        error = os.strerror(c.get_errno()) if result < 0 else ""
        wanted = os.strerror(getattr(errno, event.errno)) if event.errno else ""
        if (result, error) != (event.result, wanted):
            raise ScriptError(f"expected {event.result} {wanted}, got {result} {error}")

    # -- time -------------------------------------------------------------------------------------

    def check_time(self, event: Event, at_us: int) -> None:
        how, first, last = event.at
        base = self.last if how.startswith("relative") else 0.0
        at = (at_us - self.start) / 1e6 - base
        after = first if how.startswith("relative") else first - self.last
        tolerance = max(TOLERANCE_US / 1e6, 0.125 * after)
        if not first - tolerance <= at <= last + tolerance:
            raise ScriptError(f"expected at {first}..{last} s, happened at {at:.6f} s")

    def wait(self, event: Event) -> None:
        how, first, _ = event.at
        due = self.start + round((first + (self.last if how.startswith("relative") else 0)) * 1e6)
        rest = due - self.door.now()
        if rest > 0:
            self.door("usleep", c.c_uint(rest))

    def block(self, event: Event) -> None:
        began = (self.door.now() - self.start) / 1e6
        failure: list[str] = []

        def work() -> None:
            try:
                self.checked_call(event)
                how, _, end = event.at
                base = began if how.startswith("relative") else 0.0
                end_at = (self.door.now() - self.start) / 1e6 - base
                if abs(end_at - end) > TOLERANCE_US / 1e6:
                    failure.append(f"expected to end at {end} s, ended at {end_at:.6f} s")
            except ScriptError as exc:
                failure.append(str(exc))

        self.failure = failure
        self.thread = threading.Thread(target=work)
        self.thread.start()
        state = Path(f"/proc/self/task/{self.thread.native_id}/stat")
        for _ in range(10_000):  # until it sleeps, as packetdrill does
            try:
                if state.read_text().rpartition(")")[2].split()[0] == "S":
                    return
            except OSError:
                return
            time.sleep(0.0005)

    def join(self) -> None:
        if self.thread is None:
            return
        self.thread.join(10)
        if self.thread.is_alive():
            raise ScriptError("a blocking call never ended")
        self.thread = None
        if self.failure:
            raise ScriptError(self.failure[0])

    def play(self, events: list[Event]) -> None:
        for event in events:
            try:
                self.step(event)
            except ScriptError as exc:
                raise ScriptError(f"line {event.line}: {exc}") from None
        self.join()

    def step(self, event: Event) -> None:
        if event.packet is not None and not event.inbound:
            self.expect(event, event.packet)
        else:
            self.wait(event)
            if event.packet is not None:
                self.inject(event.packet)
            else:
                self.join()
                self.block(event) if "blocking" in event.at[0] else self.checked_call(event)
        self.last = (self.door.now() - self.start) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--flags", default="")
    parser.add_argument("--family", choices=["v4", "v6"], default="v4")
    parser.add_argument("script", type=Path)
    args = parser.parse_args()
    door = Door(args.adapter, args.flags)
    player = Player(door, args.family)
    try:
        player.play(parse(args.script.read_text()))
    except ScriptError as exc:
        print(f"{args.script}: {exc}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)  # a blocked thread may be left
    door("free")
    return 0


if __name__ == "__main__":
    sys.exit(main())
