"""The event bits and layout of usertcp.h, as Python reads them.

An event is 16 bytes, `ut_event`: handle, bits, error. `_binding` checks these against the compiled
module when it is imported, so they can be plain constants here.
"""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

READABLE: Final = 1
WRITABLE: Final = 2
CONNECTED: Final = 4
CLOSED: Final = 8
ACCEPTABLE: Final = 16
URGENT: Final = 32
ALL_SENT: Final = 64

# Who is woken by what: a parked receive or accept; a parked send or connect.
WAKES_READER: Final = READABLE | ACCEPTABLE | CLOSED
WAKES_WRITER: Final = WRITABLE | CONNECTED | CLOSED

NEVER: Final = 0xFFFF_FFFF_FFFF_FFFF
"""`ut_shared.deadline` of a stack that waits for nothing but packets."""

EVENT: Final = Struct("=QIi")
decode: Callable[[memoryview], Iterator[tuple[int, int, int]]] = EVENT.iter_unpack
