"""Multipliers that add logarithms: log2(2^k (1 + x)) is taken as k + x, by reading the bits below the leading one as the fraction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from amaranth.hdl import Cat, Module, Value

from ..adders import ripple_add, wire
from ..leading_one import normalized
from ..shifters import shifted_left
from .family import Family, IntArray, SignedForm

if TYPE_CHECKING:
    from ..spec import MultiplierSpec

__all__ = ["MITCHELL"]


def leading_one_position(value: IntArray) -> IntArray:
    """Position of the highest set bit of positive integers below 2^53; 0 for 0."""
    return np.where(value > 0, np.frexp(value.astype(np.float64))[1] - 1, 0).astype(np.int64)


def _mitchell_rule(spec: MultiplierSpec, a: IntArray, b: IntArray) -> IntArray:
    power_a, power_b = 1 << leading_one_position(a), 1 << leading_one_position(b)
    rests = (a - power_a) * power_b + (b - power_b) * power_a
    product = np.where(rests < power_a * power_b, power_a * power_b + rests, 2 * rests)
    return np.where((a > 0) & (b > 0), product, 0)


def _mitchell_circuit(m: Module, spec: MultiplierSpec, a: Value, b: Value) -> Value:
    width = spec.width
    fraction_a, level_a = normalized(m, a, "a")
    fraction_b, level_b = normalized(m, b, "b")
    log_a, log_b = Cat(fraction_a[:-1], level_a), Cat(fraction_b[:-1], level_b)
    log = ripple_add(m, [*zip(log_a, log_b, strict=True), ()], "log")
    nonzero = wire(m, fraction_a[-1] & fraction_b[-1], "nonzero")
    mantissa = Cat(*(wire(m, bit & nonzero, f"mantissa{i}") for i, bit in enumerate(log[: width - 1])), nonzero)
    excess = (1 << len(level_a)) - width
    return shifted_left(m, mantissa, Cat(log[width - 1 :]), 2 * width, "product", dropped=width - 1 + 2 * excess)


MITCHELL = Family(
    name="mitchell",
    title="Mitchell's logarithmic multiplier",
    source="Mitchell, IRE Trans. Electronic Computers 1962, doi 10.1109/TEC.1962.5219391",
    parameters=(),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_mitchell_rule,
    circuit=_mitchell_circuit,
    symmetric=True,
)
