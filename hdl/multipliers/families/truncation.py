"""Multipliers that leave partial products or operand bits out, and add a constant for what is lost
on average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from amaranth.hdl import Value

from ...circuits.columns import TREES, Columns, add_partial_products, cell_weight
from ...circuits.dot_diagram import DotDiagram, and_array
from ...operands import Widths
from .family import Configured, Family, IntArray, Parameter, SignedForm

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["BAM", "MASK", "PERFORATE", "TM"]

_TREE = Parameter("tree", "addition of the partial products", "dadda", choices=tuple(TREES))
_COMP = Parameter(
    "comp",
    "constant added to every product",
    0,
    bounds=lambda widths: (0, (1 << widths.product - 2) - 1),
)


def _bits(value: IntArray, position: int) -> IntArray:
    return value >> position & 1


def _kept_sum(
    spec: Configured, a: IntArray, b: IntArray, keep: Callable[[int, int], bool]
) -> IntArray:
    """Sum of the kept cells b[row] * a[column] with their signed weights, plus the constant."""
    total = np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=np.int64) + spec.integer("comp")
    for row in range(spec.width_b):
        weights = [
            cell_weight(spec.widths, spec.signed, row, column) * keep(row, column)
            for column in range(spec.width_a)
        ]
        kept_a = sum(
            (weight * _bits(a, column) for column, weight in enumerate(weights)), np.zeros_like(a)
        )
        total = total + _bits(b, row) * kept_a
    return total


def _kept_array(
    columns: Columns, spec: Configured, a: Value, b: Value, keep: Callable[[int, int], bool]
) -> None:
    add_partial_products(columns, a, b, spec.signed, keep)
    columns.add_constant(spec.integer("comp"))


def _kept_dots(spec: Configured, keep: Callable[[int, int], bool]) -> DotDiagram:
    return and_array(spec.widths, spec.signed, keep, constant=spec.integer("comp"))


def _bam_keep(spec: Configured) -> Callable[[int, int], bool]:
    horizontal, vertical = spec.integer("h"), spec.integer("v")
    return lambda row, column: row >= horizontal and row + column >= vertical


BAM = Family(
    name="bam",
    title="Broken-array multiplier: rows below h and columns below v left out",
    source="Mahdiani et al., IEEE TCAS-I 2010, doi 10.1109/TCSI.2009.2027626",
    parameters=(
        Parameter(
            "h",
            "partial-product rows (bits of b) left out from below",
            bounds=lambda widths: (0, widths.b - 1),
        ),
        Parameter(
            "v", "columns left out from below", bounds=lambda widths: (0, widths.product - 4)
        ),
        _COMP,
        _TREE,
    ),
    signed_form=SignedForm.BAUGH_WOOLEY,
    rule=lambda spec, a, b: _kept_sum(spec, a, b, _bam_keep(spec)),
    array=lambda columns, spec, a, b: _kept_array(columns, spec, a, b, _bam_keep(spec)),
    dots=lambda spec: _kept_dots(spec, _bam_keep(spec)),
)


def _perforate_keep(spec: Configured) -> Callable[[int, int], bool]:
    first, count = spec.integer("j"), spec.integer("k")
    return lambda row, column: not first <= row < first + count


PERFORATE = Family(
    name="perforate",
    title="Partial product perforation: k rows from row j left out",
    source="Zervakis et al., IEEE TVLSI 2016, doi 10.1109/TVLSI.2016.2535398",
    parameters=(
        Parameter("j", "first row (bit of b) left out", bounds=lambda widths: (0, widths.b - 2)),
        Parameter("k", "rows left out", bounds=lambda widths: (1, widths.b - 1)),
        _COMP,
        _TREE,
    ),
    signed_form=SignedForm.BAUGH_WOOLEY,
    rule=lambda spec, a, b: _kept_sum(spec, a, b, _perforate_keep(spec)),
    array=lambda columns, spec, a, b: _kept_array(columns, spec, a, b, _perforate_keep(spec)),
    dots=lambda spec: _kept_dots(spec, _perforate_keep(spec)),
    coupled=lambda widths, values: {
        **values,
        "k": min(int(values["k"]), widths.b - int(values["j"])),
    },
)


def _mask_text(widths: Widths, value: str) -> str:
    mask, cells = int(value, 16), widths.a * widths.b
    if not 0 <= mask < 1 << cells:
        raise ValueError(f"not a mask of {cells} bits")
    return f"{mask:x}"


def _mask_keep(spec: Configured) -> Callable[[int, int], bool]:
    mask = int(spec.choice("bits"), 16)
    return lambda row, column: bool(mask >> spec.width_a * row + column & 1)


MASK = Family(
    name="mask",
    title="Any set of partial products",
    source="this project; the superset of broken-array and perforated multipliers",
    parameters=(
        Parameter(
            "bits",
            "hexadecimal, bit width_a*row+column set where b[row]*a[column] is kept",
            text=_mask_text,
        ),
        _COMP,
        _TREE,
    ),
    signed_form=SignedForm.BAUGH_WOOLEY,
    rule=lambda spec, a, b: _kept_sum(spec, a, b, _mask_keep(spec)),
    array=lambda columns, spec, a, b: _kept_array(columns, spec, a, b, _mask_keep(spec)),
    dots=lambda spec: _kept_dots(spec, _mask_keep(spec)),
)


def _tm_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    zeroed = spec.integer("k")
    return (a >> zeroed << zeroed) * (b >> zeroed << zeroed) + spec.integer("comp")


def _tm_keep(spec: Configured) -> Callable[[int, int], bool]:
    zeroed = spec.integer("k")
    return lambda row, column: min(row, column) >= zeroed


TM = Family(
    name="tm",
    title="Truncated operands: the k lowest bits of both read as 0",
    source="bit-width reduction; the simplest of the truncated multipliers",
    parameters=(
        Parameter("k", "operand bits read as 0", bounds=lambda widths: (1, min(widths) - 2)),
        _COMP,
        _TREE,
    ),
    signed_form=SignedForm.TWOS_COMPLEMENT,
    rule=_tm_rule,
    array=lambda columns, spec, a, b: _kept_array(columns, spec, a, b, _tm_keep(spec)),
    dots=lambda spec: _kept_dots(spec, _tm_keep(spec)),
    symmetric=True,
)
