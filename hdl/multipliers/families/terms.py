"""Arrays of terms: any or of partial products, added in any column.

On signed operands, partial products with one sign bit weigh negatively (Baugh and Wooley 1973). A
term joins partial products of one sign only. One of negative weight is subtracted as its complement
and a constant of its own, so that every list multiplies zero to zero. Sums are modulo
2^(width_a + width_b), in the rule as in the circuit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from amaranth.hdl import Value

from ...circuits.adders import wire
from ...circuits.columns import TREES, Columns
from ...circuits.dot_diagram import ApproximateCell, DotDiagram, and_array
from ...operands import Widths
from ..terms_list import Term, parse_terms, terms_text
from .family import Configured, Family, IntArray, Parameter, SignedForm

__all__ = ["TERMS"]


def _terms(spec: Configured) -> tuple[Term, ...]:
    return parse_terms(spec.choice("sum"), spec.widths)


def _text(widths: Widths, value: str) -> str:
    return terms_text(parse_terms(value, widths))


def _check(spec: Configured) -> None:
    for term in _terms(spec):
        term.sign(spec.widths, signed=spec.signed)


def _rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    total = np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=np.int64)
    for term in _terms(spec):
        joined = np.zeros_like(total)
        for i, j in term.products:
            joined |= (a >> i & 1) & (b >> j & 1)
        total += joined * (term.sign(spec.widths, signed=spec.signed) << term.column)
    return total


def _array(columns: Columns, spec: Configured, a: Value, b: Value) -> None:
    m, terms = columns.m, _terms(spec)
    products = {
        (i, j): wire(m, a[i] & b[j], f"product_{j}_{i}")
        for i, j in sorted({product for term in terms for product in term.products})
    }
    for place, term in enumerate(terms):
        bit, *others = (products[product] for product in term.products)
        if others:
            for other in others:
                bit = bit | other
            bit = wire(m, bit, f"either_{place}")
        negative = term.sign(spec.widths, signed=spec.signed) < 0
        (columns.subtract if negative else columns.add)(term.column, bit)


def _dots(spec: Configured) -> DotDiagram:
    """Cells are the terms of partial products that are not simply added once in their column."""
    terms = _terms(spec)
    uses = Counter(product for term in terms for product in term.products)
    array = and_array(spec.widths, spec.signed, lambda row, column: uses[column, row] > 0)
    dots = {(dot.weight - dot.row, dot.row): dot for dot in array.kept}
    cells = tuple(
        ApproximateCell(term.column, tuple(dots[product] for product in term.products))
        for term in terms
        if not (term.in_place and uses[term.products[0]] == 1)
    )
    return replace(array, cells=cells, cell_name="or gate" if cells else "", lettered=bool(cells))


TERMS = Family(
    name="terms",
    title="Any sum of terms: partial products, joined by or gates or not, in any columns",
    source="this project; the superset of `mask` and of or gates in the array",
    parameters=(
        Parameter(
            "sum",
            "terms joined by +, each the or of partial products ij for a[i] and b[j], for example "
            "00+01+10+4.11",
            text=_text,
        ),
        Parameter("tree", "addition of the terms", "serial", choices=tuple(TREES)),
    ),
    signed_form=SignedForm.BAUGH_WOOLEY,
    rule=_rule,
    array=_array,
    dots=_dots,
    widths=range(1, 17),
    check=_check,
)
