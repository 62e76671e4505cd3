"""Whether a capture is what it says: every block walked by us, every packet dissected by tshark."""

import shutil
import struct
import subprocess
from pathlib import Path

from anyio import to_thread

_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_TSHARK_TIMEOUT = 20.0
"""Seconds for one run of tshark."""


class CaptureError(Exception):
    """The file is not a well-formed capture."""


def count_packets(path: Path) -> int:
    """Walks a pcapng file block by block and returns how many packets it holds."""
    data = path.read_bytes()
    at = packets = interfaces = 0
    while at < len(data):
        if len(data) - at < 12:
            raise CaptureError(f"{len(data) - at} bytes after the last block")
        kind, length = struct.unpack_from("=II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            raise CaptureError(f"block at {at}: length {length}")
        if struct.unpack_from("=I", data, at + length - 4)[0] != length:
            raise CaptureError(f"block at {at}: its two lengths differ")
        if at == 0 and (kind, struct.unpack_from("=I", data, 8)[0]) != (_SECTION, _BYTE_ORDER):
            raise CaptureError("no section header")
        interfaces += kind == _INTERFACE
        if kind == _ENHANCED:
            packets += 1
            interface, _, _, captured, original = struct.unpack_from("=5I", data, at + 8)
            if interface >= interfaces or captured > original or 32 + captured > length:
                raise CaptureError(f"packet at {at}: interface {interface}, {captured} bytes")
        at += length
    return packets


def check(path: Path) -> str:
    """A sentence about the capture; CaptureError says what is wrong with it."""
    packets = count_packets(path)
    if not packets:
        raise CaptureError("no packets")
    said = f"{packets} packets, {path.stat().st_size:,} bytes"
    if shutil.which("tshark") is None:
        return f"{said}; well-formed (tshark is not installed, so nothing was dissected)"
    command = ["tshark", "-n", "-r", str(path), "-Y", "_ws.malformed or _ws.short"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_TSHARK_TIMEOUT, check=False
    )
    if done.returncode:
        raise CaptureError(f"tshark: {done.stderr.strip()}")
    if bad := done.stdout.splitlines():
        raise CaptureError(f"tshark: {len(bad)} malformed, first: {bad[0].strip()}")
    return f"{said}; tshark finds nothing malformed"


async def check_later(path: str) -> str:
    """`check` beside the event loop."""
    return await to_thread.run_sync(check, Path(path))
