"""Radix-4 Booth recoding: half as many partial products, each -2, -1, 0, 1 or 2 times the operand (MacSorley 1961)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Const, Module, Value

from .adders import constant_of, wire
from .columns import Columns

__all__ = ["BoothDigit", "add_booth_row", "booth_digits"]


@dataclass(frozen=True)
class BoothDigit:
    """One digit of an operand, at 2^weight, read from three neighbouring bits of which `high` is the highest."""

    weight: int
    high: Value
    single: Value
    """The digit is 1 or -1."""
    double: Value
    """The digit is 2 or -2."""
    negative: Value
    """The digit is -1 or -2."""


def booth_digits(m: Module, b: Value, signed: bool) -> list[BoothDigit]:
    """The digits of an operand, lowest first: an unsigned one is read with a zero above it."""
    top = b[-1]
    fill = top if signed else Const(0, 1)
    bits = [Const(0, 1), *b[:-1], top, fill, fill]
    return [_digit(m, weight, *bits[weight : weight + 3]) for weight in range(0, len(b) + (not signed), 2)]


def _digit(m: Module, weight: int, low: Value, middle: Value, high: Value) -> BoothDigit:
    name = f"digit{weight // 2}"
    if constant_of(low) == 0:
        return BoothDigit(weight, high, middle, wire(m, high & ~middle, f"{name}_double"), high)
    if constant_of(middle) == 0:
        return BoothDigit(weight, high, low, Const(0, 1), high)
    single = wire(m, low ^ middle, f"{name}_single")
    if constant_of(high) == 0:
        return BoothDigit(weight, high, single, wire(m, low & middle, f"{name}_double"), high)
    if middle is high:
        return BoothDigit(weight, high, single, Const(0, 1), wire(m, high & ~low, f"{name}_negative"))
    double = wire(m, (high ^ middle) & ~single, f"{name}_double")
    return BoothDigit(weight, high, single, double, wire(m, high & ~(low & middle), f"{name}_negative"))


def _exact(column: int, digit: BoothDigit, flipped: Value) -> Value | None:
    return None


def add_booth_row(
    columns: Columns,
    a: Value,
    signed: bool,
    digit: BoothDigit,
    approximate: Callable[[int, BoothDigit, Value], Value | None] = _exact,
) -> None:
    """Adds digit * a * 2^weight, except that a cell is what `approximate(column, digit, a_bit)` makes of it unless that is None.

    A row is the digit's multiple of `a`, inverted where the digit is negative, and a one in its lowest place to complete the negation.
    """
    m = columns.m
    fill = a[-1] if signed else Const(0, 1)
    operand = [*a, fill] if signed else [*a, fill, fill]
    below: Value = digit.high
    for place, bit in enumerate(operand):
        column = digit.weight + place
        name = f"row{digit.weight // 2}_place{place}"
        flipped = digit.high if constant_of(bit) == 0 else wire(m, bit ^ digit.high, f"{name}_flipped")
        cell = approximate(column, digit, flipped)
        if place == 0:
            if cell is None:
                # The lowest cell and the completing one add up to an odd bit and a carry; that lowers the tallest columns.
                cell = wire(m, digit.single & bit, name)
                columns.add(column + 1, _both(m, digit.negative, ~cell, f"{name}_carry"))
            else:
                columns.add(column, digit.negative)
        if cell is None:
            doubled = _both(m, digit.double, below, f"{name}_double")
            cell = _either(m, _both(m, digit.single, flipped, f"{name}_single"), doubled, name)
        if place < len(operand) - 1:
            columns.add(column, cell)
        elif constant_of(cell) != 0:
            columns.subtract(column, cell)
        below = flipped


def _both(m: Module, x: Value, y: Value, name: str) -> Value:
    return Const(0, 1) if constant_of(x) == 0 or constant_of(y) == 0 else wire(m, x & y, name)


def _either(m: Module, x: Value, y: Value, name: str) -> Value:
    if constant_of(x) == 0:
        return y
    return x if constant_of(y) == 0 else wire(m, x | y, name)
