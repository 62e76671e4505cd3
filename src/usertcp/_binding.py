"""The only importer of the compiled engine, with `_binding_info`: one `ut_stack` as an object.

Called by `_stack`. Nothing here waits, reads a clock or translates the outcome of a stream
operation: calls give what the engine gave, negated codes of `_errors` included, so that the hot
path costs one Python call and one C call. Structs are allocated once per stack.

One thread at a time: the engine has a mutex of its own, the scratch memory here has not.
"""

import os
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from usertcp import _events
from usertcp._binding_info import connection_info, endpoint, link_info, transition
from usertcp._core import ffi, lib
from usertcp._errors import Code, exception
from usertcp._info import ConnectionInfo, LinkInfo, Transition
from usertcp._posted import address_of as _address_of
from usertcp._posted import new as _new_bytes

__all__ = [
    "Bytes",
    "Exported",
    "LinkHolder",
    "RawStack",
    "checksum_name",
    "counter_names",
    "ffi",
    "lib",
]

Bytes: TypeAlias = bytes | bytearray | memoryview
Exported: TypeAlias = Any  # a cdata that keeps a buffer of the caller alive

SCRATCH = 16 * 1024  # up to this much is copied by ut_recv itself; more is lent and cut out once
MAX_EVENTS = 256
LIST_FIRST = 64

_send = lib.ut_send
_recv = lib.ut_recv
_recv_done = lib.ut_recv_done
_recv_keep = lib.ut_recv_keep
_poll = lib.ut_poll
_buffer = ffi.buffer

_LINK_DOWN = -Code.LINK_DOWN
_posted_of: dict[Any, list[bytes]] = {}
"""What living engines receive into, kept also when nobody remembers the engine but its thread."""


class LinkHolder(Protocol):
    """What `usertcp.links.Link` is to a stack."""

    def release(self) -> Any:
        """The `ut_link *`, from now on the caller's. `ClosedResourceError` when it is gone."""

    def close(self) -> None:
        """Gives back what the link has claimed in the system; after the stack's end."""


def _check_layout() -> None:
    """What `_events` says must be what was compiled: a mismatch is a broken installation."""
    for name in ("READABLE", "WRITABLE", "CONNECTED", "CLOSED", "ACCEPTABLE", "URGENT", "ALL_SENT"):
        assert getattr(lib, f"UT_{name}") == getattr(_events, name), name
    for code in Code:
        assert getattr(lib, f"UT_E_{code.name}") == code, code
    assert len(_buffer(ffi.new("ut_event *"))) == _events.EVENT.size


_check_layout()


def checksum_name() -> str:
    """The checksum implementation chosen for this machine: `avx2`, `portable`, ..."""
    return ffi.string(lib.ut_checksum_name()).decode()


def counter_names(count: int) -> list[str]:
    return [ffi.string(lib.ut_counter_name(i)).decode() for i in range(count)]


