"""A link without a stack: frames in and out by hand, through the white-box module."""

import select
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from usertcp import _whitebox

ffi: Any = _whitebox.ffi
lib: Any = _whitebox.lib

NEEDS_CSUM, CSUM_VALID, TRUNCATED, GSO_ECN = 1, 2, 4, 8
GSO_TCP4, GSO_TCP6 = 1, 2
TX_CSUM, TX_TSO4, TX_TSO6, RX_CSUM, RX_GSO = 1, 2, 4, 8, 16
LINK_DOWN = -16
SYSTEM = -21


@dataclass(frozen=True)
class Marks:
    flags: int = 0
    gso: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    header_len: int = 0


@dataclass(frozen=True)
class Frame:
    data: bytes
    marks: Marks


PLAIN = Marks()


class OpenError(Exception):
    def __init__(self, code: int, errno: int) -> None:
        super().__init__(code, errno)
        self.code, self.errno = code, errno


class RawLink:
    """`RawLink("packet", "v1", mac="02:...", mtu=...)`; options as in ut_link_options."""

    def __init__(self, kind: str, name: str | None = None, **options: Any) -> None:
        o = ffi.new("ut_link_options *", {"offload": 1})
        if (mac := options.pop("mac", None)) is not None:
            o.has_mac = 1
            o.mac[0:6] = list(bytes.fromhex(mac.replace(":", "")))
        for key, value in options.items():
            setattr(o, key, value)
        error, system = ffi.new("int *"), ffi.new("int *")
        opener = getattr(lib, f"ut_link_{kind}")
        arguments = [o, error] if kind == "memory" else [o, error, system]
        self.pointer = opener(*([name.encode()] if name is not None else []), *arguments)
        if not self.pointer:
            raise OpenError(error[0], system[0])
        self._frames = ffi.gc(lib.wb_frames_new(), lib.wb_frames_free)
        self._kept: list[Any] = []
        self._waiting: deque[Frame] = deque()

    @property
    def info(self) -> Any:
        raw = ffi.new("ut_link_info *")
        lib.ut_link_get_info(self.pointer, raw)
        return raw

    @property
    def mac(self) -> bytes:
        info = self.info  # an array alone does not keep its struct
        return bytes(info.mac)[:6]

    @property
    def name(self) -> str:
        info = self.info
        return str(ffi.string(info.name).decode())

    def recv(self, maximum: int = 64) -> list[Frame] | int:
        """The frames of one receive call, or its error."""
        count = lib.wb_link_recv(self.pointer, self._frames, maximum)
        return count if count < 0 else [self.frame(i) for i in range(count)]

    def frame(self, i: int) -> Frame:
        data, marks = ffi.new("uint8_t **"), ffi.new("ut_offload *")
        length = lib.wb_frame(self._frames, i, data, marks)
        fields = {name: getattr(marks, name) for name in Marks.__dataclass_fields__}
        return Frame(bytes(ffi.buffer(data[0], length)), Marks(**fields))

    def frames(
        self, wanted: Callable[[Frame], bool] = lambda _: True, *, count: int = 1, within: float = 5
    ) -> list[Frame]:
        """The next `count` frames that are `wanted`; others are thrown away."""
        found: list[Frame] = []
        end = time.monotonic() + within
        while True:
            while self._waiting and len(found) < count:
                frame = self._waiting.popleft()
                if wanted(frame):
                    found.append(frame)
            left = end - time.monotonic()
            if len(found) == count or left <= 0:
                return found
            select.select([self.info.fd], [], [], min(left, 0.2))
            got = self.recv()
            assert isinstance(got, list), got
            self._waiting.extend(got)

    def is_readable(self) -> bool:
        return bool(select.select([self.info.fd], [], [], 0)[0])

    def queue(self, data: bytes, marks: Marks = PLAIN, head: int = 60) -> None:
        kept = ffi.new("uint8_t[]", data)
        self._kept.append(kept)
        offload = ffi.new("ut_offload *", {**marks.__dict__})
        lib.wb_link_queue(self.pointer, kept, len(data), min(head, len(data)), offload)

    def flush(self) -> int:
        try:
            return lib.wb_link_flush(self.pointer)
        finally:
            self._kept.clear()

    def send(self, data: bytes, marks: Marks = PLAIN, head: int = 60) -> int:
        self.queue(data, marks, head)
        return self.flush()

    def close(self) -> None:
        if self.pointer:
            lib.ut_link_close(self.pointer)
        self.pointer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
