"""Sign logic: every pair of signs and magnitudes against numpy, and what it costs beside the bare
multiplier.
"""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.cells.library import CellLibrary
from hdl.cost.synthesis import map_design
from hdl.multipliers.elaboration import component_rtlil, product
from hdl.multipliers.sign_logic import SignLogic
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import values_of_codes
from hdl.yosys.gate_netlist import gates


class Extended(wiring.Component):
    """With a product as wide as both operands together, which is what can be enumerated."""

    def __init__(self, spec: MultiplierSpec) -> None:
        self.inner = SignLogic(spec)
        super().__init__(
            {
                "a": In(spec.width_a + 1),
                "b": In(spec.width_b + 1),
                "p": Out(spec.widths.product + 2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = self.inner
        m.d.comb += [
            self.inner.a.eq(self.a),
            self.inner.b.eq(self.b),
            self.p.eq(self.inner.p.as_signed()),
        ]
        return m


@pytest.mark.parametrize(
    "text",
    [
        "exact:width=4",
        "exact:kind=booth,width=5",
        "bam:h=1,v=3,comp=4,width=5x3,swap=1",
        "mitchell:width=7x4",
        "drum:k=3",
    ],
)
def test_every_sign_and_magnitude(text: str) -> None:
    spec = MultiplierSpec.parse(text)
    circuit = gates(component_rtlil(Extended(spec), "multiplier"), subject=text)
    codes = [np.arange(2 << width) for width in spec.widths]
    (a, sign_a), (b, sign_b) = (
        (code % (1 << w), np.where(code >> w, -1, 1))
        for code, w in zip(codes, spec.widths, strict=True)
    )
    expected = sign_a[:, None] * sign_b * product(spec, a[:, None], b)
    np.testing.assert_array_equal(
        values_of_codes(circuit.evaluate_all(), spec.widths.product + 2, signed=True), expected
    )


def test_signs_cost_area_and_delay() -> None:
    spec, library = MultiplierSpec.parse("drum:k=3"), CellLibrary.load()
    bare = map_design(spec, library)
    with_signs = map_design(component_rtlil(SignLogic(spec), "multiplier"), library)
    assert with_signs.netlist.area_um2 > bare.netlist.area_um2
    assert with_signs.timing.delay_ps > bare.timing.delay_ps