class RawStack:
    """A `ut_stack`. `shared[0]` is the engine's deadline, `shared[1]` its events not yet read,
    `shared[2]` how many bytes its link had received and sent when the last turn ended, `shared[3]`
    its reports to congestion controls in Python (`_guide`), `shared[4]` its notes (`_trace`).
    """

    __slots__ = (
        "_bytes", "_event_bytes", "_events", "_handle", "_info", "_link", "_local", "_names",
        "_posted", "_posted_size", "_remote", "_scratch", "_span", "_stack", "drained", "fd",
        "polls", "pump_fd", "shared",
    )  # fmt: skip

    def __init__(
        self,
        link: LinkHolder,
        settings: Mapping[str, int],
        seed: tuple[int, int],
        capture: str | None = None,
    ) -> None:
        config = ffi.new("ut_config *")
        lib.ut_config_default(config)
        lib.ut_config_profile(config, settings.get("profile", 0))
        for name, value in settings.items():
            try:
                setattr(config, name, value)
            except OverflowError:
                raise ValueError(f"{name}: {value} is out of range") from None
        config.seed[0], config.seed[1] = seed
        self._link = link
        self._stack: Any = self._new(config, capture)
        self.polls: int = 0
        self.drained: bool = False
        """By the last `recv`: an event tells of more, be it the end."""
        shared = lib.ut_stack_shared(self._stack)
        self.shared: memoryview[int] = memoryview(_buffer(shared, 40)).cast("B").cast("Q")
        link_info = ffi.new("ut_link_info *")
        lib.ut_link_get_info(lib.ut_stack_link(self._stack), link_info)
        self.fd: int = link_info.fd
        self.pump_fd: int = -1  # readable when the pump thread has left events; -1: there is none
        self._scratch = ffi.new("uint8_t[]", SCRATCH)
        self._bytes = _buffer(self._scratch)
        self._span = ffi.new("ut_span *")
        self._events = ffi.new("ut_event[]", MAX_EVENTS)
        self._event_bytes = memoryview(_buffer(self._events))
        self._handle = ffi.new("ut_handle *")
        self._info = ffi.new("ut_info *")
        self._local = ffi.new("ut_endpoint *")
        self._remote = ffi.new("ut_endpoint *")
        self._names: list[str] = []
        self._posted: list[bytes] = [b""] * lib.UT_POSTED_MAX
        _posted_of[self._stack] = self._posted
        self._posted_size: int = 0

    def _new(self, config: Any, capture: str | None) -> Any:
        pointer, error, system_error = self._link.release(), ffi.new("int *"), ffi.new("int *")
        stack, about = None, "the stack cannot be made"
        if capture is not None:
            about = f"capture to {capture!r}"
            error[0] = lib.ut_link_capture(pointer, os.fsencode(capture), system_error)
        if error[0] < 0:
            lib.ut_link_close(pointer)
        else:
            stack = lib.ut_stack_new(config, pointer, error)
        if not stack:
            self._link.close()
            raise exception(error[0], about, system_error[0])
        return stack

    def free(self) -> None:
        """Frees the engine's side at once. Only `shared` may be looked at afterwards."""
        stack, self._stack = self._stack, None
        if stack is not None:
            self.shared = memoryview(array("Q", [_events.NEVER, 0, 0, 0, 0]))
            lib.ut_stack_free(stack)
            _posted_of.pop(stack, None)
            self._link.close()

    def start_pump(self) -> None:
        """A thread services link and timers when turns are late; times are monotonic ns then."""
        error = ffi.new("int *")
        code = lib.ut_pump_start(self._stack, error)
        if code < 0:
            raise exception(code, "the pump thread cannot be started", error[0])
        self.pump_fd = lib.ut_pump_fd(self._stack)

    # ---- turns -------------------------------------------------------------------------------

    def poll_events(self, now: int, budget: int) -> Iterable[tuple[int, int, int]] | int:
        """One turn: the events (handle, bits, error) it led to, or a negated code."""
        count = _poll(self._stack, now, budget, self._events, MAX_EVENTS)
        self.polls += 1
        if count <= 0:
            return count or ()
        return _events.decode(self._event_bytes[: count * _events.EVENT.size])

    # ---- data --------------------------------------------------------------------------------

    def recv(self, handle: int, max_bytes: int, now: int) -> bytes | int:
        """Up to `max_bytes` received bytes, at least one, or a negated code."""
        stack, span = self._stack, self._span
        count = _recv(stack, handle, self._scratch, SCRATCH, max_bytes, span, now)
        if count > 0:
            self.drained = count < max_bytes and count < SCRATCH
            return self._bytes[:count]
        if count < 0:
            return count
        number, want = span.posted, span.want
        if number and _address_of(filled := self._posted[number - 1]) == span.address:
            fresh: Any = _new_bytes(want)
            # An interrupt may come anywhere. What the engine has must live even then; where the
            # list then tells another object than the engine has, the addresses differ.
            self._posted.append(fresh)
            self.drained = _recv_keep(stack, handle, fresh, want, now) == 0
            self._posted[number - 1] = fresh
            self._posted.pop()
            return filled
        length = span.len
        data = _buffer(span.data, length)[:]
        self.drained = _recv_done(stack, handle, length, now) == 0
        if number or want != self._posted_size:
            self._post(want)
        return data

    def _post(self, size: int) -> None:
        """From now on large segments are received into `bytes` objects of this size."""
        posted = self._posted
        for i in range(lib.UT_POSTED_MAX):
            fresh: Any = _new_bytes(size)
            posted.append(fresh)
            if lib.ut_post(self._stack, i + 1, fresh, size) == 0:  # else it holds unread text
                posted[i] = fresh
            posted.pop()
        self._posted_size = size

    def peek(self, handle: int, now: int) -> int:
        """0 when `recv` would give bytes, else the negated code it would give."""
        count = _recv(self._stack, handle, self._scratch, 0, 1, self._span, now)
        if count == 0:
            _recv_done(self._stack, handle, 0, now)
        return count

    def send(self, handle: int, data: bytes, now: int) -> int:
        """How many bytes of `data` were taken, or a negated code."""
        return _send(self._stack, handle, data, len(data), now)

    @staticmethod
    def export(data: Bytes) -> Exported:
        """`data` for `send_from`. `TypeError` when it is not bytes-like and contiguous."""
        try:
            return ffi.from_buffer("char[]", data)
        except (BufferError, ValueError) as exc:
            raise TypeError(f"a contiguous bytes-like object is needed: {exc}") from None

    def send_from(self, handle: int, exported: Exported, offset: int, now: int) -> int:
        """As `send`, for what is left of `exported` from `offset`, without making a slice."""
        size = len(exported) - offset
        return _send(self._stack, handle, exported + offset, size, now)

    # ---- connections -------------------------------------------------------------------------

    def _fill(self, ep: Any, packed: bytes, port: int) -> Any:
        ffi.memmove(ep.ip, packed, 16)
        ep.port = port
        return ep

    def connect(
        self,
        local: tuple[bytes, int],
        remote: tuple[bytes, int],
        now: int,
        *,
        ecn: bool | None = None,
        fast_open: bool = False,
    ) -> tuple[int, int]:
        """(0, handle), (1, handle) when the SYN waits for data, or (negated code, 0).

        `ecn`: ask for it; None: as the stack does. `fast_open`: RFC 7413.
        """
        flags = 0 if ecn is None else lib.UT_CONNECT_ECN if ecn else lib.UT_CONNECT_NO_ECN
        code = lib.ut_connect(
            self._stack,
            self._fill(self._local, *local),
            self._fill(self._remote, *remote),
            flags | lib.UT_CONNECT_FAST_OPEN * fast_open,
            now,
            self._handle,
        )
        return code, self._handle[0] if code >= 0 else 0

    def listen(
        self, packed: bytes, port: int, backlog: int, now: int, *, share: bool = False
    ) -> tuple[int, int]:
        """(0, handle) or (negated code, 0)."""
        local = self._fill(self._local, packed, port)
        flags = lib.UT_LISTEN_SHARE if share else 0
        code = lib.ut_listen(self._stack, local, backlog, flags, now, self._handle)
        return code, self._handle[0] if code >= 0 else 0

    def accept(self, listener: int, now: int) -> tuple[int, tuple[str, int], tuple[str, int]] | int:
        """(handle, local, remote) or a negated code."""
        code = lib.ut_accept(self._stack, listener, now, self._handle, self._local, self._remote)
        if code < 0:
            return code
        return self._handle[0], endpoint(self._local), endpoint(self._remote)

    def shutdown(self, handle: int, now: int) -> int:
        return lib.ut_shutdown(self._stack, handle, now)

    def close(self, handle: int, now: int) -> int:
        return lib.ut_close(self._stack, handle, now)

    def abort(self, handle: int, now: int) -> int:
        return lib.ut_abort(self._stack, handle, now)

    def set_option(self, handle: int, option: int, value: int, now: int) -> int:
        return lib.ut_option_set(self._stack, handle, option, value, now)

    def get_option(self, handle: int, option: int) -> tuple[int, int]:
        """(0, value) or (negated code, 0)."""
        value = ffi.new("int64_t *")
        return lib.ut_option_get(self._stack, handle, option, value), value[0]

    def hold_output(self, on: bool, now: int) -> None:
        lib.ut_output_hold(self._stack, on, now)

    def set_fast_open_key(self, key: bytes, now: int) -> None:
        lib.ut_fast_open_key_set(self._stack, key, now)

    # ---- addresses ---------------------------------------------------------------------------

    def address_add(self, packed: bytes, prefix_len: int, check: int, now: int) -> int:
        return lib.ut_address_add(self._stack, packed, prefix_len, check, now)

    def address_state(self, packed: bytes) -> int:
        """0 usable, 1 still being checked, or a negated code."""
        return lib.ut_address_state(self._stack, packed)

    def gateway_set(self, packed: bytes) -> int:
        return lib.ut_gateway_set(self._stack, packed)

    # ---- looking -----------------------------------------------------------------------------

    def info(self, handle: int) -> ConnectionInfo | int:
        """A snapshot, or a negated code."""
        code = lib.ut_get_info(self._stack, handle, self._info)
        return code if code < 0 else connection_info(self._info)

    def local_endpoint(self, handle: int) -> tuple[str, int]:
        """Of a connection or listener that exists."""
        lib.ut_get_info(self._stack, handle, self._info)
        return endpoint(self._info.local)

    def list_info(self) -> list[ConnectionInfo]:
        """Connections, listeners, half-open and TIME-WAIT entries."""
        room = LIST_FIRST
        while True:
            rows = ffi.new("ut_info[]", room)
            count = lib.ut_list(self._stack, rows, room)
            if count <= room:
                return [connection_info(rows[i]) for i in range(count)]
            room = count + LIST_FIRST

    def counters(self) -> dict[str, int]:
        count = lib.ut_counters(self._stack, ffi.new("uint64_t[]", 1), 0)
        if len(self._names) != count:
            self._names = counter_names(count)
        values = ffi.new("uint64_t[]", max(count, 1))
        lib.ut_counters(self._stack, values, count)
        return {name: values[i] for i, name in enumerate(self._names)}

    def link_info(self) -> LinkInfo:
        raw = ffi.new("ut_link_info *")
        lib.ut_link_get_info(lib.ut_stack_link(self._stack), raw)
        return link_info(raw)

    def unfinished(self) -> int:
        return lib.ut_unfinished(self._stack)

    def awaiting_fin(self) -> int:
        return lib.ut_awaiting_fin(self._stack)

    def memory_in_use(self) -> int:
        return lib.ut_memory_in_use(self._stack)

    def read_trace(self) -> list[Transition]:
        """The state transitions remembered since the last call, oldest first."""
        rows = ffi.new("ut_transition[]", LIST_FIRST)
        result: list[Transition] = []
        while count := lib.ut_trace_read(self._stack, rows, LIST_FIRST):
            result.extend(transition(rows[i]) for i in range(count))
        return result
