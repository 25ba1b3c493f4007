"""Exported processing elements, run by Icarus Verilog on their own test benches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from simulators import lint, needs_icarus, needs_verilator, simulate

from hdl.elements.mac import MacSpec
from hdl.export.element import export_mac, mac_identifier, mac_modules
from hdl.multipliers.imported import ImportedDesign
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding


def verilog_of(files: list[Path]) -> list[Path]:
    """The Verilog files of a project: the design, its test bench, and the modules in it."""
    return [file for file in files if file.suffix == ".v"]


def spec(
    text: str,
    encoding: OperandEncoding | None = None,
    bits: int | None = None,
    *,
    pipelined: bool = False,
) -> MacSpec:
    return MacSpec.make(MultiplierSpec.parse(text), encoding, bits, pipelined=pipelined)


@needs_icarus
@pytest.mark.parametrize(
    "element",
    [
        spec("drum:k=4"),
        spec("mitchell:signed=1"),
        spec("exact:width=6", OperandEncoding.UNSIGNED, 12),
        spec("exact:width=4", bits=32),
        spec("bam:h=1,v=3,width=7x4,swap=1"),
    ],
    ids=str,
)
def test_icarus_agrees_on_elements(element: MacSpec, tmp_path: Path) -> None:
    files = verilog_of(export_mac(element, tmp_path))
    assert simulate(tmp_path, *files) == "PASS 4095 sums\n"


@needs_icarus
@pytest.mark.parametrize(
    "element",
    [
        spec("drum:k=4", pipelined=True),
        spec("mitchell:signed=1", pipelined=True),
        spec("exact:width=4", OperandEncoding.UNSIGNED, pipelined=True),
    ],
    ids=str,
)
def test_icarus_agrees_on_pipelined_elements(element: MacSpec, tmp_path: Path) -> None:
    """Their benches know the first two sums no more than the first product."""
    files = verilog_of(export_mac(element, tmp_path))
    assert simulate(tmp_path, *files) == "PASS 4094 sums\n"


OWN_VERILOG = """
module half(input [{top}:0] x, input [{top}:0] y, output [{wide}:0] z);
  wire signed [{top}:0] u = x, v = y;
  wire [{wide}:0] full = {product};
  assign z = {{full[{wide}:2], 2'b00}};
endmodule
"""


def own_multiplier(folder: Path, width: int, *, signed: bool) -> ImportedDesign:
    """A multiplier that loses the lowest two bits of its products."""
    text = OWN_VERILOG.format(
        top=width - 1, wide=2 * width - 1, product="u * v" if signed else "x * y"
    )
    (folder / "own.v").write_text(text)
    return ImportedDesign.read(f"{folder}/own.v:half", signed=signed)


@needs_icarus
@pytest.mark.parametrize("encoding", OperandEncoding)
def test_icarus_agrees_on_elements_of_ones_own_multiplier(
    encoding: OperandEncoding, tmp_path: Path
) -> None:
    own = MacSpec.make(own_multiplier(tmp_path, 5, signed=encoding.signed), encoding, 16)
    assert own.products([3, 6], [3, 5]).tolist() == [8, 28]
    files = verilog_of(export_mac(own, tmp_path / "element"))
    assert simulate(tmp_path, *files) == "PASS 4095 sums\n"


@needs_icarus
def test_the_bench_tells_wrong_elements(tmp_path: Path) -> None:
    element = spec("exact:width=4")
    files = verilog_of(export_mac(element, tmp_path))
    design = files[0]
    right = design.read_text()
    design.write_text(re.sub(r"assign negative = .*;", "assign negative = 1'b0;", right))
    assert design.read_text() != right
    assert re.fullmatch(
        r"FAIL \d+ of 4095 sums, first: cycle \d+ total=\w{4} expected=\w{4}\n",
        simulate(tmp_path, *files, status=1),
    )


@needs_verilator
def test_lint_is_silent(tmp_path: Path) -> None:
    element = spec("drum:k=3,width=4x6", pipelined=True)
    design, bench, *modules = verilog_of(export_mac(element, tmp_path))
    assert lint(design, *modules, options=("--top-module", design.stem)) == ""
    options = ("--timing", "--top-module", bench.stem)
    assert lint(design, bench, *modules, options=options) == ""


def test_the_text_is_clean_and_always_the_same() -> None:
    element = spec("drum:k=4")
    modules = mac_modules(element)
    assert mac_identifier(element) == "mac24_mul8u_drum_k4"
    heads = [re.findall(r"^module (\w+)\((.*)\);$", text, re.M) for text in modules.values()]
    assert heads == [
        [("mac24_mul8u_drum_k4", "clk, a, b, enable, clear, a_out, b_out, enable_out, total")],
        [("mul8u_drum_k4", "a, b, p")],
    ]
    for name, text in modules.items():
        assert re.search(rf"^module {name}\(", text, re.M)
        assert text.isascii()
        assert not re.search(r"\\|initial|\(\*", text)
    assert modules == mac_modules(element)
