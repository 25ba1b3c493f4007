"""Exported Verilog, run by Icarus Verilog on its own test bench."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from family_checks import example, specs
from hypothesis import given, settings
from hypothesis import strategies as st
from simulators import lint, needs_icarus, needs_verilator, simulate

from hdl import yosys
from hdl.export import multiplier
from hdl.export.multiplier import export
from hdl.export.texts import ExportError
from hdl.multipliers.elaboration import rtlil
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import Widths
from hdl.yosys import gate_netlist


@pytest.mark.slow
@needs_icarus
@pytest.mark.parametrize("family", FAMILIES)
def test_icarus_agrees_on_all_pairs(family: str, tmp_path: Path) -> None:
    design, bench, *_ = export(example(family), tmp_path)
    assert simulate(tmp_path, design, bench) == "PASS 65536 pairs\n"


@needs_icarus
@pytest.mark.parametrize(("width", "pairs"), [(4, 256), (12, multiplier.SAMPLED_PAIRS)])
@pytest.mark.slow
def test_icarus_agrees_at_other_widths_signed(width: int, pairs: int, tmp_path: Path) -> None:
    design, bench, *_ = export(MultiplierSpec.make("exact", width=width, signed=True), tmp_path)
    assert simulate(tmp_path, design, bench) == f"PASS {pairs} pairs\n"


@needs_icarus
@pytest.mark.parametrize("family", FAMILIES)
def test_icarus_agrees_on_rectangles(family: str, tmp_path: Path) -> None:
    spec = example(family, width=(7, 4), signed=True)
    design, bench, *_ = export(spec, tmp_path)
    assert design.name.startswith(f"mul7x4s_{family}")
    assert simulate(tmp_path, design, bench) == "PASS 2048 pairs\n"


@needs_icarus
@pytest.mark.parametrize(
    ("widths", "pairs"),
    [((12, 5), 1 << 17), ((5, 12), multiplier.SAMPLED_PAIRS), ((14, 2), 1 << 16), ((1, 3), 16)],
)
def test_icarus_agrees_on_long_rectangles(
    widths: tuple[int, int], pairs: int, tmp_path: Path
) -> None:
    design, bench, *_ = export(MultiplierSpec.make("exact", width=widths), tmp_path)
    assert simulate(tmp_path, design, bench) == f"PASS {pairs} pairs\n"


@needs_icarus
def test_icarus_agrees_on_exchanged_operands(tmp_path: Path) -> None:
    design, bench, *_ = export(MultiplierSpec.parse("perforate:j=1,k=2,width=5x4,swap=1"), tmp_path)
    assert design.name == "mul5x4u_perforate_j1_k2_swap1.v"
    assert "The circuit is the family's with its operands exchanged." in design.read_text()
    assert simulate(tmp_path, design, bench) == "PASS 512 pairs\n"


@needs_icarus
@pytest.mark.parametrize(
    ("product", "verdict"),
    [
        ("a * b", "PASS 256 pairs"),
        (
            "(a == 3 && b >= 5) ? 8'd1 : a * b",
            "FAIL 11 of 256 pairs, first: a=3 b=5 p=01 expected=0f",
        ),
        (
            "(a == 15 && b == 15) ? 8'bx : a * b",
            "FAIL 1 of 256 pairs, first: a=f b=f p=xx expected=e1",
        ),
    ],
)
def test_the_bench_tells_wrong_designs(product: str, verdict: str, tmp_path: Path) -> None:
    design, bench, *_ = export(MultiplierSpec.make("exact", width=4), tmp_path)
    design.write_text(
        "module mul4u_exact(a, b, p);\n input [3:0] a, b;\n output [7:0] p;\n assign p = "
        f"{product};\nendmodule\n"
    )
    status = 1 if verdict.startswith("FAIL") else 0
    assert simulate(tmp_path, design, bench, status=status) == verdict + "\n"


@pytest.mark.slow
@needs_verilator
@pytest.mark.parametrize("family", FAMILIES)
def test_lint_is_silent(family: str, tmp_path: Path) -> None:
    specs = [example(family, signed=True), example(family, width=(8, 5))]
    files = [tmp_path / f"{spec.identifier}.v" for spec in specs]
    for spec, file in zip(specs, files, strict=True):
        file.write_text(multiplier.verilog(spec))
    assert lint(*files, options=("-Wno-MULTITOP",)) == ""


@needs_verilator
@pytest.mark.parametrize("text", ["exact:width=1x3", "tm:k=2,width=5x4", "exact:width=11"])
def test_lint_is_silent_on_benches(text: str, tmp_path: Path) -> None:
    design, bench, *_ = export(MultiplierSpec.parse(text), tmp_path)
    assert lint(design, bench, options=("--timing", "--top-module", bench.stem)) == ""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_text_reads_back_as_the_same_multiplier(family: str) -> None:
    spec = (
        example(family, width=6, signed=True)
        if FAMILIES[family].fits(Widths(6, 6))
        else example(family)
    )
    name, text = spec.identifier, multiplier.verilog(spec)
    commands = ["read_verilog in.v", "proc", "write_rtlil out.il"]
    back = yosys.run(commands, inputs={"in.v": text}, outputs=["out.il"])["out.il"]
    np.testing.assert_array_equal(
        gate_netlist.gates(back, top=name).evaluate_all(),
        gate_netlist.gates(rtlil(spec)).evaluate_all(),
    )


def test_the_header_says_what_it_is_and_the_ports_come_in_order() -> None:
    text = multiplier.verilog(MultiplierSpec.parse("exact:signed=1"))
    assert re.match(r"// mul8s_exact: 8 x 8 bit signed multiplier exact:signed=1\n", text)
    assert "two's complement" in text
    assert re.search(r"^module mul8s_exact\(a, b, p\);$", text, re.MULTILINE)
    assert text.isascii()
    assert "gcc" not in text
    assert text == multiplier.verilog(MultiplierSpec.parse("exact:signed=1"))


def test_the_header_names_both_widths() -> None:
    text = multiplier.verilog(MultiplierSpec.parse("exact:width=8x5"))
    assert re.match(r"// mul8x5u_exact: 8 x 5 bit unsigned multiplier exact:width=8x5\n", text)
    assert re.findall(r"^  (?:input|output) \[(\d+):0\] (\w);$", text, re.MULTILINE) == [
        ("7", "a"),
        ("4", "b"),
        ("12", "p"),
    ]


@settings(deadline=None)
@given(st.lists(specs(), min_size=2, max_size=8))
def test_identifiers_are_valid_and_tell_specs_apart(drawn: list[MultiplierSpec]) -> None:
    for spec in drawn:
        assert re.fullmatch(r"mul\d+(x\d+)?[su]_\w{1,80}", spec.identifier, re.ASCII)
    for one, other in pairwise(drawn):
        assert (one == other) == (one.identifier == other.identifier)


def test_identifiers_of_long_and_awkward_parameters() -> None:
    long = [MultiplierSpec.make("mask", width=16, bits=f"{end:x}" + "f" * 62) for end in (1, 2)]
    assert len({spec.identifier for spec in long}) == 2
    assert all(len(spec.identifier) <= 80 for spec in long)
    nested = MultiplierSpec.parse("recursive:ll=drum[k=3],lh=bam[h=1,v=2]")
    assert re.fullmatch(
        r"mul8u_recursive_lhbam_h_1_v_2__lldrum_k_3__[0-9a-f]{10}", nested.identifier
    )
    assert MultiplierSpec.parse("etm:offset=-1").identifier == "mul8u_etm_offset_minus1"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ExportError,
        match=r"file/mul4u_exact: cannot write Verilog there \(Not a directory\); choose another "
        "folder$",
    ):
        export(MultiplierSpec.make("exact", width=4), tmp_path / "file")
