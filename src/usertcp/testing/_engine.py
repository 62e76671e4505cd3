"""A stack alone with a test: no event loop, no clock, its link's far end in the test's hand.

`EngineHarness` owns a stack on an unjoined memory link and a virtual clock in ns. Whatever it emits
is checked (oracle.py) and kept in `emitted` until taken; whatever is injected is processed at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usertcp import _events
from usertcp._address import ANY, pack_text, parse_interface
from usertcp._binding import RawStack
from usertcp._config import StackConfig, seed_words
from usertcp._errors import Code, name_of
from usertcp._info import ConnectionInfo, State
from usertcp.testing._ether import EthernetPort
from usertcp.testing._memory import MemoryLink
from usertcp.testing.oracle import check_emitted

if TYPE_CHECKING:
    from collections.abc import Callable

    from usertcp._address import IPInterface
    from usertcp.testing.packets import Packet

START = 1_000_000_000_000  # virtual time begins here, so that 0 is nobody's time
SECOND = 1_000_000_000
_BUDGET = 64
OPTIONS = {
    "nodelay": 1, "rcv_limit": 2, "snd_limit": 3, "user_timeout": 4, "linger": 5, "ttl": 6,
    "dscp": 7, "snd_lowat": 8, "keepalive": 9, "keepalive_idle": 10, "keepalive_interval": 11,
    "keepalive_count": 12, "rto_min": 13, "notsent_lowat": 14, "congestion": 15,
    "mtu_discover": 16, "cork": 17, "ecn": 18, "fast_open": 19, "flow_label": 20,
}  # fmt: skip


class EngineError(Exception):
    """A call of the engine gave an error; `name` is its name in errors.def."""

    def __init__(self, code: int) -> None:
        self.name: str = name_of(code)
        super().__init__(self.name)


def _check(result: int) -> int:
    if result < 0:
        raise EngineError(result)
    return result


@dataclass(frozen=True, slots=True)
class Emitted:
    """A packet that left the stack."""

    at: int
    data: bytes
    packet: Packet


class EngineHarness:
    """A stack under virtual time; `config` as of `usertcp.StackConfig`."""

    def __init__(
        self,
        *addresses: str,
        gateway: str | None = None,
        mtu: int = 1500,
        ethernet: bool = False,
        seed: int = 1,
        start: int = START,
        link_buffer: int = 0,
        **config: Any,
    ) -> None:
        self.now: int = start
        self.mtu = mtu
        self.emitted: deque[Emitted] = deque()
        self.on_emitted: Callable[[Emitted], None] = self.emitted.append
        self.events: dict[int, int] = {}
        self.errors: dict[int, str] = {}
        self.addresses: list[IPInterface] = [parse_interface(text) for text in addresses]
        self.link: MemoryLink = MemoryLink(mtu=mtu, ethernet=ethernet, buffer=link_buffer)
        self.port: EthernetPort | None = (
            EthernetPort(self.link.mac, self.addresses) if ethernet else None
        )
        # The RFC's delayed ACK from the first segment on, unless a test asks for the default.
        self.config: StackConfig = StackConfig(**{"quick_acks": 0} | config)
        self.may_fragment: bool = self.config.path_mtu_discovery is False
        settings = self.config.engine_fields() | {"mtu": mtu}
        self.raw: RawStack = RawStack(self.link, settings, seed_words(seed))
        for interface in self.addresses:
            packed, length = _packed(str(interface.ip)), interface.network.prefixlen
            _check(self.raw.address_add(packed, length, 0, self.now))
        if gateway is not None:
            _check(self.raw.gateway_set(_packed(gateway)))
        self.poll()
        self.emitted.clear()

    # -- time and packets -------------------------------------------------------------------------

    @property
    def deadline(self) -> int | None:
        """When the engine wants to be polled next, ns; None: no timer runs."""
        value = int(self.raw.shared[0])
        return None if value == _events.NEVER else value

    def poll(self) -> None:
        """Turns until there is nothing to do at this time."""
        for _ in range(10_000):
            found = self.raw.poll_events(self.now, _BUDGET)
            if isinstance(found, int):
                raise EngineError(found)
            for handle, bits, error in found:
                self.events[handle] = self.events.get(handle, 0) | bits
                if bits & _events.CLOSED and error:
                    self.errors[handle] = name_of(error)
            self.collect()
            if not self.raw.shared[1] and self.raw.shared[0] > self.now:
                return
        raise AssertionError(f"the stack wants to be polled at {self.now} for ever")

    def collect(self) -> None:
        """Takes what was emitted from the link."""
        while (data := self.link.read()) is not None:
            packet: bytes | None = data
            if self.port is not None:
                packet, reply = self.port.from_stack(data)
                if reply is not None:
                    self.link.write(reply)
                    self.poll()
            if packet is not None:
                checked = check_emitted(packet, self.mtu, may_fragment=self.may_fragment)
                self.on_emitted(Emitted(self.now, packet, checked))

    def take(self) -> list[Emitted]:
        """What was emitted since the last time."""
        taken = list(self.emitted)
        self.emitted.clear()
        return taken

    def queue(self, data: bytes) -> bool:
        """Puts a packet into the link, to be processed by the next poll."""
        return self.link.write(data if self.port is None else self.port.to_stack(data))

    def inject(self, *packets: bytes) -> None:
        """Packets (without Ethernet headers) arrive now, together."""
        for data in packets:
            assert self.queue(data), "the link's queue is full"
        self.poll()

    def run(self, until: int) -> None:
        """Lets time pass to `until`, with every timer on its time."""
        while (deadline := self.deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.poll()
        self.now = max(self.now, until)

    def advance(self, ns: int) -> None:
        """Time passes; timers fire in their order."""
        self.run(self.now + ns)

    # -- connections ------------------------------------------------------------------------------

    def connect(
        self,
        host: str,
        port: int,
        *,
        local_host: str = "",
        local_port: int = 0,
        ecn: bool | None = None,
        fast_open: bool = False,
    ) -> Connection:
        """An active open. `EngineError` when the engine refuses."""
        local, remote = (_packed(local_host), local_port), (_packed(host), port)
        code, handle = self.raw.connect(local, remote, self.now, ecn=ecn, fast_open=fast_open)
        self.poll()
        _check(code)
        return Connection(self, handle)

    def listen(
        self, port: int, *, host: str = "", backlog: int = 16, share: bool = False
    ) -> Connection:
        """A passive open; on all addresses without `host`. `EngineError` when it is refused."""
        code, handle = self.raw.listen(_packed(host), port, backlog, self.now, share=share)
        _check(code)
        return Connection(self, handle)

    def find(self, remote_port: int, local_port: int | None = None) -> ConnectionInfo | None:
        """The connection to this peer port: also half-open, in TIME-WAIT, or without a user."""
        for row in self.raw.list_info():
            if row.state in (State.LISTEN, State.CLOSED) or row.remote[1] != remote_port:
                continue
            if local_port is None or row.local[1] == local_port:
                return row
        return None

    def state_of(self, remote_port: int, local_port: int | None = None) -> str:
        """Of the connection to this peer port, else of the listener, else CLOSED."""
        row = self.find(remote_port, local_port)
        if row is not None:
            return str(row.state)
        return "LISTEN" if self.is_listening(local_port) else "CLOSED"

    def is_listening(self, port: int | None = None) -> bool:
        """Whether anything listens, on this port or on any."""
        rows = (row for row in self.raw.list_info() if row.state is State.LISTEN)
        return any(port in (None, row.local[1]) for row in rows)

    # -- looking ----------------------------------------------------------------------------------

    @property
    def memory(self) -> int:
        """Bytes held in C."""
        return self.raw.memory_in_use()

    @property
    def unfinished(self) -> int:
        """Connections with unsent or unacknowledged data, or an unacknowledged FIN."""
        return self.raw.unfinished()

    def counters(self) -> dict[str, int]:
        """Those that are not 0, by name."""
        return {name: value for name, value in self.raw.counters().items() if value}

    def drops(self) -> dict[str, int]:
        """Counters by their names in drops.def, but for those that are 0."""
        found = self.counters().items()
        return {n.removeprefix("drop_"): value for n, value in found if n.startswith("drop_")}

    def close(self) -> None:
        """Frees the engine. Idempotent."""
        self.raw.free()

    def __del__(self) -> None:
        if hasattr(self, "raw"):  # it was made at all
            self.close()


class Connection:
    """A connection or listener of a harness, by handle. Errors are `EngineError`."""

    def __init__(self, engine: EngineHarness, handle: int) -> None:
        self.engine = engine
        self.handle = handle

    def _done(self, result: int) -> int:
        self.engine.poll()
        return _check(result)

    def accept(self) -> Connection | None:
        result = self.engine.raw.accept(self.handle, self.engine.now)
        if isinstance(result, int):
            if result == -Code.WOULD_BLOCK:
                return None
            raise EngineError(result)
        self.engine.poll()
        return Connection(self.engine, result[0])

    def send(self, data: bytes) -> int:
        """How much was taken; 0 when the send ring is full."""
        result = self.engine.raw.send(self.handle, data, self.engine.now)
        if result == -Code.WOULD_BLOCK:
            self.engine.poll()
            return 0
        return self._done(result)

    def receive(self, max_bytes: int = 1 << 30) -> bytes:
        """All that is there, up to `max_bytes`; b"" when nothing is. At the end: END_OF_STREAM."""
        out = bytearray()
        while len(out) < max_bytes:
            got = self.engine.raw.recv(self.handle, max_bytes - len(out), self.engine.now)
            if isinstance(got, int):
                if got == -Code.WOULD_BLOCK or out:
                    break
                self._done(got)
            else:
                out += got
        self.engine.poll()
        return bytes(out)

    def shutdown(self) -> None:
        """No more will be sent; receiving goes on."""
        self._done(self.engine.raw.shutdown(self.handle, self.engine.now))

    def close(self) -> None:
        """Gives the handle up; what was accepted still goes out."""
        self._done(self.engine.raw.close(self.handle, self.engine.now))

    def abort(self) -> None:
        self._done(self.engine.raw.abort(self.handle, self.engine.now))

    def set_option(self, name: str, value: int) -> None:
        raw, now = self.engine.raw, self.engine.now
        self._done(raw.set_option(self.handle, OPTIONS[name], value, now))

    def get_option(self, name: str) -> int:
        code, value = self.engine.raw.get_option(self.handle, OPTIONS[name])
        _check(code)
        return value

    @property
    def info(self) -> ConnectionInfo:
        info = self.engine.raw.info(self.handle)
        if isinstance(info, int):
            raise EngineError(info)
        return info

    @property
    def events(self) -> int:
        """Events told so far, as a set of bits of `usertcp._events`."""
        self.engine.poll()
        return self.engine.events.get(self.handle, 0)

    def clear_events(self) -> None:
        self.engine.poll()
        self.engine.events.pop(self.handle, None)

    @property
    def error(self) -> str | None:
        """Why it ended, as the CLOSED event told."""
        self.engine.poll()
        return self.engine.errors.get(self.handle)


def _packed(text: str) -> bytes:
    packed = pack_text(text) if text else ANY
    if packed is None:
        raise ValueError(f"{text!r} is no numeric address")
    return packed
