"""What a terminal shows: checks as they pass, then state paths, connections and throughput."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from usertcp.cli._demo.report import Event, Report

_WIDTH = 120
"""Columns where no terminal says how many there are."""

Row = dict[str, Any]


class View:
    """Follows the events of a run; `finish` prints the tables."""

    def __init__(self) -> None:
        self.console = Console()
        if not self.console.is_terminal:
            self.console.width = _WIDTH
        self._status = Status("starting", console=self.console)

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()

    def show(self, event: Event, report: Report) -> None:
        match event["event"]:
            case "mode":
                self._introduce(report)
            case "check":
                self.check(ok=event["ok"], name=event["name"], detail=event["detail"])
        self._status.update(f"{report.step}  ({len(report.connections)} connections so far)")

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
        self._status.stop()
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
    table = Table(title="Paths through the states of RFC 9293", title_justify="left")
    table.add_column("path")
    table.add_column("connections", justify="right")
    table.add_column("from")
    table.add_column("to")
    table.add_column("because of")
    table.add_column("after ms", justify="right")
    for path, letter in letters.items():
        alike = [row for row in rows if tuple(row["path"]) == path]
        example = alike[0]
        table.add_section()
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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def _connections_table(rows: list[Row], letters: dict[tuple[str, ...], str]) -> Table:
    table = Table(title="Connections of usertcp", title_justify="left")
    for name in ("made for", "local", "remote", "path"):
        table.add_column(name)
    for name in ("bytes in", "bytes out", "resent", "srtt us"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["purpose"],
            escape(row["local"]),
            escape(row["remote"]),
            letters[tuple(row["path"])],
            _number(row["bytes_received"]),
            _number(row["bytes_sent"]),
            _number(row["retransmissions"]),
            _number(row["srtt_us"] or None),
        )
    return table


def _throughput_table(figures: dict[str, Any]) -> Table:
    title = f"Gb/s over {figures['path']}, {figures['bytes'] >> 20} MiB"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in ("usertcp", "kernel TCP", "ratio"):
        table.add_column(name, justify="right")
    for way, label in (("receive", "usertcp receives"), ("send", "usertcp sends")):
        ours, kernel = figures["usertcp"][way], figures["kernel"][way]
        table.add_row(label, f"{ours:.2f}", f"{kernel:.2f}", f"{figures['ratio'][way]:.2f}")
    return table
