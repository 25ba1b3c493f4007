"""Flip-flops of cell libraries: which are read, and how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from liberty_text import INVERTER, NAND, TABLES, library_text

from hdl.cells.liberty_writer import write_library
from hdl.cells.library import CellLibrary, LibertyError

SG13G2 = "pdk/sg13g2_stdcell_typ_1p20V_25C.lib.gz"

FLIP_FLOP_TABLES = TABLES.replace('"2"', '"3"')
FLIP_FLOP = (
    'cell (dff) { area : 9; ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; clear : "!R"; } '
    'leakage_power () { value : 3; when : "C D !R"; } leakage_power () { value : 4; when : "C D '
    'R"; } '
    "pin (C) { direction : input; capacitance : 1; "
    'internal_power () { when : "D R"; rise_power (t) { values ("6"); } fall_power (t) { values '
    '("8"); } } '
    'internal_power () { when : "!R"; rise_power (t) { values ("99"); } fall_power (t) { values '
    '("99"); } } } '
    "pin (D) { direction : input; capacitance : 2; timing () { related_pin : C; timing_type : "
    "setup_rising; "
    'rise_constraint (s) { values ("1, 2, 3, 4"); } fall_constraint (s) { values ("5, 6, 7, 8"); '
    f"}} }} }} pin (R) {{ direction : input; capacitance : 1; }} pin (Q) {{ direction : output; "
    f"function : IQ; timing () {{ related_pin : C; timing_type : rising_edge; {FLIP_FLOP_TABLES} "
    f"}} }} }}"
)
SETUP = (
    "lu_table_template (s) { variable_1 : related_pin_transition; variable_2 : "
    "constrained_pin_transition; "
    'index_1 ("1, 2"); index_2 ("10, 20"); }'
)


def test_a_flip_flop_is_read_with_its_reset_held() -> None:
    library = CellLibrary.parse(library_text(INVERTER, NAND, FLIP_FLOP, head=SETUP), "demo.lib")
    cell = library.flip_flop
    assert (cell.name, cell.area_um2, [(pin.name, level) for pin, level in cell.held]) == (
        "dff",
        9,
        [("R", 1)],
    )
    # Clock, data and output are bits 0, 1, 2 of a state: clock and data high, whatever the output.
    assert cell.leakage == ((0b10001000, 4000.0),)
    (power,) = cell.clock.powers
    assert power.when == 0b11001100
    assert power.rise is not None
    assert power.rise.values.item() == pytest.approx(6)
    (arc,) = cell.output.arcs
    assert arc.rise_delay is not None
    assert arc.rise_delay.values.item() == pytest.approx(30)
    # Rows are slews of the data whatever the order in the file: 100 and 200 ps against 10 and 20 ps
    # of the clock.
    assert cell.setup_rise.at(100, 20).item() == pytest.approx(30)
    assert cell.setup_fall.at(200, 10).item() == pytest.approx(60)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('next_state : "D"', 'next_state : "D E"'),
        ('clocked_on : "C"', 'clocked_on : "!C"'),
        ("function : IQ", "function : IQN"),
        ("setup_rising", "setup_falling"),
        ("area : 9;", "area : 9; dont_use : true;"),
        ("(dff)", "(clkdff)"),
        ('clear : "!R"', 'clear : "R C"'),
        ('values ("3")', 'values ("3, 4")'),
    ],
)
def test_other_sequential_cells_are_passed_over(old: str, new: str) -> None:
    library = CellLibrary.parse(
        library_text(INVERTER, NAND, FLIP_FLOP.replace(old, new), head=SETUP), "demo.lib"
    )
    with pytest.raises(
        LibertyError,
        match=(
            r"^demo\.lib: no D flip-flop for rising clock edges .*; registers need one, give a "
            r"complete"
        ),
    ):
        library.flip_flop  # noqa: B018


def test_the_flip_flop_that_is_written_reads_back(shared: Path) -> None:
    full, compact = CellLibrary.load(shared / SG13G2), CellLibrary.load()
    assert compact.flip_flop.name == full.flip_flop.name == "sg13g2_dfrbpq_1"
    assert compact.flip_flop.area_um2 == full.flip_flop.area_um2
    for one, other in (
        (compact.flip_flop.clock, full.flip_flop.clock),
        (compact.flip_flop.data, full.flip_flop.data),
    ):
        assert one.capacitance_ff == other.capacitance_ff
        assert [power.when for power in one.powers] == [power.when for power in other.powers]
    np.testing.assert_allclose(
        compact.flip_flop.setup_rise.setup_ps, full.flip_flop.setup_rise.setup_ps, rtol=1e-3
    )
    written = write_library(full, full.cells.values(), full.flip_flops.values())
    again = CellLibrary.parse(written, "again.lib").flip_flop
    for name in ("rise_delay", "fall_delay", "rise_transition", "fall_transition"):
        one, other = (getattr(cell.output.arcs[0], name) for cell in (again, full.flip_flop))
        np.testing.assert_allclose(one.values, other.values, rtol=1e-3)
    assert [when for when, _ in again.leakage] == [when for when, _ in full.flip_flop.leakage]
