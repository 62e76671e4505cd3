"""What is remembered of every connection: its path through the states, its bytes, its losses."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from usertcp._info import ConnectionInfo, State, Transition

if TYPE_CHECKING:
    from usertcp.stacks import Stack
    from usertcp.streams import TCPStream

_Key = tuple[tuple[str, int], tuple[str, int]]
_ENDED = {State.CLOSED, State.TIME_WAIT}


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(slots=True)
class Entry:
    """One connection. `purpose`: the step that made it."""

    local: tuple[str, int]
    remote: tuple[str, int]
    purpose: str
    transitions: list[Transition] = field(default_factory=list)
    info: ConnectionInfo | None = None

    @property
    def path(self) -> list[State]:
        if not self.transitions:
            return []
        return [self.transitions[0].from_state, *(t.to_state for t in self.transitions)]

    @property
    def complete(self) -> bool:
        """Whether it was established and has ended as RFC 9293 says, FINs both ways."""
        path = self.path
        return State.ESTABLISHED in path and path[-1] in _ENDED

    def row(self) -> dict[str, Any]:
        begun = self.transitions[0].at_ns if self.transitions else 0
        info = self.info
        return {
            "purpose": self.purpose,
            "local": _text(self.local),
            "remote": _text(self.remote),
            "path": [str(state) for state in self.path],
            "transitions": [
                {
                    "from": str(t.from_state),
                    "to": str(t.to_state),
                    "received": t.received,
                    "cause": t.cause,
                    "after_ms": round((t.at_ns - begun) / 1e6, 3),
                }
                for t in self.transitions
            ],
            "bytes_received": info.bytes_received if info else None,
            "bytes_sent": info.bytes_sent if info else None,
            "retransmissions": info.retransmits if info else None,
            "srtt_us": round(info.srtt_ns / 1e3, 1) if info else None,
        }


class Ledger:
    def __init__(self) -> None:
        self.purpose = ""
        """Of the connections that begin now."""
        self._entries: dict[_Key, Entry] = {}

    def collect(self, stack: "Stack") -> None:
        """Takes over the transitions since the last time."""
        for transition in stack.transitions():
            if not transition.remote[1]:
                continue  # a listener's own
            self._entry(transition.local, transition.remote).transitions.append(transition)

    def note(self, stream: "TCPStream") -> None:
        """A stream's numbers; they end with it, so take them just before it is closed."""
        info = stream.statistics()
        self._entry(info.local, info.remote).info = info

    def _entry(self, local: tuple[str, int], remote: tuple[str, int]) -> Entry:
        key = (local, remote)
        if key not in self._entries:
            self._entries[key] = Entry(local, remote, self.purpose)
        return self._entries[key]

    def rows(self) -> list[dict[str, Any]]:
        return [entry.row() for entry in self._entries.values()]

    def incomplete(self) -> list[Entry]:
        return [entry for entry in self._entries.values() if not entry.complete]

    @property
    def retransmissions(self) -> int:
        return sum(entry.info.retransmits for entry in self._entries.values() if entry.info)

    def __len__(self) -> int:
        return len(self._entries)
