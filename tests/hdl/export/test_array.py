"""Exported arrays of every form, run by Icarus Verilog on their own test benches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from simulators import lint, needs_icarus, needs_verilator, simulate

from hdl.elements.element import Element
from hdl.elements.mac import MacSpec
from hdl.export.array import (
    BENCH_CYCLES,
    BENCH_TILES,
    array_identifier,
    array_modules,
    export_array,
)
from hdl.multipliers.imported import ImportedDesign
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding

UNSIGNED, SIGN_MAGNITUDE, TWOS_COMPLEMENT = (
    OperandEncoding.UNSIGNED,
    OperandEncoding.SIGN_MAGNITUDE,
    OperandEncoding.TWOS_COMPLEMENT,
)

#: Every option of a form with every number format and kind of multiplier, both ways of sums.
CASES = [
    ("mac", "drum:k=4", SIGN_MAGNITUDE, 4, 4),
    ("mac", "bam:h=0,v=6,signed=1", TWOS_COMPLEMENT, 1, 3),
    ("mac:pipeline=1", "drum:k=3,width=4x6", SIGN_MAGNITUDE, 3, 2),
    ("mac:gate=zero", "bam:h=0,v=2,width=4,comp=3", SIGN_MAGNITUDE, 2, 3),
    ("mac:gate=zero,pipeline=1", "mitchell:width=4,signed=1", TWOS_COMPLEMENT, 3, 2),
    ("mac:gate=zero,stationary=weight", "bam:h=0,v=2,width=4,comp=3", UNSIGNED, 2, 3),
    ("mac:adder=carry_save,gate=zero", "drum:k=3,width=5", SIGN_MAGNITUDE, 2, 2),
    ("mac:adder=prefix,pipeline=1,stationary=weight", "exact:width=3,signed=1", None, 3, 1),
    ("mac:adder=carry_save,gate=zero,pipeline=1,stationary=weight", "exact:width=3", None, 2, 2),
    ("dot:lanes=3", "compressor:kind=lin,cols=4,width=4,signed=1", TWOS_COMPLEMENT, 2, 2),
    ("dot:lanes=2,rows=dots,gate=zero", "terms:sum=00+01+10+2.11+3.01,width=3x2", None, 2, 3),
    ("dot:lanes=3,gate=zero", "bam:h=0,v=2,width=4,comp=3", UNSIGNED, 3, 2),
    ("dot:lanes=3,gate=zero,pipeline=1", "exact:width=4x3,signed=1", TWOS_COMPLEMENT, 2, 3),
    ("dot:lanes=3,pipeline=1,adder=carry_save", "mitchell:width=4", SIGN_MAGNITUDE, 2, 2),
    ("dot:lanes=4,adder=prefix,stationary=weight", "udm:width=4", UNSIGNED, 3, 4),
    ("dot:lanes=2,gate=zero,stationary=weight,adder=carry_save", "exact:width=3", None, 2, 3),
    ("dot:lanes=2,gate=zero,pipeline=1,stationary=weight", "sdlc:width=4", UNSIGNED, 4, 1),
]


def verilog_of(files: list[Path]) -> list[Path]:
    """The Verilog files of a project: the design, its test bench, and the modules in it."""
    return [file for file in files if file.suffix == ".v"]


def sums_compared(element: Element, rows: int, columns: int) -> int:
    if not element.form.keeps_weights:
        return BENCH_TILES * rows
    last = rows + columns - 1 + element.form.pipelined
    return BENCH_TILES * (rows + BENCH_CYCLES + last) - (2 * rows + columns + 4)


@needs_icarus
@pytest.mark.parametrize(("form", "text", "encoding", "rows", "columns"), CASES)
def test_icarus_agrees(
    form: str,
    text: str,
    encoding: OperandEncoding | None,
    rows: int,
    columns: int,
    tmp_path: Path,
) -> None:
    element = Element.make(form, MultiplierSpec.parse(text), encoding, terms=600)
    files = verilog_of(export_array(element, rows, columns, tmp_path))
    count = sums_compared(element, rows, columns)
    assert simulate(tmp_path, *files) == f"PASS {count} sums\n"


OWN_VERILOG = """
module half(input [{top}:0] x, input [{top}:0] y, output [{wide}:0] z);
  wire signed [{top}:0] u = x, v = y;
  wire [{wide}:0] full = {product};
  assign z = {{full[{wide}:2], 2'b00}};
endmodule
"""


@needs_icarus
@pytest.mark.parametrize("encoding", OperandEncoding)
@pytest.mark.parametrize("form", ["mac", "dot:lanes=2,gate=zero,stationary=weight"])
def test_icarus_agrees_on_arrays_of_ones_own_multiplier(
    form: str, encoding: OperandEncoding, tmp_path: Path
) -> None:
    """It loses the lowest two bits of its products."""
    product = "u * v" if encoding.signed else "x * y"
    (tmp_path / "own.v").write_text(OWN_VERILOG.format(top=4, wide=9, product=product))
    own = ImportedDesign.read(f"{tmp_path}/own.v:half", signed=encoding.signed)
    element = Element.make(form, own, encoding, terms=600)
    files = verilog_of(export_array(element, 2, 2, tmp_path))
    assert simulate(tmp_path, *files) == f"PASS {sums_compared(element, 2, 2)} sums\n"


@needs_icarus
@pytest.mark.parametrize("form", ["mac", "dot:lanes=2,stationary=weight"])
def test_the_bench_tells_wrong_arrays(form: str, tmp_path: Path) -> None:
    """Of another multiplier with the same ports."""
    right, wrong = (
        Element.make(form, MultiplierSpec.parse(text), SIGN_MAGNITUDE, terms=600)
        for text in ("exact:width=4", "bam:h=0,v=2,width=4")
    )
    files = verilog_of(export_array(right, 2, 2, tmp_path))
    multiplier = next(file for file in files if file.stem == right.multiplier.identifier)
    other = array_modules(wrong, 2, 2)[wrong.multiplier.identifier]
    multiplier.write_text(other.replace(wrong.multiplier.identifier, right.multiplier.identifier))
    assert simulate(tmp_path, *files, status=1).startswith("FAIL ")


@needs_verilator
@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("mac:pipeline=1", "drum:k=3,width=4x6"),
        ("dot:lanes=2,gate=zero,adder=carry_save", "exact:width=3"),
        ("dot:lanes=2,gate=zero,stationary=weight", "mitchell:width=4"),
        ("dot:lanes=3,stationary=weight,pipeline=1", "exact:width=3,signed=1"),
        # Names as long as they come.
        (
            "dot:lanes=2,adder=carry_save,gate=zero,stationary=weight,pipeline=1",
            "terms:sum=00+01+10+02+11+20+12+21+30+22+31+40+32+41+50+42+51+52,width=6x3",
        ),
    ],
)
def test_lint_is_silent(form: str, text: str, tmp_path: Path) -> None:
    element = Element.make(form, MultiplierSpec.parse(text))
    design, bench, *modules = verilog_of(export_array(element, 3, 2, tmp_path))
    assert lint(design, *modules, options=("--top-module", design.stem)) == ""
    options = ("--timing", "--top-module", bench.stem)
    assert lint(design, bench, *modules, options=options) == ""


def test_the_text_is_clean_and_always_the_same() -> None:
    element = Element.of_mac(MacSpec.make(MultiplierSpec.parse("drum:k=4")))
    modules = array_modules(element, 4, 4)
    assert array_identifier(element, 4, 4) == "array4x4_mac_sum24_mul8u_drum_k4"
    heads = [re.findall(r"^module (\w+)\((.*)\);$", text, re.M) for text in modules.values()]
    chained = "clk, a, b, enable, clear, above_total, a_out, b_out, enable_out, total"
    assert heads == [
        [("array4x4_mac_sum24_mul8u_drum_k4", "clk, a, b, enable, drain, total")],
        [("chained_mac_sum24_mul8u_drum_k4", chained)],
        [("mul8u_drum_k4", "a, b, p")],
    ]
    for name, text in modules.items():
        assert re.search(rf"^module {name}\(", text, re.M)
        assert text.isascii()
        assert not re.search(r"\\|initial|\(\*", text)
    assert modules == array_modules(element, 4, 4)
