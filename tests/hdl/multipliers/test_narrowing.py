"""Multipliers for fewer operand bits than they have: the part of the table that occurs, and the
logic that is left.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from family_checks import specs
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.cells import CellLibrary
from hdl.cost import counterexample, map_design, synthesize, synthesize_fpga
from hdl.elements import MacSpec, datapath_rtlil, synthesize_mac
from hdl.export import export
from hdl.multipliers import (
    MultiplierSpec,
    as_made,
    narrowed,
    parse_multiplier,
    sign_logic_rtlil,
    tied_off_hint,
    within,
)
from hdl.operands import OperandEncoding, Widths, values_of_codes
from hdl.tables import ProductTable
from hdl.yosys import gates

LIBRARY = CellLibrary.load()


@settings(deadline=None, max_examples=40)
@given(specs(), st.data())
def test_the_table_is_the_part_that_occurs(spec: MultiplierSpec, data: st.DataObject) -> None:
    if spec.widths.product > 16:
        return
    widths = data.draw(st.tuples(st.integers(1, spec.width_a), st.integers(1, spec.width_b)))
    narrow = narrowed(spec, widths)
    assert narrow.widths == widths
    table = narrow.table()
    values = [values_of_codes(np.arange(1 << width), width, signed=spec.signed) for width in widths]
    np.testing.assert_array_equal(table.products, spec.table().products[np.ix_(*values)])
    circuit = gates(narrow.rtlil())
    found = values_of_codes(circuit.evaluate_all(), len(circuit.p), signed=spec.signed)
    np.testing.assert_array_equal(found, table.products, err_msg=narrow.name)


def test_the_same_widths_are_the_same_multiplier_and_narrowing_adds_up() -> None:
    spec = MultiplierSpec.parse("drum:k=4")
    assert narrowed(spec, 8) is spec
    twice = narrowed(narrowed(spec, (8, 7)), (6, 5))
    assert twice.name == "drum:k=4@8x7@6x5"
    np.testing.assert_array_equal(twice.table().products, narrowed(spec, (6, 5)).table().products)
    np.testing.assert_array_equal(gates(twice.rtlil()).evaluate_all(), twice.table().products)


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        ("exact", "exact@8x7", ", or tie operand bits off: exact@8x3"),
        ("exact:width=4", "exact:width=4", ", or tie operand bits off: exact:width=4@4x4"),
        ("exact:width=8x3", "exact:width=8x3", ", or tie operand bits off: exact:width=8x3@8x3"),
        ("exact:width=8x2", "exact:width=8x2", ""),
        ("exact@8x6", "exact@8x6", ", or tie operand bits off: exact@8x3"),
    ],
)
def test_bits_beyond_a_networks_operands_are_tied_off(text: str, name: str, hint: str) -> None:
    there = [Widths(8, 3), Widths(4, 4), Widths(4, 7)]
    assert within(parse_multiplier(text), there).name == name
    assert tied_off_hint(parse_multiplier(text), there) == hint


def test_own_verilog_is_named_as_the_user_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "mul.v"
    path.write_text("module top(input [3:0] a, b, output [7:0] p); assign p = a * b; endmodule")
    own = parse_multiplier(f"{path}:top@4x3")
    assert as_made(own).name.startswith(f"{path}:top#")
    assert tied_off_hint(own, [Widths(3, 2)]) == f", or tie operand bits off: {path}:top@3x2"


def test_products_beyond_the_operands_keep_their_bits() -> None:
    """3 * 3 + 9 takes five bits, although 2-bit operands have four together."""
    narrow = narrowed(MultiplierSpec.parse("bam:h=0,v=0,comp=9,width=4"), 2)
    assert (narrow.width_p, int(narrow.table().products.max())) == (5, 18)
    np.testing.assert_array_equal(
        gates(narrow.rtlil()).evaluate_all(), np.multiply.outer(np.arange(4), np.arange(4)) + 9
    )
    element = MacSpec.make(narrow)
    assert (element.product_bits, element.accumulator_bits) == (6, 13)
    assert counterexample(narrow.rtlil(), map_design(narrow, LIBRARY).netlist) is None


def test_operands_too_wide_for_a_table_have_one_when_narrowed() -> None:
    wide = parse_multiplier("exact:width=16")
    np.testing.assert_array_equal(
        narrowed(wide, (6, 5)).table().products, ProductTable.exact((6, 5)).products
    )


def test_logic_of_bits_that_never_occur_costs_nothing() -> None:
    """An exact 8x8 array with its highest row tied off; one made for 8x7 bits is smaller still."""
    whole, part, exact = (
        synthesize(parse_multiplier(text), LIBRARY)
        for text in ("exact:tree=array", "exact:tree=array@8x7", "exact:tree=array,width=8x7")
    )
    assert part.area_um2 < 0.93 * whole.area_um2
    assert part.energy_fj < whole.energy_fj
    assert exact.area_um2 < part.area_um2
    signed = [
        synthesize(parse_multiplier(f"exact:signed=1{narrow}"), LIBRARY).area_um2
        for narrow in ("", "@8x5", "@4")
    ]
    assert signed[0] > signed[1] > signed[2]


@pytest.mark.slow
def test_proof_and_fpga() -> None:
    narrow = parse_multiplier("mitchell:signed=1@7x4")
    assert counterexample(narrow.rtlil(), map_design(narrow, LIBRARY).netlist) is None
    whole = synthesize_fpga(parse_multiplier("exact"), "xilinx")
    assert synthesize_fpga(parse_multiplier("exact@8x4"), "xilinx").luts < whole.luts


@pytest.mark.parametrize("encoding", OperandEncoding)
def test_elements_around_it(encoding: OperandEncoding) -> None:
    narrow = parse_multiplier(f"exact:width=6,signed={encoding.signed:d}@5x3")
    own = MacSpec.make(narrow, encoding)
    direct = MacSpec.make(
        MultiplierSpec.make("exact", width=(5, 3), signed=encoding.signed), encoding
    )
    codes = np.arange(1 << own.operand_widths.a)[:, None], np.arange(1 << own.operand_widths.b)
    np.testing.assert_array_equal(own.products(*codes), direct.products(*codes))
    assert "own_multiplier" in datapath_rtlil(own)
    assert synthesize_mac(own, LIBRARY).registers == synthesize_mac(direct, LIBRARY).registers


def test_sign_logic_around_it() -> None:
    narrow, direct = parse_multiplier("exact@5x3"), MultiplierSpec.parse("exact:width=5x3")
    netlists = [
        map_design(sign_logic_rtlil(multiplier), LIBRARY).netlist for multiplier in (narrow, direct)
    ]
    assert netlists[0].area_um2 == pytest.approx(netlists[1].area_um2, rel=0.05)


@pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not installed"
)
@pytest.mark.parametrize("text", ["drum:k=3@6x4", "bam:h=1,v=4,signed=1@5x7"])
def test_icarus_agrees(text: str, tmp_path: Path) -> None:
    narrow = parse_multiplier(text)
    design, bench, constraints, *_ = export(narrow, tmp_path)
    assert re.match(r"// mul8[su]_\w+_for(6x4|5x7): [56] x [47] bit ", design.read_text())
    assert "of its 8 x 8 bits: the bits above " in design.read_text()
    assert constraints.exists()
    subprocess.run(
        ["iverilog", "-g2001", "-o", tmp_path / "run", design, bench], check=True, timeout=60
    )
    said = subprocess.run(
        ["vvp", "-n", tmp_path / "run"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert said == f"PASS {1 << narrow.widths.product} pairs\n"
