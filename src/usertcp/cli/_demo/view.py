"""What a terminal shows: checks as they pass, connections while they live, then all the tables."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

from usertcp.cli._demo.report import Event, Report

_WIDTH = 120
"""Columns where no terminal says how many there are."""

_ENDPOINT = 15
"""Columns of an address and port of the demo's."""

Row = dict[str, Any]


class View:
    """Follows the events of a run; `finish` prints the tables."""

    def __init__(self) -> None:
        self.console = Console()
        if not self.console.is_terminal:
            self.console.width = _WIDTH
        self._spinner = Spinner("dots", "starting")
        self._live = Live(
            self._spinner, console=self.console, transient=True, refresh_per_second=10
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, event: Event, report: Report) -> None:
        match event["event"]:
            case "mode":
                self._introduce(report)
            case "check":
                self.check(ok=event["ok"], name=event["name"], detail=event["detail"])
        self._spinner.update(text=report.step)
        self._live.update(self._now(report))

    def _now(self, report: Report) -> RenderableType:
        """The step at work above the latest connections, as many as fit."""
        if not (self.console.is_terminal and report.connections):
            return self._spinner
        table = Table(title=f"{len(report.connections)} connections", title_justify="left")
        for name in ("made for", "local", "remote", "state", "because of"):
            table.add_column(name, no_wrap=True)
        for row in report.connections[-max(self.console.height // 2 - 6, 1) :]:
            last = row["transitions"][-1] if row["transitions"] else {"to": "", "cause": ""}
            where = (row["purpose"], row["local"], row["remote"], last["to"], last["cause"])
            table.add_row(*map(escape, where))
        return Group(self._spinner, table)

    def check(self, *, ok: bool, name: str, detail: str) -> None:
        mark = "[green]ok  [/]" if ok else "[bold red]FAIL[/]"
        self.console.print(f"{mark} {escape(name)}: [dim]{escape(detail)}[/]", highlight=False)

    def _introduce(self, report: Report) -> None:
        if report.mode == "veth":
            text = (
                "A private network: kernel TCP on v0 (10.7.0.1, fd07::1), a veth cable, "
                "usertcp on v1 (10.7.0.2, fd07::2)."
            )
        else:
            text = f"Two usertcp stacks over a link in memory. {report.note}"
        self.console.print(text, highlight=False)

    def finish(self, report: Report) -> None:
        """The whole story, when the run is over."""
        if report.connections:
            letters = _letters(report.connections)
            self.console.print(_paths_table(report.connections, letters))
            self.console.print(_connections_table(report.connections, letters))
        if report.throughput:
            self.console.print(_throughput_table(report.throughput))
        self.console.print(f"Retransmissions: {report.retransmissions}.", highlight=False)
        if report.pcap:
            self.console.print(f"Capture: {report.pcap}", highlight=False, soft_wrap=True)
        passed = sum(check.ok for check in report.checks)
        verdict = "[bold green]All is well" if report.ok else "[bold red]Not all is well"
        self.console.print(
            f"{verdict}[/]: {passed} of {len(report.checks)} checks in {report.seconds:.1f} s."
        )


def _letters(rows: Iterable[Row]) -> dict[tuple[str, ...], str]:
    """A letter for every path through the states, in order of appearance."""
    letters: dict[tuple[str, ...], str] = {}
    for row in rows:
        letters.setdefault(tuple(row["path"]), chr(ord("A") + len(letters) % 26))
    return letters


def _paths_table(rows: list[Row], letters: dict[tuple[str, ...], str]) -> Table:
    table = Table(
        title="Paths through the states of RFC 9293", title_justify="left", box=SIMPLE_HEAD
    )
    table.add_column("path")
    table.add_column("times", justify="right")
    table.add_column("from", no_wrap=True)
    table.add_column("to", no_wrap=True)
    table.add_column("because of")
    table.add_column("ms", justify="right", no_wrap=True)
    for path, letter in letters.items():
        alike = [row for row in rows if tuple(row["path"]) == path]
        example = alike[0]
        for at, step in enumerate(example["transitions"]):
            table.add_row(
                letter if at == 0 else "",
                str(len(alike)) if at == 0 else "",
                step["from"],
                step["to"],
                escape(step["cause"]),
                f"{step['after_ms']:.2f}",
            )
    return table


def _size(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value} B" if value < 1 << 16 else f"{value / (1 << 20):.1f} MiB"


def _connections_table(rows: list[Row], letters: dict[tuple[str, ...], str]) -> Table:
    table = Table(title="Connections of usertcp", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("made for", no_wrap=True)
    for name in ("local", "remote"):
        table.add_column(name, no_wrap=True, min_width=_ENDPOINT)
    table.add_column("path")
    for name in ("in", "out", "resent"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["purpose"],
            escape(row["local"]),
            escape(row["remote"]),
            letters[tuple(row["path"])],
            _size(row["bytes_received"]),
            _size(row["bytes_sent"]),
            "-" if row["retransmissions"] is None else str(row["retransmissions"]),
        )
    return table


def _throughput_table(figures: dict[str, Any]) -> Table:
    title = f"Gb/s over {figures['path']}, {figures['bytes'] >> 20} MiB"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    for name in ("usertcp", "kernel TCP", "ratio"):
        table.add_column(name, justify="right")
    for way, label in (("receive", "usertcp receives"), ("send", "usertcp sends")):
        ours, kernel = figures["usertcp"][way], figures["kernel"][way]
        table.add_row(label, f"{ours:.2f}", f"{kernel:.2f}", f"{figures['ratio'][way]:.2f}")
    return table
