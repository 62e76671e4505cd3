"""packetdrill's language, as far as our own scripts use it: what is to happen, and when."""

import re
import socket
from dataclasses import dataclass, field

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
ECN = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}  # RFC 3168 5
CONSTANTS = {
    "SOL_SOCKET": socket.SOL_SOCKET, "SOL_TCP": socket.SOL_TCP, "SO_REUSEADDR": socket.SO_REUSEADDR,
    "SO_ERROR": socket.SO_ERROR, "TCP_NODELAY": 1, "TCP_MAXSEG": 2, "TCP_CORK": 3, "SO_SNDBUF": 7,
    "TCP_USER_TIMEOUT": 18, "SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2, "MSG_MORE": 0x8000,
    "F_SETFL": 4, "O_RDWR": 2, "O_NONBLOCK": 0o4000, "SIOCINQ": 0x541B, "TCP_FASTOPEN": 23,
}  # fmt: skip


class ScriptError(Exception):
    """The script is wrong, or what happened is not what it says."""


@dataclass
class Packet:
    flags: str
    seq: int
    length: int
    ack: int | None = None
    window: int | None = None
    options: str | None = None  # None: not looked at
    ecn: int | None = None  # of the IP header; None: none, or not looked at


@dataclass
class Event:
    line: int
    at: tuple[str, float, float]  # how, earliest, latest (or the end of a blocking call)
    packet: Packet | None = None
    inbound: bool = False
    call: str = ""
    arguments: list[str] = field(default_factory=list)
    result: int = 0
    errno: str = ""


def parse(text: str) -> list[Event]:
    events = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("//")[0].strip()
        if not line or line.startswith(("`", "--")):
            continue
        when, rest = line.split(None, 1)
        match = re.fullmatch(r"(\+?)(\d+\.?\d*|\.\d+)(?:(~|\.\.\.)\+?([\d.]+))?", when)
        if match is None:
            raise ScriptError(f"line {number}: time {when}")
        how = ("relative" if match[1] else "absolute") + (" blocking" if match[3] == "..." else "")
        first = float(match[2])
        event = Event(number, (how, first, float(match[4]) if match[4] else first))
        if rest[0] in "<>":
            event.inbound, event.packet = rest[0] == "<", parse_packet(rest[1:].strip())
        else:
            call = re.fullmatch(r"(\w+)\((.*)\) = (-?\d+)\s*(E\w+)?.*", rest)
            if call is None:
                raise ScriptError(f"line {number}: {rest}")
            event.call, event.result, event.errno = call[1], int(call[3]), call[4] or ""
            event.arguments = [part.strip() for part in call[2].split(",")]
        events.append(event)
    return events


def parse_packet(text: str) -> Packet:
    match = re.fullmatch(
        r"(?:\[(\w+)\]\s+)?(\S+)\s+(\d+):(\d+)\((\d+)\)(?: ack (\d+))?(?: win (\d+))?"
        r"(?:\s*<(.*)>)?\s*",
        text,
    )
    if match is None or (match[1] and match[1] not in ECN):
        raise ScriptError(f"packet {text}")
    options = match[8] if match[8] is not None else ""
    return Packet(
        match[2], int(match[3]), int(match[5]), int(match[6]) if match[6] else None,
        int(match[7]) if match[7] else None, None if options == "..." else options,
        ECN[match[1]] if match[1] else None,
    )  # fmt: skip
