"""Links: where a stack's packets go. Named by URL, or opened by a function each.

    packet:v1?mtu=1500&offload=0&mac=02:00:00:00:00:02&buffer=8M     a network device (AF_PACKET)
    tun:utun0?offload=0&queues=1                                     a TUN device of the kernel
    raw:?ports=61000-61999                                           the host's own addresses
    memory:NAME?ethernet=1                                           the other end in this process

A `Link` belongs to whoever opened it until a stack takes it; `close()` gives back what it claimed
in the system, also after a stack had it.
"""

import errno
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

from usertcp import _claims
from usertcp._binding import ffi, lib
from usertcp._errors import Code, exception
from usertcp._info import LinkInfo
from usertcp._link_errors import link_error

__all__ = [
    "Link",
    "LinkSpec",
    "memory_pair",
    "open_link",
    "open_memory",
    "open_packet",
    "open_raw",
    "open_tun",
    "parse_link",
]

FORMS = (
    "packet:IFNAME, tun:IFNAME, raw: or memory:NAME, with options as in "
    "packet:v1?mtu=1500&mac=02:00:00:00:00:02"
)
Value = int | bool | str | tuple[int, int]


# -- URLs ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """What a link URL says. `options` holds parsed values, by their names in the URL."""

    kind: str
    name: str = ""
    options: Mapping[str, Value] = field(default_factory=dict)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _size(text: str) -> int:
    shift = {"k": 10, "M": 20}.get(text[-1:], 0)
    return _number(text[:-1] if shift else text) << shift


def _flag(text: str) -> bool:
    return {"0": False, "off": False, "no": False, "1": True, "on": True, "yes": True}[text]


def _mac(text: str) -> str:
    if re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", text) is None:
        raise ValueError(text)
    if int(text[:2], 16) & 1:
        raise ValueError(text)
    return text.lower()


