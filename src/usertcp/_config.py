"""StackConfig: what a stack is made with; the user's form of the engine's `ut_config`."""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import partial
from typing import Any, Self

from usertcp._congestion import congestion_index

_SECONDS = frozenset(
    (
        "msl",
        "rto_initial",
        "rto_min",
        "rto_max",
        "delack",
        "user_timeout",
        "connect_timeout",
        "orphan_timeout",
    )
)
_FIXED = ("fixed_isn", "fixed_ts_offset")
PROFILES = ("linux", "rfc")  # in the order of UT_PROFILE_...
_RANGES = {
    "port_first": (1, 65535), "port_last": (1, 65535), "mtu_probing": (0, 2), "ecn": (0, 5),
    "mss_max": (64, 65535), "mtu_base": (64, 65535),
}  # fmt: skip
_RINGS = ("rcv_buffer", "snd_buffer")


# In the order of ut_config's numbers.
_CHOICES = {
    "profile": PROFILES,
    "hystart": ("hystart++", "hystart", "off"),
    "cubic_ssthresh": ("flight", "cwnd"),
    "window_probe": ("octet", "empty"),
    "nagle": ("rfc", "minshall"),
}


def _choice_index(field: str, name: object) -> int:
    names = _CHOICES[field]
    if name not in names:
        raise ValueError(f"{field}: {name!r} is not one of {', '.join(names)}")
    return names.index(name)


