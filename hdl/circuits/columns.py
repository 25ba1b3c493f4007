"""Partial products and the addition of their columns.

Column c holds the bits of weight 2^c. A reduction turns columns of any height into columns of at
most two bits; a ripple-carry adder adds these. `array` adds one row after the other (Braun 1963),
`wallace` reduces each stage as far as full and half adders go (Wallace 1964), `dadda` only as far
as the next height of the sequence 2, 3, 4, 6, 9, 13, ... needs (Dadda 1965). `serial` adds columns
one after the other from the lowest up, each to a single bit: always the three bits that have waited
longest, sums and carries at the end of the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Signal, Value

from ..operands import Widths
from .adders import constant_of, full_adder, half_adder, parity, ripple_add, wire

__all__ = ["TREES", "Adder", "Columns", "add_partial_products", "cell_weight"]

_TimedBit = tuple[int, Value]  # arrival in adder delays, bit


class Adder(Protocol):
    """An adder of columns of at most two bits, such as `ripple_add`."""

    def __call__(
        self,
        m: Module,
        columns: Sequence[Sequence[Value]],
        name: str = ...,
        carry: Value | None = ...,
    ) -> list[Value]: ...


class Columns:
    """Bits that wait to be added, by weight, modulo 2^width. Constants collect in one number that
    joins the bits at the end.
    """

    def __init__(self, m: Module, width: int) -> None:
        self.m = m
        self.width = width
        self.constant = 0
        self._bits: list[list[_TimedBit]] = [[] for _ in range(width)]
        self._adders = 0

    def add(self, weight: int, bit: Value, arrival: int = 0) -> None:
        """One more bit of weight 2^weight, `arrival` exclusive-or delays after the operands.
        Weights beyond the width fall away.
        """
        constant = constant_of(bit)
        if constant is not None:
            self.add_constant(constant << weight)
        elif weight < self.width:
            self._bits[weight].append((arrival, bit))

    def add_constant(self, value: int) -> None:
        """Adds an integer of either sign."""
        self.constant += value

    def subtract(self, weight: int, bit: Value, arrival: int = 0) -> None:
        """Subtracts a bit: -x = (not x) - 1."""
        self.add(weight, wire(self.m, ~bit, f"not_{getattr(bit, 'name', f'bit{weight}')}"), arrival)
        self.add_constant(-1 << weight)

    def add_multiple(self, factor: int, bit: Value) -> None:
        """Adds `factor * bit`, in the fewest signed binary digits of the factor."""
        weight = 0
        while factor:
            if factor & 1:
                digit = 2 - factor % 4
                (self.add if digit > 0 else self.subtract)(weight, bit)
                factor -= digit
            factor >>= 1
            weight += 1

    def include(self, other: Columns, negative: Value | None = None) -> None:
        """Adds what `other` waits to add, as an integer, or minus that where `negative` is 1.

        Subtracted bits come as their complements, less as many ones: -x = (not x) - 1.
        """
        ones = 0
        for weight, column in enumerate(other._bits):
            for arrival, bit in column:
                if negative is not None:
                    name = f"{getattr(bit, 'name', f'bit{weight}')}_signed"
                    bit, arrival = wire(self.m, bit ^ negative, name), arrival + 1
                self.add(weight, bit, arrival)
                ones += 1 << weight
        self.add_constant(other.constant)
        if negative is not None:
            self.add_multiple(-ones - 2 * other.constant, negative)

    def heights(self) -> list[int]:
        """How many bits wait in each column, the constant left out."""
        return [len(column) for column in self._bits]

    def extremes(self) -> tuple[int, int]:
        """The least and the largest integer that the bits and the constant may add up to."""
        ones = sum(len(column) << weight for weight, column in enumerate(self._bits))
        return self.constant, self.constant + ones

    def sum(self, tree: str = "dadda", name: str = "total", *, adder: Adder = ripple_add) -> Value:
        """The sum of everything added so far, `width` bits."""
        result = Signal(self.width, name=name)
        self.m.d.comb += result.eq(Cat(adder(self.m, self.reduced(tree))))
        return result

    def reduced(self, tree: str = "dadda") -> list[list[Value]]:
        """Everything added so far as columns of at most two bits each, which have the same sum."""
        constant = self.constant % (1 << self.width)
        columns = [list(column) for column in self._bits]
        for weight in range(self.width):
            if constant >> weight & 1:
                columns[weight].insert(0, (-1, Const(1, 1)))
        TREES[tree](self, columns)
        return [[bit for _, bit in column] for column in columns]

    def _compress(
        self, weight: int, group: list[_TimedBit]
    ) -> tuple[list[_TimedBit], list[_TimedBit]]:
        """Adds two or three bits of one column: what stays in the column and what goes into the
        next.
        """
        name = f"column{weight}_adder{self._adders}"
        self._adders += 1
        arrival = max(time for time, _ in group)
        bits = [bit for _, bit in group]
        if weight == self.width - 1:
            return [(arrival + len(group) - 1, parity(self.m, bits, name))], []
        if len(group) == 2:
            total, carry = half_adder(self.m, bits[0], bits[1], name)
            return [(arrival + 1, total)], [(arrival + 1, carry)]
        total, carry = full_adder(self.m, bits[0], bits[1], bits[2], name)
        return [(arrival + 2, total)], [(arrival + 2, carry)]

    def _serial(self, columns: list[list[_TimedBit]]) -> None:
        for weight, column in enumerate(columns):
            while len(column) > 1:
                total, carry = self._compress(weight, column[:3])
                column[:] = column[3:] + total
                if carry:
                    columns[weight + 1] += carry

    def _array(self, columns: list[list[_TimedBit]]) -> None:
        while any(len(column) > 2 for column in columns):
            lowest = next(weight for weight, column in enumerate(columns) if len(column) > 1)
            carried: list[_TimedBit] = []
            for weight, column in enumerate(columns):
                size = 3 if len(column) > 2 else 2 if weight == lowest else 0
                kept, carry = self._compress(weight, column[:size]) if size else ([], [])
                columns[weight] = kept + carried + column[size:]
                carried = carry

    def _wallace(self, columns: list[list[_TimedBit]]) -> None:
        while any(len(column) > 2 for column in columns):
            carried: list[_TimedBit] = []
            for weight, column in enumerate(columns):
                column.sort(key=_arrival)
                kept: list[_TimedBit] = []
                carries: list[_TimedBit] = []
                while len(column) > 1:
                    size = min(3, len(column))
                    total, carry = self._compress(weight, column[:size])
                    del column[:size]
                    kept += total
                    carries += carry
                columns[weight] = kept + column + carried
                carried = carries

    def _dadda(self, columns: list[list[_TimedBit]]) -> None:
        heights = [2]
        while heights[-1] < max(len(column) for column in columns):
            heights.append(heights[-1] * 3 // 2)
        for target in reversed(heights[:-1]):
            carried: list[_TimedBit] = []
            for weight, column in enumerate(columns):
                column.sort(key=_arrival)
                kept: list[_TimedBit] = []
                carries: list[_TimedBit] = []
                while (excess := len(column) + len(kept) + len(carried) - target) > 0:
                    size = 2 if excess == 1 else 3
                    total, carry = self._compress(weight, column[:size])
                    del column[:size]
                    kept += total
                    carries += carry
                columns[weight] = column + kept + carried
                carried = carries


def _arrival(timed: _TimedBit) -> int:
    return timed[0]


TREES: dict[str, Callable[[Columns, list[list[_TimedBit]]], None]] = {
    "array": Columns._array,
    "wallace": Columns._wallace,
    "dadda": Columns._dadda,
    "serial": Columns._serial,
}


def cell_weight(widths: Widths, signed: bool, row: int, column: int) -> int:
    """Weight of the partial product b[row] * a[column]: +-2^(row+column), negative where exactly
    one of the bits is a sign bit.
    """
    sign = -1 if signed and (row == widths.b - 1) != (column == widths.a - 1) else 1
    return sign << (row + column)


def add_partial_products(
    columns: Columns,
    a: Value,
    b: Value,
    signed: bool,
    keep: Callable[[int, int], bool] = lambda row, column: True,
) -> None:
    """Adds the cells b[row] * a[column] that `keep(row, column)` keeps.

    Signed operands follow Baugh and Wooley (1973): a cell of negative weight is a nand gate, and
    the constants that this takes are those of the kept cells alone, so that every kept set
    multiplies zero to zero.
    """
    widths = Widths(len(a), len(b))
    for row in range(widths.b):
        for column in range(widths.a):
            if not keep(row, column):
                continue
            product = a[column] & b[row]
            name = f"product_{row}_{column}"
            if cell_weight(widths, signed, row, column) > 0:
                columns.add(row + column, wire(columns.m, product, name))
            else:
                columns.add(row + column, wire(columns.m, ~product, name))
                columns.add_constant(-1 << (row + column))
