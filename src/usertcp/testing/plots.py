"""plot: a connection as a picture. matplotlib is imported when one is drawn (extra `plot`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from usertcp.testing.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from usertcp.testing._series import Direction, Series

__all__ = ["plot"]

_STATES = [
    "CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2",
    "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT",
]  # fmt: skip
# Colours that differ for every kind of eye (Okabe and Ito).
_DATA, _AGAIN, _ACK, _WINDOW, _SACK, _RTT = (
    "#0072b2", "#d55e00", "#009e73", "#999999", "#cc79a7", "#e69f00",
)  # fmt: skip
_MARKS = {"SYN": "^", "FIN": "v", "RST": "X"}
_WIDTH, _DPI = 10.0, 110


def plot(
    source: Recording | str | Path,
    out: str | Path,
    *,
    connection: int | None = None,
    title: str | None = None,
) -> Path:
    """Draws a connection to `out`, a PNG (or what else its suffix says: .svg, .pdf).

    From top to bottom, each where there is something to show: the time-sequence graph of the
    direction with more data, with acknowledgements, the window's right edge, retransmissions and
    SACK blocks; bytes in flight, cwnd and ssthresh; round trips as measured from the segments
    (RFC 6298 3: none of data sent twice), and SRTT; the states of both ends. What a capture shows
    of the other end's states is what that end sent and was sent, whether it arrived or not.

    source: a `Recording`, or a pcapng file. connection: an index of `Recording.connections`; the
    one with the most data when None.

    `ImportError` without matplotlib, `ValueError` when there is no such connection or the file is
    no pcapng, `OSError` when a file cannot be read or written.
    """
    figure_of, canvas_of = _matplotlib()
    recording = source if isinstance(source, Recording) else Recording.read(source)
    index = recording.busiest() if connection is None else connection
    series = recording.series(index)
    ends = [_name(end) for end in recording.connections[index]]
    figure = _draw(figure_of, series, ends, title)
    canvas_of(figure).print_figure(str(out), dpi=_DPI)
    return Path(out)


def _matplotlib() -> tuple[Callable[..., Any], Callable[..., Any]]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"pictures need matplotlib ({error}): pip install 'usertcp[plot]'"
        ) from None
    return Figure, FigureCanvasAgg


def _name(end: tuple[str, int]) -> str:
    return f"[{end[0]}]:{end[1]}" if ":" in end[0] else f"{end[0]}:{end[1]}"


def _draw(figure_of: Callable[..., Any], series: Series, ends: list[str], title: str | None) -> Any:
    forward = series.forth.bytes_sent >= series.back.bytes_sent
    main = series.forth if forward else series.back
    panels: list[tuple[float, Callable[[Any], None]]] = [(4.0, lambda ax: _sequence(ax, main))]
    if any(size for _, size in main.flight) or series.cwnd:
        panels.append((2.0, lambda ax: _windows(ax, series, main)))
    if main.rtts or series.srtt:
        panels.append((1.6, lambda ax: _round_trips(ax, series, main)))
    panels.append((1.8, lambda ax: _states(ax, series, ends)))
    heights = [height for height, _ in panels]
    figure = figure_of(figsize=(_WIDTH, sum(heights) + 1), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
    for (_, draw), ax in zip(panels, axes[:, 0], strict=True):
        draw(ax)
        ax.grid(visible=True, linewidth=0.3)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best", fontsize="small")
    axes[-1, 0].set_xlabel("seconds")
    way = f"{ends[0]} → {ends[1]}" if forward else f"{ends[1]} → {ends[0]}"
    figure.suptitle(title or f"TCP {way}", fontsize="medium")
    return figure


def _bars(
    ax: Any, pieces: Sequence[tuple[float, int, int]], color: str, label: str, *, dot: float = 2
) -> None:
    """A vertical stroke from lo to hi at each time."""
    if pieces:
        at, lo, hi = zip(*pieces, strict=True)
        ax.vlines(at, lo, hi, color=color, linewidth=1.6, label=label)
        ax.plot(at, hi, ".", color=color, markersize=dot)


def _steps(ax: Any, points: Sequence[tuple[float, float]], color: str, label: str) -> None:
    if points:
        at, values = zip(*points, strict=True)
        ax.step(at, values, where="post", color=color, linewidth=1, label=label)


def _sequence(ax: Any, way: Direction) -> None:
    _steps(ax, way.edges, _WINDOW, "window")
    _steps(ax, way.acks, _ACK, "acknowledged")
    first = [(p.at, p.lo, p.hi) for p in way.sent if not p.again]
    again = [(p.at, p.lo, p.hi) for p in way.sent if p.again]
    _bars(ax, first, _DATA, "data")
    _bars(ax, way.sacks, _SACK, "SACK")
    _bars(ax, again, _AGAIN, "retransmitted", dot=5)  # over what tells why
    for name, shape in _MARKS.items():
        found = [(mark.at, mark.seq) for mark in way.marks if mark.name == name]
        if found:
            at, seq = zip(*found, strict=True)
            ax.plot(at, seq, shape, color="black", markersize=6, label=name)
    ax.set_ylabel("sequence number")
    top = max([way.bytes_sent, *(ack for _, ack in way.acks)], default=0)
    edges = [
        edge for _, edge in way.edges if edge <= 2 * top
    ]  # a far window would squeeze the rest
    ax.set_ylim(-0.03 * top - 1, 1.05 * max([top, *edges], default=1) + 1)


def _windows(ax: Any, series: Series, main: Direction) -> None:
    _steps(ax, main.flight, _DATA, "in flight")
    if main is series.forth:  # samples are of our end's sending
        _steps(ax, series.cwnd, _ACK, "cwnd")
        _steps(ax, series.ssthresh, _AGAIN, "ssthresh")
    ax.set_ylabel("bytes")
    ax.set_ylim(bottom=0)


def _round_trips(ax: Any, series: Series, main: Direction) -> None:
    if main.rtts:
        at, rtts = zip(*main.rtts, strict=True)
        ax.plot(at, [1000 * rtt for rtt in rtts], ".", color=_RTT, markersize=3, label="measured")
    if main is series.forth:
        _steps(ax, [(at, 1000 * srtt) for at, srtt in series.srtt], _DATA, "SRTT")
    ax.set_ylabel("round trip, ms")
    ax.set_ylim(bottom=0)


def _states(ax: Any, series: Series, ends: list[str]) -> None:
    """The states that occur, in the RFC's order, as rows."""
    last = max((p.at for way in (series.forth, series.back) for p in way.sent), default=0.0)
    last = max([last, *(path[-1][0] for path in series.states)])
    rows = [name for name in _STATES if any(name == s for path in series.states for _, s in path)]
    for path, end, color in zip(series.states, ends, (_DATA, _AGAIN), strict=True):
        points = [(at, rows.index(state)) for at, state in path]
        _steps(ax, [*points, (last, points[-1][1])], color, end)
        ax.plot(*zip(*points, strict=True), "o", color=color, markersize=3)
    ax.set_yticks(range(len(rows)), rows, fontsize="small")
    ax.set_ylabel("state")
