"""An unsigned multiplier with the logic that gives its product a sign, so that it does what a
signed one does.
"""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..circuits.signs import with_sign
from .elaboration import add_multiplier, component_rtlil, with_multiplier
from .multiplier import Multiplier

__all__ = ["SignLogic", "sign_logic_rtlil"]


def sign_logic_rtlil(multiplier: Multiplier) -> str:
    """RTLIL text of `SignLogic` as the module `multiplier`."""
    return with_multiplier(component_rtlil(SignLogic(multiplier), "multiplier"), multiplier)


class SignLogic(wiring.Component):
    """An unsigned multiplier and a conditional negation: sign and magnitude in, two's complement
    out. Combinational.

    Ports `a` and `b` have a bit more than the multiplier's, a magnitude with its sign as the
    highest bit, and so has `p`.
    """

    def __init__(self, multiplier: Multiplier) -> None:
        assert not multiplier.signed, f"{multiplier} multiplies two's complement operands"
        self.multiplier = multiplier
        super().__init__(
            {
                "a": In(multiplier.width_a + 1),
                "b": In(multiplier.width_b + 1),
                "p": Out(multiplier.width_p + 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        multiplier = add_multiplier(m, self.multiplier)
        m.d.comb += [multiplier.a.eq(self.a[:-1]), multiplier.b.eq(self.b[:-1])]
        product = Signal(self.multiplier.width_p + 1)
        m.d.comb += [
            product.eq(multiplier.p),
            self.p.eq(with_sign(m, product, self.a[-1] ^ self.b[-1])),
        ]
        return m
