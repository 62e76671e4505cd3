"""Partition: some hosts do not hear others for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from usertcp.testing.hosts import Host


class Partition:
    """What `Network.partition` returns. It may be cut and healed again and again."""

    def __init__(
        self,
        left: frozenset[Host],
        right: frozenset[Host] | None,
        both_ways: bool,
        cuts: list[Partition],
    ) -> None:
        if right is not None and left & right:
            names = ", ".join(sorted(host.name for host in left & right))
            raise ValueError(f"a partition has two sides; {names} cannot be on both")
        self._left, self._right = left, right
        self._both_ways = both_ways
        self._cuts = cuts

    @property
    def is_cut(self) -> bool:
        """Whether it is in force."""
        return self in self._cuts

    def cut(self) -> None:
        """Puts it in force, again. Idempotent."""
        if not self.is_cut:
            self._cuts.append(self)

    def heal(self) -> None:
        """Lifts it. Idempotent."""
        if self.is_cut:
            self._cuts.remove(self)

    def separates(self, source: Host, target: Host) -> bool:
        """Whether packets from `source` to `target` are lost by it when it is in force."""
        if source in self._left:
            return self._is_right(target)
        return self._both_ways and target in self._left and self._is_right(source)

    def _is_right(self, host: Host) -> bool:
        return host not in self._left if self._right is None else host in self._right

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.heal()
