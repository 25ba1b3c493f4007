"""Multipliers that multiply a short segment of each operand and shift the product back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value

from ..adders import ripple_add, wire
from ..columns import TREES, Columns, add_partial_products
from ..shifters import shifted_left
from .family import Family, IntArray, Parameter, SignedForm

if TYPE_CHECKING:
    from ..spec import MultiplierSpec

__all__ = ["DRUM", "LODTRUNC"]

_TREE = Parameter("tree", "addition of the partial products", "dadda", choices=tuple(TREES))


def _bit_length(value: IntArray) -> IntArray:
    return np.frexp(value.astype(np.float64))[1].astype(np.int64)


def _leading_segment(m: Module, value: Value, size: int, name: str) -> tuple[Value, Value]:
    """The `size` bits from the leading one down, and the bits below them as a binary number; the lowest bits if the one is among them.

    The value goes up by halving distances as long as its leading one stays inside; each row is as wide as the later rows can see.
    """
    steps = (len(value) - size).bit_length()
    top = size + (1 << steps) - 1
    digits: list[Value] = []
    for step in reversed(range(steps)):
        distance = 1 << step
        window = size + distance - 1
        occupied = wire(m, value[top - distance :].any(), f"{name}_level{step}")
        row = Signal(window, name=f"{name}_window{step}")
        m.d.comb += row.eq(Mux(occupied, value[distance:], value))
        value, top = row, window
        digits.insert(0, occupied)
    level = Signal(steps, name=f"{name}_level")
    m.d.comb += level.eq(Cat(digits))
    return value, level


def _shifted_product(m: Module, spec: MultiplierSpec, a: Value, b: Value, level_a: Value, level_b: Value) -> Value:
    """a * b * 2^(level_a + level_b)."""
    columns = Columns(m, 2 * len(a))
    add_partial_products(columns, a, b, signed=False)
    core = columns.sum(spec.choice("tree"), name="core")
    pairs = [[bit_a, bit_b] for bit_a, bit_b in zip(level_a, level_b, strict=True)]
    distance = Cat(ripple_add(m, [*pairs, []], "distance"))
    return shifted_left(m, core, distance, 2 * spec.width, "product")


def _leading_rule(spec: MultiplierSpec, a: IntArray, b: IntArray, *, unbiased: bool) -> IntArray:
    factors = []
    for operand in (a, b):
        dropped = np.maximum(_bit_length(operand) - spec.integer("k"), 0)
        lowest_kept = 1 << dropped
        kept = operand - operand % lowest_kept
        factors.append(np.where((dropped > 0) & unbiased, kept | lowest_kept, kept))
    return factors[0] * factors[1]


def _leading_circuit(m: Module, spec: MultiplierSpec, a: Value, b: Value, *, unbiased: bool) -> Value:
    size = spec.integer("k")
    segments: list[Value] = []
    levels: list[Value] = []
    for operand, name in ((a, "a"), (b, "b")):
        segment, level = _leading_segment(m, operand, size, name)
        if unbiased:
            lowest = wire(m, operand[0] | operand[size:].any(), f"{name}_lowest")
            segment = Cat(lowest, segment[1:])
        segments.append(segment)
        levels.append(level)
    return _shifted_product(m, spec, segments[0], segments[1], levels[0], levels[1])


DRUM = Family(
    name="drum",
    title="Dynamic range unbiased multiplier: k bits from the leading one, the lowest of them set",
    source="Hashemi, Bahar, Reda, ICCAD 2015, doi 10.1109/ICCAD.2015.7372600",
    parameters=(Parameter("k", "operand bits kept", bounds=lambda width: (2, width - 1)), _TREE),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=lambda spec, a, b: _leading_rule(spec, a, b, unbiased=True),
    circuit=lambda m, spec, a, b: _leading_circuit(m, spec, a, b, unbiased=True),
    symmetric=True,
)


LODTRUNC = Family(
    name="lodtrunc",
    title="Leading-one truncation: k bits from the leading one, zeros below",
    source="DSM of Narayanamoorthy et al., IEEE TVLSI 2015, doi 10.1109/TVLSI.2014.2333366",
    parameters=(Parameter("k", "operand bits kept", bounds=lambda width: (1, width - 1)), _TREE),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=lambda spec, a, b: _leading_rule(spec, a, b, unbiased=False),
    circuit=lambda m, spec, a, b: _leading_circuit(m, spec, a, b, unbiased=False),
    symmetric=True,
)
