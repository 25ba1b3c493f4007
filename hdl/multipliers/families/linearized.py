"""Multipliers that replace (1 + x)(1 + y) by sums: of x and y alone, of a small product, or of a
fitted line and constants.
"""

from __future__ import annotations

import functools

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from ...circuits.adders import constant_of, ripple_add, wire
from ...circuits.columns import Columns
from ...circuits.leading_one import leading_one
from ...circuits.significand import gated, level_sum, product_of, scaled
from ...operands import Widths
from .family import Configured, Family, IntArray, Parameter, SignedForm, Values
from .logarithmic import leading_one_position

__all__ = ["ILM", "ROBA", "SCALETRIM", "TOSAM"]


def _tosam_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    h, t = spec.integer("h"), spec.integer("t")
    level_a, level_b = leading_one_position(a), leading_one_position(b)
    point = max(t, 2 * h + 2)

    def fraction(value: IntArray, level: IntArray, digits: int) -> IntArray:
        return (value << digits >> level) - (1 << digits)

    factors = (2 * fraction(a, level_a, h) + 1) * (2 * fraction(b, level_b, h) + 1)
    sums = (1 << t) + fraction(a, level_a, t) + fraction(b, level_b, t)
    mantissa = (sums << point - t) + (factors << point - 2 * h - 2)
    return np.where((a > 0) & (b > 0), mantissa << level_a + level_b >> point, 0)


def _tosam_circuit(m: Module, spec: Configured, a: Value, b: Value) -> Value:
    h, t = spec.integer("h"), spec.integer("t")
    scaled_a, scaled_b = scaled(m, a, "a"), scaled(m, b, "b")
    point = max(t, 2 * h + 2)
    columns = Columns(m, point + 2)
    columns.add_constant(1 << point)
    for operand in (scaled_a, scaled_b):
        for digit, bit in enumerate(operand.top(t)):
            columns.add(point - t + digit, bit)
    for row, bit_b in enumerate([Const(1, 1), *scaled_b.top(h)]):
        for column, bit_a in enumerate([Const(1, 1), *scaled_a.top(h)]):
            columns.add(
                point - 2 * h - 2 + row + column, _and(m, bit_a, bit_b, f"product_{row}_{column}")
            )
    nonzero = wire(m, scaled_a.nonzero & scaled_b.nonzero, "nonzero")
    mantissa = gated(m, columns.sum("dadda", "sum"), nonzero, "mantissa")
    return product_of(m, spec.widths, mantissa, point, level_sum(m, scaled_a, scaled_b, "level"))


def _and(m: Module, x: Value, y: Value, name: str) -> Value:
    """Product of two bits, either of which may be a constant."""
    constants = (constant_of(x), constant_of(y))
    if 0 in constants:
        return Const(0, 1)
    if constants[0] == 1:
        return y
    return x if constants[1] == 1 else wire(m, x & y, name)


def _tosam_coupled(widths: Widths, values: Values) -> Values:
    return {**values, "h": min(int(values["h"]), int(values["t"]))}


