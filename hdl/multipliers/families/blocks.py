"""Multipliers whose partial products are approximate in small groups: 2x2 blocks, or clusters of
rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from amaranth.hdl import Cat, Const, Value

from ...circuits.adders import wire
from ...circuits.columns import TREES, Columns
from ...circuits.dot_diagram import ApproximateCell, Dot, DotDiagram, and_array
from ...operands import Widths
from .family import Configured, Family, IntArray, Parameter, SignedForm

__all__ = ["SDLC", "UDM"]

_TREE = Parameter("tree", "addition of the partial products", "dadda", choices=tuple(TREES))


def _digits(width: int) -> int:
    """Two-bit digits of an operand; the top one of an odd width has one bit."""
    return (width + 1) // 2


def _highest_block_column(widths: Widths) -> int:
    """The column i + j of the block of the highest digits i and j."""
    return _digits(widths.a) + _digits(widths.b) - 2


def _approximate_columns(spec: Configured) -> int:
    """Blocks of digits i and j are approximate where i + j is less than this."""
    return _highest_block_column(spec.widths) + 1 - spec.integer("exact")


def _is_approximate(spec: Configured, row: int, column: int) -> bool:
    """Whether the block whose lowest cell is b[row] * a[column] is; one that misses a row or a
    column cannot err.
    """
    return (
        (row + column) // 2 < _approximate_columns(spec)
        and row + 1 < spec.width_b
        and column + 1 < spec.width_a
    )


def _udm_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    """The exact product less 2 * 4^(i+j) for all digits i of a and j of b that are both 3."""
    product = a * b
    limit = _approximate_columns(spec)
    threes = int("01" * _digits(max(spec.widths)), 2)
    threes_a, threes_b = a & a >> 1 & threes, b & b >> 1 & threes
    for digit in range(min(limit, _digits(spec.width_a))):
        lower_digits = (1 << 2 * (limit - digit)) - 1
        product = product - (
            (threes_a >> 2 * digit & 1) * (threes_b & lower_digits) << 2 * digit + 1
        )
    return product


def _udm_array(columns: Columns, spec: Configured, a: Value, b: Value) -> None:
    m = columns.m
    cells = [
        [wire(m, a_bit & b_bit, f"product_{row}_{column}") for column, a_bit in enumerate(a)]
        for row, b_bit in enumerate(b)
    ]
    for row in range(0, spec.width_b, 2):
        for column in range(0, spec.width_a, 2):
            block = [
                bits[column : column + 2] + [Const(0, 1)] * (column + 1 == spec.width_a)
                for bits in cells[row : row + 2]
            ]
            block += [[Const(0, 1)] * 2] * (row + 1 == spec.width_b)
            weight = row + column
            columns.add(weight, block[0][0])
            columns.add(weight + 2, block[1][1])
            if _is_approximate(spec, row, column):
                columns.add(
                    weight + 1, wire(m, block[0][1] | block[1][0], f"either_{row}_{column}")
                )
            else:
                columns.add(weight + 1, block[0][1])
                columns.add(weight + 1, block[1][0])


def _udm_dots(spec: Configured) -> DotDiagram:
    rows, columns = range(0, spec.width_b, 2), range(0, spec.width_a, 2)
    blocks = [
        (row, row + column + 1)
        for row in rows
        for column in columns
        if _is_approximate(spec, row, column)
    ]
    cells = [
        ApproximateCell(weight, (Dot(row, weight), Dot(row + 1, weight))) for row, weight in blocks
    ]
    return replace(and_array(spec.widths, signed=False), cells=tuple(cells), cell_name="or gate")


UDM = Family(
    name="udm",
    title="Underdesigned multiplier: 2x2 blocks in which 3 * 3 is 7",
    source="Kulkarni, Gupta, Ercegovac, VLSI Design 2011, doi 10.1109/VLSID.2011.51",
    parameters=(
        Parameter(
            "exact",
            "highest block columns left exact",
            0,
            bounds=lambda widths: (0, _highest_block_column(widths)),
        ),
        _TREE,
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_udm_rule,
    array=_udm_array,
    dots=_udm_dots,
    symmetric=True,
)


def _clusters(spec: Configured) -> list[range]:
    """Rows of each cluster; the last cluster takes what is left."""
    return [
        range(row, min(row + spec.integer("d"), spec.width_b))
        for row in range(0, spec.width_b, spec.integer("d"))
    ]


def _compressed_columns(spec: Configured) -> int:
    return spec.widths.product - 1 - spec.integer("exact")


def _cluster_rows(spec: Configured, rows: range, weight: int) -> list[int]:
    """The rows of a cluster that have a cell of this weight."""
    return [row for row in rows if 0 <= weight - row < spec.width_a]


def _sdlc_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    low_weights = (1 << _compressed_columns(spec)) - 1
    total = np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=np.int64)
    for rows in _clusters(spec):
        either = np.zeros_like(total)
        for row in rows:
            partial_product = a * (b & 1 << row)
            either |= partial_product & low_weights
            total += partial_product & ~low_weights
        total += either
    return total


def _sdlc_array(columns: Columns, spec: Configured, a: Value, b: Value) -> None:
    m = columns.m
    for rows in _clusters(spec):
        for weight in range(rows[0], rows[-1] + spec.width_a):
            members = _cluster_rows(spec, rows, weight)
            cells = [
                wire(m, a[weight - row] & b[row], f"product_{row}_{weight - row}")
                for row in members
            ]
            if weight < _compressed_columns(spec):
                cells = [wire(m, Cat(cells).any(), f"either_{rows[0]}_{weight}")]
            for cell in cells:
                columns.add(weight, cell)


def _sdlc_dots(spec: Configured) -> DotDiagram:
    columns = [
        (weight, _cluster_rows(spec, rows, weight))
        for rows in _clusters(spec)
        for weight in range(_compressed_columns(spec))
    ]
    cells = [
        ApproximateCell(weight, tuple(Dot(row, weight) for row in rows))
        for weight, rows in columns
        if len(rows) > 1
    ]
    return replace(and_array(spec.widths, signed=False), cells=tuple(cells), cell_name="or gate")


SDLC = Family(
    name="sdlc",
    title=(
        "Significance-driven logic compression: or gates join the partial products of d rows "
        "column by column"
    ),
    source="Qiqieh, Shafik, Tarawneh, Sokolov, Yakovlev, DATE 2017, doi 10.23919/DATE.2017.7926950",
    parameters=(
        Parameter("d", "rows in a cluster", 2, bounds=lambda widths: (2, widths.b)),
        Parameter(
            "exact", "highest columns left exact", 0, bounds=lambda widths: (0, widths.product - 3)
        ),
        _TREE,
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_sdlc_rule,
    array=_sdlc_array,
    dots=_sdlc_dots,
)
