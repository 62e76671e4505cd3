"""Server: `asyncio.Server` over listening sockets of a stack, with 3.12.1's `wait_closed`."""

import asyncio
import logging
import ssl
import weakref
from asyncio import base_events, trsock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usertcp.asyncio._socket import Socket
from usertcp.asyncio._transport import Transport

if TYPE_CHECKING:
    from usertcp.asyncio._loop import LoopMixin

logger = logging.getLogger("usertcp.asyncio")

RETRY = 1.0
"""Seconds until accepting goes on after the stack had no room for a connection."""
ACCEPTS = 64  # in one turn; then it is others' turn
_Waiter = asyncio.Future[None]


@dataclass(frozen=True)
class TLSSettings:
    """How the connections of a server become TLS ones."""

    context: ssl.SSLContext | None = None
    handshake_timeout: float | None = None
    shutdown_timeout: float | None = None


class Server(base_events.Server):
    """Made by `create_server`."""

    def __init__(  # not base_events.Server's: all it does is done here
        self,
        loop: "LoopMixin",
        sockets: Sequence[Socket],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        backlog: int,
        tls: TLSSettings,
    ) -> None:
        self._loop = loop
        self._sockets: list[Socket] | None = list(sockets)
        self._factory = protocol_factory
        self._backlog = backlog
        self._tls = tls
        self._ssl_context = tls.context  # asyncio's name for it, which programs look at
        self._clients: weakref.WeakSet[Transport] = weakref.WeakSet()
        self._waiters: list[_Waiter] | None = []
        self._serving = False
        self._serving_forever_fut: _Waiter | None = None
        self._accepting_soon: set[Socket] = set()

    def __repr__(self) -> str:
        return f"<usertcp.asyncio.Server sockets={self._sockets or []!r}>"

    # ---- asyncio.Server --------------------------------------------------------------------------

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    @property
    def sockets(self) -> tuple[Any, ...]:
        """One per address it listens on; empty when closed."""
        return tuple(trsock.TransportSocket(sock) for sock in self._sockets or ())

    def begin(self) -> None:
        """Listens. `OSError` when a port is taken; then nothing listens."""
        if self._serving:
            return
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        for sock in self._sockets:
            sock.listen(self._backlog)
            sock.set_reader(self._acceptor(sock))
            self._accept_soon(sock)  # it may have listened before
        self._serving = True

    _start_serving = begin  # its name in asyncio

    async def start_serving(self) -> None:
        self.begin()
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        if self._serving_forever_fut is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        self.begin()
        self._serving_forever_fut = self._loop.create_future()
        try:
            await self._serving_forever_fut
        except asyncio.CancelledError:
            try:
                self.close()
                await self.wait_closed()
            finally:
                raise
        finally:
            self._serving_forever_fut = None

    def close(self) -> None:
        """Stops listening; connections go on."""
        sockets = self._sockets
        if sockets is None:
            return
        self._sockets = None
        for sock in sockets:
            sock.close()
        self._serving = False
        future = self._serving_forever_fut
        if future is not None and not future.done():
            future.cancel()
            self._serving_forever_fut = None
        if not self._clients:
            self._wakeup()

    def close_clients(self) -> None:
        """Closes every connection it accepted: what was written still goes out."""
        for transport in list(self._clients):
            transport.close()

    def abort_clients(self) -> None:
        """Closes them at once, as `Transport.abort`."""
        for transport in list(self._clients):
            transport.abort()

    async def wait_closed(self) -> None:
        """Until it is closed and its last connection is lost."""
        if self._waiters is None:
            return
        waiter: _Waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _attach(self, transport: Transport) -> None:
        self._clients.add(transport)

    def _detach(self, transport: Transport) -> None:
        self._clients.discard(transport)
        if not self._clients and self._sockets is None:
            self._wakeup()

    def _wakeup(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    # ---- accepting -------------------------------------------------------------------------------

    def _acceptor(self, sock: Socket) -> Callable[[None], None]:
        def told(_: None) -> None:  # by a turn, or by the stack's end: users' code comes later
            self._accept_soon(sock)

        return told

    def _accept_soon(self, sock: Socket) -> None:
        if sock not in self._accepting_soon and not self._loop.is_closed():
            self._accepting_soon.add(sock)
            self._loop.call_soon(self._accept, sock)

    def _accept(self, sock: Socket) -> None:
        self._accepting_soon.discard(sock)
        if self._sockets is None:
            return
        for _ in range(ACCEPTS):
            try:
                made, _peer = sock.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError as exc:  # the stack was closed
                self._stack_is_gone(exc)
                return
            except OSError as exc:
                if any(end.closed for end in sock._ends):  # noqa: SLF001
                    self._stack_is_gone(exc)
                    return
                self._loop.call_exception_handler(
                    {
                        "message": "socket.accept() out of system resource",
                        "exception": exc,
                        "socket": trsock.TransportSocket(sock),
                    }
                )
                self._loop.call_later(RETRY, self._accept_soon, sock)
                return
            self._serve(made)
        self._accept_soon(sock)

    def _stack_is_gone(self, exc: OSError) -> None:
        logger.error("usertcp: the server on %s ends: %s", self._names(), exc)
        self.close()

    def _names(self) -> str:
        return ", ".join(str(sock.getsockname()) for sock in self._sockets or ())

    def _serve(self, sock: Socket) -> None:
        try:
            protocol = self._factory()
        except (SystemExit, KeyboardInterrupt):
            sock.close()
            raise
        except BaseException as exc:
            sock.close()
            self._report(exc, None)
            return
        tls, loop = self._tls, self._loop
        if tls.context is None:
            Transport(loop, sock, protocol, server=self)
            return
        waiter: _Waiter = loop.create_future()
        transport = loop.make_tls_transport(
            sock, protocol, waiter, tls, server_side=True, server=self
        )

        def made(done: _Waiter) -> None:
            exc = asyncio.CancelledError() if done.cancelled() else done.exception()
            if exc is not None:
                transport.close()
                if loop.get_debug():
                    self._report(exc, protocol)

        waiter.add_done_callback(made)

    def _report(self, exc: BaseException, protocol: asyncio.BaseProtocol | None) -> None:
        context = {
            "message": "Error on transport creation for incoming connection",
            "exception": exc,
        }
        if protocol is not None:
            context["protocol"] = protocol
        self._loop.call_exception_handler(context)
