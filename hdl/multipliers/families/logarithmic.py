"""Multipliers that add logarithms: log2(2^k (1 + x)) is taken as k + x, by reading the bits below
the leading one as the fraction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Const, Module, Value

from ...circuits.adders import ripple_add, wire
from ...circuits.significand import Scaled, gated, level_sum, product_of, scaled
from ...operands import Widths
from .family import Configured, Family, IntArray, Parameter, SignedForm

__all__ = ["DRALM", "MBM", "MITCHELL", "MITCHW", "leading_one_position"]


def leading_one_position(value: IntArray) -> IntArray:
    """Position of the highest set bit of integers from 0 to 2^53; 0 for 0."""
    return np.where(value > 0, np.frexp(value.astype(np.float64))[1] - 1, 0).astype(np.int64)


def _mitchell_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    power_a, power_b = 1 << leading_one_position(a), 1 << leading_one_position(b)
    rests = (a - power_a) * power_b + (b - power_b) * power_a
    product = np.where(rests < power_a * power_b, power_a * power_b + rests, 2 * rests)
    return np.where((a > 0) & (b > 0), product, 0)


def _added_fractions(
    m: Module, a: Scaled, b: Scaled, digits: int, carry: Value | None = None
) -> tuple[list[Value], Value]:
    """Sum of the fractions cut to `digits` bits, plus `carry` in the last digit: the bits after the
    point and the one before it.
    """
    *total, carry_out = ripple_add(
        m, [*zip(a.top(digits), b.top(digits), strict=True), ()], "fraction", carry
    )
    return total, carry_out


def _antilogarithm(
    m: Module, widths: Widths, fraction: Sequence[Value], carry: Value, a: Scaled, b: Scaled
) -> Value:
    """2^k (1 + x) of a sum of logarithms whose fractions have been added; 0 where an operand is
    0.
    """
    nonzero = wire(m, a.nonzero & b.nonzero, "nonzero")
    return product_of(
        m,
        widths,
        [*gated(m, fraction, nonzero, "mantissa"), nonzero],
        len(fraction),
        level_sum(m, a, b, "level", carry),
    )


def _cut_circuit(m: Module, spec: Configured, a: Value, b: Value, digits: int) -> Value:
    scaled_a, scaled_b = scaled(m, a, "a"), scaled(m, b, "b")
    return _antilogarithm(
        m, spec.widths, *_added_fractions(m, scaled_a, scaled_b, digits), scaled_a, scaled_b
    )


MITCHELL = Family(
    name="mitchell",
    title="Mitchell's logarithmic multiplier",
    source="Mitchell, IRE Trans. Electronic Computers 1962, doi 10.1109/TEC.1962.5219391",
    parameters=(),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_mitchell_rule,
    circuit=lambda m, spec, a, b: _cut_circuit(m, spec, a, b, max(spec.widths) - 1),
    symmetric=True,
)


def _cut(value: IntArray, kept: int) -> IntArray:
    """Numbers with all but the `kept` bits from their leading one on set to 0."""
    dropped = np.maximum(leading_one_position(value) + 1 - kept, 0)
    return value >> dropped << dropped


MITCHW = Family(
    name="mitchw",
    title="Mitchell's multiplier with fractions of f bits",
    source="Kim et al., IEEE Trans. Computers 2019, doi 10.1109/TC.2018.2880742",
    parameters=(
        Parameter("f", "bits of the fractions", bounds=lambda widths: (0, max(widths) - 2)),
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=lambda spec, a, b: _mitchell_rule(
        spec, _cut(a, spec.integer("f") + 1), _cut(b, spec.integer("f") + 1)
    ),
    circuit=lambda m, spec, a, b: _cut_circuit(m, spec, a, b, spec.integer("f")),
    symmetric=True,
)


def _dralm_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    unit = 1 << spec.integer("t") - 1
    level_a, level_b = leading_one_position(a), leading_one_position(b)
    fraction_a = a * unit // (1 << level_a) % unit | 1
    fraction_b = b * unit // (1 << level_b) % unit | 1
    total = fraction_a + fraction_b + 1
    mantissa = np.where(total < unit, unit + total, 2 * total)
    return np.where((a > 0) & (b > 0), mantissa * (1 << level_a + level_b) // unit, 0)


def _dralm_circuit(m: Module, spec: Configured, a: Value, b: Value) -> Value:
    scaled_a, scaled_b = scaled(m, a, "a"), scaled(m, b, "b")
    # Two forced ones and the carry into their place make 3: a one stays there, and a carry enters
    # the place above.
    fraction, carry = _added_fractions(m, scaled_a, scaled_b, spec.integer("t") - 2, Const(1, 1))
    return _antilogarithm(m, spec.widths, [Const(1, 1), *fraction], carry, scaled_a, scaled_b)


# From t = 3 on, even the product of -2^(n-1) with itself, 1 + 3 * 2^(1-t) times too large, fits the
# signed output.
DRALM = Family(
    name="dralm",
    title=(
        "Dynamic-range logarithmic multiplier: Mitchell's on t bits from the leading one, the "
        "last of them set"
    ),
    source="Yin et al., IEEE Trans. Sustainable Computing 6(4), 2021, pages 612-625",
    parameters=(
        Parameter("t", "bits kept of each operand", bounds=lambda widths: (3, max(widths))),
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_dralm_rule,
    circuit=_dralm_circuit,
    symmetric=True,
)


_CORRECTIONS = {
    "1/12": (1, 12),
    "1/32": (1, 32),
    "1/16": (1, 16),
    "5/64": (5, 64),
    "3/32": (3, 32),
    "1/8": (1, 8),
    "3/16": (3, 16),
    "1/4": (1, 4),
}


def _mbm_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    share, of = _CORRECTIONS[spec.choice("c")]
    level_a, level_b = leading_one_position(a), leading_one_position(b)
    unit = 1 << max(spec.widths) - 1 - spec.integer("k")
    total = (a * unit >> level_a) % unit + (b * unit >> level_b) % unit
    mantissa = np.where(total < unit, unit + total, 2 * total)
    product = (mantissa * of + share * unit << level_a + level_b) // (of * unit)
    return np.where((a > 0) & (b > 0), np.minimum(product, (1 << spec.widths.product) - 1), 0)


def _mbm_circuit(m: Module, spec: Configured, a: Value, b: Value) -> Value:
    digits = max(spec.widths) - 1 - spec.integer("k")
    share, of = _CORRECTIONS[spec.choice("c")]
    places = spec.widths.product - 1
    scaled_a, scaled_b = scaled(m, a, "a"), scaled(m, b, "b")
    fraction, carry = _added_fractions(m, scaled_a, scaled_b, digits)
    level = level_sum(m, scaled_a, scaled_b, "level", carry)
    nonzero = wire(m, scaled_a.nonzero & scaled_b.nonzero, "nonzero")

    # A carry doubles the unit, so that the correction moves down by one place: bit p is one of two
    # neighbouring bits of the constant.
    constant = (share << places) // of
    correction = [_either(carry, constant >> p + 1 & 1, constant >> p & 1) for p in range(places)]
    tail, head = correction[: places - digits], correction[places - digits :]
    mantissa = ripple_add(m, [*zip(fraction, head, strict=True), (Const(1, 1),), ()], "corrected")
    highest = (1 << len(scaled_a.level)) + (1 << len(scaled_b.level)) - 1
    at_the_top = Cat(bit for place, bit in enumerate(level) if highest >> place & 1).all()
    overflow = wire(m, mantissa[-1] & at_the_top, "overflow")
    product = product_of(
        m, spec.widths, gated(m, [*tail, *mantissa], nonzero, "mantissa"), places, level
    )
    return Cat(bit | overflow for bit in product)


def _either(condition: Value, when_true: int, when_false: int) -> Value:
    """A bit that is one of two constants."""
    if when_true == when_false:
        return Const(when_true, 1)
    return condition if when_true else ~condition


MBM = Family(
    name="mbm",
    title=(
        "Minimally biased multiplier: Mitchell's plus the constant share c of the power of two, "
        "k bits of the fractions cut"
    ),
    source=(
        "Saadat et al., IEEE TCAD 2018, doi 10.1109/TCAD.2018.2857262; products beyond the "
        "output's range saturate"
    ),
    parameters=(
        Parameter("c", "share of 2^(k1+k2) added", "1/12", choices=tuple(_CORRECTIONS)),
        Parameter(
            "k", "bits cut from the fractions", 0, bounds=lambda widths: (0, max(widths) - 2)
        ),
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_mbm_rule,
    circuit=_mbm_circuit,
    symmetric=True,
)
