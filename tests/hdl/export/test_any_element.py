"""Exported elements of every form, run by Icarus Verilog on their own test benches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from simulators import needs_icarus, simulate

from hdl.elements.element import Element
from hdl.export.any_element import export_element
from hdl.multipliers.imported import ImportedDesign
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding


@needs_icarus
@pytest.mark.parametrize(
    ("form", "text", "encoding", "sums"),
    [
        ("mac:gate=zero", "drum:k=3,width=4", OperandEncoding.SIGN_MAGNITUDE, 4096 - 2),
        ("dot:lanes=4,gate=zero,pipeline=1", "exact:width=5x4,signed=1", None, 1024 - 3),
        ("dot:lanes=8,adder=carry_save", "exact:width=3x2", None, 512 - 2),
        (
            "dot:lanes=4,adder=prefix,stationary=weight",
            "udm:width=4",
            OperandEncoding.UNSIGNED,
            1024 - 2,
        ),
        ("dot:lanes=12,gate=zero,stationary=weight", "mitchell:width=4", None, 512 - 2),
    ],
)
def test_icarus_agrees(
    form: str, text: str, encoding: OperandEncoding | None, sums: int, tmp_path: Path
) -> None:
    element = Element.make(form, MultiplierSpec.parse(text), encoding, terms=300)
    design, bench, _, *others = export_element(element, tmp_path)
    parts = [path for path in others if path.suffix == ".v"]
    assert simulate(tmp_path, design, *parts, bench) == f"PASS {sums} sums\n"
    names = [path.stem for path in (design, *parts)]
    assert names == [
        element.identifier,
        *([] if element.merged else [element.multiplier.identifier]),
    ]
    for name, path in zip(names, (design, *parts), strict=True):
        assert re.findall(r"^module (\w+)\(", path.read_text(), re.MULTILINE) == [name]


@needs_icarus
def test_icarus_agrees_on_ones_own_multiplier_and_tells_a_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "own.v").write_text(
        "module m(input [4:0] x, input [2:0] y, output [7:0] z); assign z = x * y & 254; endmodule"
    )
    own = ImportedDesign.read(f"{tmp_path}/own.v:m", signed=False)
    design, bench, _, part, *_ = export_element(
        Element.make("dot:lanes=3,gate=zero", own), tmp_path
    )
    assert simulate(tmp_path, design, part, bench) == "PASS 1363 sums\n"
    right = design.read_text()
    wrong = re.sub(r"(?<!next_)live\[1\]", "live[0]", right)
    assert wrong != right
    design.write_text(wrong)
    assert simulate(tmp_path, design, part, bench, status=1).startswith("FAIL ")
