"""Barrel shifter: one row of multiplexers for each bit of the distance."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value

__all__ = ["shifted_left"]


def shifted_left(
    m: Module, value: Value, distance: Value, width: int, name: str, *, dropped: int = 0
) -> Value:
    """Bits `dropped` .. `dropped + width - 1` of `value << distance`: a left shift by `distance -
    dropped` cut to `width` bits.

    The short distances come first, so that the rows are as narrow as what they hold.
    """
    for digit in range(len(distance)):
        span = min(len(value) + (1 << digit), dropped + width)
        row = Signal(span, name=f"{name}_by{1 << digit}")
        m.d.comb += row.eq(Mux(distance[digit], value << (1 << digit), value))
        value = row
    result = Signal(width, name=name)
    m.d.comb += result.eq(value >> dropped)
    return result
