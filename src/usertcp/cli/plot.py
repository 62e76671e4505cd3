"""`usertcp plot`: a connection of a capture, as a picture."""

from pathlib import Path

import click

from usertcp.cli._common import Failure, json_option, print_json, reason, show_address
from usertcp.testing.plots import plot as draw
from usertcp.testing.recording import Recording


def picture(source: Path, out: Path, connection: int | None = None) -> Recording:
    """Draws it; what goes wrong becomes a `Failure`."""
    try:
        recording = Recording.read(source)
        draw(recording, out, connection=connection, title=None)
    except (ImportError, OSError, ValueError) as error:
        raise Failure(reason(error)) from None
    return recording


def _listing(source: Path, *, as_json: bool) -> None:
    try:
        rows = Recording.read(source).summary()
    except (OSError, ValueError) as error:
        raise Failure(reason(error)) from None
    if as_json:
        print_json(rows)
        return
    for row in rows:
        ends = f"{show_address(row['local'])} {show_address(row['remote'])}"
        flags = " ".join(f"{name}:{count}" for name, count in row["flags"].items())
        click.echo(f"{row['index']:>3} {ends} {row['segments']} segments, {row['bytes']} B {flags}")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture: .png, .svg or .pdf; FILE with .png if not given.",
)
@click.option(
    "-n",
    "--connection",
    type=click.IntRange(min=0),
    help="Which one, as --list numbers them; the one with the most data if not given.",
)
@click.option("--list", "listing", is_flag=True, help="List the connections of FILE instead.")
@json_option
def plot(
    *, file: Path, out: Path | None, connection: int | None, listing: bool, as_json: bool
) -> None:
    """A connection of a pcapng FILE as a picture.

    Its time-sequence graph with acknowledgements, window, retransmissions and SACK; bytes in
    flight; round trips; and the states of both ends. Needs matplotlib: `pip install
    'usertcp[plot]'`.
    """
    if listing:
        _listing(file, as_json=as_json)
        return
    target = out or file.with_suffix(".png")
    recording = picture(file, target, connection)
    index = recording.busiest() if connection is None else connection
    if as_json:
        print_json({"file": str(target.absolute()), **recording.summary()[index]})
    else:
        click.echo(f"{target}: connection {index} of {len(recording.connections)}", err=True)
