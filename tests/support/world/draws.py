"""What a seed decides, by name: each actor, fault and option draws from numbers of its own.

So one can be left out (`without`) and nothing else changes: that is how a failing world shrinks.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any


class Draws:
    """`present`: the names of what the seed has put into the world, in the order of drawing."""

    def __init__(self, seed: int, without: frozenset[str] = frozenset()) -> None:
        self.seed = seed
        self.without = without
        self.present: list[str] = []

    def rng(self, name: str) -> random.Random:
        """Numbers for what is always there."""
        return random.Random(f"{self.seed}/{name}")

    def happens(self, name: str, probability: float) -> bool:
        """Of the world itself: it stays when the feature of that name is left out."""
        return self.rng(name).random() < probability

    def feature(self, name: str, probability: float) -> random.Random | None:
        """Its numbers if it is there, else None."""
        rng = self.rng(name)
        if rng.random() >= probability or name in self.without:
            return None
        self.present.append(name)
        return rng

    def options(self, owner: str, table: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """One of each row's values; the first is the ordinary one, which is not spelled out."""
        found = {}
        for name, values in table.items():
            value = self.rng(f"{owner}.{name}").choice(values)
            if value != values[0] and f"{owner}.{name}" not in self.without:
                self.present.append(f"{owner}.{name}")
                found[name] = value
        return found
