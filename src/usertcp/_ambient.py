"""The module functions of `usertcp`: AnyIO's signatures, on the ambient stack."""

import ssl
from socket import AF_UNSPEC, AddressFamily
from typing import Literal, overload

from anyio.streams.stapled import MultiListener
from anyio.streams.tls import TLSStream

from usertcp._congestion import Congestion, CongestionFactory
from usertcp._open import current_stack
from usertcp.connectors import IPHost, wrap_tls
from usertcp.streams import TCPStream


@overload  # tls_hostname given
async def connect_tcp(
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
    """`Stack.connect_tcp` of the ambient stack. `RuntimeError` when none is open here."""
    stack = current_stack()
    stream = await stack.connect_tcp(
        remote_host,
        remote_port,
        local_host=local_host,
        local_port=local_port,
        happy_eyeballs_delay=happy_eyeballs_delay,
        congestion=congestion,
        ecn=ecn,
        fast_open=fast_open,
    )
    if not (tls or tls_hostname or ssl_context):
        return stream
    return await wrap_tls(
        stream,
        tls_hostname or str(remote_host),
        ssl_context,
        standard_compatible=tls_standard_compatible,
    )


async def create_tcp_listener(
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
    """`Stack.create_tcp_listener` of the ambient stack. `RuntimeError` when none is open here."""
    return await current_stack().create_tcp_listener(
        local_host=local_host,
        local_port=local_port,
        family=family,
        backlog=backlog,
        reuse_port=reuse_port,
        congestion=congestion,
        ecn=ecn,
        fast_open=fast_open,
    )