_NAMED: dict[str, Callable[[Any], int]] = {"congestion": congestion_index}
_NAMED |= {field: partial(_choice_index, field) for field in _CHOICES}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig:
    """Options of a stack. None leaves the engine's default. Times are seconds, sizes bytes.

    Every field may be given to `open_stack` by name too.
    """

    profile: str | None = None
    """`"linux"` or `"rfc"`: the defaults where the RFCs leave a choice, or where practice has left
    them behind. Other options go before it."""
    memory_limit: int | None = None
    """Bytes the stack may take in C; 0: no limit."""
    max_connections: int | None = None
    """Connections at a time; one more is refused."""
    max_time_wait: int | None = None
    """TIME-WAIT entries; beyond it the oldest gives way."""
    max_half_open: int | None = None
    """Half-open connections of all listeners together."""
    rcv_buffer: int | None = None
    """Receive ring of a connection: a power of two."""
    snd_buffer: int | None = None
    """Send ring of a connection: a power of two."""
    msl: float | None = None
    """Maximum segment lifetime, RFC 9293 3.4.2; TIME-WAIT lasts twice this."""
    rto_initial: float | None = None
    """Before the first round trip was measured, RFC 6298 2.1."""
    rto_min: float | None = None
    """Least retransmission time-out, RFC 6298 2.4."""
    rto_max: float | None = None
    """Greatest, RFC 6298 2.5."""
    delack: float | None = None
    """Delay of an ACK, RFC 9293 3.8.6.3: below 0.5."""
    quick_acks: int | None = None
    """How many first data segments of a connection are acknowledged at once (16, as Linux)."""
    user_timeout: float | None = None
    """How long sent data may stay unacknowledged, RFC 9293 3.8.3."""
    connect_timeout: float | None = None
    """How long a SYN may stay unanswered, RFC 9293 3.8.3."""
    orphan_timeout: float | None = None
    """How long a closed stream's connection may still try to deliver what was accepted."""
    synack_retries: int | None = None
    """How often a SYN,ACK is sent again."""
    syn_cookies: int | None = None
    """0 never, 1 when the half-open queue is full, 2 always."""
    use_timestamps: bool | None = None
    """Offer timestamps, RFC 7323 3."""
    use_window_scale: bool | None = None
    """Offer window scaling, RFC 7323 2."""
    use_sack: bool | None = None
    """Permit SACK, RFC 2018."""
    use_rack: bool | None = None
    """RACK-TLP where SACK is agreed, RFC 8985; else RFC 6675."""
    path_mtu_discovery: bool | None = None
    """Don't-fragment on IPv4 packets, RFC 1191 (the default); False: routers may fragment them."""
    mtu_probing: int | None = None
    """Find the path MTU without routers' reports, RFC 4821: 0 never, 1 after a black hole (the
    default), 2 always."""
    mtu_base: int | None = None
    """Bytes of a segment that any path carries, RFC 8899 5.1.2: what a black hole leads to, and
    with `mtu_probing=2` what a connection begins with; at least 64. When it is given, the first
    probe is of a size half the way up to the largest, as Linux has it with `tcp_base_mss`; by
    default it is 1024, over IPv6 1220, and the largest comes first."""
    mss_max: int | None = None
    """The largest MSS announced to peers, RFC 9293 3.7.1; by default what the link takes. What is
    sent may be larger."""
    ecn: int | None = None
    """Explicit congestion notification, RFC 3168: 0 off, 1 ask for it and agree when asked, 2 agree
    when asked (the default). With more accurate feedback, RFC 9768: 3 ask for that and agree to
    either, 4 agree to either and ask for RFC 3168's, 5 agree to either when asked."""
    nodelay: bool | None = None
    """Nagle's algorithm off for new connections, as AnyIO, trio and asyncio have it."""
    nagle: str | None = None
    """Where `nodelay` is off: `"rfc"`, a small segment waits while anything is in flight (RFC 9293
    3.7.4), or `"minshall"`, while another small one is (RFC 9293 A.3), as Linux has it."""
    window_probe: str | None = None
    """What asks after a closed window, RFC 9293 3.8.6.1: `"octet"`, the next byte of the stream, or
    `"empty"`, no data and an old sequence number, which must be answered too, as Linux has it."""
    port_first: int | None = None
    """The first ephemeral port, RFC 6056."""
    port_last: int | None = None
    """The last one."""
    challenge_ack_limit: int | None = None
    """Challenge ACKs per connection and second, RFC 5961 7."""
    congestion: str | None = None
    """The congestion control of new connections: one of `usertcp.congestion_controls()`."""
    hystart: str | None = None
    """How CUBIC's first slow start may end before a loss: `"hystart++"` (RFC 9406, the default),
    `"hystart"`, from which that came and which Linux has (Ha and Rhee 2011), or `"off"`."""
    cubic_ssthresh: str | None = None
    """What CUBIC multiplies by 0.7, RFC 9438 4.6: `"flight"`, what is in flight (the default), or
    `"cwnd"`, as Linux has it."""
    trace_capacity: int | None = None
    """How many state transitions are remembered for `Stack.transitions()`; 0: none."""
    fixed_isn: int | None = None
    """For tests: the initial sequence number of the first connection."""
    fixed_ts_offset: int | None = None
    """For tests: what is added to the clock's milliseconds for a timestamp (RFC 7323 5.4)."""

    def with_options(self, options: dict[str, Any]) -> Self:
        """This configuration with some fields changed; `TypeError` for a name that is none."""
        known = {field.name for field in fields(self)}
        for name in options:
            if name not in known:
                close = get_close_matches(name, known, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise TypeError(f"open_stack() has no option {name!r}{hint}")
        return replace(self, **options)

    def engine_fields(self) -> dict[str, int]:
        """Names and values of `ut_config` for what is not None; `ValueError` names a bad one."""
        result: dict[str, int] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name in _NAMED:
                result[field.name] = _NAMED[field.name](value)
                continue
            if value < 0:
                raise ValueError(f"{field.name}: {value!r} is negative")
            if field.name in _FIXED:
                result[field.name], result[f"{field.name}_value"] = 1, int(value) & 0xFFFFFFFF
            elif field.name in _SECONDS:
                result[f"{field.name}_ns"] = round(value * 1e9)
            else:
                result[field.name] = int(value)
        for name, (least, most) in _RANGES.items():
            if not least <= result.get(name, least) <= most:
                raise ValueError(f"{name}: {result[name]} is not between {least} and {most}")
        for name in _RINGS:
            size = result.get(name, 1)
            if size & (size - 1) or size < 1:
                raise ValueError(f"{name}: {size} is not a power of two")
        return result


def seed_words(seed: int | bytes | None) -> tuple[int, int]:
    """The 128 bits all randomness of a stack comes from; from the system's entropy when None."""
    if seed is None:
        raw = os.urandom(16)
    elif isinstance(seed, bytes):
        if len(seed) != 16:
            raise ValueError(f"seed: 16 bytes are needed, not {len(seed)}")
        raw = seed
    elif 0 <= seed < 1 << 128:
        raw = seed.to_bytes(16, "little")
    else:
        raise ValueError("seed: an int must be in the range of 128 bits")
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")
