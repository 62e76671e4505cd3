"""Two programs that meet on a port: the client calls, or both do; perhaps again under one name."""

from typing import TYPE_CHECKING

from support.transfer import Transfer
from support.world.application import Application
from usertcp.testing import SECOND, EngineError, Simulator

if TYPE_CHECKING:
    from usertcp.testing._engine import Connection

BUSY = frozenset(("NO_MEMORY", "ADDRESS_IN_USE", "ADDRESS_NOT_AVAILABLE"))  # to be tried again
ENDINGS = frozenset(("RESET", "TIMED_OUT", "REFUSED", "NET_UNREACHABLE", "HOST_UNREACHABLE"))
QUIET = 3 * SECOND
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

    @property
    def ends(self) -> tuple[Application, Application]:
        return self.client, self.server

    def begin(self) -> None:
        if not self.crossed:
            self.listen()

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
        following.begin()
        following.wait()
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
            if not self.may_stray:
                raise MeetingError(f"port {self.port}: a second connection")
            stray.close()

    def _call(self) -> None:
        hosts = [one.host for one in self.ends]
        if any(host.is_stalled for host in hosts) or self.sim.now < self.tried_at:
            return
        a, b = (host.engine for host in hosts)
        fixed = self.crossed or self.later or self.repeated
        own = OWN_PORT + self.port if fixed else 0
        made: list[Connection] = []
        try:
            made.append(a.connect(hosts[1].address, self.port, local_port=own))
            if self.crossed:
                made.append(b.connect(hosts[0].address, own, local_port=self.port))
                self.server.connection = made[1]
            self.client.connection = made[0]
        except EngineError as exc:
            if exc.name not in BUSY:
                raise
            for one in made:
                one.abort()
            self.wait()

    def wait(self) -> None:
        """Before it calls: time must pass, for another ISN."""
        self.tried_at = self.sim.now + SECOND // 20
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
            if one.ended and not one.failed and one.error is None and not whole:
                raise MeetingError(f"port {self.port}: an end without all{self}")
            if not self.may_fail and one.got != other.text:
                raise MeetingError(f"port {self.port}: not all came out{self}")

    def __str__(self) -> str:
        told = [
            f"{name} sent {one.sent} of {len(one.text)} got {len(one.got)} {one.error}"
            for name, one in (("client", self.client), ("server", self.server))
        ]
        return f"\n  port {self.port}: {', '.join(told)}"
