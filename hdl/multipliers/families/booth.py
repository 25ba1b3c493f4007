"""Approximate radix-4 Booth multipliers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from amaranth.hdl import Module, Value

from ...circuits.adders import wire
from ...circuits.booth import Approximation, BoothDigit, add_booth_row, booth_digits, booth_dots
from ...circuits.columns import TREES, Columns
from ...circuits.dot_diagram import DotDiagram
from .family import Configured, Family, IntArray, Parameter, SignedForm

__all__ = ["BOOTH_R4"]


def _rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    """The exact product, with the bits below column p of every row replaced.

    The row of a digit d is d * a, less one where d is negative (its one's complement); the ones are
    added apart and exactly. r4abe1 replaces rows of digits other than 1 and -1 by zero, r4abe2
    replaces every row by `a`, inverted where the digit's top bit is 1.
    """
    limit = spec.integer("p")
    product = a * b
    row_width = spec.width_a + (1 if spec.signed else 2)
    previous = np.zeros_like(b)
    for weight in range(0, spec.width_b + (not spec.signed), 2):
        top = b >> weight + 1 & 1
        digit = (b >> weight & 1) - 2 * top + previous
        previous = top
        row = digit * a - (digit < 0)
        rough = (
            np.where(np.abs(digit) == 1, row, 0) if spec.choice("kind") == "r4abe1" else a ^ -top
        )
        replaced = limit - weight
        if replaced >= row_width:
            product = product + (rough - row << weight)
        elif replaced > 0:
            low_bits = (1 << replaced) - 1
            product = product + ((rough & low_bits) - (row & low_bits) << weight)
    return product


def _approximation(m: Module, spec: Configured) -> Approximation:
    limit = spec.integer("p")

    def approximate(column: int, digit: BoothDigit, flipped: Value) -> Value | None:
        if column >= limit:
            return None
        return (
            flipped
            if spec.choice("kind") == "r4abe2"
            else wire(m, digit.single & flipped, f"row{digit.weight // 2}_column{column}")
        )

    return approximate


def _array(columns: Columns, spec: Configured, a: Value, b: Value) -> None:
    approximate = _approximation(columns.m, spec)
    for digit in booth_digits(columns.m, b, spec.signed):
        add_booth_row(columns, a, spec.signed, digit, approximate)


def _dots(spec: Configured) -> DotDiagram:
    array = booth_dots(spec.widths, spec.signed, lambda m: _approximation(m, spec))
    return replace(array, cell_name=f"{spec.choice('kind')} digit cell")


BOOTH_R4 = Family(
    name="booth_r4",
    title="Radix-4 Booth multiplier with approximate digit cells below column p",
    source="Liu et al., IEEE Trans. Computers 2017, doi 10.1109/TC.2017.2672976",
    parameters=(
        Parameter(
            "kind",
            (
                "cell: the operand bit, inverted for a negative digit, where the digit is 1 or -1 "
                "(r4abe1) or always (r4abe2)"
            ),
            choices=("r4abe1", "r4abe2"),
        ),
        Parameter(
            "p",
            "columns, from below, with approximate cells",
            bounds=lambda widths: (1, widths.product - 1),
        ),
        Parameter("tree", "addition of the partial products", "dadda", choices=tuple(TREES)),
    ),
    signed_form=SignedForm.TWOS_COMPLEMENT,
    rule=_rule,
    array=_array,
    dots=_dots,
)
