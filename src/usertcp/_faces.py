"""What the faces of an endpoint share: attributes, and which exception a code becomes.

The one place that knows both the engine's codes and AnyIO's exceptions.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from anyio import (
    BrokenResourceError,
    ClosedResourceError,
    EndOfStream,
    TypedAttributeSet,
    typed_attribute,
)
from anyio.abc import SocketAttribute

from usertcp._address import SockAddr, family_of, pack_text
from usertcp._errors import ERRORS, Code, code_of, os_error
from usertcp._info import ConnectionInfo
from usertcp._stack import Endpoint

if TYPE_CHECKING:
    from usertcp.stacks import Stack

_LOCAL_FAULTS = frozenset((Code.STALE_HANDLE, Code.CLOSING))


class StreamAttribute(TypedAttributeSet):
    """Attributes of our streams and listeners, beside AnyIO's `SocketAttribute`."""

    info: ConnectionInfo = typed_attribute()
    """A snapshot, as `stream.statistics()`."""
    stack: "Stack" = typed_attribute()
    """The stack it belongs to."""


def closed_error(endpoint: Endpoint) -> Exception:
    """For an operation that was waiting, or begins, when the endpoint is closed on this side."""
    if endpoint.link_failed:
        error = BrokenResourceError()
        error.__cause__ = os_error(Code.LINK_DOWN)
        return error
    return ClosedResourceError()


def raise_for(code: int) -> NoReturn:
    """What a stream or listener operation raises when the engine refused with `code`.

    A local fault is `ClosedResourceError` (or `MemoryError`, `ValueError`), the orderly end
    `EndOfStream`; all else is `BrokenResourceError` from the `OSError` a socket would raise.
    """
    known = code_of(code)
    if known in _LOCAL_FAULTS:
        raise ClosedResourceError
    if known is Code.END_OF_STREAM:
        raise EndOfStream
    if known is Code.NO_MEMORY:
        raise MemoryError(ERRORS[known].sentence)
    if known is Code.INVALID:
        raise ValueError(ERRORS[known].sentence)
    raise BrokenResourceError from os_error(code)


def address_attributes(local: SockAddr, remote: SockAddr | None) -> dict[Any, Callable[[], Any]]:
    """AnyIO's socket attributes, but `raw_socket`: there is none. They outlive the connection."""
    family = family_of(pack_text(local[0]) or b"")
    attributes: dict[Any, Callable[[], Any]] = {
        SocketAttribute.family: lambda: family,
        SocketAttribute.local_address: lambda: local,
        SocketAttribute.local_port: lambda: local[1],
    }
    if remote is not None:
        attributes[SocketAttribute.remote_address] = lambda: remote
        attributes[SocketAttribute.remote_port] = lambda: remote[1]
    return attributes


def all_attributes(
    local: SockAddr,
    remote: SockAddr | None,
    info: Callable[[], ConnectionInfo],
    stack: "Stack",
) -> Mapping[Any, Callable[[], Any]]:
    attributes = address_attributes(local, remote)
    attributes[StreamAttribute.info] = info
    attributes[StreamAttribute.stack] = lambda: stack
    return attributes
