"""`usertcp ss`: the connections of running stacks, in ss's column order."""

from collections.abc import Sequence
from typing import Any

import click

from usertcp._info import State
from usertcp.cli._common import json_option, print_json, show_address
from usertcp.cli._control_client import connected, find

HIDDEN = {"LISTEN", "CLOSED", "TIME-WAIT", "SYN-RECEIVED"}
"""States that ss does not show unless it is asked to."""
_SYNCHRONIZED = {str(s) for s in State if s > State.SYN_SENT} - {"SYN-RECEIVED"}
GROUPS = {
    "all": {str(s) for s in State},
    "connected": {str(s) for s in State} - {"LISTEN", "CLOSED"},
    "synchronized": _SYNCHRONIZED,
    "bucket": {"SYN-RECEIVED", "TIME-WAIT"},
}
SHORT = {
    "ESTAB": "ESTABLISHED",
    "SYN-RECV": "SYN-RECEIVED",
    "LISTENING": "LISTEN",
    "FIN-WAIT1": "FIN-WAIT-1",
    "FIN-WAIT2": "FIN-WAIT-2",
}
HEAD = ("State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port")
Row = dict[str, Any]


def parse_states(values: Sequence[str]) -> set[str]:
    """States by RFC name, in any case, `_` for `-` too; ss's short names and groups as well."""
    wanted: set[str] = set()
    for value in (part for text in values for part in text.split(",")):
        name = value.strip().upper().replace("_", "-")
        name = SHORT.get(name, name)
        if name.lower() in GROUPS:
            wanted |= GROUPS[name.lower()]
        elif name in GROUPS["all"]:
            wanted.add(name)
        else:
            known = ", ".join([*sorted(GROUPS["all"]), *GROUPS])
            raise click.UsageError(f"--state {value!r}: expected one of {known}")
    return wanted


def wanted_states(states: Sequence[str], *, show_all: bool, listening: bool) -> set[str]:
    if states:
        return parse_states(states)
    if show_all:
        return GROUPS["all"]
    return {"LISTEN"} if listening else GROUPS["all"] - HIDDEN


def queues(row: Row) -> tuple[int, int]:
    """As the kernel's: bytes waiting; of a listener connections waiting, and how many may."""
    if row["state"] == "LISTEN":
        return row["accept_queue"], row["backlog"]
    return row["rcv_readable"], row["snd_queued"]


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.3f}".rstrip("0").rstrip(".")


def details(row: Row) -> str:
    """The second line of `-i`, in the words of `ss -i` where they mean the same."""
    if row["state"] == "LISTEN":
        text = f"half_open:{row['half_open']} accept_queue:{row['accept_queue']}/{row['backlog']}"
        if row["fast_open"]:
            text += f" fastopen:{row['fast_open_pending']}/{row['fast_open']}"
        return text
    parts = [row["congestion_control"]]
    parts += [name for name, key in (("ts", "timestamps_ok"), ("sack", "sack_ok")) if row[key]]
    parts += ["accecn" if row["accecn"] else "ecn"] if row["ecn_ok"] else []
    parts += ["fastopen"] if row["syn_data"] else []
    if row["wscale_ok"]:
        parts.append(f"wscale:{row['snd_wscale']},{row['rcv_wscale']}")
    parts.append(f"rto:{_ms(row['rto_ns'])}")
    if row["srtt_ns"]:
        parts.append(f"rtt:{_ms(row['srtt_ns'])}/{_ms(row['rttvar_ns'])}")
        parts.append(f"minrtt:{_ms(row['rtt_min_ns'])}")
    mss = max(row["snd_mss"], 1)
    parts += [f"mss:{mss}", f"cwnd:{row['cwnd'] // mss}"]  # segments, as ss has it
    if row["ssthresh"] < 1 << 30:
        parts.append(f"ssthresh:{row['ssthresh'] // mss}")
    parts += [
        f"{name}:{row[name]}"
        for name in ("bytes_sent", "bytes_acked", "bytes_received")
        if row[name]
    ]
    parts += [f"segs_out:{row['segs_out']}", f"segs_in:{row['segs_in']}"]
    parts += [f"unacked:{row['flight_size']}"] if row["flight_size"] else []
    if row["retransmits"]:
        parts.append(f"retrans:{row['retransmits']}")
    parts += [f"backoff:{row['backoff']}"] if row["backoff"] else []
    parts += [f"rcv_ooo:{row['rcv_out_of_order']}"] if row["rcv_out_of_order"] else []
    parts.append(f"snd_wnd:{row['snd_wnd']}")
    parts.append(f"rcv_wnd:{row['rcv_wnd']}")
    return " ".join(parts)


