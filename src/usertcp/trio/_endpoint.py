"""What a trio socket keeps of a connection or listener of the engine."""

import os

from usertcp import _events
from usertcp._stack import Endpoint, Engine


class SocketEndpoint(Endpoint):
    """An endpoint that keeps its socket's descriptor, if it has one, as readable as itself."""

    __slots__ = ("armed", "ready")

    def __init__(self, engine: Engine, handle: int, *, accepted: bool = False) -> None:
        super().__init__(engine, handle, readable=accepted)
        self.connected = accepted
        self.armed: bool = False
        """A send was refused or cut short: UT_WRITABLE will tell."""
        self.ready: int = -1

    def on_event(self, events: int, error: int) -> None:
        if events & _events.WAKES_WRITER:
            self.armed = False
        super().on_event(events, error)
        if self.ready >= 0 and events & _events.WAKES_READER:
            os.eventfd_write(self.ready, 1)

    def _retire(self) -> None:
        super()._retire()
        if self.ready >= 0:
            os.eventfd_write(self.ready, 1)
