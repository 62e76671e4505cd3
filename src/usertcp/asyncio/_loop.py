"""The event loop's methods that make transports and servers, over any base loop.

TCP is made on the stack; UDP, UNIX sockets, pipes, processes, signals and timers are the base's.
"""

import asyncio
import itertools
import ssl as ssl_module
from asyncio import sslproto
from collections.abc import Callable, Iterable, Sequence
from socket import (
    AF_UNSPEC,
    AI_PASSIVE,
    SO_KEEPALIVE,
    SO_REUSEPORT,
    SOCK_STREAM,
    SOL_SOCKET,
)
from typing import IO, TYPE_CHECKING, Any

from usertcp._address import text_of
from usertcp._bypass import Policy
from usertcp.asyncio import _resolving, _sendfile
from usertcp.asyncio._connecting import Attempts, server_socket
from usertcp.asyncio._opening import Given, LoopStack
from usertcp.asyncio._server import Server, TLSSettings, logger
from usertcp.asyncio._sock_calls import SockCalls
from usertcp.asyncio._socket import Socket
from usertcp.asyncio._tokens import Tokens, is_kernel_tcp
from usertcp.asyncio._transport import Transport

if TYPE_CHECKING:
    from usertcp.stacks import Stack

_Factory = Callable[[], Any]
_TCP_PROTOCOLS = (0, 6)


