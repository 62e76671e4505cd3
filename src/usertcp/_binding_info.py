"""What the engine tells in structs, as the classes of `_info`. Called by `_binding` only."""

from typing import Any

from usertcp._address import text_of
from usertcp._core import ffi
from usertcp._errors import name_of
from usertcp._info import ConnectionInfo, LinkInfo, State, Transition

_buffer = ffi.buffer

_SPECIAL_FIELDS = {
    "state", "error", "soft_error", "local", "remote", "congestion_control", "congestion",
}  # fmt: skip
_PLAIN_FIELDS = tuple(
    name for name in ConnectionInfo.__dataclass_fields__ if name not in _SPECIAL_FIELDS
)
_BOOL_FIELDS = tuple(
    name for name, field in ConnectionInfo.__dataclass_fields__.items() if field.type is bool
)
_LINK_FIELDS = tuple(
    name for name in LinkInfo.__dataclass_fields__ if name not in ("name", "ethernet", "mac")
)


def endpoint(ep: Any) -> tuple[str, int]:
    return text_of(_buffer(ep.ip)[:]), ep.port


def _finite(value: int) -> int | None:
    return None if value == 2**64 - 1 else value


def connection_info(raw: Any) -> ConnectionInfo:
    values: dict[str, Any] = {name: getattr(raw, name) for name in _PLAIN_FIELDS}
    for name in _BOOL_FIELDS:
        values[name] = bool(values[name])
    return ConnectionInfo(
        state=State(raw.state),
        error=name_of(raw.error) if raw.error else None,
        soft_error=name_of(raw.soft_error) if raw.soft_error else None,
        local=endpoint(raw.local),
        remote=endpoint(raw.remote),
        congestion_control=ffi.string(raw.congestion_control).decode(),
        congestion={
            ffi.string(raw.congestion[i].name).decode(): _finite(raw.congestion[i].value)
            for i in range(raw.congestion_count)
        },
        **values,
    )


def link_info(raw: Any) -> LinkInfo:
    return LinkInfo(
        name=ffi.string(raw.name).decode(errors="replace"),
        ethernet=raw.medium == 0,
        mac=_buffer(raw.mac)[:6].hex(":"),
        **{name: getattr(raw, name) for name in _LINK_FIELDS},
    )


def transition(row: Any) -> Transition:
    return Transition(
        at_ns=row.at_ns,
        handle=row.handle,
        local=endpoint(row.local),
        remote=endpoint(row.remote),
        from_state=State(getattr(row, "from")),
        to_state=State(row.to),
        received=bool(row.received),
        cause=ffi.string(row.cause).decode(errors="replace"),
    )
