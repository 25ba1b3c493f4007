"""An unsigned multiplier with the logic that gives its product a sign, so that it does what a signed one does."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..circuits.signs import with_sign
from .elaboration import Multiplier
from .spec import MultiplierSpec

__all__ = ["SignLogic"]


class SignLogic(wiring.Component):
    """An unsigned multiplier and a conditional negation: sign and magnitude in, two's complement out. Combinational.

    Ports `a` and `b` have a bit more than the multiplier's, a magnitude with its sign as the highest bit, and so has `p`.
    """

    def __init__(self, spec: MultiplierSpec) -> None:
        assert not spec.signed, f"{spec} multiplies two's complement operands"
        self.spec = spec
        super().__init__({"a": In(spec.width_a + 1), "b": In(spec.width_b + 1), "p": Out(spec.widths.product + 1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = Multiplier(self.spec)
        m.d.comb += [multiplier.a.eq(self.a[:-1]), multiplier.b.eq(self.b[:-1])]
        product = Signal(self.spec.widths.product + 1)
        m.d.comb += [product.eq(multiplier.p), self.p.eq(with_sign(m, product, self.a[-1] ^ self.b[-1]))]
        return m
