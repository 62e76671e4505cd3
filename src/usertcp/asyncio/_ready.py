"""A descriptor that is readable exactly when a socket of ours is.

For programs that poll: HTTP clients look so whether an idle connection has died. Write readiness
cannot be shown by the same descriptor.
"""

import os
from collections.abc import Callable


class Readiness:
    """An eventfd; `callback` is whoever waits for the same events besides."""

    __slots__ = ("_is_set", "callback", "fd")

    def __init__(self, callback: Callable[[None], None] | None) -> None:
        self.callback = callback
        self._is_set = False
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def told(self, _: None) -> None:
        """From a turn: something has come."""
        self.show(True)
        if self.callback is not None:
            self.callback(None)

    def show(self, readable: bool) -> None:
        if readable == self._is_set or self.fd < 0:
            return
        self._is_set = readable
        if readable:
            os.eventfd_write(self.fd, 1)
        else:
            os.eventfd_read(self.fd)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
