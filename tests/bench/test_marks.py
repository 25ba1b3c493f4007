"""What the marks of a run are ratios of."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_run import write_run

import dse
from bench.marks import exact_square
from hdl.cells import CellLibrary
from hdl.cost import synthesize
from hdl.multipliers import MultiplierSpec


def test_no_operand_bit_of_the_exact_square_is_tied_off(tmp_path: Path) -> None:
    run = dse.load_run(write_run(tmp_path / "run", ("exact:width=8x7",)))
    effort = run.exploration.baseline.effort
    whole = synthesize(MultiplierSpec.parse("exact:width=8x8"), CellLibrary.load(), effort=effort)
    found = exact_square(run)
    assert found.area_um2 == pytest.approx(whole.area_um2)
    assert found.area_um2 > run.exploration.baseline.area_um2