def _ports(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    if match is None or not 0 < int(match[1]) <= int(match[2]) < 65536:
        raise ValueError(text)
    return int(match[1]), int(match[2])


_PARSERS: dict[str, tuple[Callable[[str], Value], str]] = {
    "mtu": (_number, "a number of bytes, as in mtu=1500"),
    "offload": (_flag, "0 or 1"),
    "mac": (_mac, "the address of one station, as in mac=02:00:00:00:00:02"),
    "buffer": (_size, "a number of bytes, as in buffer=8M"),
    "queues": (_number, "0, or 1 for a multi-queue device"),
    "ports": (_ports, "first and last port, as in ports=61000-61999"),
    "ethernet": (_flag, "0 or 1"),
}
_KINDS: dict[str, tuple[str, ...]] = {
    "packet": ("mtu", "offload", "mac", "buffer"),
    "tun": ("mtu", "offload", "queues"),
    "raw": ("mtu", "ports", "buffer"),
    "memory": ("mtu", "offload", "mac", "buffer", "ethernet"),
}


def parse_link(url: str) -> LinkSpec:
    """`ValueError` names the part that is wrong and what may stand there."""
    kind, colon, rest = url.partition(":")
    if not colon or kind not in _KINDS:
        what = f"unknown kind {kind!r}" if colon else "no kind of link before a ':'"
        raise ValueError(f"link {url!r}: {what}; expected {FORMS}")
    name, _, query = rest.partition("?")
    name = unquote(name)
    if kind == "raw" and name:
        raise ValueError(
            f"link {url!r}: raw: has no name, got {name!r}; expected raw:?ports=FIRST-LAST"
        )
    if kind in ("packet", "memory") and not name:
        raise ValueError(f"link {url!r}: the name after {kind}: is missing; expected {FORMS}")
    return LinkSpec(kind, name, _parse_options(url, kind, query))


def _parse_options(url: str, kind: str, query: str) -> dict[str, Value]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError(
            f"link {url!r}: options {query!r}: expected NAME=VALUE&NAME=VALUE"
        ) from None
    options: dict[str, Value] = {}
    for key, text in pairs:
        if key not in _KINDS[kind]:
            allowed = ", ".join(_KINDS[kind])
            raise ValueError(f"link {url!r}: {kind}: has no option {key!r}; it has {allowed}")
        if key in options:
            raise ValueError(f"link {url!r}: option {key!r} is given twice")
        parser, form = _PARSERS[key]
        try:
            options[key] = parser(text)
        except (ValueError, KeyError):
            raise ValueError(f"link {url!r}: option {key}={text!r}: expected {form}") from None
    return options


# -- opening ---------------------------------------------------------------------------------------


def open_link(link: "str | LinkSpec | Link") -> "Link":
    """By URL or its parsed form; a `Link` is passed through."""
    if isinstance(link, Link):
        return link
    spec = parse_link(link) if isinstance(link, str) else link
    options: dict[str, Any] = dict(spec.options)
    match spec.kind:
        case "packet":
            return open_packet(spec.name, **options)
        case "tun":
            return open_tun(spec.name, **options)
        case "raw":
            return open_raw(**options)
        case "memory":
            return open_memory(spec.name, **options)
        case _:
            raise ValueError(f"unknown kind of link {spec.kind!r}; expected {FORMS}")


def open_packet(
    ifname: str,
    *,
    mtu: int = 0,
    offload: bool = True,
    mac: str | None = None,
    buffer: int = 0,
) -> "Link":
    """An Ethernet device that is up. `mac`: a station address of the stack's own (the device then
    listens promiscuously); `buffer`: bytes of the receive queue.
    """
    options = _options(mtu=mtu, offload=offload, mac=mac, buffer=buffer)
    return _open("packet", ifname, partial(lib.ut_link_packet, os.fsencode(ifname)), options)


def open_tun(ifname: str = "", *, mtu: int = 0, offload: bool = True, queues: int = 0) -> "Link":
    """A TUN device, made if there is none of that name; without a name the kernel chooses one
    (`link.name`). The kernel's end still wants an address and to be set up.
    """
    options = _options(mtu=mtu, offload=offload, queues=queues)
    return _open("tun", ifname, partial(lib.ut_link_tun, os.fsencode(ifname)), options)


def open_raw(*, ports: tuple[int, int] | None = None, mtu: int = 0, buffer: int = 0) -> "Link":
    """Raw IP sockets on the host's addresses. Claims `ports` (default: 1000 free ones), for which
    the kernel is kept from answering with RST until the link is closed; see `link.ports`.
    """
    claim = _claims.claim_ports(ports)
    try:
        options = _options(mtu=mtu, buffer=buffer, ports=claim.ports)
        return _open("raw", "", lib.ut_link_raw, options, claim)
    except BaseException:
        claim.release()
        raise


def open_memory(
    name: str,
    *,
    mtu: int = 0,
    offload: bool = True,
    mac: str | None = None,
    buffer: int = 0,
    ethernet: bool = False,
) -> "Link":
    """One end of a cable in memory; the second to open the same name is the other end."""
    options = _options(mtu=mtu, offload=offload, mac=mac, buffer=buffer, ethernet=ethernet)
    link = _open("memory", name, _memory, options)
    try:
        link._meet(name)  # noqa: SLF001 - its other half
    except BaseException:
        link.close()
        raise
    return link


def memory_pair(
    *, mtu: int = 0, offload: bool = True, buffer: int = 0, ethernet: bool = False
) -> "tuple[Link, Link]":
    """Both ends of a cable in memory."""
    options = _options(mtu=mtu, offload=offload, buffer=buffer, ethernet=ethernet)
    a, b = (_open("memory", "", _memory, options) for _ in range(2))
    a.join(b)
    return a, b


# -- the link itself, and its errors: everything below calls C -------------------------------------


class Link:
    """An open link. `name` is the device's, `ports` the range that a raw link has claimed."""

    def __init__(self, kind: str, pointer: Any, claim: "_claims.PortClaim | None" = None) -> None:
        self.kind = kind
        self._pointer = pointer
        self._claim = claim
        raw = self._raw_info()  # kept, because its array does not keep it
        self.name: str = ffi.string(raw.name).decode()

    @property
    def ports(self) -> tuple[int, int] | None:
        return self._claim.ports if self._claim is not None else None

    def release(self) -> Any:
        """The `ut_link *`, from now on the caller's: for the stack that takes the link over."""
        pointer = self._live()
        self._pointer = None
        return pointer

    def close(self) -> None:
        """Idempotent. A stack that took the link closes its C part first, then this."""
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            lib.ut_link_close(pointer)
        if self._claim is not None:
            self._claim.release()

    def info(self) -> LinkInfo:
        raw = self._raw_info()
        fields = [name for name in LinkInfo.__dataclass_fields__ if hasattr(raw, name)]
        values: dict[str, Any] = {name: getattr(raw, name) for name in fields}
        values |= {"ethernet": raw.medium == 0, "mac": bytes(raw.mac)[:6].hex(":")}
        if "name" in values:
            values["name"] = self.name
        return LinkInfo(**values)

    def capture(self, path: "str | os.PathLike[str] | None") -> None:
        """Copy every frame from now on to a pcapng file; None ends that."""
        if path is None:
            lib.ut_link_capture_stop(self._live())
            return
        system_error = ffi.new("int *")
        code = lib.ut_link_capture(self._live(), os.fsencode(path), system_error)
        if code:
            raise exception(code, f"capture to {os.fspath(path)!r}", system_error[0])

    def join(self, other: "Link") -> None:
        """Make two memory links the ends of one cable."""
        if lib.ut_memory_join(self._live(), other._live()):  # noqa: SLF001 - of this class
            raise ValueError(
                "only two memory links that are not yet joined, with the same `ethernet` and "
                "`offload`, can be joined"
            )

    def _meet(self, name: str) -> None:
        code = lib.ut_memory_join_name(self._live(), os.fsencode(name))
        self.name = name
        if code == -Code.ADDRESS_IN_USE:
            text = f"memory:{name} has two ends already; a third needs another name"
            raise OSError(errno.EADDRINUSE, text)
        if code < 0:
            raise ValueError(
                f"memory:{name}: the name is longer than 63 bytes, or the other end was opened "
                "with other values of `ethernet` or `offload`"
            )

    def _live(self) -> Any:
        if self._pointer is None:
            from anyio import ClosedResourceError

            raise ClosedResourceError("the link is closed, or a stack has taken it")
        return self._pointer

    def _raw_info(self) -> Any:
        raw = ffi.new("ut_link_info *")
        lib.ut_link_get_info(self._live(), raw)
        return raw

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self._pointer is not None else " (closed or taken)"
        return f"<Link {self.kind}:{self.name}{state}>"


def _options(**wanted: Any) -> Any:
    options = ffi.new("ut_link_options *")
    mac, ports = wanted.pop("mac", None), wanted.pop("ports", None)
    for name, value in wanted.items():
        try:
            setattr(options, name, int(value))
        except OverflowError:
            raise ValueError(f"link option {name}={value}: out of range") from None
    if mac is not None:
        options.has_mac = 1
        options.mac[0:6] = list(bytes.fromhex(_mac(mac).replace(":", "")))
    if ports is not None:
        options.port_first, options.port_last = ports
    return options


def _memory(options: Any, error: Any, system_error: Any) -> Any:
    system_error[0] = 0
    return lib.ut_link_memory(options, error)


def _open(
    kind: str,
    name: str,
    opener: Callable[[Any, Any, Any], Any],
    options: Any,
    claim: "_claims.PortClaim | None" = None,
) -> Link:
    error, system_error = ffi.new("int *"), ffi.new("int *")
    pointer = opener(options, error, system_error)
    if not pointer:
        raise link_error(kind, name, error[0], system_error[0])
    return Link(kind, pointer, claim)