class LoopMixin(SockCalls):
    """Mixed into an event loop's class, before it. `usertcp` is the state of its TCP."""

    def set_up_tcp(self, stack: Given, bypass: Policy | None) -> None:
        self.usertcp: LoopStack = LoopStack(self, stack, bypass)
        self._tokens = Tokens(self.usertcp)

    def close(self) -> None:
        """Closes the loop's own stack first, with its linger; then as the base loop."""
        if not self.is_closed() and not self.is_running():
            self.usertcp.close()
        super().close()

    # ---- connections -----------------------------------------------------------------------------

    async def create_connection(
        self,
        protocol_factory: _Factory,
        host: Any = None,
        port: Any = None,
        *,
        ssl: bool | ssl_module.SSLContext | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: Any = None,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[Any, Any]:
        """As asyncio's; the transport is on the stack."""
        server_hostname = _check_tls(
            ssl, host, server_hostname, (ssl_handshake_timeout, ssl_shutdown_timeout)
        )
        tls = _tls_settings(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            ours = self._connected(sock, "create_connection")
            if ours is None:
                return await super().create_connection(
                    protocol_factory, sock=sock, ssl=ssl, server_hostname=server_hostname,
                    ssl_handshake_timeout=ssl_handshake_timeout,
                    ssl_shutdown_timeout=ssl_shutdown_timeout,
                )  # fmt: skip
        else:
            if host is None and port is None:
                raise ValueError("host and port was not specified and no sock specified")
            if proto not in _TCP_PROTOCOLS:
                raise ValueError(f"proto: {proto} is not TCP")
            if happy_eyeballs_delay is not None and interleave is None:
                interleave = 1
            stack = await self.usertcp.get()
            targets = await _resolving.resolve(
                self, (host, port), family=family, proto=proto, flags=flags
            )
            if _resolving.all_loopback(targets) and self.usertcp.policy == "kernel":
                with self._tokens.pass_by("create_connection", f"loopback address {host}"):
                    return await super().create_connection(
                        protocol_factory, host, port, ssl=ssl, family=family, proto=proto,
                        flags=flags, local_addr=local_addr, server_hostname=server_hostname,
                        ssl_handshake_timeout=ssl_handshake_timeout,
                        ssl_shutdown_timeout=ssl_shutdown_timeout,
                    )  # fmt: skip
            targets = _resolving.usable(stack, targets, host)
            local = None
            if local_addr is not None:
                local = await _resolving.resolve(self, local_addr, family=family, flags=flags)
            if interleave:
                targets = _resolving.interleaved(targets, interleave)
            attempts = Attempts(self, stack, local)
            ours = await attempts.run(targets, happy_eyeballs_delay, all_errors=all_errors)
        return await self._make(protocol_factory, ours, tls, server_hostname)

    def _connected(self, sock: Any, what: str) -> Socket | None:
        """Our socket for `sock`, which a transport is about to take; None: the base loop's."""
        if isinstance(sock, ssl_module.SSLSocket):
            raise TypeError("Socket cannot be of type SSLSocket")
        if sock.type != SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")
        ours = self._ours(sock)
        if ours is not None:
            if ours is not sock:
                self._tokens.claim(sock, ours)
            return ours
        if is_kernel_tcp(sock):
            self._tokens.decide(what, can_adopt=False)
        return None

    async def connect_accepted_socket(  # type: ignore[override]
        self,
        protocol_factory: _Factory,
        sock: Any,
        *,
        ssl: ssl_module.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[Any, Any]:
        _check_tls(ssl, "", "", (ssl_handshake_timeout, ssl_shutdown_timeout))
        ours = self._connected(sock, "connect_accepted_socket")
        if ours is None:
            return await super().connect_accepted_socket(
                protocol_factory, sock, ssl=ssl, ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )  # fmt: skip
        tls = _tls_settings(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        return await self._make(protocol_factory, ours, tls, "", server_side=True)

    async def _make(
        self,
        protocol_factory: _Factory,
        sock: Socket,
        tls: "TLSSettings | None",
        server_hostname: str | None,
        *,
        server_side: bool = False,
    ) -> tuple[Any, Any]:
        protocol = protocol_factory()
        waiter: asyncio.Future[None] = self.create_future()
        transport: Any
        if tls is None:
            transport = Transport(self, sock, protocol, waiter)
        else:
            transport = self.make_tls_transport(
                sock,
                protocol,
                waiter,
                tls,
                server_side=server_side,
                server_hostname=server_hostname,
            )
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    def make_tls_transport(
        self,
        sock: Socket,
        protocol: Any,
        waiter: "asyncio.Future[None]",
        tls: TLSSettings,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        server: Server | None = None,
    ) -> Any:
        """Asyncio's TLS over a transport of ours; what the program gets is its transport."""
        make: Any = sslproto.SSLProtocol
        made = make(
            self, protocol, tls.context, waiter, server_side, server_hostname,
            ssl_handshake_timeout=tls.handshake_timeout,
            ssl_shutdown_timeout=tls.shutdown_timeout,
        )  # fmt: skip
        Transport(self, sock, made, server=server)
        return made._app_transport  # noqa: SLF001

    # ---- servers ---------------------------------------------------------------------------------

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: _Factory,
        host: str | Sequence[str] | None = None,
        port: Any = None,
        *,
        family: int = AF_UNSPEC,
        flags: int = AI_PASSIVE,
        sock: Any = None,
        backlog: int = 100,
        ssl: ssl_module.SSLContext | None = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> asyncio.base_events.Server:
        """As asyncio's; it listens on the stack. A loopback host means the stack's own address."""
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        _check_tls(ssl, "", "", (ssl_handshake_timeout, ssl_shutdown_timeout))
        if sock is None and host is None and port is None:
            raise ValueError("Neither host/port nor sock were specified")
        if sock is not None and (host is not None or port is not None):
            raise ValueError("host/port and sock can not be specified at the same time")
        if sock is not None:
            ours = await self._listening(sock, backlog)
            if ours is None:
                return await super().create_server(
                    protocol_factory, sock=sock, backlog=backlog, ssl=ssl,
                    ssl_handshake_timeout=ssl_handshake_timeout,
                    ssl_shutdown_timeout=ssl_shutdown_timeout, start_serving=start_serving,
                )  # fmt: skip
            sockets = [ours]
        else:
            sockets = await self._bind(host, port, family, flags, reuse_address is not False)
        for made in sockets:
            for option, wanted in ((SO_REUSEPORT, reuse_port), (SO_KEEPALIVE, keep_alive)):
                if wanted:
                    made.setsockopt(SOL_SOCKET, option, 1)
        tls = TLSSettings(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        server = Server(self, sockets, protocol_factory, backlog, tls)
        if start_serving:
            try:
                server.begin()
            except OSError as exc:
                server.close()
                text = f"error while attempting to bind on address: {str(exc).lower()}"
                raise OSError(exc.errno, text) from None
            await asyncio.sleep(0)
        return server

    async def _bind(
        self, host: Any, port: Any, family: int, flags: int, reuse_address: bool
    ) -> list[Socket]:
        stack = await self.usertcp.get()
        if host == "":
            hosts: Iterable[Any] = [None]
        elif isinstance(host, str | bytes) or not isinstance(host, Iterable):
            hosts = [host]
        else:
            hosts = host
        found = [
            await _resolving.resolve(self, (one, port), family=family, flags=flags) for one in hosts
        ]
        targets = _resolving.v4_first(dict.fromkeys(itertools.chain.from_iterable(found)))
        sockets: list[Socket] = []
        failures: list[OSError] = []
        for target in targets:
            if _resolving.all_loopback([target]):
                self._tell_loopback(stack, text_of(target[1]))
            try:
                sockets.append(server_socket(stack, target, reuse_address=reuse_address))
            except OSError as exc:  # a family, or an address, that the stack has not
                failures.append(exc)
        if not sockets:
            names = [(text_of(packed), number) for _, packed, number in targets]
            raise OSError(
                failures[0].errno,
                f"could not bind on any address out of {names}: {failures[0].strerror}",
            )
        return sockets

    def _tell_loopback(self, stack: "Stack", text: str) -> None:
        own = ", ".join(str(interface.ip) for interface in stack.addresses)
        logger.warning(
            "usertcp: a server asked for %s; on this stack it listens on the stack's own address "
            "instead (of %s), which other hosts reach",
            text,
            own,
        )

    async def _listening(self, sock: Any, backlog: int) -> Socket | None:
        """Our socket for a server's `sock`; None: the base loop's."""
        if isinstance(sock, ssl_module.SSLSocket):
            raise TypeError("Socket cannot be of type SSLSocket")
        if sock.type != SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")
        ours = self._ours(sock)
        if ours is not None:
            ours.attach(await self.usertcp.get())
            return ours
        if not is_kernel_tcp(sock) or self._tokens.decide("create_server") == "kernel":
            return None
        made = await self.listen_for(sock, "create_server", backlog)
        self._tokens.adopt(sock, made, "create_server")
        self._tokens.claim(sock, made)
        return made

    # ---- TLS later, files ------------------------------------------------------------------------

    async def start_tls(
        self,
        transport: Any,
        protocol: Any,
        sslcontext: ssl_module.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """As asyncio's, also where the base loop knows no transports but its own."""
        if not isinstance(transport, Transport | sslproto._SSLProtocolTransport):  # noqa: SLF001
            return await super().start_tls(
                transport, protocol, sslcontext, server_side=server_side,
                server_hostname=server_hostname, ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )  # fmt: skip
        return await asyncio.BaseEventLoop.start_tls(
            self, transport, protocol, sslcontext, server_side=server_side,
            server_hostname=server_hostname, ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )  # fmt: skip

    async def sendfile(
        self,
        transport: Any,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool = True,
    ) -> int:
        """As asyncio's fallback: read in a thread, written with back-pressure."""
        if not isinstance(transport, Transport | sslproto._SSLProtocolTransport):  # noqa: SLF001
            return await super().sendfile(transport, file, offset, count, fallback=fallback)
        if transport.is_closing():
            raise RuntimeError("Transport is closing")
        if not fallback:
            raise RuntimeError(
                f"fallback is disabled and native sendfile is not supported for {transport!r}"
            )
        return await _sendfile.to_transport(self, transport, file, offset, count)


def _tls_settings(
    ssl: bool | ssl_module.SSLContext | None, handshake: float | None, shutdown: float | None
) -> TLSSettings | None:
    if not ssl:
        return None
    return TLSSettings(None if isinstance(ssl, bool) else ssl, handshake, shutdown)


def _check_tls(
    ssl: object, host: Any, server_hostname: str | None, timeouts: tuple[float | None, float | None]
) -> str | None:
    """Asyncio's complaints about TLS arguments; gives the hostname to check."""
    if server_hostname and not ssl:
        raise ValueError("server_hostname is only meaningful with ssl")
    if server_hostname is None and ssl:
        if not host:
            raise ValueError("You must set server_hostname when using ssl without a host")
        server_hostname = host
    for name, value in zip(("handshake", "shutdown"), timeouts, strict=True):
        if value is not None and not ssl:
            raise ValueError(f"ssl_{name}_timeout is only meaningful with ssl")
    return server_hostname
