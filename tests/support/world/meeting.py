"""Two programs that meet on a port: the client calls, or both do; perhaps again under one name."""

from contextlib import suppress
from typing import TYPE_CHECKING

from support.transfer import Transfer
from support.world.application import Application
from usertcp._events import CLOSED
from usertcp.testing import SECOND, EngineError, Simulator

if TYPE_CHECKING:
    from usertcp.testing._engine import Connection

BUSY = frozenset(("NO_MEMORY", "ADDRESS_IN_USE", "ADDRESS_NOT_AVAILABLE"))  # to be tried again
ENDINGS = frozenset(("RESET", "TIMED_OUT", "REFUSED", "NET_UNREACHABLE", "HOST_UNREACHABLE"))
QUIET = 3 * SECOND
AGAIN = 0.05  # seconds
ISN_TICK = SECOND // 250_000  # RFC 9293 3.4.1
OWN_PORT = 20_000  # and more, of a client that must have the same name again


class MeetingError(AssertionError):
    """Two programs did not get what they should."""


class Meeting(Transfer[Application]):
    """`begin` lets the server listen. `may_fail`: a program is rude, or gives up by itself."""

    def __init__(
        self, sim: Simulator, client: Application, server: Application, *, port: int
    ) -> None:
        super().__init__(sim, client, server, port=port)
        self.crossed = False  # both call, none listens: RFC 9293 3.5, figure 7
        self.later: list[Meeting] = []  # of the same ends, one after the other
        self.repeated = False
        self.may_fail = False
        self.may_stray = False  # a SYN of the past may open a connection again
        self.tried_at = 0
        self.waits = 0.0  # seconds before it calls
        self.fast_open: int | None = None  # the listener's limit, and the client asks for it
        self.may_repeat = False  # the network may bring a SYN again
        # Whose SYNs had these ports and ISNs, also of those that were before; and of this one's.
        self.calls: dict[tuple[int, int], Application] = {}
        self.call = (0, 0)
        self.has_name = False  # the client's port was chosen
        self.repeats = 0
        self.is_again = False

    @property
    def ends(self) -> tuple[Application, Application]:
        return self.client, self.server

    def begin(self) -> None:
        self.wait(self.waits)
        if not self.crossed:
            self.listen()
            if self.fast_open is not None and self.listener is not None:
                self.listener.set_option("fast_open", self.fast_open)

    @property
    def _own_port(self) -> int:
        fixed = self.crossed or self.later or self.repeated or self.has_name
        return OWN_PORT + self.port if fixed else 0

    def introduce(self, *, wraps: int | None = None) -> None:
        """The client asks for a cookie, in a connection of its own; `wraps`: then time passes until
        its next ISN is so many below 2**32."""
        client, server = (one.host for one in self.ends)
        listener = server.engine.listen(self.port)
        listener.set_option("fast_open", 1)
        self.has_name = wraps is not None
        name = server.address, self.port
        first = client.engine.connect(*name, local_port=self._own_port, fast_open=True)
        iss, began = first.info.iss, self.sim.now
        self.sim.run(self.sim.now + SECOND)
        accepted = listener.accept()
        if accepted is None:
            raise MeetingError(f"port {self.port}: no introduction")
        first.abort()
        self.sim.run(self.sim.now + SECOND)
        accepted.close()
        listener.close()
        if wraps is not None:
            ticks = (-wraps - iss) % 2**32
            at = began + ticks * ISN_TICK
            self.sim.run(at if at >= self.sim.now else at + 2**32 * ISN_TICK)

    def next(self) -> "Meeting | None":
        """What follows this one, if it has ended and something does."""
        if not self.later or not self.is_done:
            return None
        if self.listener is not None:
            self.listener.close()
            self.listener = None
            if self.server.connection is None:  # what is on its way may not open the next one
                self.tried_at = self.sim.now + QUIET
                self.sim.call_at(self.tried_at, lambda: None)
        if self.sim.now < self.tried_at:
            return None
        following = self.later[0]
        following.later = self.later[1:]
        following.repeated = True
        following.calls = self.calls
        following.waits = AGAIN  # time must pass, for another ISN
        following.begin()
        return following

    def step(self) -> None:
        """As soon as hosts and memory allow."""
        if self.client.connection is None and not self.client.closed:
            self._call()
        if self.server.connection is None and self.server.host.is_stalled:
            return
        super().step()
        if self.listener is None or self.server.connection is None:
            return
        if (stray := self.listener.accept()) is not None:
            self._take_stray(stray)

    def accept(self) -> "Connection | None":
        """With Fast Open the ISN tells whose it is."""
        found = super().accept()
        if found is None or self.fast_open is None or _name_of(found) == self.call:
            return found
        self._take_stray(found)
        return None

    def _take_stray(self, stray: "Connection") -> None:
        """Without Fast Open only what answered our SYN,ACK is there. With it a SYN that comes again
        once its connection is forgotten brings its data again (RFC 7413 6.1), and no other."""
        repeats = self.fast_open is not None and self.may_repeat
        if not (repeats or self.may_stray):
            raise MeetingError(f"port {self.port}: a second connection")
        if self.fast_open is not None:
            self._judge_repeat(stray)
        stray.close()

    def _judge_repeat(self, stray: "Connection") -> None:
        caller = self.calls.get(_name_of(stray))
        if caller is None:
            raise MeetingError(f"port {self.port}: a connection that nobody asked for")
        server = self.server
        # Whose first connection the server has aborted may be connected to this one.
        self.is_again |= _name_of(stray) == self.call
        lives = server.connection is not None and not server.closed
        if lives and _name_of(stray) == self.call and not server.connection.events & CLOSED:
            raise MeetingError(f"port {self.port}: the same data twice in one connection's life")
        with suppress(EngineError):  # it has been reset
            data = stray.receive()
            self.repeats += bool(data)
            if self.prefix and not caller.text.startswith(data):
                raise MeetingError(f"port {self.port}: a repeated SYN with other data")

    def _call(self) -> None:
        hosts = [one.host for one in self.ends]
        if any(host.is_stalled for host in hosts) or self.sim.now < self.tried_at:
            return
        a, b = (host.engine for host in hosts)
        own = self._own_port
        made: list[Connection] = []
        try:
            early = self.fast_open is not None
            made.append(a.connect(hosts[1].address, self.port, local_port=own, fast_open=early))
            if self.crossed:
                name = hosts[0].address, own
                made.append(b.connect(*name, local_port=self.port, fast_open=early))
                self.server.connection = made[1]
            self.client.connection = made[0]
            info = made[0].info
            self.call = info.local[1], info.iss
            self.calls[self.call] = self.client
        except EngineError as exc:
            if exc.name not in BUSY:
                raise
            for one in made:  # its SYN has left, and may not meet those of the next time
                one.abort()
            self.wait(QUIET / SECOND if made else AGAIN)

    def wait(self, seconds: float) -> None:
        """Before it calls."""
        self.tried_at = self.sim.now + round(seconds * SECOND)
        self.sim.call_at(self.tried_at, lambda: None)

    @property
    def is_done(self) -> bool:
        """Also when the client has given up before there was a server."""
        client = self.client
        gave_up = client.closed and (client.error is not None or client.failed)
        return client.closed and (
            self.server.closed or (self.server.connection is None and gave_up)
        )

    def judge(self, *, changed: bool) -> None:
        """MeetingError unless all came out that had to; `changed`: on the way, perhaps."""
        for one, other in (self.ends, self.ends[::-1]):
            if one.error is not None and (one.error not in ENDINGS or not self.may_fail):
                raise MeetingError(f"port {self.port}: {one.error}{self}")
            if changed:
                continue
            whole = one.got == other.text[: other.sent] and (other.shut or other.failed)
            if one.ended and not (one.failed or one.error or whole or self.is_again):
                raise MeetingError(f"port {self.port}: an end without all{self}")
            if not self.may_fail and one.got != other.text:
                raise MeetingError(f"port {self.port}: not all came out{self}")

    def __str__(self) -> str:
        told = [
            f"{name} sent {one.sent} of {len(one.text)} got {len(one.got)} {one.error}"
            for name, one in (("client", self.client), ("server", self.server))
        ]
        return f"\n  port {self.port}: {', '.join(told)}"


def _name_of(found: "Connection") -> tuple[int, int]:
    """The caller's port and ISN."""
    info = found.info
    return info.remote[1], info.irs
