"""Stack: what a user holds between `open_stack` and its end."""

import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from socket import AF_UNSPEC, AddressFamily
from typing import Literal, overload

import anyio
from anyio import ClosedResourceError
from anyio.streams.stapled import MultiListener
from anyio.streams.tls import TLSStream

from usertcp import connectors, listeners
from usertcp._address import IPAddress, IPInterface, family_of, pack
from usertcp._congestion import (
    Congestion,
    CongestionFactory,
    check_congestion,
    check_factory,
)
from usertcp._driver import Driver
from usertcp._errors import exception
from usertcp._info import ConnectionInfo, StackStatistics, Transition
from usertcp._stack import Engine
from usertcp.connectors import IPHost, TCPConnectable
from usertcp.streams import TCPStream

LINGER = 5.0
"""Seconds that closing a stack waits, at most, for accepted data and FINs to be acknowledged."""

_ANSWER = 0.05
"""Seconds of these in which peers may answer our last FINs with their own."""
_POLL_FIRST, _POLL_MOST = 0.001, 0.05


class Stack:
    """TCP over one link, on the event loop it was opened in. Made by `open_stack`.

    Attributes: `addresses` (with prefix lengths), `families` of these, `engine` and `driver` (the
    package's own).
    """

    def __init__(self, engine: Engine, driver: Driver, addresses: Sequence[IPInterface]) -> None:
        self.engine = engine
        self.driver = driver
        self.addresses: tuple[IPInterface, ...] = tuple(addresses)
        self.families: frozenset[AddressFamily] = frozenset(
            family_of(pack(a.ip)) for a in addresses
        )
        self.bypasses: Counter[str] = Counter()
        """Kernel TCP sockets that libraries brought along; counted by the surfaces over it."""
        self._closing = False
        self._around: Stack | None = None
        """The ambient one before it, put back when it is closed."""

    def check_open(self) -> None:
        """`ClosedResourceError` when the stack is closed or its link has failed."""
        if self._closing or self.engine.failed:
            reason = "its link has failed" if self.engine.failed else "it is closed"
            raise ClosedResourceError(f"the usertcp stack cannot be used: {reason}")

    # ---- TCP ---------------------------------------------------------------------------------

    @overload  # tls_hostname given
    async def connect_tcp(
        self,
        remote_host: IPHost,
        remote_port: int,
        *,
        local_host: IPHost | None = ...,
        local_port: int | None = ...,
        ssl_context: ssl.SSLContext | None = ...,
        tls_standard_compatible: bool = ...,
        tls_hostname: str,
        happy_eyeballs_delay: float = ...,
        congestion: Congestion | None = ...,
        ecn: bool | None = ...,
        fast_open: bool = ...,
    ) -> TLSStream: ...

    @overload  # ssl_context given
    async def connect_tcp(
        self,
        remote_host: IPHost,
        remote_port: int,
        *,
        local_host: IPHost | None = ...,
        local_port: int | None = ...,
        ssl_context: ssl.SSLContext,
        tls_standard_compatible: bool = ...,
        tls_hostname: str | None = ...,
        happy_eyeballs_delay: float = ...,
        congestion: Congestion | None = ...,
        ecn: bool | None = ...,
        fast_open: bool = ...,
    ) -> TLSStream: ...

    @overload  # tls=True
    async def connect_tcp(
        self,
        remote_host: IPHost,
        remote_port: int,
        *,
        local_host: IPHost | None = ...,
        local_port: int | None = ...,
        tls: Literal[True],
        ssl_context: ssl.SSLContext | None = ...,
        tls_standard_compatible: bool = ...,
        tls_hostname: str | None = ...,
        happy_eyeballs_delay: float = ...,
        congestion: Congestion | None = ...,
        ecn: bool | None = ...,
        fast_open: bool = ...,
    ) -> TLSStream: ...

    @overload  # tls=False
    async def connect_tcp(
        self,
        remote_host: IPHost,
        remote_port: int,
        *,
        local_host: IPHost | None = ...,
        local_port: int | None = ...,
        tls: Literal[False],
        ssl_context: ssl.SSLContext | None = ...,
        tls_standard_compatible: bool = ...,
        tls_hostname: str | None = ...,
        happy_eyeballs_delay: float = ...,
        congestion: Congestion | None = ...,
        ecn: bool | None = ...,
        fast_open: bool = ...,
    ) -> TCPStream: ...

    @overload  # no TLS arguments
    async def connect_tcp(
        self,
        remote_host: IPHost,
        remote_port: int,
        *,
        local_host: IPHost | None = ...,
        local_port: int | None = ...,
        happy_eyeballs_delay: float = ...,
        congestion: Congestion | None = ...,
        ecn: bool | None = ...,
        fast_open: bool = ...,
    ) -> TCPStream: ...

    async def connect_tcp(
        self,
        remote_host: IPHost,
        remote_port: int,
        *,
        local_host: IPHost | None = None,
        local_port: int | None = None,
        tls: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        tls_standard_compatible: bool = True,
        tls_hostname: str | None = None,
        happy_eyeballs_delay: float = 0.25,
        congestion: Congestion | None = None,
        ecn: bool | None = None,
        fast_open: bool = False,
    ) -> TCPStream | TLSStream:
        """Connects; parameters and outcome as of `anyio.connect_tcp` (happy eyeballs, RFC 8305).

        The result is a `TCPStream`, or a `TLSStream` over one when any of `tls`, `ssl_context`,
        `tls_hostname` is given. When no attempt succeeds: `OSError("All connection attempts
        failed")`; its cause is the one `ConnectionRefusedError` (RST), `TimeoutError` or `OSError`
        (EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, EADDRINUSE), or an `ExceptionGroup` of them.
        `ValueError` for a port out of range, `ClosedResourceError` when the stack is closed.

        `congestion`: one of `usertcp.congestion_controls()`, or a `CongestionControl` of its own;
        None: the stack's. `ValueError` naming them for any other. `ecn`: ask for explicit
        congestion notification (RFC 3168), or do not; None: as the stack does.

        `fast_open`: TCP Fast Open (RFC 7413), for what may reach the server twice. Where no cookie
        of the server is known this asks for one. Where one is, it returns at once, and the first
        `send` carries up to a segment with the SYN; so does a TLS handshake. Whether there is
        anybody the first `receive` tells. `happy_eyeballs_delay` means nothing then.
        """
        if congestion is not None:
            check_congestion(congestion)
        stream = await connectors.connect_plain(
            self,
            (remote_host, remote_port),
            (local_host, local_port),
            happy_eyeballs_delay,
            connectors.Wishes(ecn=ecn, fast_open=fast_open),
        )
        if congestion is not None:
            stream.set_congestion(congestion)
        if not (tls or tls_hostname or ssl_context):
            return stream
        hostname = tls_hostname or str(remote_host)
        return await connectors.wrap_tls(
            stream, hostname, ssl_context, standard_compatible=tls_standard_compatible
        )

    async def create_tcp_listener(
        self,
        *,
        local_host: IPHost | None = None,
        local_port: int = 0,
        family: AddressFamily = AF_UNSPEC,
        backlog: int = 65536,
        reuse_port: bool = False,
        congestion: CongestionFactory | None = None,
        ecn: bool | None = None,
        fast_open: int = 0,
    ) -> MultiListener[TCPStream]:
        """Listens; parameters and outcome as of `anyio.create_tcp_listener`.

        Without `local_host`: on all addresses of the stack, or those of `family`. `local_port` 0
        takes one free port for all of them. `reuse_port`: several listeners may have one local end,
        if all say so; each new connection goes to one, by a keyed hash of its addresses and ports.
        `OSError` with EADDRINUSE, or EADDRNOTAVAIL for an address that is not the stack's.
        `congestion`: of what is accepted, by name or by what makes a `CongestionControl` for each.
        `ecn`: agree to it when asked, or do not; None: as the stack does. `fast_open`: see
        `TCPListener.set_fast_open`.
        """
        if congestion is not None:
            check_factory(congestion)
        listeners.check_fast_open(fast_open)
        multi = await listeners.create_tcp_listener(
            self, local_host, local_port, family, backlog, reuse_port=reuse_port
        )
        if congestion is not None:
            listeners.set_congestion(multi, congestion)
        if ecn is not None:
            listeners.set_ecn(multi, agrees=ecn)
        if fast_open:
            listeners.set_fast_open(multi, fast_open)
        return multi

    def hold_output(self, on: bool) -> None:
        """With `on`, connections send nothing until `hold_output(False)`: for a link whose way out
        is known to be closed for a while, a tunnel without a session.

        What they have to send, retransmissions and ACKs too, stays unsent and counts for nothing.
        Time-outs run on: RTOs back off (RFC 6298 5.5), and a connection whose time is over ends.
        What arrives is taken in; answers to strangers and neighbour discovery still leave.
        """
        self.check_open()
        self.engine.hold_output(on, self.driver.now())
        self.driver.after_call()

    def set_fast_open_key(self, key: bytes) -> None:
        """The key of the cookies of TCP Fast Open (RFC 7413 4.1.2), 16 bytes.

        Servers behind one name need the same, and a new one now and then; cookies under the one
        before stay good; the same again changes nothing. Until this is called it is random and
        changes daily. The cookies are those that Linux makes under this key. `ValueError` for
        another length.
        """
        if len(key) != 16:
            raise ValueError(f"fast open key: 16 bytes are needed, not {len(key)}")
        self.check_open()
        self.engine.set_fast_open_key(key, self.driver.now())

    def connectable(self, host: IPHost, port: int) -> TCPConnectable:
        """An `anyio.abc.ByteStreamConnectable`. `ValueError` for a port that is none."""
        return TCPConnectable(self, host, port)

    # ---- looking -----------------------------------------------------------------------------

    def connections(self) -> list[ConnectionInfo]:
        """Connections, listeners, half-open and TIME-WAIT entries, like `ss -a`."""
        self._check_not_freed()
        return self.engine.list_info()

    def statistics(self) -> StackStatistics:
        """Counters of the engine and its link, like `nstat`."""
        self._check_not_freed()
        engine = self.engine
        return StackStatistics(
            counters=engine.counters(),
            link=engine.link_info(),
            unfinished=engine.unfinished(),
            memory_in_use=engine.memory_in_use(),
            polls=engine.polls,
            bypasses=dict(self.bypasses),
        )

    def transitions(self) -> list[Transition]:
        """State transitions since the last call; needs the option `trace_capacity`."""
        self._check_not_freed()
        return self.engine.read_trace()

    def trace(self, path: str | Path, *, capacity: int = 16384) -> AbstractContextManager[Path]:
        """`with stack.trace("it.sqlog"):` writes what happens to its connections meanwhile, as
        qlog: states, losses, recovery, congestion, round trips.

        `path`: a file, or a directory that gets one; the context's value says which. `capacity`:
        how many records may wait for the next turn, in a ring of that size; should there be more,
        the trace says how many were lost. `OSError` when the file cannot be made, `ValueError` when
        the stack has a trace already, `ClosedResourceError` when it is closed.
        """
        from usertcp._trace import TraceFile, trace_path, traced

        self.check_open()
        driver = self.driver
        made = TraceFile(
            self.engine,
            trace_path(path),
            " ".join(str(address.ip) for address in self.addresses),
            driver.now,
            real_time=driver.real_time,
            capacity=capacity,
        )
        self.engine.trace = made
        return traced(made)

    def _check_not_freed(self) -> None:
        if self.engine.freed:
            raise ClosedResourceError("the usertcp stack is closed")

    def __repr__(self) -> str:
        state = " closed" if self._closing else ""
        return f"<Stack {' '.join(map(str, self.addresses))}{state}>"

    # ---- beginning and end -------------------------------------------------------------------

    async def start(self, gateways: Sequence[IPAddress], *, check_duplicates: bool) -> None:
        """Takes the addresses into use and waits until IPv6 has found no duplicate of them."""
        engine, now = self.engine, self.driver.now()
        for interface in self.addresses:
            code = engine.address_add(
                pack(interface.ip), interface.network.prefixlen, int(check_duplicates), now
            )
            if code < 0:
                raise exception(code, f"address {interface}")
        for gateway in gateways:
            code = engine.gateway_set(pack(gateway))
            if code < 0:
                raise exception(code, f"gateway {gateway}")
        self.driver.start()
        for interface in self.addresses:
            delay = 0.0
            while (state := engine.address_state(pack(interface.ip))) > 0 and not engine.failed:
                await anyio.sleep(delay)
                delay = min(max(2 * delay, _POLL_FIRST), _POLL_MOST)
            if state < 0:
                raise exception(state, f"address {interface}: another station has it")
        self.check_open()

    async def aclose(self, *, linger: float = LINGER) -> None:
        """Closes all streams and listeners, then waits up to `linger` seconds for the last bytes.

        Who is blocked on a stream gets `ClosedResourceError`. The wait ends as soon as all that was
        accepted, and every FIN, has been acknowledged, and 50 ms later although peers have not
        closed their side; it is shielded from cancellation.
        """
        if not self._closing:
            self._closing = True
            engine = self.engine
            try:
                if not engine.failed:
                    engine.close_all(self.driver.now())
                    self.driver.after_call()
                    with anyio.CancelScope(shield=True):
                        await self._linger(linger)
            finally:
                with anyio.CancelScope(shield=True):
                    await self.driver.stop()
                engine.close_all(0)
                engine.free()
        await self.driver.checkpoint()

    async def _linger(self, linger: float) -> None:
        engine, end = self.engine, anyio.current_time() + linger
        await _until(end, lambda: engine.failed or not engine.unfinished())
        # A peer that closes in answer would send its FIN to nobody, again and again.
        end = min(end, anyio.current_time() + _ANSWER)
        await _until(end, lambda: engine.failed or not engine.awaiting_fin())


async def _until(end: float, is_so: Callable[[], object]) -> None:
    delay = 0.0
    while not is_so() and (left := end - anyio.current_time()) > 0:
        await anyio.sleep(min(delay, left))
        delay = min(max(2 * delay, _POLL_FIRST), _POLL_MOST)
