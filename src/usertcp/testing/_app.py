"""The program on the stack's side of a scripted connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usertcp.testing._engine import Connection, EngineError

if TYPE_CHECKING:
    from usertcp._info import ConnectionInfo
    from usertcp.testing.peer import Peer


class App:
    """What a program does with a connection; errors are `EngineError`, by the engine's names."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.port = 80
        self.connection: Connection | None = None
        self.listener: Connection | None = None

    def _note(self, text: str) -> None:
        self._peer.trace.note(self._peer.engine.now, f"app {text}")

    @property
    def _it(self) -> Connection:
        assert self.connection is not None, "the app has no connection"
        return self.connection

    def connect(self, *, fast_open: bool = False) -> Connection:
        """`fast_open`: RFC 7413."""
        self._note("connects")
        peer = self._peer
        engine = peer.wire.engine
        self.connection = engine.connect(
            str(peer.host), peer.port, local_port=self.port, fast_open=fast_open
        )
        return self.connection

    def listen(self, backlog: int = 16, *, fast_open: int = 0) -> Connection:
        """`fast_open`: so many connections of RFC 7413 at a time."""
        self._note("listens")
        self.listener = self._peer.wire.engine.listen(self.port, backlog=backlog)
        if fast_open:
            self.listener.set_option("fast_open", fast_open)
        return self.listener

    def accept(self) -> Connection:
        """The next connection of the listener, which must be there."""
        self._note("accepts")
        assert self.listener is not None
        connection = self.listener.accept()
        if connection is None:
            raise AssertionError(f"nothing to accept\n{self._peer.trace}")
        self.connection = connection
        return connection

    def send(self, data: bytes) -> int:
        self._note(f"sends {len(data)} bytes")
        return self._it.send(data)

    def receive(self, max_bytes: int = 1 << 30) -> bytes:
        """What is there; b"" when nothing is; EngineError END_OF_STREAM, RESET, ... at the end."""
        data = self._it.receive(max_bytes)
        self._note(f"receives {len(data)} bytes")
        return data

    def outcome(self) -> str:
        """Name of the error a receive gives now: END_OF_STREAM, RESET, WOULD_BLOCK, ..."""
        try:
            data = self._it.receive(1)
        except EngineError as exc:
            return exc.name
        return "DATA" if data else "WOULD_BLOCK"

    def shutdown(self) -> None:
        self._note("shuts down")
        self._it.shutdown()

    def close(self) -> None:
        self._note("closes")
        self._it.close()

    def abort(self) -> None:
        self._note("aborts")
        self._it.abort()

    @property
    def state(self) -> str:
        return self._peer.engine.state_of(self._peer.port, self.port)

    @property
    def info(self) -> ConnectionInfo:
        """The connection's snapshot, also when its user has closed it."""
        found = self._peer.engine.find(self._peer.port, self.port)
        return self._it.info if found is None else found

    @property
    def events(self) -> int:
        return self._it.events

    @property
    def error(self) -> str | None:
        """Why the connection ended, as the CLOSED event told."""
        return self._it.error
