"""Standard input and output of a command, without holding up the event loop."""

import errno
import os
import stat
from contextlib import suppress

import anyio

CHUNK = 1 << 16
_PIPE_STEP = 4096
"""What a pipe that is writable takes at once for sure: PIPE_BUF."""


def _may_block(fd: int) -> bool:
    """Whether the descriptor is one to wait for: no regular file and no /dev/null."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISCHR(mode):
        return os.isatty(fd)
    return not stat.S_ISREG(mode)


class Reader:
    """Bytes from a descriptor; b"" at its end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waits = _may_block(fd)

    async def read(self) -> bytes:
        if self._waits:
            await anyio.wait_readable(self._fd)
        else:
            await anyio.lowlevel.checkpoint()
        return os.read(self._fd, CHUNK)


class Writer:
    """Bytes to a descriptor: all of them, however slowly it takes them."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waits = _may_block(fd)
        self._is_pipe = stat.S_ISFIFO(os.fstat(fd).st_mode)
        self.closed = False

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._is_pipe:
                view = view[self._write_to_pipe(view) :]
                if not view:
                    return
            if self._waits:
                await anyio.wait_writable(self._fd)
                view = view[os.write(self._fd, view[:_PIPE_STEP]) :]
            else:
                view = view[os.write(self._fd, view) :]

    def _write_to_pipe(self, view: memoryview) -> int:
        """What fits at once. The descriptor is shared: O_NONBLOCK is not ours to set."""
        try:
            return os.pwritev(self._fd, [view], -1, os.RWF_NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ESPIPE, errno.EINVAL):
                raise
            self._is_pipe = False  # this kernel cannot
            return 0

    def close(self) -> None:
        """The reader of our output learns that there is no more."""
        if not self.closed:
            self.closed = True
            with suppress(OSError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._fd)
                os.close(null)
