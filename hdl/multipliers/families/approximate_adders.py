"""Multipliers that add their partial-product rows with adders without carry propagation, and
recover part of the error.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from amaranth.hdl import Cat, Module, Signal, Value

from ...circuits.adders import ripple_add, wire
from ...circuits.dot_diagram import ApproximateCell, Dot, DotDiagram, and_array
from .family import Configured, Family, IntArray, Parameter, SignedForm

__all__ = ["AM1", "AM2"]

Number = TypeVar("Number")
Bit = TypeVar("Bit")
Bits = dict[int, Value]
"""A number by the bits at its positions; absent bits are 0."""
DotBits = dict[int, tuple[Dot, ...]]
"""The same, a bit being the partial product that it is, or nothing where it is a result."""


def _tree(
    rows: Sequence[Number], add: Callable[[Number, Number], tuple[Number, Number]]
) -> tuple[Number, list[Number]]:
    """Adds neighbours level by level, an odd last row waiting for the next level: the sum and the
    errors of all adders in this order.
    """
    errors: list[Number] = []
    while len(rows) > 1:
        level = [add(x, y) for x, y in zip(rows[0::2], rows[1::2], strict=False)]
        errors += [error for _, error in level]
        rows = [total for total, _ in level] + list(rows[len(rows) // 2 * 2 :])
    return rows[0], errors


def _add_values(x: IntArray, y: IntArray) -> tuple[IntArray, IntArray]:
    """The sum of the approximate adder, and what is missing from it."""
    total = (x ^ y) | 2 * (x & y)
    return total, x + y - total


def _rule(spec: Configured, a: IntArray, b: IntArray, *, accumulated: bool) -> IntArray:
    rows: list[IntArray] = [a * (b & 1 << row) for row in range(spec.width_b)]
    product, errors = _tree(rows, _add_values)
    error = (
        _tree(errors, _add_values)[0] if accumulated else functools.reduce(np.bitwise_or, errors)
    )
    cut = spec.widths.product - spec.integer("m")
    return product + (error >> cut << cut)


def _places(x: Mapping[int, Bit], y: Mapping[int, Bit]) -> Iterator[tuple[int, list[Bit], bool]]:
    """The positions of a sum: the bits that two numbers have there, and whether the position below
    sends a carry.
    """
    carry = False
    for position in range(min([*x, *y]), max([*x, *y]) + 2):
        bits = [number[position] for number in (x, y) if position in number]
        yield position, bits, carry
        carry = len(bits) == 2


def _add_bits(m: Module, x: Bits, y: Bits, name: str) -> tuple[Bits, Bits]:
    total: Bits = {}
    error: Bits = {}
    carry: Value | None = None
    for position, bits, _ in _places(x, y):
        differ = (
            wire(m, bits[0] ^ bits[1], f"{name}_differ{position}")
            if len(bits) == 2
            else bits[0]
            if bits
            else None
        )
        if differ is not None and carry is not None:
            total[position] = wire(m, differ | carry, f"{name}_sum{position}")
            error[position] = wire(m, differ & carry, f"{name}_error{position}")
        elif (only := carry if differ is None else differ) is not None:
            total[position] = only
        carry = wire(m, bits[0] & bits[1], f"{name}_carry{position}") if len(bits) == 2 else None
    return total, error


def _circuit(m: Module, spec: Configured, a: Value, b: Value, *, accumulated: bool) -> Value:
    places = spec.widths.product
    cut = places - spec.integer("m")
    names = itertools.count()
    rows = [
        {
            row + place: wire(m, bit_a & bit_b, f"product_{row}_{place}")
            for place, bit_a in enumerate(a)
        }
        for row, bit_b in enumerate(b)
    ]
    product, errors = _tree(rows, lambda x, y: _add_bits(m, x, y, f"adder{next(names)}"))
    if accumulated:
        error = _tree(errors, lambda x, y: _add_bits(m, x, y, f"adder{next(names)}"))[0]
    else:
        positions = sorted(set().union(*errors))
        error = {
            p: wire(m, Cat(number[p] for number in errors if p in number).any(), f"error{p}")
            for p in positions
        }
    columns = [
        [
            number[position]
            for number in (product, error)
            if position in number and (number is product or position >= cut)
        ]
        for position in range(places)
    ]
    result = Signal(places, name="total")
    m.d.comb += result.eq(Cat(ripple_add(m, columns, "recover")))
    return result


def _dots(spec: Configured) -> DotDiagram:
    cells: list[ApproximateCell] = []

    def add(x: DotBits, y: DotBits) -> tuple[DotBits, DotBits]:
        total: DotBits = {}
        for position, bits, carry in _places(x, y):
            if bits or carry:
                total[position] = bits[0] if len(bits) == 1 and not carry else ()
            if bits and carry:
                cells.append(ApproximateCell(position, tuple(dot for bit in bits for dot in bit)))
        return total, {}

    array = and_array(spec.widths, signed=False)
    rows: list[DotBits] = [
        {dot.weight: (dot,) for dot in array.kept if dot.row == row} for row in range(spec.width_b)
    ]
    _tree(rows, add)
    recovered = spec.integer("m")
    note = (
        f"what is missing is recovered in the {recovered} highest columns"
        if recovered
        else "what is missing is not recovered"
    )
    return replace(
        array, cells=tuple(cells), cell_name="adder without carry propagation", note=note
    )


def _family(name: str, combination: str, *, accumulated: bool) -> Family:
    return Family(
        name=name,
        title=(
            f"Rows added without carry propagation; errors {combination}, added on the top m bits"
        ),
        source="Liu, Han, Lombardi, DATE 2014, doi 10.7873/DATE.2014.108",
        parameters=(
            Parameter(
                "m",
                "highest product bits whose error is recovered",
                bounds=lambda widths: (0, widths.product),
            ),
        ),
        signed_form=SignedForm.SIGN_MAGNITUDE,
        rule=lambda spec, a, b: _rule(spec, a, b, accumulated=accumulated),
        circuit=lambda m, spec, a, b: _circuit(m, spec, a, b, accumulated=accumulated),
        dots=_dots,
    )


AM1 = _family("am1", "ORed", accumulated=False)
AM2 = _family("am2", "accumulated by such adders", accumulated=True)
