"""The stored table of congestion control is what the engine does. All of it:
`make snapshot CHECK=1`."""

import pytest

from sim.snapshots import congestion as table
from support import stored

STORED = stored.read(table.TABLE, table.Row)
QUICK = [
    row
    for row in STORED
    if (row.flows == 1 and row.rtt_ms == 50 and row.loss_percent in (0.01, 1.0))
    or (row.flows == 8 and row.congestion in ("cubic", "cubic+bbr"))
]


def test_the_table_has_all_cells():
    assert [row.key for row in STORED] == [cell.key for cell in table.cells()]


def test_the_page_is_made_of_the_table():
    assert table.PAGE.read_text() == table.page(STORED)


@pytest.mark.parametrize("stored", QUICK, ids=lambda row: "-".join(map(str, row.key)))
def test_a_row_is_as_stored(stored: table.Row):
    """Another number is another behaviour: look why, then `make snapshot`."""
    found = table.run(table.Row(*stored.key))
    assert table.differences([stored], [found]) == []


def test_another_number_is_told():
    row = STORED[0]
    other = table.Row(*row.key, goodput_percent=row.goodput_percent + 1)
    (told,) = table.differences([row], [other])
    assert f"goodput_percent {row.goodput_percent}" in told
    assert table.differences([row], []) == [f"{row.key}: gone"]
    assert table.differences([], [row]) == [f"{row.key}: new"]


@pytest.mark.parametrize("row", [row for row in STORED if row.flows > 1], ids=lambda row: row.key)
def test_flows_of_a_kind_share(row: table.Row):
    """RFC 5681's purpose, from the stored table: alike they share alike, and the link is full."""
    assert row.goodput_percent >= 95
    if "+" not in row.congestion:
        assert row.jain >= 920  # one seed each; of ten, four of BBR have 0.927 to 0.998