def _cells(row: Row) -> tuple[str, ...]:
    peer = "*:*" if row["state"] == "LISTEN" else show_address(row["remote"])
    received, sent = queues(row)
    return row["state"], str(received), str(sent), show_address(row["local"]), peer


def table(rows: Sequence[Row], *, info: bool, listeners: bool) -> list[str]:
    """Lines of text. `listeners`: half-open and accept-queue fill as columns of their own."""
    head = (*HEAD, "Half-Open", "Accept-Queue") if listeners else HEAD
    lines: list[tuple[str, ...]] = [head]
    for row in rows:
        cells = _cells(row)
        if listeners and row["state"] == "LISTEN":
            cells += (str(row["half_open"]), f"{row['accept_queue']}/{row['backlog']}")
        lines.append(cells)
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(len(head))]
    right = {1, 2}
    text = []
    for number, line in enumerate(lines):
        cells = tuple(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=False))
        )
        text.append("  ".join(cells).rstrip())
        if info and number:
            text.append("\t " + details(rows[number - 1]))
    return text


def _matches(row: Row, states: set[str], ports: dict[str, tuple[int, ...]]) -> bool:
    local, remote = row["local"][1], row["remote"][1]
    return (
        row["state"] in states
        and (not ports["port"] or local in ports["port"] or remote in ports["port"])
        and (not ports["sport"] or local in ports["sport"])
        and (not ports["dport"] or remote in ports["dport"])
    )


_PORT = click.IntRange(0, 65535)


@click.command()
@click.argument("process", required=False)
@click.option("-a", "--all", "show_all", is_flag=True, help="Listeners and TIME-WAIT too.")
@click.option("-l", "--listening", is_flag=True, help="Listeners, and how full their queues are.")
@click.option("-i", "--info", is_flag=True, help="cwnd, rtt, rto and more of each connection.")
@click.option("-s", "--summary", is_flag=True, help="How many of each state, and the counters.")
@click.option("-H", "--no-header", is_flag=True, help="No line of column names.")
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only these: RFC names.")
@click.option("--port", type=_PORT, multiple=True, help="Only with this port on either side.")
@click.option("--sport", type=_PORT, multiple=True, help="Only with this local port.")
@click.option("--dport", type=_PORT, multiple=True, help="Only with this port of the peer.")
@json_option
def ss(
    *,
    process: str | None,
    show_all: bool,
    listening: bool,
    info: bool,
    summary: bool,
    no_header: bool,
    states: tuple[str, ...],
    as_json: bool,
    **ports: tuple[int, ...],
) -> None:
    """The connections of a running program, in ss's column order, states by their RFC names.

    PROCESS is its number, or the path of its control socket; without it, all programs of this user
    that have one. Exits with 1 when there is none.
    """
    wanted = wanted_states(states, show_all=show_all, listening=listening)
    found: list[Row] = []
    for path in find(process):
        with connected(path) as client:
            one = client.ask("hello")
            one["socket"] = str(path)
            rows = client.rows("connections")
            if summary:
                one["statistics"] = client.ask("statistics")
        one["states"] = {
            state: sum(row["state"] == state for row in rows)
            for state in sorted({row["state"] for row in rows})
        }
        one["connections"] = [row for row in rows if _matches(row, wanted, ports)]
        found.append(one)
    if as_json:
        print_json(found)
        return
    for one in found:
        if len(found) > 1:
            click.echo(f"process {one['pid']} on {one['link']['name']} ({one['socket']})")
        if summary:
            _print_summary(one)
            continue
        lines = table(one["connections"], info=info, listeners=listening and not show_all)
        click.echo("\n".join(lines[1:] if no_header else lines))


def _print_summary(one: Row) -> None:
    counts = ", ".join(f"{state} {count}" for state, count in one["states"].items())
    click.echo(f"TCP: {sum(one['states'].values())} ({counts or 'none'})")
    statistics = one["statistics"]
    counters = {name: value for name, value in statistics["counters"].items() if value}
    counters["memory_in_use"] = statistics["memory_in_use"]
    for what, count in sorted(statistics["bypasses"].items()):  # like "sock_connect adopted"
        counters[f"kernel sockets: {what}"] = count
    width = max(map(len, counters))
    for name, value in counters.items():
        click.echo(f"  {name.ljust(width)}  {value}")
