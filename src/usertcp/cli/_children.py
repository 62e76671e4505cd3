"""Processes that a program under `usertcp run` starts by multiprocessing: they get the hooks, too.

uvicorn's reloader and hypercorn serve in such a process, on a socket that their parent has bound:
it comes there pickled, and the event loop takes it over. What spawned and forkserver processes read
first is the result of `multiprocessing.spawn.get_preparation_data`; unpickling our part of it
installs the hooks. (coverage.py takes the same way.)
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import click

from usertcp.cli._common import StackOptions


@dataclass(frozen=True)
class Passenger:
    """What a process is told of its parent's stack; unpickled there, it installs the hooks."""

    options: StackOptions
    policy: str
    bound: str
    """A kernel TCP socket that waits to be taken over, in words."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _board, (self.options, self.policy, self.bound)


def take_along(spawn: ModuleType, passenger: Callable[[], Passenger]) -> None:
    """From now on, processes that this one starts get what `passenger()` makes."""
    module: Any = spawn
    own = module.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        data: dict[str, Any] = own(name)
        return {**data, "usertcp": passenger()}  # multiprocessing looks at the keys it knows

    module.get_preparation_data = get_preparation_data


def _board(options: StackOptions, policy: str, bound: str) -> None:
    from usertcp.cli._hooks import Hooks

    def say(text: str) -> None:
        click.echo(f"usertcp run: process {os.getpid()}: {text}", err=True)

    hooks = Hooks(options, policy, say)
    hooks.install()
    hooks.expect_adoption(bound)
