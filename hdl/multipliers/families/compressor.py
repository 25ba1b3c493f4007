"""Multipliers whose low columns are added by approximate 4:2 compressors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from amaranth.hdl import Value

from ...circuits.adders import wire
from ...circuits.columns import TREES, Columns, add_partial_products, cell_weight
from ...circuits.compressors import (
    COMPRESSORS,
    CompressorArithmetic,
    CompressorDots,
    CompressorGates,
    TimedBit,
    compress,
)
from ...circuits.dot_diagram import Dot, DotDiagram, and_array
from .family import Configured, Family, IntArray, Parameter, SignedForm

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["COMPRESSOR"]


def _cells(spec: Configured) -> list[tuple[int, int, bool]]:
    """(row, column, inverted) of the partial products in the approximate columns, row after row."""
    limit, widths = spec.integer("cols"), spec.widths
    return [
        (row, column, cell_weight(widths, spec.signed, row, column) < 0)
        for row in range(widths.b)
        for column in range(min(widths.a, limit - row))
    ]


def _rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    """The exact product and the errors of all compressors."""
    limit = spec.integer("cols")
    columns: list[list[NDArray[np.uint8]]] = [[] for _ in range(limit + 1)]
    for row, column, inverted in _cells(spec):
        product = (a >> column & b >> row & 1) ^ inverted
        columns[row + column].append(product.astype(np.uint8))
    arithmetic = CompressorArithmetic(spec.choice("kind"), np.broadcast_shapes(a.shape, b.shape))
    compress(columns, limit, arithmetic)
    return a * b + arithmetic.error


def _array(exact: Columns, spec: Configured, a: Value, b: Value) -> None:
    m, limit = exact.m, spec.integer("cols")
    add_partial_products(exact, a, b, spec.signed, lambda row, column: row + column >= limit)
    low: list[list[TimedBit]] = [[] for _ in range(limit + 1)]
    for row, column, inverted in _cells(spec):
        product = a[column] & b[row]
        low[row + column].append(
            (0, wire(m, ~product if inverted else product, f"product_{row}_{column}"))
        )
        if inverted:
            exact.add_constant(-1 << row + column)
    compress(low, limit, CompressorGates(spec.choice("kind"), m))
    for weight, column_bits in enumerate(low):
        for arrival, bit in column_bits:
            exact.add(weight, bit, arrival)


def _dots(spec: Configured) -> DotDiagram:
    limit = spec.integer("cols")
    columns: list[list[tuple[Dot, ...]]] = [[] for _ in range(limit + 1)]
    for row, column, inverted in _cells(spec):
        columns[row + column].append((Dot(row, row + column, inverted),))
    recorder = CompressorDots(spec.choice("kind"))
    compress(columns, limit, recorder)
    return replace(
        and_array(spec.widths, spec.signed),
        cells=tuple(recorder.cells),
        cell_name=f"{spec.choice('kind')} compressor",
    )


COMPRESSOR = Family(
    name="compressor",
    title="Approximate 4:2 compressors below column cols",
    source=(
        "Momeni et al., IEEE Trans. Computers 2015, doi 10.1109/TC.2014.2308214; other "
        "compressors: see hdl/circuits/compressors.py"
    ),
    parameters=(
        Parameter("kind", "compressor", choices=COMPRESSORS),
        Parameter(
            "cols",
            "columns, from below, added with approximate compressors",
            bounds=lambda widths: (4, widths.product - 3),
        ),
        Parameter("tree", "addition of what the compressors leave", "dadda", choices=tuple(TREES)),
    ),
    signed_form=SignedForm.BAUGH_WOOLEY,
    widths=range(4, 17),  # with fewer rows or columns, no column has four bits to compress
    rule=_rule,
    array=_array,
    dots=_dots,
)
