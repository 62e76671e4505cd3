"""One end of an unjoined memory link: the test (or a simulated wire) is at the other end of it."""

from __future__ import annotations

from typing import Any

from usertcp import _binding
from usertcp._errors import Code, exception

ffi: Any = _binding.ffi
lib: Any = _binding.lib

_FRAME_MAX = 70_000
_WOULD_BLOCK = -Code.WOULD_BLOCK
CSUM_VALID = 2  # LINK_CSUM_VALID of csrc/link/link.h: verified below us


class MemoryLink:
    """Given to a stack, which owns it from then on; `read` and `write` stay usable.

    Without offload every frame is complete: checksums filled in, no larger than the MTU.
    """

    def __init__(
        self, *, mtu: int = 1500, ethernet: bool = False, offload: bool = False, buffer: int = 0
    ) -> None:
        options, error = ffi.new("ut_link_options *"), ffi.new("int *")
        options.mtu, options.buffer = mtu, buffer
        options.offload, options.ethernet = offload, ethernet
        self._pointer: Any = lib.ut_link_memory(options, error)
        if not self._pointer:
            raise exception(error[0], "memory link")
        self.mtu = mtu
        self._scratch = ffi.new("uint8_t[]", _FRAME_MAX)
        self._marks = ffi.new("ut_offload *")
        self._none = ffi.new("ut_offload *")
        self.gso_size: int = 0  # of the frame read last
        self.flags: int = 0  # the same: LINK_... of csrc/link/link.h
        info = ffi.new("ut_link_info *")
        lib.ut_link_get_info(self._pointer, info)
        self.mac: bytes = bytes(ffi.buffer(info.mac))[:6]
        self._owned = True

    def release(self) -> Any:
        """What a stack does to take it."""
        self._owned = False
        return self._pointer

    def close(self) -> None:
        """Only while no stack has taken it."""
        if self._owned:
            self._owned = False
            lib.ut_link_close(self._pointer)

    @property
    def far_fd(self) -> int:
        """A descriptor that is readable while `read` would give a frame."""
        return int(lib.ut_memory_fd(self._pointer))

    def read(self) -> bytes | None:
        """The oldest frame the stack sent."""
        size = lib.ut_memory_read(self._pointer, self._scratch, _FRAME_MAX, self._marks)
        if size < 0:
            raise exception(size, "memory link")
        self.gso_size, self.flags = self._marks.gso_size, self._marks.flags
        return bytes(ffi.buffer(self._scratch, size)) if size else None

    def write(self, frame: bytes, *, gso_size: int = 0, flags: int = 0) -> bool:
        """A frame for the stack; False when the link's queue is full and it is lost."""
        marks = self._none
        if flags:
            marks = ffi.new("ut_offload *")
            marks.flags = flags
        if gso_size:
            marks = ffi.new("ut_offload *")
            version = frame[0] >> 4
            marks.gso, marks.gso_size = (1 if version == 4 else 2), gso_size
            marks.flags = CSUM_VALID
        result = lib.ut_memory_write(self._pointer, frame, len(frame), marks)
        if result < 0 and result != _WOULD_BLOCK:
            raise exception(result, "memory link")
        return bool(result >= 0)
