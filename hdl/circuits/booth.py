"""Radix-4 Booth recoding: half as many partial products, each -2, -1, 0, 1 or 2 times the operand
(MacSorley 1961).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from amaranth.hdl import Const, Fragment, Module, Signal, Value

from ..operands import Widths
from .adders import constant_of, wire
from .columns import Columns
from .dot_diagram import ApproximateCell, Dot, DotDiagram

__all__ = ["Approximation", "BoothDigit", "add_booth_row", "booth_digits", "booth_dots"]


@dataclass(frozen=True)
class BoothDigit:
    """One digit of an operand, at 2^weight, read from three neighbouring bits of which `high` is
    the highest.
    """

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
    return [
        _digit(m, weight, *bits[weight : weight + 3])
        for weight in range(0, len(b) + (not signed), 2)
    ]


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
        return BoothDigit(
            weight, high, single, Const(0, 1), wire(m, high & ~low, f"{name}_negative")
        )
    double = wire(m, (high ^ middle) & ~single, f"{name}_double")
    return BoothDigit(
        weight, high, single, double, wire(m, high & ~(low & middle), f"{name}_negative")
    )


Approximation: TypeAlias = Callable[[int, BoothDigit, Value], Value | None]
"""(column, digit, operand bit inverted for a negative digit) -> the cell there, or None where it is
exact.
"""


def _exact(column: int, digit: BoothDigit, flipped: Value) -> Value | None:
    return None


def add_booth_row(
    columns: Columns,
    a: Value,
    signed: bool,
    digit: BoothDigit,
    approximate: Approximation = _exact,
) -> None:
    """Adds digit * a * 2^weight, except that a cell is what `approximate(column, digit, a_bit)`
    makes of it unless that is None.

    A row is the digit's multiple of `a`, inverted where the digit is negative, and a one in its
    lowest place to complete the negation.
    """
    m = columns.m
    fill = a[-1] if signed else Const(0, 1)
    operand = [*a, fill] if signed else [*a, fill, fill]
    below: Value = digit.high
    for place, bit in enumerate(operand):
        column = digit.weight + place
        name = f"row{digit.weight // 2}_place{place}"
        flipped = (
            digit.high if constant_of(bit) == 0 else wire(m, bit ^ digit.high, f"{name}_flipped")
        )
        cell = approximate(column, digit, flipped)
        if place == 0:
            if cell is None:
                # The lowest cell and the completing one add up to an odd bit and a carry; that
                # lowers the tallest columns.
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


class _Recorder(Columns):
    """Remembers the bits that rows add instead of adding them."""

    def __init__(self, m: Module, width: int) -> None:
        super().__init__(m, width)
        self.bits: list[tuple[int, Value, bool]] = []

    def add(self, weight: int, bit: Value, arrival: int = 0) -> None:
        self.bits.append((weight, bit, False))

    def subtract(self, weight: int, bit: Value, arrival: int = 0) -> None:
        self.bits.append((weight, bit, True))


def booth_dots(
    widths: Widths, signed: bool, approximate: Callable[[Module], Approximation] = lambda m: _exact
) -> DotDiagram:
    """The bits that `add_booth_row` adds for each digit, digit by digit.

    `approximate(m)` is what `add_booth_row` takes under this name. A row's completing one lies in
    the row after it, whose cells start two places higher.
    """
    m = Module()
    a, b = Signal(widths.a, name="a"), Signal(widths.b, name="b")
    approximation = approximate(m)
    rough: list[Value] = []

    def watched(column: int, digit: BoothDigit, flipped: Value) -> Value | None:
        cell = approximation(column, digit, flipped)
        if cell is not None:
            rough.append(cell)
        return cell

    dots: list[Dot] = []
    cells: list[ApproximateCell] = []
    digits = booth_digits(m, b, signed)
    for row, digit in enumerate(digits):
        recorder = _Recorder(m, widths.product)
        add_booth_row(recorder, a, signed, digit, watched)
        for position, (weight, bit, negative) in enumerate(recorder.bits):
            if constant_of(bit) is not None or weight >= widths.product:
                continue
            dot = Dot(row + (position == 0), weight, negative)  # the completing one comes first
            dots.append(dot)
            if position and any(bit is cell for cell in rough):
                cells.append(ApproximateCell(weight, (dot,)))
    Fragment.get(m, None)  # Amaranth warns of modules that nobody elaborates
    rows = tuple(f"digit {row}" for row in range(len(digits))) + ("",) * any(
        dot.row == len(digits) for dot in dots
    )
    note = "the one that completes a row's negation is drawn in the row below it"
    return DotDiagram(rows, widths.product, tuple(dots), cells=tuple(cells), note=note)


def _both(m: Module, x: Value, y: Value, name: str) -> Value:
    return Const(0, 1) if constant_of(x) == 0 or constant_of(y) == 0 else wire(m, x & y, name)


def _either(m: Module, x: Value, y: Value, name: str) -> Value:
    if constant_of(x) == 0:
        return y
    return x if constant_of(y) == 0 else wire(m, x | y, name)
