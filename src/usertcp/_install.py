"""`install()`: AnyIO's own `connect_tcp` and `create_tcp_listener` on the ambient stack.

AnyIO has no public hook for this. The two functions keep their identity, so that references taken
earlier (`from anyio import connect_tcp`, `TCPConnectable`) follow; what changes is their code, by
one whose parameters are the same. Not its backends: those are given listeners that the kernel has
bound already, which it refuses for an address that is only a stack's.
"""

import inspect
import logging
import sys
from collections import Counter
from importlib.metadata import version
from socket import AF_UNSPEC
from threading import Lock
from types import FunctionType
from typing import Any

import anyio

from usertcp._bypass import BYPASS, Policy, policy
from usertcp._open import _ambient, current_stack
from usertcp.stacks import Stack

logger = logging.getLogger("usertcp.anyio")
KNOWN = "4.10 to 4.16"
"""Versions of AnyIO whose functions have the parameters below, or all but the last added."""


async def _connect_tcp(
    remote_host: Any,
    remote_port: Any,
    *,
    local_host: Any = None,
    local_port: Any = None,
    tls: Any = False,
    ssl_context: Any = None,
    tls_standard_compatible: Any = True,
    tls_hostname: Any = None,
    happy_eyeballs_delay: Any = 0.25,
) -> Any:
    from usertcp._install import choose  # it runs with AnyIO's globals

    connect = await choose("connect_tcp")
    given = {} if local_port is None else {"local_port": local_port}  # AnyIO 4.10 has it not
    return await connect(
        remote_host,
        remote_port,
        **given,
        local_host=local_host,
        tls=tls,
        ssl_context=ssl_context,
        tls_standard_compatible=tls_standard_compatible,
        tls_hostname=tls_hostname,
        happy_eyeballs_delay=happy_eyeballs_delay,
    )


async def _create_tcp_listener(
    *,
    local_host: Any = None,
    local_port: Any = 0,
    family: Any = AF_UNSPEC,
    backlog: Any = 65536,
    reuse_port: Any = False,
) -> Any:
    from usertcp._install import choose

    create = await choose("create_tcp_listener")
    return await create(
        local_host=local_host,
        local_port=local_port,
        family=family,
        backlog=backlog,
        reuse_port=reuse_port,
    )


_OURS: dict[str, Any] = {
    "connect_tcp": _connect_tcp,
    "create_tcp_listener": _create_tcp_listener,
}


class _Installed:
    """What one process has of it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.originals: dict[str, FunctionType] = {}
        self.policy: Policy = "error"
        self.passed: Counter[str] = Counter()


_state = _Installed()


def install(*, bypass: Policy | None = None) -> None:
    """Makes `anyio.connect_tcp` and `anyio.create_tcp_listener` use the ambient stack.

    Everywhere in the process, on asyncio, uvloop and trio, also by references taken before, until
    `uninstall`. Without an ambient stack: on the stack of a `usertcp.asyncio` event loop; elsewhere
    `bypass` decides (`USERTCP_BYPASS`, else `error`, when None): `kernel` lets AnyIO make a kernel
    socket and warns once, `error` and `adopt` are `RuntimeError`.

    It replaces private parts of AnyIO: `RuntimeError`, and nothing changed, when this AnyIO is not
    one of those it knows. Again: only `bypass` changes.
    """
    wanted = policy(bypass)
    with _state.lock:
        if not _state.originals:
            _check()
            for name, ours in _OURS.items():
                function = getattr(anyio, name)
                _state.originals[name] = _copy(function)
                _change(function, ours)
        _state.policy = wanted
        _state.passed.clear()


def uninstall() -> None:
    """Gives AnyIO its functions back; streams and listeners go on. Without `install`: nothing.

    `RuntimeError` when somebody else has changed them since.
    """
    with _state.lock:
        for name in _state.originals:
            if getattr(anyio, name).__code__ is not _OURS[name].__code__:
                raise RuntimeError(
                    f"usertcp.uninstall(): anyio.{name} is not what usertcp.install() made of it; "
                    "undo what was done to it after that first"
                )
        for name, original in _state.originals.items():
            _change(getattr(anyio, name), original)
        _state.originals.clear()


def _change(function: Any, like: Any) -> None:
    function.__code__ = like.__code__
    function.__kwdefaults__ = like.__kwdefaults__


def _copy(function: FunctionType) -> FunctionType:
    """Does what it does now, also when the function's code is another one."""
    made = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _check() -> None:
    """`RuntimeError` unless AnyIO's functions are such that their code can be exchanged."""
    for name, ours in _OURS.items():
        found = getattr(anyio, name, None)
        if not isinstance(found, FunctionType) or not inspect.iscoroutinefunction(found):
            raise _unknown(f"anyio.{name} is no async function")
        if not _fits(found, ours):
            raise _unknown(f"anyio.{name} takes {inspect.signature(found)}")
        if found.__code__.co_freevars:
            raise _unknown(f"anyio.{name} is wrapped by something else")
    connectable = getattr(anyio, "TCPConnectable", None)
    if connectable is not None:
        seen = getattr(connectable.connect, "__globals__", {}).get("connect_tcp")
        if seen is not anyio.connect_tcp:
            raise _unknown("anyio.TCPConnectable does not use anyio.connect_tcp")


def _fits(found: FunctionType, ours: Any) -> bool:
    """All parameters that it takes are known; only ones by name may be missing."""
    theirs, known = (inspect.signature(function).parameters for function in (found, ours))
    alike = ("kind", "default")
    return all(
        name in known and all(getattr(one, what) == getattr(known[name], what) for what in alike)
        for name, one in theirs.items()
    ) and all(one.kind is one.KEYWORD_ONLY for name, one in known.items() if name not in theirs)


def _unknown(what: str) -> RuntimeError:
    return RuntimeError(
        f"usertcp.install() knows AnyIO {KNOWN}; this is AnyIO {version('anyio')}, whose inside "
        f"differs: {what}. Nothing was changed. usertcp.connect_tcp and "
        "usertcp.create_tcp_listener have the same signatures and need no install()"
    )


async def choose(name: str) -> Any:
    """The function to call in place of AnyIO's `name`."""
    stack = await _stack_here()
    if stack is not None:
        return getattr(stack, name)
    if _state.policy != "kernel":
        current_stack()  # raises, and says how to open one
    _state.passed[name] += 1
    if _state.passed[name] == 1:
        logger.warning(
            "usertcp: anyio.%s without an ambient stack is left to the kernel (told once; "
            "%s=error refuses it)",
            name,
            BYPASS,
        )
    return _state.originals.get(name) or getattr(anyio, name)  # uninstalled meanwhile


async def _stack_here() -> Stack | None:
    stack = _ambient.get()
    opening: Any = sys.modules.get("usertcp.asyncio._opening")
    if stack is not None or opening is None:
        return stack
    own = opening.of_running_loop()
    return None if own is None else await own.get()
