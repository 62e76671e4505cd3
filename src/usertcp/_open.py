"""`open_stack`, and the stack that is ambient inside it."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from usertcp._address import IPAddress, IPInterface, parse_address, parse_interface
from usertcp._config import StackConfig, seed_words
from usertcp._driver import Driver, new_driver
from usertcp._environment import (
    CONTROL,
    check_busy_poll,
    missing,
    stack_arguments,
    wanted_busy_poll,
    wanted_trace,
)
from usertcp._stack import Engine
from usertcp.stacks import LINGER, Stack

if TYPE_CHECKING:
    from usertcp._binding import LinkHolder
    from usertcp._control import ControlServer
    from usertcp.links import Link

_ambient: ContextVar[Stack | None] = ContextVar("usertcp_stack", default=None)


def current_stack() -> Stack:
    """The stack of the innermost `open_stack` around the caller; `RuntimeError` without one."""
    stack = _ambient.get()
    if stack is None:
        raise RuntimeError(
            "no usertcp stack is open here. Open one around this call: "
            'async with usertcp.open_stack("packet:eth1", addresses=["10.7.0.2/24"]): ... '
            "(or call the method of a stack you hold)"
        )
    return stack


def make_ambient(stack: Stack) -> None:
    """In this task, and in those it starts from now on. Only a stack that works."""
    stack._around = _open_one(_ambient.get())  # noqa: SLF001
    _ambient.set(stack)


def _open_one(stack: Stack | None) -> Stack | None:
    """The stack, or the nearest of those around it, that nobody has closed."""
    while stack is not None and stack._closing:  # noqa: SLF001
        stack = stack._around  # noqa: SLF001
    return stack


def no_longer_ambient(stack: Stack) -> None:
    """Puts back what was there, whatever the order in which stacks are closed.

    Does nothing where it is not the ambient one: another was opened since and is still open, or
    this is not the task it was opened in.
    """
    if _ambient.get() is stack:
        _ambient.set(_open_one(stack._around))  # noqa: SLF001


class _OpenStack:
    """What `open_stack` returns: opens at `async with`, closes at its end."""

    def __init__(
        self,
        link: "str | LinkHolder",
        config: Mapping[str, int],
        addresses: Sequence[IPInterface],
        gateways: Sequence[IPAddress],
        seed: tuple[int, int],
        *,
        capture: str | None,
        check_duplicates: bool,
        linger: float,
        control: "str | os.PathLike[str] | bool | None",
        pump: bool | None,
        busy_poll: float,
        trace: "str | os.PathLike[str] | None",
    ) -> None:
        self._link = link
        self._config = config
        self._addresses = addresses
        self._gateways = gateways
        self._seed = seed
        self._capture = capture
        self._check_duplicates = check_duplicates
        self._linger = linger
        self._control = control
        self._pump = pump
        self._busy_poll = busy_poll
        self._trace = trace
        self._control_server: ControlServer | None = None
        self._claims: ExitStack | None = None
        self._stack: Stack | None = None

    async def __aenter__(self) -> Stack:
        if self._stack is not None:
            raise RuntimeError("open_stack(): one call opens one stack; call it again")
        try:
            return await self._open()
        except BaseException:
            self._release()
            raise

    async def _open(self) -> Stack:
        link = self._link
        if isinstance(link, str):
            from usertcp.links import open_link, parse_link

            url, link = parse_link(link), open_link(link)
            if url.kind == "packet":
                self._claim(url.name, link)
        config = self._config
        if (ports := getattr(link, "ports", None)) is not None:  # raw: no others reach us
            config = {"port_first": ports[0], "port_last": ports[1], **config}
        engine = Engine(link, config, self._seed, self._capture)
        try:
            driver = new_driver(engine)
        except BaseException:
            engine.free()
            raise
        self._stack = stack = Stack(engine, driver, self._addresses)
        try:
            if self._wants_pump(link, driver):
                engine.start_pump()
            if _may_busy_poll(link, driver):
                driver.busy_ns = round(self._busy_poll * 1e9)
            if (wanted := self._trace or wanted_trace(os.environ)) is not None:
                stack.trace(Path(wanted))  # until the stack's end
            await stack.start(self._gateways, check_duplicates=self._check_duplicates)
            self._open_control(stack)
        except BaseException:
            await stack.aclose(linger=0)
            raise
        make_ambient(stack)
        return stack

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._stack is not None
        no_longer_ambient(self._stack)
        try:
            await self._stack.aclose(linger=self._linger)
        finally:
            self._release()
            if self._control_server is not None:
                self._control_server.close()

    def _claim(self, device: str, link: "Link") -> None:
        from usertcp._exclusive import claim_addresses

        try:
            self._claims = claim_addresses(device, [own.ip for own in self._addresses])
        except BaseException:
            link.close()
            raise

    def _release(self) -> None:
        if self._claims is not None:
            self._claims.close()

    def _wants_pump(self, link: object, driver: Driver) -> bool:
        if self._pump and not driver.real_time:
            raise ValueError("pump: a stack in virtual time cannot have the thread")
        return _on_device(link, driver) if self._pump is None else self._pump

    def _open_control(self, stack: Stack) -> None:
        captured = self._capture is not None
        if self._control is None:
            if os.environ.get(CONTROL):
                from usertcp._control import from_environment

                self._control_server = from_environment(stack, captured=captured)
        elif self._control is not False:
            from usertcp._control import ControlServer

            self._control_server = ControlServer(stack, self._control, captured=captured)


def _on_device(link: object, driver: Driver) -> bool:
    """Frames come by themselves: neither from this program nor in virtual time."""
    return driver.real_time and getattr(link, "kind", "memory") != "memory"


def _may_busy_poll(link: object, driver: Driver) -> bool:
    """On one CPU nobody would send anything meanwhile."""
    return _on_device(link, driver) and (os.cpu_count() or 1) > 1


def open_stack(
    link: "str | LinkHolder | Sequence[str | LinkHolder] | None" = None,
    *,
    addresses: Sequence[str | IPInterface] | None = None,
    gateway: "str | IPAddress | Sequence[str | IPAddress] | None" = None,
    mtu: int | None = None,
    seed: int | bytes | None = None,
    config: StackConfig | None = None,
    capture: str | None = None,
    check_duplicates: bool = True,
    linger: float = LINGER,
    control: "str | os.PathLike[str] | bool | None" = None,
    pump: bool | None = None,
    busy_poll: float | None = None,
    trace: "str | os.PathLike[str] | None" = None,
    **options: Any,
) -> AbstractAsyncContextManager[Stack]:
    """Makes a TCP stack on a link, for `async with`:

        async with usertcp.open_stack("packet:v1", addresses=["10.7.0.2/24"]) as stack:
            ...

    link: a URL (`packet:IFNAME`, `tun:IFNAME`, `raw:`, `memory:NAME`), or a `usertcp.links.Link`.
    None: from the environment, `USERTCP_LINK`, and so is what else is not given, `USERTCP_ADDRESS`,
    `USERTCP_GATEWAY`, `USERTCP_MTU`, `USERTCP_PCAP`.
    addresses: the stack's own, with prefix lengths. gateway: one per family at most.
    mtu: bytes of an IP packet; the link's when None.
    seed: 128 bits all randomness comes from; from the system's entropy when None.
    config, **options: see `StackConfig`.
    capture: a pcapng file to write what passes to.
    check_duplicates: look for other users of the IPv6 addresses first (RFC 4862); takes a second.
    linger: seconds closing waits at most for what was accepted to be delivered.
    control: a UNIX socket for `usertcp ss` and `usertcp capture`: True (PID.sock in the user's
    runtime directory), a path, or False; None asks the environment, USERTCP_CONTROL.

    pump: a thread that acknowledges, retransmits and answers probes while the program keeps the
    event loop busy; None: on every link but those in memory.
    busy_poll: seconds, up to 0.001, for which an idle loop looks at the link again and
    again before it sleeps, after frames have come: replies come sooner, a CPU stays busy. 0: not;
    None asks the environment, USERTCP_BUSY_POLL. Without effect on memory links, in virtual time,
    and where the machine has one CPU.
    trace: a file, or a directory, for a trace of its connections (see `Stack.trace`); None asks the
    environment, USERTCP_TRACE.

    Inside, the stack is ambient: `usertcp.connect_tcp` and `usertcp.create_tcp_listener` use it.
    `ValueError` or `TypeError` for bad arguments (a `ValueError` names the variable it came from);
    `RuntimeError` when neither arguments nor environment say which stack; `OSError` for a link that
    cannot be opened, or an address that another station, or on a `packet:` link another stack of
    this machine, has.
    """
    if link is None:
        given = {"addresses": addresses, "gateway": gateway, "mtu": mtu, "capture": capture}
        found = stack_arguments(os.environ)
        found |= {name: value for name, value in given.items() if value is not None}
        if (lack := missing(found)) is not None:
            raise lack
        link, addresses = found["link"], found["addresses"]
        gateway, mtu, capture = (found.get(name) for name in ("gateway", "mtu", "capture"))
    if not isinstance(link, str) and isinstance(link, Sequence):
        if len(link) != 1:
            raise ValueError(f"link: a stack has one link, {len(link)} were given")
        link = link[0]
    if addresses is None or isinstance(addresses, str):
        raise TypeError("addresses: a list is needed, like ['10.7.0.2/24', 'fd07::2/64']")
    own = [parse_interface(a) for a in addresses]
    if not own:
        raise ValueError("addresses: at least one is needed, like ['10.7.0.2/24']")
    if gateway is None:
        gateways = []
    elif isinstance(gateway, Sequence) and not isinstance(gateway, str):
        gateways = [parse_address(g, "gateway") for g in gateway]
    else:
        gateways = [parse_address(gateway, "gateway")]
    busy_poll = wanted_busy_poll(os.environ) if busy_poll is None else check_busy_poll(busy_poll)
    settings = (config or StackConfig()).with_options(options).engine_fields()
    settings.setdefault("nodelay", 1)  # as AnyIO, trio and asyncio set it for their sockets
    if mtu is not None:
        settings["mtu"] = mtu
    return _OpenStack(
        link, settings, own, gateways, seed_words(seed),
        capture=capture, check_duplicates=check_duplicates, linger=linger, control=control,
        pump=pump, busy_poll=busy_poll, trace=trace,
    )  # fmt: skip
