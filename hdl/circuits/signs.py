"""Two's complement codes to magnitudes and back, by an exclusive-or and an incrementer."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value

from .adders import half_adder, wire

__all__ = ["magnitude", "with_sign"]


def magnitude(m: Module, value: Value, name: str) -> Value:
    """Magnitude of a two's complement code, as wide as the code: -2^(n-1) gives 2^(n-1)."""
    return with_sign(m, value, value[-1], name)


def with_sign(m: Module, value: Value, negative: Value, name: str = "signed_product") -> Value:
    """`value`, negated modulo 2^len(value) where `negative` is 1."""
    carry: Value = negative
    bits: list[Value] = []
    top = len(value) - 1
    for position, bit in enumerate(value):
        flipped = wire(m, bit ^ negative, f"{name}_flipped{position}")
        if position == top:
            bits.append(flipped ^ carry)
        else:
            total, carry = half_adder(m, flipped, carry, f"{name}_increment{position}")
            bits.append(total)
    result = Signal(len(value), name=name)
    m.d.comb += result.eq(Cat(bits))
    return result