TOSAM = Family(
    name="tosam",
    title=(
        "Truncation- and rounding-based multiplier: fractions of t bits added, fractions of h "
        "bits multiplied"
    ),
    source="Vahdat et al., IEEE TVLSI 2019, doi 10.1109/TVLSI.2018.2890712",
    parameters=(
        Parameter(
            "h",
            "bits of the fractions that are multiplied, each with a 1 appended",
            bounds=lambda widths: (0, max(widths) // 2 - 1),
        ),
        Parameter(
            "t", "bits of the fractions that are added", bounds=lambda widths: (1, max(widths) - 1)
        ),
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_tosam_rule,
    circuit=_tosam_circuit,
    symmetric=True,
    coupled=_tosam_coupled,
)


def _ilm_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    # The error of the first 1 + n steps is the product of what is left of the operands without
    # their 1 + n leading ones.
    left_a, left_b = a, b
    for _ in range(1 + spec.integer("n")):
        left_a = left_a - np.where(left_a > 0, 1 << leading_one_position(left_a), 0)
        left_b = left_b - np.where(left_b > 0, 1 << leading_one_position(left_b), 0)
    return a * b - left_a * left_b


def _ilm_circuit(m: Module, spec: Configured, a: Value, b: Value) -> Value:
    steps = 1 + spec.integer("n")
    columns = Columns(m, spec.widths.product)
    for step in range(steps):
        block = _basic_block(m, a, b, f"step{step}")
        if steps == 1:
            return block
        for weight, bit in enumerate(block):
            columns.add(weight, bit)
        a, b = (
            _without_leading_one(m, a, f"step{step}_rest_a"),
            _without_leading_one(m, b, f"step{step}_rest_b"),
        )
    return columns.sum()


def _basic_block(m: Module, a: Value, b: Value, name: str) -> Value:
    """2^(k1+k2) (1 + x + y), or 0 where an operand is 0."""
    widths = Widths(len(a), len(b))
    point = max(widths) - 1
    scaled_a, scaled_b = scaled(m, a, f"{name}_a"), scaled(m, b, f"{name}_b")
    *sums, carry = ripple_add(
        m, [*zip(scaled_a.top(point), scaled_b.top(point), strict=True), ()], f"{name}_fraction"
    )
    nonzero = wire(m, scaled_a.nonzero & scaled_b.nonzero, f"{name}_nonzero")
    mantissa = gated(m, [*sums, ~carry, carry], nonzero, f"{name}_mantissa")
    return product_of(
        m,
        widths,
        mantissa,
        point,
        level_sum(m, scaled_a, scaled_b, f"{name}_level"),
        f"{name}_product",
    )


def _without_leading_one(m: Module, value: Value, name: str) -> Value:
    rest = Signal(len(value), name=name)
    m.d.comb += rest.eq(value & ~leading_one(m, value, f"{name}_one"))
    return rest


ILM = Family(
    name="ilm",
    title="Iterative logarithmic multiplier with n corrections",
    source=(
        "Babic, Avramovic and Bulic, Microprocessors and Microsystems 2011, doi "
        "10.1016/j.micpro.2010.07.001"
    ),
    parameters=(Parameter("n", "corrections", bounds=lambda widths: (0, 3)),),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_ilm_rule,
    circuit=_ilm_circuit,
    symmetric=True,
)


def _nearest_power(value: IntArray) -> IntArray:
    """The power of two nearest to each integer: 3 * 2^(p-1) goes up to 2^(p+1), but 3 down to 2; 0
    for 0.
    """
    power = 1 << leading_one_position(value)
    return np.where(
        value == 0, 0, np.where((2 * value >= 3 * power) & (value != 3), 2 * power, power)
    )


def _roba_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    power_a, power_b = _nearest_power(a), _nearest_power(b)
    product: IntArray = power_a * b + power_b * a - power_a * power_b
    return product


def _roba_circuit(m: Module, spec: Configured, a: Value, b: Value) -> Value:
    # With a = 2^k1 (1 + x) and b = 2^k2 (1 + y), rounded to Ar = 2^(k1+u) and Br = 2^(k2+v), the
    # product is 2^(k1+k2) (1 + 2^v x + 2^u y), less 2^(k1+k2) where both are rounded up.
    point = max(spec.widths) - 1
    scaled_a, scaled_b = scaled(m, a, "a"), scaled(m, b, "b")
    up_a = wire(m, scaled_a.fraction[-1] & a[2:].any(), "a_up")
    up_b = wire(m, scaled_b.fraction[-1] & b[2:].any(), "b_up")
    columns = Columns(m, point + 2)
    columns.add(point, wire(m, ~(up_a & up_b), "not_both_up"))
    for operand, doubled, name in ((scaled_a, up_b, "a"), (scaled_b, up_a, "b")):
        fraction = Cat(*operand.top(point))
        term = Signal(point + 1, name=f"{name}_term")
        m.d.comb += term.eq(Mux(doubled, fraction << 1, fraction))
        for digit, bit in enumerate(term):
            columns.add(digit, bit, arrival=1)
    nonzero = wire(m, scaled_a.nonzero & scaled_b.nonzero, "nonzero")
    mantissa = gated(m, columns.sum("dadda", "sum"), nonzero, "mantissa")
    return product_of(m, spec.widths, mantissa, point, level_sum(m, scaled_a, scaled_b, "level"))


ROBA = Family(
    name="roba",
    title="Rounding-based multiplier: ArB + BrA - ArBr with the nearest powers of two",
    source="Zendegani et al., IEEE TVLSI 2017, doi 10.1109/TVLSI.2016.2587696",
    parameters=(),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_roba_rule,
    circuit=_roba_circuit,
    symmetric=True,
)


@functools.cache
def _fit(widths: Widths, h: int, segments: int) -> tuple[int, tuple[int, ...]]:
    """The exponent e of (1 + x)(1 + y) = 1 + (1 + 2^-e) s + constant, and the constants of equal
    segments of s in units of 2^-(h+e).

    s is the sum of the fractions cut to h bits. Least squares over all cut fractions, with the mean
    of the dropped bits added; the line's slope goes to the nearest power of two, and each constant
    is the mean of what the line misses (0 where no sums are).
    """
    bits = [min(h, width - 1) for width in widths]
    x, y = (np.arange(1 << count) / (1 << count) for count in bits)
    dropped_x, dropped_y = (
        (2.0**-count - 2.0 ** (1 - width)) / 2 for count, width in zip(bits, widths, strict=True)
    )
    s = x[:, None] + y
    wanted = (1 + x[:, None] + dropped_x) * (1 + y + dropped_y) - 1
    slope = (wanted * s).sum() / (s * s).sum() - 1
    exponent = min(range(4), key=lambda e: abs(float(slope) - 2.0**-e))
    missed = (wanted - s - s / 2**exponent) * 2 ** (h + exponent)
    segment = (s * segments / 2).astype(np.int64)
    members = (missed[segment == index] for index in range(segments))
    return exponent, tuple(round(float(values.mean())) if values.size else 0 for values in members)


def _scaletrim_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    h, segments = spec.integer("h"), int(spec.choice("m"))
    exponent, constants = _fit(spec.widths, h, segments)
    level_a, level_b = leading_one_position(a), leading_one_position(b)
    sums = (a << h >> level_a) + (b << h >> level_b) - (2 << h)
    mantissa = (1 << h + exponent) + (sums << exponent) + sums
    if segments:
        mantissa = mantissa + np.array(constants)[np.clip(sums * segments >> h + 1, 0, None)]
    return np.where((a > 0) & (b > 0), mantissa << level_a + level_b >> h + exponent, 0)


def _scaletrim_circuit(m: Module, spec: Configured, a: Value, b: Value) -> Value:
    h, segments = spec.integer("h"), int(spec.choice("m"))
    exponent, constants = _fit(spec.widths, h, segments)
    point = h + exponent
    scaled_a, scaled_b = scaled(m, a, "a"), scaled(m, b, "b")
    sums = ripple_add(m, [*zip(scaled_a.top(h), scaled_b.top(h), strict=True), ()], "sum")
    columns = Columns(m, point + 2)
    columns.add_constant((1 << point) + min(constants, default=0))
    for digit, bit in enumerate(sums):
        columns.add(digit, bit)
        columns.add(digit + exponent, bit)
    if segments:
        above = [constant - min(constants) for constant in constants]
        segment = Cat(*sums)[h + 1 - (segments.bit_length() - 1) :]
        for weight in range(max(above).bit_length()):
            chosen = [constant >> weight & 1 for constant in above]
            table = Const(sum(bit << index for index, bit in enumerate(chosen)), segments)
            one = (
                Const(1, 1)
                if all(chosen)
                else wire(m, table.bit_select(segment, 1), f"constant{weight}")
            )
            columns.add(weight, one, arrival=1)
    nonzero = wire(m, scaled_a.nonzero & scaled_b.nonzero, "nonzero")
    mantissa = gated(m, columns.sum("dadda", "mantissa_sum"), nonzero, "mantissa")
    return product_of(m, spec.widths, mantissa, point, level_sum(m, scaled_a, scaled_b, "level"))


def _scaletrim_coupled(widths: Widths, values: Values) -> Values:
    return {**values, "m": str(min(int(values["m"]), 1 << int(values["h"])))}


SCALETRIM = Family(
    name="scaletrim",
    title=(
        "scaleTRIM: a fitted line through the fractions of h bits and a constant for each of m "
        "segments"
    ),
    source=(
        "Farahmand et al., arXiv 2303.02495; the line and the constants are least-squares fits "
        "of this project"
    ),
    parameters=(
        Parameter("h", "bits of the fractions", bounds=lambda widths: (1, max(widths) - 2)),
        Parameter(
            "m",
            "segments of the sum of the fractions, each with a constant; 0 for none",
            "4",
            choices=("0", "2", "4", "8"),
        ),
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_scaletrim_rule,
    circuit=_scaletrim_circuit,
    symmetric=True,
    coupled=_scaletrim_coupled,
)
