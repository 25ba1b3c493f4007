"""A multiplier as an Amaranth component, and its RTLIL text."""

from __future__ import annotations

import re

import numpy as np
from amaranth.back import rtlil as amaranth_rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike, NDArray

from .families import FAMILIES
from .spec import MultiplierSpec

__all__ = ["Multiplier", "product", "rtlil"]


class Multiplier(wiring.Component):
    """Combinational multiplier with ports `a` and `b` (width bits) and `p` (2 * width bits); two's complement codes when signed."""

    def __init__(self, spec: MultiplierSpec) -> None:
        self.spec = spec
        super().__init__({"a": In(spec.width), "b": In(spec.width), "p": Out(2 * spec.width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.p.eq(FAMILIES[self.spec.family].build(m, self.spec, self.a, self.b))
        return m


def rtlil(spec: MultiplierSpec, name: str = "multiplier") -> str:
    """RTLIL text of one flat module `name` with the ports a, b, p in this order. The same spec always gives the same text."""
    text = amaranth_rtlil.convert(Multiplier(spec), name=name, emit_src=False)
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("# Generated", "attribute \\generator")))
    positions = {"a": 1, "b": 2, "p": 3}
    return re.sub(
        r"^(  wire width \d+ (?:input|output)) \d+  ?\\([abp])$",
        lambda port: f"{port[1]} {positions[port[2]]} \\{port[2]}",
        text,
        flags=re.M,
    )


def product(spec: MultiplierSpec, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
    """Product values of operand values by the family's arithmetic rule, independent of the circuit; the arrays broadcast."""
    a, b = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    return FAMILIES[spec.family].product(spec, a, b)
