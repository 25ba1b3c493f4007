"""Approximate 4:2 compressors, as gates and as arithmetic, and the tree that adds the low columns
with them.

The tree works in stages. A stage brings each column, from the lowest up, to its target height; the
targets are 2 for the last stage and twice as much for each one before (4 for columns of up to 8
bits). A column in excess by three or more takes a compressor (four bits to one), by two a full
adder, by one a half adder. A cell takes the first bits that the stage found in the column; its sum
and its carry wait for the next stage, the sum behind the carries from below. Only the compressors
are approximate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from amaranth.hdl import Module, Value
from numpy.typing import NDArray

from .adders import full_adder, half_adder, wire
from .dot_diagram import ApproximateCell, Dot

__all__ = [
    "COMPRESSORS",
    "CompressorArithmetic",
    "CompressorDots",
    "CompressorGates",
    "TimedBit",
    "compress",
]

COMPRESSORS = ("momeni1", "momeni2", "venkatachalam", "single_error", "lin")
"""Kinds: Momeni et al. (doi 10.1109/TC.2014.2308214) designs 1 and 2, Venkatachalam and Ko
(10.1109/TVLSI.2016.2643639), four ones counted as three (Yang et al., 10.1109/DFT.2015.7315159) or
as two (Lin and Lin, 10.1109/ICCD.2013.6657022). `momeni1` passes a carry along a stage to the
compressor of the same place in the next column; the others have four inputs and two outputs."""

Bit = TypeVar("Bit")
Bits = NDArray[np.uint8]
TimedBit = tuple[int, Value]
"""Arrival in exclusive-or delays, and the bit."""


class CompressorCells(Protocol[Bit]):
    """What a tree is made of. `weight` is the column of the inputs and of the sum; the carries
    belong to the next.
    """

    def add(self, weight: int, bits: Sequence[Bit]) -> tuple[Bit, Bit]:
        """Half or full adder: sum and carry."""

    def compress(
        self, weight: int, bits: Sequence[Bit], carry_in: Bit | None
    ) -> tuple[Bit, list[Bit], Bit | None]:
        """Compressor of four bits: sum, carries for the next stage, and the carry for a compressor
        of the next column.
        """


def compress(columns: list[list[Bit]], limit: int, cells: CompressorCells[Bit]) -> None:
    """Brings the columns below `limit` to at most two bits, in place; their carries land in columns
    up to `limit` itself.
    """
    targets = [2]
    while 2 * targets[-1] < max(len(column) for column in columns[:limit]):
        targets.append(2 * targets[-1])
    while targets:
        _stage(columns, limit, targets[-1], cells)
        if all(len(column) <= targets[-1] for column in columns[:limit]):
            targets.pop()


def _stage(columns: list[list[Bit]], limit: int, target: int, cells: CompressorCells[Bit]) -> None:
    carries: list[Bit] = []
    chain: list[Bit] = []
    for weight in range(limit):
        waiting, done, links = columns[weight], carries, chain
        carries, chain = [], []
        while len(waiting) > 1 and (excess := len(waiting) + len(done) + len(links) - target) > 0:
            size = min(excess + 1, len(waiting), 4)
            group = waiting[:size]
            del waiting[:size]
            if size == 4:
                total, kept, link = cells.compress(weight, group, links.pop(0) if links else None)
                carries += kept
                chain += [link] if link is not None else []
            else:
                total, carry = cells.add(weight, group)
                carries.append(carry)
            done.append(total)
        columns[weight] = waiting + done + links
    columns[limit] += carries + chain


class CompressorArithmetic:
    """Cells on 0/1 arrays, by counting, which add up the errors they make: `error` is what the
    tree's sum is beyond the exact one.
    """

    def __init__(self, kind: str, shape: tuple[int, ...]) -> None:
        self.kind = kind
        self.error = np.zeros(shape, dtype=np.int64)

    def add(self, weight: int, bits: Sequence[Bits]) -> tuple[Bits, Bits]:
        count = np.add.reduce(bits, dtype=np.uint8)
        return count % 2, count // 2

    def compress(
        self, weight: int, bits: Sequence[Bits], carry_in: Bits | None
    ) -> tuple[Bits, list[Bits], Bits | None]:
        first, second = bits[0] + bits[1], bits[2] + bits[3]
        count = first + second
        match self.kind:
            case "momeni1" | "momeni2":
                value = 2 * ((first > 0) & (second > 0)) + ((first != 1) | (second != 1))
            case "venkatachalam":
                value = np.where((first == 2) | (second == 2), 2 + (count > 2), count > 0)
            case "single_error":
                value = np.minimum(count, 3)
            case _:
                value = np.where(count == 4, 2, count)
        value = value.astype(np.uint8)
        total, carry = value % 2, value // 2
        if carry_in is not None:
            total = total & ~carry_in
            value = total + 2 * (carry + carry_in)
            count = count + carry_in
        self.error += (value.astype(np.int64) - count) << weight
        if self.kind != "momeni1":
            return total, [carry], None
        return total, [] if carry_in is None else [carry_in], carry


class CompressorGates:
    """Cells as gates of an Amaranth module."""

    def __init__(self, kind: str, m: Module) -> None:
        self.kind = kind
        self.m = m
        self._cells = 0

    def add(self, weight: int, bits: Sequence[TimedBit]) -> tuple[TimedBit, TimedBit]:
        arrival = max(time for time, _ in bits) + len(bits) - 1
        x, y, *more = (bit for _, bit in bits)
        name = self._name(weight)
        total, carry = (
            full_adder(self.m, x, y, more[0], name) if more else half_adder(self.m, x, y, name)
        )
        return (arrival, total), (arrival, carry)

    def compress(
        self, weight: int, bits: Sequence[TimedBit], carry_in: TimedBit | None
    ) -> tuple[TimedBit, list[TimedBit], TimedBit | None]:
        name = self._name(weight)
        arrival = max(time for time, _ in bits) + 2
        total, carry = _gates(self.m, self.kind, [bit for _, bit in bits], name)
        if self.kind != "momeni1":
            return (arrival, total), [(arrival, carry)], None
        if carry_in is None:
            return (arrival, total), [], (arrival, carry)
        late, link = carry_in
        return (
            (max(arrival, late + 1), wire(self.m, total & ~link, f"{name}_masked")),
            [carry_in],
            (arrival, carry),
        )

    def _name(self, weight: int) -> str:
        self._cells += 1
        return f"column{weight}_compressor{self._cells}"


class CompressorDots:
    """Cells on sets of dots, a bit being the partial products that it is (one, or none for a
    result): records the compressors.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.cells: list[ApproximateCell] = []

    def add(
        self, weight: int, bits: Sequence[tuple[Dot, ...]]
    ) -> tuple[tuple[Dot, ...], tuple[Dot, ...]]:
        return (), ()

    def compress(
        self, weight: int, bits: Sequence[tuple[Dot, ...]], carry_in: tuple[Dot, ...] | None
    ) -> tuple[tuple[Dot, ...], list[tuple[Dot, ...]], tuple[Dot, ...] | None]:
        self.cells.append(ApproximateCell(weight, tuple(dot for bit in bits for dot in bit)))
        if self.kind != "momeni1":
            return (), [()], None
        return (), [] if carry_in is None else [carry_in], ()


def _gates(m: Module, kind: str, bits: Sequence[Value], name: str) -> tuple[Value, Value]:
    """Sum and carry of four bits."""
    x, y, z, w = bits
    one_of_first, one_of_second = (
        wire(m, x ^ y, f"{name}_one_of_first"),
        wire(m, z ^ w, f"{name}_one_of_second"),
    )
    match kind:
        case "momeni1" | "momeni2":
            total, carry = ~(one_of_first & one_of_second), (x | y) & (z | w)
        case "venkatachalam":
            first, second = wire(m, x & y, f"{name}_first"), wire(m, z & w, f"{name}_second")
            total, carry = one_of_first | one_of_second | (first & second), first | second
        case _:
            first, second = wire(m, x & y, f"{name}_first"), wire(m, z & w, f"{name}_second")
            total, carry = one_of_first ^ one_of_second, first | second | ((x | y) & (z | w))
            if kind == "single_error":
                total = total | (first & second)
    return wire(m, total, f"{name}_sum"), wire(m, carry, f"{name}_carry")
