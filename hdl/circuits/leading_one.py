"""Leading ones: detection, and the left shift that brings them to the top."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from .adders import wire

__all__ = ["leading_one", "normalized"]


def leading_one(m: Module, value: Value, name: str) -> Value:
    """One-hot, as wide as `value`: only the highest set bit stays. Zero gives zero."""
    bits: list[Value] = [value[-1]]
    seen: Value = value[-1]
    for position in reversed(range(len(value) - 1)):
        bits.insert(0, wire(m, value[position] & ~seen, f"{name}_one{position}"))
        if position:
            seen = wire(m, seen | value[position], f"{name}_seen{position}")
    one = Signal(len(value), name=name)
    m.d.comb += one.eq(Cat(bits))
    return one


def normalized(m: Module, value: Value, name: str) -> tuple[Value, Value]:
    """`value` shifted left until its leading one is the top bit, and the level of that one.

    The first result is as wide as `value`; its top bit is 0 only where `value` is 0. The second has
    d = bit_length(len(value) - 1) bits and is the position of the leading one plus 2^d -
    len(value): the position itself when the width is a power of two, and 2^d - 1 for a leading one
    at the top of any width. Where `value` is 0 both are 0.
    """
    width = len(value)
    digits: list[Value] = []
    for digit in reversed(range((width - 1).bit_length())):
        shift = 1 << digit
        occupied = wire(m, value[width - shift :].any(), f"{name}_level{digit}")
        shifted = Signal(width, name=f"{name}_normalized{digit}")
        m.d.comb += shifted.eq(Mux(occupied, value, value << shift))
        digits.insert(0, occupied)
        value = shifted
    level = Signal(len(digits), name=f"{name}_level")
    m.d.comb += level.eq(Cat(digits))
    return value, level
