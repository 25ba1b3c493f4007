"""Cell libraries: units, cells kept and passed over, the compact library that ships, and libraries
that cannot be used.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from liberty_text import INVERTER, NAND, OF_A, OF_B, library_text

from hdl.cells.liberty_writer import mapping_text, write_library
from hdl.cells.library import Cell, CellLibrary, LibertyError, LookupTable, Unateness

SG13G2 = "pdk/sg13g2_stdcell_typ_1p20V_25C.lib.gz"
SKY130 = "pdk/sky130_fd_sc_hd__tt_025C_1v80.lib.gz"


def test_units_become_the_projects_own() -> None:
    powered = NAND.replace(
        "area : 3;",
        'area : 3; cell_leakage_power : 5; leakage_power () { value : 7; when : "A B"; }',
    )
    energy = (
        'internal_power () { related_pin : B; rise_power (t) { values ("4"); } fall_power '
        '(t) { values ("6"); } }'
    )
    powered = powered.replace("function", energy + " function")
    library = CellLibrary.parse(library_text(INVERTER, powered), "demo.lib")
    cell = library.cells["nand"]
    assert library.voltage_v == pytest.approx(0.9)
    assert [pin.capacitance_ff for pin in cell.inputs] == pytest.approx([300, 400])
    assert cell.leakage_nw == pytest.approx(5000)
    assert cell.leakage[0][1] == pytest.approx(7000)
    output = cell.outputs[0]
    assert output.function == 0b0111
    assert output.arcs[0].rise_delay is not None
    assert output.arcs[0].rise_delay.values.item() == pytest.approx(20)
    assert output.arcs[0].unateness is Unateness.NEGATIVE
    power = output.powers[0]
    assert power.related == 1
    # 100 fF x (0.1 V)^2 = 1 fJ is the unit of energy here.
    assert power.rise is not None
    assert power.fall is not None
    assert (power.rise.values.item(), power.fall.values.item()) == pytest.approx((4, 6))
    assert library.default_output_load_ff == pytest.approx(600)


def test_table_axes_in_either_order() -> None:
    variables = "variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;"
    head = f'lu_table_template (d) {{ {variables} index_1 ("1, 2"); index_2 ("1, 2, 3"); }}'
    table = '(d) { values ("11, 12, 13", "21, 22, 23"); }'
    arc = (
        f"timing () {{ related_pin : A; cell_rise {table} rise_transition {table} cell_fall "
        f"{table} fall_transition {table} }}"
    )
    inverter = INVERTER.replace(OF_A, arc)
    table_read = (
        CellLibrary.parse(library_text(inverter, NAND, head=head), "demo.lib")
        .cells["inv"]
        .outputs[0]
        .arcs[0]
        .rise_delay
    )
    assert table_read is not None
    assert table_read.values.shape == (3, 2)
    assert table_read.at(20, 200) == pytest.approx(220)


def test_interpolation_is_bilinear_and_goes_on_linearly() -> None:
    slew, load = np.array([1.0, 2.0, 5.0]), np.array([10.0, 30.0])
    table = LookupTable(slew, load, 3 + 2 * slew[:, None] - load / 7 + slew[:, None] * load / 4)
    x, y = np.meshgrid([0.0, 1.0, 1.7, 4.9, 9.0], [5.0, 10.0, 29.0, 44.0])
    np.testing.assert_allclose(table.at(x, y), 3 + 2 * x - y / 7 + x * y / 4)


@pytest.mark.parametrize(
    "cell",
    [
        "cell (dff) { area : 9; ff (IQ, IQN) { next_state : D; } pin (D) { direction : input; }"
        ' pin (Q) { direction : output; function : "IQ"; } }',
        (
            "cell (tri) { area : 9; pin (A) { direction : input; } pin (Y) { direction : output; "
            'function : "A"; three_state : "A"; } }'
        ),
        'cell (tie) { area : 9; pin (Y) { direction : output; function : "1"; } }',
        "cell (fill) { area : 9; }",
        "cell (black) { area : 9; pin (A) { direction : input; } pin (Y) { direction : output; } }",
        'cell (hold) { area : 9; pin (A) { direction : inout; function : "A"; } }',
        (
            "cell (weightless) { pin (A) { direction : input; } pin (Y) { direction : output; "
            'function : "A"; } }'
        ),
    ],
)
def test_cells_that_are_passed_over(cell: str) -> None:
    assert set(CellLibrary.parse(library_text(INVERTER, NAND, cell), "demo.lib").cells) == {
        "inv",
        "nand",
    }


@pytest.mark.parametrize(
    "change",
    [("(inv)", "(x_clkinv_1)"), ("(inv)", "(lpflow_inv)"), ("area", "dont_use : true; area")],
)
def test_cells_that_are_not_mapped_to(change: tuple[str, str]) -> None:
    other = INVERTER.replace(*change)
    with pytest.raises(LibertyError, match="no usable inverter"):
        CellLibrary.parse(library_text(other, NAND), "demo.lib")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (library_text(), "no combinational cell with an area"),
        (
            library_text(INVERTER.replace("area : 2;", ""), NAND.replace("area : 3;", "")),
            "none of its 2 cells has an `area`",
        ),
        (library_text(INVERTER), "no two-input NAND"),
        (library_text(NAND), "no usable inverter"),
        (library_text(INVERTER, NAND).replace("nom_voltage : 9;", ""), "nom_voltage is missing"),
        (
            library_text(INVERTER, NAND, head="delay_model : polynomial;"),
            "delay_model 'polynomial' is not supported",
        ),
        (
            library_text(INVERTER.replace("area : 2", "area : two"), NAND),
            r"demo\.lib:1: cell inv: area 'two' is not a number",
        ),
        (library_text(INVERTER.replace('"2"', '"2, 3"'), NAND), "2 values for a table of 1 x 1"),
        (library_text(INVERTER.replace('"2"', '"inf"'), NAND), "not finite"),
        (library_text(INVERTER.replace("!A", "!B"), NAND), "'B' in '!B' is not one of the pins A"),
        (
            library_text(INVERTER.replace("related_pin : A", "related_pin : Q"), NAND),
            "related_pin 'Q' is not an input",
        ),
        (
            library_text(INVERTER.replace("cell_rise", "cell_up"), NAND),
            "no cell_rise and rise_transition tables",
        ),
        (
            library_text(INVERTER.replace(OF_A, ""), NAND.replace(OF_A, "").replace(OF_B, "")),
            "no cell has delay tables",
        ),
        (library_text(INVERTER.replace(OF_A, ""), NAND), "no usable inverter"),
        (
            library_text(INVERTER.replace("(inv)", '("in v")'), NAND),
            "the name 'in v' is not made of letters",
        ),
        (
            library_text(INVERTER, NAND).replace("10ps", "10 parsec"),
            "time_unit '10 parsec' is not a unit",
        ),
        (library_text(INVERTER, NAND).replace("10ps", "0ps"), "time_unit '0ps' is not a unit"),
        (library_text(INVERTER, NAND).replace("time_unit : 10ps;", ""), "time_unit is missing"),
        (
            library_text(INVERTER, NAND).replace("capacitive_load_unit (0.1, pf);", ""),
            "capacitive_load_unit is missing",
        ),
        (
            library_text(INVERTER, NAND).replace("leakage_power_unit : 1uW;", ""),
            "leakage_power_unit is missing",
        ),
        (
            library_text(INVERTER, NAND).replace("voltage_unit : 100mV;", ""),
            "voltage_unit is missing",
        ),
        (
            library_text(INVERTER, NAND.replace("area : 3", "area : -3")),
            "area '-3' is negative, not finite or absurd",
        ),
        (
            library_text(INVERTER, NAND.replace("area : 3", "area : nan")),
            "area 'nan' is negative, not finite or absurd",
        ),
        (
            library_text(INVERTER, NAND.replace("area : 3", "area : 1e300")),
            "area '1e300' is negative, not finite or absurd",
        ),
        (
            library_text(INVERTER, NAND.replace("capacitance : 4", "capacitance : -4")),
            "capacitance '-4' is negative",
        ),
        (
            library_text(INVERTER, NAND.replace("capacitance : 4", "capacitance : inf")),
            "capacitance 'inf' is negative, not finite",
        ),
        (
            library_text(INVERTER, NAND.replace("area : 3", "area : 3; cell_leakage_power : -1")),
            "cell_leakage_power '-1' is negative",
        ),
        (
            library_text(INVERTER, NAND.replace('values ("2")', 'values ("nan")')),
            "a number is not finite",
        ),
        (
            library_text(INVERTER, NAND.replace('values ("2")', 'values ("1e200")')),
            "an index is negative, or a figure absurd",
        ),
        (
            library_text(
                INVERTER, NAND.replace('values ("2")', 'index_1 ("-1, 2"); values ("2, 3")')
            ),
            "an index is negative",
        ),
    ],
)
def test_libraries_that_cannot_be_used(text: str, message: str) -> None:
    with pytest.raises(LibertyError, match=message) as caught:
        CellLibrary.parse(text, "demo.lib")
    assert str(caught.value).startswith("demo.lib")
    assert "\n" not in str(caught.value)


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    with pytest.raises(LibertyError, match=r"nowhere\.lib: the cell library cannot be read"):
        CellLibrary.load(tmp_path / "nowhere.lib")


def test_what_is_written_reads_back() -> None:
    compact = CellLibrary.load()
    again = CellLibrary.parse(write_library(compact, compact.cells.values()), "again.lib")
    assert set(again.cells) == set(compact.cells)
    for name, cell in compact.cells.items():
        assert_same_cell(again.cells[name], cell)
    assert again.voltage_v == compact.voltage_v
    assert set(CellLibrary.parse(mapping_text(compact), "mapping.lib").cells) == {
        name for name, cell in compact.cells.items() if cell.mappable
    }


def assert_same_cell(one: Cell, other: Cell) -> None:
    assert (one.area_um2, one.mappable) == (other.area_um2, other.mappable)
    assert [(pin.name, pin.capacitance_ff) for pin in one.inputs] == [
        (pin.name, pin.capacitance_ff) for pin in other.inputs
    ]
    assert [(when, f"{nw:.4g}") for when, nw in one.leakage] == [
        (when, f"{nw:.4g}") for when, nw in other.leakage
    ]
    for mine, theirs in zip(one.outputs, other.outputs, strict=True):
        assert (mine.name, mine.function) == (theirs.name, theirs.function)
        assert [(arc.input, arc.unateness) for arc in mine.arcs] == [
            (arc.input, arc.unateness) for arc in theirs.arcs
        ]
        assert [(power.related, power.when) for power in mine.powers] == [
            (power.related, power.when) for power in theirs.powers
        ]


def test_the_compact_library_has_the_areas_and_functions_of_the_full_one(shared: Path) -> None:
    full, compact = CellLibrary.load(shared / SG13G2), CellLibrary.load()
    assert set(compact.cells) == {name for name, cell in full.cells.items() if cell.mappable}
    for name, cell in compact.cells.items():
        original = full.cells[name]
        assert cell.area_um2 == original.area_um2
        assert [output.function for output in cell.outputs] == [
            output.function for output in original.outputs
        ]
        assert [pin.capacitance_ff for pin in cell.inputs] == pytest.approx(
            [pin.capacitance_ff for pin in original.inputs], rel=1e-12
        )


def test_the_compact_library_states_its_origin() -> None:
    from hdl.cells.liberty_syntax import read_text
    from hdl.cells.library import COMPACT_LIBRARY

    head = read_text(COMPACT_LIBRARY)[:1000]
    notice = (Path(__file__).parents[3] / "NOTICE").read_text()
    for word in ("IHP SG13G2", "IHP-Open-PDK", "Apache License", "0.1.4"):
        assert word in head
        assert word in notice
    assert COMPACT_LIBRARY.stat().st_size < 100_000


def test_sky130_reads(shared: Path) -> None:
    library = CellLibrary.load(shared / SKY130)
    assert library.voltage_v == pytest.approx(1.8)
    assert library.cells["sky130_fd_sc_hd__fa_1"].outputs[0].function in (0b11101000, 0b10010110)
    unwanted = [name for name, cell in library.cells.items() if not cell.mappable]
    assert {
        name for name in library.cells if "lpflow" in name or "dly" in name or "probe" in name
    } <= set(unwanted)
    assert CellLibrary.load(shared / SKY130) is library


def test_the_script_makes_the_library_that_ships(shared: Path, tmp_path: Path) -> None:
    from hdl.cells.liberty_syntax import read_text
    from hdl.cells.library import COMPACT_LIBRARY

    root = Path(__file__).parents[3]
    made = tmp_path / "made.lib.gz"
    subprocess.run(
        [sys.executable, "scripts/make_cell_library.py", str(shared / SG13G2), "-o", str(made)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        timeout=60,
    )
    assert read_text(made) == read_text(COMPACT_LIBRARY)
