"""Proofs of equivalence: of mapped netlists, and of nets that were swapped in them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from family_checks import example

from hdl import yosys
from hdl.cells.library import CellLibrary
from hdl.cost.equivalence import Counterexample, EquivalenceError, counterexample
from hdl.cost.mapped_netlist import MappedNetlist
from hdl.cost.synthesis import map_design
from hdl.multipliers.elaboration import rtlil
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import Width
from hdl.yosys.gate_netlist import gates


def mapped(spec: MultiplierSpec) -> MappedNetlist:
    return map_design(spec, CellLibrary.load()).netlist


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("signed", [False, True])
def test_mapped_netlists_are_proven_equal(family: str, signed: bool) -> None:
    spec = example(family, signed=signed)
    assert counterexample(rtlil(spec), mapped(spec)) is None


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_rectangles_are_proven_equal(family: str) -> None:
    spec = example(family, width=(7, 4))
    assert counterexample(rtlil(spec), mapped(spec)) is None


@pytest.mark.parametrize("width", [5, (6, 3)])
def test_a_swapped_net_is_found(width: Width) -> None:
    spec = MultiplierSpec.make("exact", width=width)
    good = mapped(spec)
    p = list(good.outputs["p"])
    p[3], p[4] = p[4], p[3]
    found = counterexample(rtlil(spec), replace(good, outputs={"p": tuple(p)}))
    assert found is not None
    assert found.expected == found.a * found.b == int(gates(rtlil(spec)).evaluate(found.a, found.b))
    swapped = (
        found.expected & ~0b11000 | (found.expected >> 3 & 1) << 4 | (found.expected >> 4 & 1) << 3
    )
    assert found.found == swapped != found.expected
    assert str(Counterexample(3, 5, 15, 23)) == "operand codes 3 and 5 give 23, not 15"


def test_other_ports_and_slow_proofs_are_errors() -> None:
    spec = MultiplierSpec.make("exact", width=5)
    with pytest.raises(
        EquivalenceError,
        match=(
            r"^multiplier: the netlist has the ports .*; compare netlists with the ports of the "
            r"RTL$"
        ),
    ):
        counterexample(rtlil(MultiplierSpec.make("exact", width=4)), mapped(spec))
    with pytest.raises(
        yosys.YosysError, match=r"^proof of x: ABC took longer than the limit of 0 s"
    ):
        counterexample(rtlil(spec), mapped(spec), subject="x", time_limit_s=0)
