"""Goodput against the formulas and the RFCs' equations, in virtual time: quick points. All of them,
stored: `make goodput`, tests/sim/snapshots/goodput.py."""

from dataclasses import replace

import pytest

from sim.snapshots import goodput as table
from support import stored
from support.dumbbell import HEADERS, Dumbbell, Path

STORED = stored.read(table.TABLE, table.Row)
CELLS = list(table.cells())
# At 0.01 % enough losses take seconds.
PERIODIC = [cell for cell in CELLS if cell.losses == table.PERIODIC and cell.loss > 1e-4]
RANDOM = [cell for cell in CELLS if cell.losses == table.RANDOM and cell.loss > 1e-4]
KEYS = {"ids": lambda cell: "-".join(map(str, cell.key))}


@pytest.mark.parametrize("cell", PERIODIC, **KEYS)
def test_periodic_loss_gives_the_saw_tooth(cell: table.Row):
    """Within 3 % of the equations in whole segments; and of the fluid where a window is more than a
    dozen of them."""
    found = table.run(cell)
    assert found.engine == pytest.approx(found.clocked, rel=table.CLOSE)
    if cell.loss <= 1e-3:
        assert found.engine == pytest.approx(found.fluid, rel=table.CLOSE)


@pytest.mark.parametrize("cell", RANDOM, **KEYS)
def test_random_loss_gives_the_formula(cell: table.Row):
    assert table.run(cell, seeds=2, least=30.0).within


def test_the_stored_table_has_all_points_within_their_bounds():
    assert [row.key for row in STORED] == [cell.key for cell in CELLS]
    assert [row.key for row in STORED if not row.within] == []


def test_the_page_is_made_of_the_table():
    assert table.PAGE.read_text() == table.page(STORED)


@pytest.mark.parametrize("off", [1 - 1.1 * table.CLOSE, 1 + 1.1 * table.CLOSE])
def test_a_row_out_of_its_bounds_is_told(off: float):
    assert not replace(STORED[0], engine=STORED[0].clocked * off).within


@pytest.mark.parametrize("seed", [1, 2])
def test_bbr_does_not_take_random_loss_for_congestion(seed: int):
    """1 % at 50 ms: what is lost is lost, a fortieth goes into ProbeRTT, and that is all."""
    path = Path(rate=100e6, rtt=0.05, queue=625_000, loss=0.01)
    with Dumbbell(path, seed=seed) as d:
        d.add("bbr")
        (found,) = d.goodputs(10, 100)
        assert found >= 0.95 * path.rate * HEADERS
        assert d.info(0).spurious_recoveries == 0
        assert d.info(0).rto_count == 0
