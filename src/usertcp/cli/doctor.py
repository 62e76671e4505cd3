"""`usertcp doctor`: what this machine allows, and the command that mends what is missing."""

from contextlib import ExitStack
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape

from usertcp.cli._checks import MISSING, NOTE, OK, Check, everything
from usertcp.cli._common import FAILURE, json_option, print_json

_MARKS = {OK: "[green]ok[/]", MISSING: "[red]--[/]", NOTE: "[yellow] ![/]"}
NEEDS: dict[str, tuple[str, ...]] = {
    "demo and tests": ("engine", "private network namespace"),
    "packet:": ("engine", "AF_PACKET"),
    "tun:": ("engine", "TUN devices"),
    "raw:": ("engine", "AF_PACKET", "nftables"),
    "memory:": ("engine",),
}
"""What each kind of link needs, by the checks' names."""


def verdicts(checks: list[Check]) -> dict[str, bool]:
    fine = {check.name for check in checks if check.status == OK}
    return {kind: fine.issuperset(needs) for kind, needs in NEEDS.items()}


def can_reach_a_network(works: dict[str, bool]) -> bool:
    return any(works[kind] for kind in ("packet:", "tun:", "raw:", "demo and tests"))


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """What this machine allows, and the exact command that mends what is missing.

    Exits with 0 when a stack can be opened on a device of some kind, else with 1.
    """
    progress = Console(stderr=True)
    with ExitStack() as exits:
        if progress.is_terminal and not as_json:
            exits.enter_context(progress.status("looking"))
        checks = list(everything())
    works = verdicts(checks)
    if as_json:
        document = {"ok": can_reach_a_network(works), "works": works}
        print_json(document | {"checks": [asdict(check) for check in checks]})
    else:
        _show(checks, works)
    if not can_reach_a_network(works):
        raise click.exceptions.Exit(FAILURE)


def _show(checks: list[Check], works: dict[str, bool]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(check.name) for check in checks)
    for check in checks:
        name = escape(check.name.ljust(width))
        console.print(f" {_MARKS[check.status]} {name}  {escape(check.detail)}")
        if check.fix:
            console.print(f"    {' ' * width}  [bold]mend: {escape(check.fix)}[/]")
    console.print()
    for kind, fine in works.items():
        console.print(
            f" {_MARKS[OK if fine else MISSING]} {kind} {'works' if fine else 'does not'}"
        )
