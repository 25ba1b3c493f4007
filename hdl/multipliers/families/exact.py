"""The exact multiplier: the baseline of every comparison."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value

from ...circuits.booth import add_booth_row, booth_digits, booth_dots
from ...circuits.columns import TREES, Columns, add_partial_products
from ...circuits.dot_diagram import DotDiagram, and_array
from ...operands import Widths
from .family import Configured, Family, IntArray, Parameter, SignedForm, Values

__all__ = ["EXACT"]


def _rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    return a * b


def _circuit(m: Module, spec: Configured, a: Value, b: Value) -> Value:
    if spec.choice("kind") == "behavioural":
        product = Signal(spec.widths.product, name="total")
        m.d.comb += product.eq(a.as_signed() * b.as_signed() if spec.signed else a * b)
        return product
    columns = Columns(m, spec.widths.product)
    _array(columns, spec, a, b)
    return columns.sum(spec.choice("tree"))


def _array(columns: Columns, spec: Configured, a: Value, b: Value) -> None:
    if spec.choice("kind") == "booth":
        for digit in booth_digits(columns.m, b, spec.signed):
            add_booth_row(columns, a, spec.signed, digit)
    else:
        add_partial_products(columns, a, b, spec.signed)


def _dots(spec: Configured) -> DotDiagram | None:
    match spec.choice("kind"):
        case "and":
            return and_array(spec.widths, spec.signed)
        case "booth":
            return booth_dots(spec.widths, spec.signed)
        case _:
            return None


def _coupled(widths: Widths, values: Values) -> Values:
    return values if values["kind"] != "behavioural" else {**values, "tree": "dadda"}


EXACT = Family(
    name="exact",
    title="Exact multiplier",
    source="Baugh and Wooley, IEEE Trans. Computers 1973; MacSorley, Proc. IRE 1961 (radix-4 "
    "Booth); Wallace, IEEE Trans. Electronic Computers 1964; Dadda, Alta Frequenza 1965",
    parameters=(
        Parameter(
            "kind",
            "partial products: and gates, radix-4 Booth, or a*b left to Yosys",
            "and",
            choices=("and", "booth", "behavioural"),
        ),
        Parameter("tree", "addition of the partial products", "dadda", choices=tuple(TREES)),
    ),
    signed_form=SignedForm.BAUGH_WOOLEY,
    rule=_rule,
    circuit=_circuit,
    array=_array,
    dots=_dots,
    symmetric=True,
    widths=range(1, 17),
    coupled=_coupled,
)
