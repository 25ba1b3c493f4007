"""Unsigned operands taken apart into 2^k (1 + x), and products put together from a mantissa and a
sum of exponents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Value

from ..operands import Widths
from .adders import digit_columns, ripple_add, wire
from .leading_one import normalized
from .shifters import shifted_left

__all__ = ["Scaled", "gated", "level_sum", "product_of", "scaled"]


@dataclass(frozen=True)
class Scaled:
    """2^k (1 + x), or 0 where `nonzero` is 0."""

    fraction: tuple[Value, ...]
    """Bits of x, the least significant first; one fewer than the operand has."""
    level: tuple[Value, ...]
    """Bits of k plus an excess of 2^len(level) minus the operand's width."""
    nonzero: Value

    def top(self, count: int) -> tuple[Value, ...]:
        """The fraction cut to its `count` highest bits, or with zeros below where it has fewer."""
        beyond = len(self.fraction) - count
        return self.fraction[beyond:] if beyond >= 0 else (*[Const(0, 1)] * -beyond, *self.fraction)


def scaled(m: Module, value: Value, name: str) -> Scaled:
    """Takes an operand apart."""
    mantissa, level = normalized(m, value, name)
    return Scaled(tuple(mantissa[:-1]), tuple(level), mantissa[-1])


def gated(m: Module, bits: Sequence[Value], enable: Value, name: str) -> list[Value]:
    """`bits` where `enable` is 1, else zeros."""
    return [wire(m, bit & enable, f"{name}{position}") for position, bit in enumerate(bits)]


def level_sum(
    m: Module, a: Scaled, b: Scaled, name: str, carry: Value | None = None
) -> list[Value]:
    """Sum of two levels and a carry, one bit longer than they are: k1 + k2 plus both excesses."""
    return ripple_add(m, [*digit_columns(a.level, b.level), ()], name, carry)


def product_of(
    m: Module,
    widths: Widths,
    mantissa: Sequence[Value],
    point: int,
    level: Sequence[Value],
    name: str = "product",
) -> Value:
    """floor(2^k * mantissa), as wide as the product of operands of these widths.

    `mantissa` has `point` bits after its binary point; `level` is k plus the excesses of both
    operands' levels.
    """
    excess = sum((1 << (width - 1).bit_length()) - width for width in widths)
    return shifted_left(
        m, Cat(*mantissa), Cat(*level), widths.product, name, dropped=point + excess
    )
