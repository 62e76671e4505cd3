"""The USERTCP_ variables: a stack for programs that say nothing of one, read here and nowhere else.

`open_stack()` without a link, the event loops of `usertcp.asyncio`, and what `usertcp run` starts
ask them; options of the command line stand for the same ones. USERTCP_CONTROL,
USERTCP_TRACE, USERTCP_BUSY_POLL and USERTCP_BYPASS hold for every stack: `_control`, `_trace`,
`_open`, `_bypass`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from usertcp._address import parse_address, parse_interface

LINK = "USERTCP_LINK"
ADDRESS = "USERTCP_ADDRESS"
GATEWAY = "USERTCP_GATEWAY"
MTU = "USERTCP_MTU"
PCAP = "USERTCP_PCAP"
CONTROL = "USERTCP_CONTROL"
TRACE = "USERTCP_TRACE"
BUSY_POLL = "USERTCP_BUSY_POLL"

MTU_RANGE = (68, 65535)
"""Bytes of an IP packet: RFC 791's smallest, and the most its length field can say."""
BUSY_POLL_MOST = 1e-3
"""Seconds: so long an event loop may stand still for nothing."""
_EXAMPLE = f"{LINK}=packet:eth1 {ADDRESS}=10.7.0.2/24 (and, if need be, {GATEWAY}=10.7.0.1)"


def split(text: str) -> list[str]:
    """The parts of a list with commas; spaces around them do not matter."""
    return [part for piece in text.split(",") if (part := piece.strip())]


def stack_arguments(environ: Mapping[str, str]) -> dict[str, Any]:
    """`link`, `addresses`, `gateway`, `mtu`, `capture` for `open_stack`; unset ones are left out.

    An empty variable is as good as none. `ValueError` names the variable whose value is wrong.
    """
    from usertcp.links import parse_link

    found: dict[str, Any] = {}
    given = {name: text for name in _ALL if (text := environ.get(name, "").strip())}
    if LINK in given:
        found["link"] = _checked(LINK, parse_link, given[LINK])
    if addresses := split(given.get(ADDRESS, "")):
        for text in addresses:
            _checked(ADDRESS, parse_interface, text)
        found["addresses"] = addresses
    if gateways := split(given.get(GATEWAY, "")):
        for text in gateways:
            _checked(GATEWAY, lambda one: parse_address(one, "gateway"), text)
        found["gateway"] = gateways
    if MTU in given:
        found["mtu"] = _mtu(given[MTU])
    if PCAP in given:
        found["capture"] = _checked(PCAP, check_file, given[PCAP])
    return found


_ALL = (LINK, ADDRESS, GATEWAY, MTU, PCAP)


def wanted_trace(environ: Mapping[str, str]) -> Path | None:
    """Where every stack is to write a trace; `ValueError` when that can be no file's name."""
    text = environ.get(TRACE, "").strip()
    if not text:
        return None
    path = Path(text)
    if not path.is_dir():
        _checked(TRACE, check_file, text)
    return path


def wanted_busy_poll(environ: Mapping[str, str]) -> float:
    """Seconds of busy polling, 0 for none; `ValueError` for what is no such number."""
    text = environ.get(BUSY_POLL, "").strip() or "0"
    try:
        return check_busy_poll(float(text))
    except ValueError:
        raise ValueError(f"{BUSY_POLL}: {_no_busy_poll(text)}") from None


def check_busy_poll(seconds: float) -> float:
    """`seconds`; `ValueError` when they are out of range."""
    if not 0 <= seconds <= BUSY_POLL_MOST:
        raise ValueError(f"busy_poll: {_no_busy_poll(seconds)}")
    return seconds


def _no_busy_poll(given: object) -> str:
    return f"{given!r} is not a number of seconds between 0 and {BUSY_POLL_MOST}"


def missing(found: Mapping[str, Any]) -> RuntimeError | None:
    """What to raise when a stack cannot be made of these arguments: they are too few."""
    names = [name for name, key in ((LINK, "link"), (ADDRESS, "addresses")) if not found.get(key)]
    if not names:
        return None
    return RuntimeError(
        f"no usertcp stack: {' and '.join(names)} not set; set {_EXAMPLE}, or give the stack in "
        'the program: open_stack("packet:eth1", addresses=["10.7.0.2/24"])'
    )


def _checked(name: str, check: Any, text: str) -> str:
    try:
        check(text)
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from None
    return text


def _mtu(text: str) -> int:
    first, last = MTU_RANGE
    if not (text.isascii() and text.isdigit()) or not first <= int(text) <= last:
        raise ValueError(f"{MTU}: {text!r} is not a number of bytes between {first} and {last}")
    return int(text)


def check_file(text: str) -> None:
    """Whether a capture may be written there; `ValueError` for what cannot be a new file's name."""
    path = Path(text)
    if path.is_dir():
        raise ValueError(f"{text!r} is a directory; a file is needed")
    if not path.parent.is_dir():
        raise ValueError(f"{text!r}: there is no directory {os.fspath(path.parent)!r}")
