"""Builds what a seed draws, runs it, judges it at every step and at the end."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.world.application import Application
from support.world.draws import Draws
from support.world.faults import ALL_SUCCEED, IS_TEST_BUILD, Faults, calm_link, fail_after, link
from support.world.intruders import Habits, OffPath, Vandal
from support.world.meeting import Meeting
from support.world.options import OPTIONS
from usertcp._binding import ffi, lib
from usertcp.testing import SECOND, Impairment, Simulator
from usertcp.testing._engine import START
from usertcp.testing.simulator import SimHost

if TYPE_CHECKING:
    from usertcp.testing.impair import Pipe

PATIENT = {"user_timeout": 200_000.0, "connect_timeout": 200_000.0, "orphan_timeout": 20_000.0}
MORTAL = {"user_timeout": 60.0, "connect_timeout": 60.0, "orphan_timeout": 60.0}
KEEPALIVE = 15.0  # seconds until a silent peer is given up
MSL = 1.0
HABITS = ("window", "replay", "split", "merge", "divide", "sack", "flags", "payload")


class WorldError(AssertionError):
    """Something does not hold."""


@dataclass
class Result:
    """What a world came to; the same for the same seed."""

    packets: int
    early: int
    """Connections that took data with the SYN."""
    repeats: int
    """And those that a repeated SYN began."""
    late: float
    """The part of its bound that it took once faults had stopped."""
    digest: str
    """Of all that was sent, and when."""


class World:
    """One seed's. `without`: names of what is left out of it."""

    def __init__(self, seed: int, without: frozenset[str] = frozenset()) -> None:
        self.draws = Draws(seed, without)
        self.sim = Simulator(seed)
        self.pipes: list[Pipe | Vandal] = []
        self.flows: list[Meeting] = []
        self.closed_at = 0  # by all programs
        self.changed = self.mortal = False
        self.version = 6 if self.draws.feature("ipv6", 0.2) else 4
        # Who keeps no state needs the handshake's ACK first, and once: so the network is, then.
        self.is_tidy = self.draws.happens("cookies", 0.05)
        # And nothing lives longer than MSL where names are used again.
        self.is_brief = self.draws.happens("again", 0.15)
        own = self.draws.feature("cookies", 0.05)
        self.cookies = own.choice((2, 1)) if own is not None else 0  # always, or for want of room
        self.habits: dict[str, tuple[random.Random, Habits]] = {}
        if not self.is_tidy:
            self._draw_vandals()
        third = self.draws.feature("third stack", 0.15) is not None
        self.hosts = [self._host(name) for name in ("a", "b", "c")[: 2 + third]]
        self._join()
        self._draw_flows()
        lasts = self.draws.rng("world").choice((1, 5, 30, 120))
        self.faults_end = self.sim.now + round(lasts * SECOND)
        for pipe in self.pipes:
            if isinstance(pipe, Vandal):
                pipe.until = self.faults_end
        self.faults = Faults(self.sim, self.draws, self.faults_end)
        if not self.is_tidy:
            self._draw_faults()
        if (own := self.draws.feature("off-path", 0.3)) is not None:
            OffPath(self.flows, own)
        self.sim.after_event = self._after_event

    # -- building ---------------------------------------------------------------------------------

    def _draw_vandals(self) -> None:
        """Habits of each direction's, before the hosts: who meets one must be able to give up."""
        for name in ("a>b", "b>a"):
            habits, rng = Habits(), None
            for kind in HABITS:
                chance = 0.02 if kind == "payload" else 0.07
                if (own := self.draws.feature(f"{name} {kind}", chance)) is not None:
                    setattr(habits, kind, own.choice((0.01, 0.1, 0.5)))
                    rng = rng or own
            if (own := self.draws.feature(f"{name} strip", 0.05)) is not None:
                kinds = ("mss", "wscale", "sack_permitted", "timestamps")
                habits.strips = frozenset(own.sample(kinds, own.choice((1, 1, 4))))
                rng, self.mortal = rng or own, True
            if (own := self.draws.feature(f"{name} strip cookie", 0.07)) is not None:
                habits.strips |= {"cookie"}
                rng = rng or own
            if (own := self.draws.feature(f"{name} late syn", 0.15)) is not None:
                habits.late_syn = own.choice((0.1, 1.0, 10.0))
                rng = rng or own
            self.changed |= habits.payload > 0
            if rng is not None:
                self.habits[name] = rng, habits

    def _host(self, name: str) -> SimHost:
        number = ord(name) - ord("a") + 1
        config = {"rto_max": 10.0} | self.draws.options(name, OPTIONS)
        mtus = {"mtu": (1500, 1500, 576 if self.version == 4 else 1280, 9000)}
        config |= self.draws.options(name, mtus)
        config |= {"msl": MSL, "synack_retries": 100, "syn_cookies": self.cookies}
        if self.cookies == 1:
            config["max_half_open"] = 1
        config |= MORTAL if self.mortal else PATIENT
        if (rng := self.draws.feature(f"{name} isn", 0.25)) is not None:
            config["fixed_isn"] = 0xFFFFFFF0 + rng.randrange(16)
        if (rng := self.draws.feature(f"{name} clock at its wrap", 0.25)) is not None:
            left_ms = rng.choice((1, 100, 3000))
            config["fixed_ts_offset"] = (2**32 - left_ms - START // 1_000_000) % 2**32
        if (rng := self.draws.feature(f"{name} memory limit", 0.05)) is not None:
            config["memory_limit"] = 12 << 20
        seed = self.draws.rng(f"{name} seed").getrandbits(64)
        addresses = f"10.0.0.{number}/24" if self.version == 4 else f"fd00::{number}/64"
        return self.sim.host(addresses, name=name, seed=seed, **config)

    def _join(self) -> None:
        self.names = []
        for i, a in enumerate(self.hosts):
            for b in self.hosts[i + 1 :]:
                names = (f"{a.name}>{b.name}", f"{b.name}>{a.name}")
                forth, back = (
                    link(self.draws, name, tidy=self.is_tidy, brief=self.is_brief) for name in names
                )
                self.sim.join(a, b, forth, back)
                self._put_in(a, b, names[0])
                self._put_in(b, a, names[1])

    def _put_in(self, source: SimHost, target: SimHost, name: str) -> None:
        address = target.engine.addresses[0].ip.packed
        pipe = source.pipes[address][0]
        pipe.rng = self.draws.rng(f"{name} fates")
        found: Any = pipe
        if name in self.habits:
            found = Vandal(pipe, *self.habits[name])
            source.pipes[address] = (found, target)
        self.names.append(name)
        self.pipes.append(found)

    def _draw_flows(self) -> None:
        for number, chance in enumerate((1.0, 0.3, 0.3)):
            name = f"flow {number}"
            if number and self.draws.feature(name, chance) is None:
                continue
            ends = self.draws.rng(f"{name} ends").sample(self.hosts, 2)
            flow = self._flow(name, *ends, 7 + number)
            flow.crossed = self.draws.feature(f"{name} crossed", 0.1) is not None
            again = self.is_brief and not self.draws.happens(f"{name} crossed", 0.1)
            if again and self.draws.feature(f"{name} again", 0.8) is not None:
                flow.later = [self._flow(f"{name} again {i}", *ends, 7 + number) for i in range(3)]
            self.flows.append(flow)
            if (own := self.draws.feature(f"{name} fast open", 0.3)) is not None:
                limit = own.choice((100, 100, 2, 1, 0))
                for one in (flow, *flow.later):
                    one.fast_open = limit
            if (own := self.draws.feature(f"{name} waits", 0.2)) is not None:
                flow.waits = own.choice((0.3, 3.0, 15.0))
        self._introduce()
        for flow in self.flows:
            for one in (flow, *flow.later):
                self._settle(one)
                one.may_repeat = self._may_repeat(one)
            flow.begin()

    def _introduce(self) -> None:
        """Clients ask for cookies, on a network that is well for once."""
        before = [pipe.impairment for pipe in self.pipes]
        self._soothe(Impairment(delay=0.01) for _ in before)
        early = [flow for flow in self.flows if flow.fast_open is not None]
        for flow in early:
            rng = self.draws.rng(f"{flow.port} introduced")
            wraps = rng.choice((None, 0, 2, 300)) if flow is early[-1] else None
            keys = rng.choice((0, 0, 0, 1, 2))
            if rng.random() < 0.8:
                flow.introduce(wraps=wraps)
            engine = flow.server.host.engine
            for _ in range(keys):  # the second makes the cookie a bad one
                engine.raw.set_fast_open_key(rng.randbytes(16), engine.now)
        self._soothe(before, calm=False)

    def _soothe(self, impairments: Iterable[Impairment], *, calm: bool = True) -> None:
        for pipe, impairment in zip(self.pipes, impairments, strict=False):
            pipe.impairment = impairment
            if isinstance(pipe, Vandal):
                pipe.calm = calm

    def _may_repeat(self, flow: Meeting) -> bool:
        """Whether a SYN may come after its connection: repeated, or much later than the next."""
        source, target = (one.host for one in flow.ends)
        pipe: Any = source.pipes[target.engine.addresses[0].ip.packed][0]
        habits = pipe.habits if isinstance(pipe, Vandal) else Habits()
        again = pipe.impairment.duplicate or habits.replay or habits.late_syn
        return bool(again) or "clock" in self.draws.present

    def _settle(self, flow: Meeting) -> None:
        flow.may_fail = self.mortal or any(map(is_rude, flow.ends))
        replays = any(habits.replay for _, habits in self.habits.values())
        flow.may_stray = flow.may_fail or replays
        flow.prefix = not self.changed
        for one in flow.ends:
            one.keepalive = flow.may_fail

    def _flow(self, name: str, client: SimHost, server: SimHost, port: int) -> Meeting:
        ends = [
            self._application(f"{name} {what}", host)
            for what, host in (("client", client), ("server", server))
        ]
        if self.draws.feature(f"{name} polite", 0.2) is not None:
            ends[1].polite = True
        return Meeting(self.sim, *ends, port=port)

    def _application(self, name: str, host: SimHost) -> Application:
        draws = self.draws
        rng = draws.rng(name)
        text = rng.randbytes(rng.choice((0, 1, 1000, 20_000, 60_000, 300_000)))
        made = Application(host, random.Random(rng.getrandbits(64)), text)
        if (own := draws.feature(f"{name} slow", 0.2)) is not None:
            made.slow = own.choice((0.002, 0.1))
        if (own := draws.feature(f"{name} idle", 0.2)) is not None:
            made.idle = own.choice((0.01, 0.3, 3.0))
        made.late = draws.feature(f"{name} late", 0.1) is not None
        if (own := draws.feature(f"{name} restless", 0.15)) is not None:
            made.restless = own
            host.engine.may_fragment = True  # by mtu_discover
        if self.cookies and name.endswith("server"):
            return made  # of whom no record would be left: a late ACK opens a connection again
        for what, chance in (("aborts", 0.05), ("closes", 0.05)):
            if (own := draws.feature(f"{name} {what}", chance)) is not None:
                setattr(made, f"{what}_after", own.choice((0, 1, 5000, 30_000)))
        return made

    def _draw_faults(self) -> None:
        for name, pipe in zip(self.names, self.pipes, strict=True):
            self.faults.pipe(name, pipe, self.version)  # type: ignore[arg-type]
        for host in self.hosts:
            self.faults.memory(host)
            self.faults.key(host)
            if not self.is_brief:
                self.faults.stall(host)
        if not self.is_brief:
            self.faults.clock()

    # -- running ----------------------------------------------------------------------------------

    def run(self) -> Result:
        """To its end. WorldError, OracleError or EngineError when something does not hold."""
        sim = self.sim
        with sim:
            over = self._go(self.faults_end)
            begun = sim.now
            self._calm_down()
            end = begun + round(self.bound() * SECOND)
            if not (over or self._go(end)):
                raise WorldError(f"not over {self.bound():.0f} s after faults ended{self._state()}")
            late = max(0, self.closed_at - begun) / SECOND / self.bound()
            # What is still on its way may yet lead to something; records of TIME-WAIT end late.
            quiet = sim.now + round(3 * MSL * SECOND)
            while sim.now < quiet or not self._is_over() or any(map(self._in_use, self.hosts)):
                if not sim.step(end):
                    break
                self._step()
            self._judge()
            return Result(
                packets=sim.packets,
                early=sum(one.engine.counters().get("fast_open_accepted", 0) for one in self.hosts),
                repeats=sum(flow.repeats for flow in self.flows),
                late=late,
                digest=sim.digest,
            )

    def _go(self, until: int) -> bool:
        self._step()
        while not self._is_over():
            if not self.sim.step(until):
                return self._is_over()
            self._step()
        return True

    def _calm_down(self) -> None:
        self.faults.until = self.sim.now
        for host in self.hosts:
            host.stalled_until = min(host.stalled_until, self.sim.now)
            if IS_TEST_BUILD:
                fail_after(host.engine, ALL_SUCCEED)
        self._soothe(calm_link(pipe.impairment) for pipe in self.pipes)
        for one in self._programs():
            one.calm = True

    def bound(self) -> float:
        """Seconds within which all is over once nothing disturbs any more.

        A timer that has backed off runs for RTO_max at most, and a connection may need six of them
        in turn: SYN, SYN,ACK, data or a window probe, FIN, each side's. From then on each segment
        of the smallest MSS takes no more than a round trip, a delayed ACK and a least RTO; and all
        bytes four times what the slowest link needs for them. What is left are TIME-WAIT, a
        keep-alive's patience, and for the mortal their user timeouts, one after the other.
        """
        links = [pipe.impairment for pipe in self.pipes]
        rto_max = max(host.engine.config.rto_max or 120.0 for host in self.hosts)
        rto_min = max(1.0, *(host.engine.config.rto_min or 0.2 for host in self.hosts))
        flows = [one for flow in self.flows for one in (flow, *flow.later)]
        total = sum(len(one.text) for flow in flows for one in flow.ends)
        segments = total / 500 + 20 * len(flows)
        rate = min([im.rate for im in links if im.rate] or [1e9])
        trip = 2 * max(im.delay for im in links)
        bound = 6 * len(flows) * rto_max + segments * (trip + 0.2 + rto_min) + 4 * total * 8 / rate
        return bound + 4 * MSL * len(flows) + KEEPALIVE + (240.0 if self.mortal else 0.0)

    def _step(self) -> None:
        for i, flow in enumerate(self.flows):
            flow.step()
            if (following := flow.next()) is not None:
                flow.judge(changed=self.changed)
                self.flows[i] = following
                if self.faults.until <= self.sim.now:
                    for one in following.ends:
                        one.calm = True

    def _after_event(self, host: SimHost) -> None:
        for flow in self.flows:
            flow.check_cwnd(host)
        if IS_TEST_BUILD:
            fault = lib.wb_stack_fault(host.engine.raw._stack)
            if fault != ffi.NULL:
                raise WorldError(f"{host.name}: {ffi.string(fault).decode()}")

    def _programs(self) -> list[Application]:
        return [one for flow in self.flows for one in flow.ends]

    def _is_over(self) -> bool:
        if not all(flow.is_done and not flow.later for flow in self.flows):
            return False
        self.closed_at = self.closed_at or self.sim.now
        return not any(row.remote[1] for host in self.hosts for row in host.engine.raw.list_info())

    # -- judging ----------------------------------------------------------------------------------

    def _state(self) -> str:
        rows = [
            f"\n  {host.name}: {row.state} {row.local[1]}-{row.remote[1]} queued {row.snd_queued}"
            f" flight {row.flight_size} window {row.snd_wnd} backoff {row.backoff}"
            f" unread {row.rcv_readable} beyond gaps {row.rcv_out_of_order}"
            for host in self.hosts
            for row in host.engine.raw.list_info()
            if row.remote[1]
        ]
        return "".join([*map(str, self.flows), *rows])

    def _judge(self) -> None:
        for flow in self.flows:
            flow.judge(changed=self.changed)
        for host in self.hosts:
            if host.engine.unfinished:
                raise WorldError(f"{host.name}: something is unfinished")
            if left := self._in_use(host):
                raise WorldError(f"{host.name}: {left} objects are still in use")

    def _in_use(self, host: SimHost) -> int:
        """Of the objects of its pools; 0 where the build does not tell."""
        return lib.wb_stack_in_use(host.engine.raw._stack) if IS_TEST_BUILD else 0


def is_rude(one: Application) -> bool:
    return one.aborts_after is not None or one.closes_after is not None


def run(seed: int, without: frozenset[str] = frozenset()) -> Result:
    """One world."""
    return World(seed, without).run()
