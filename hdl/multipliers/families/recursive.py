"""Multipliers composed of four multipliers of half the width, each of any family. The high half of
an odd width is the longer one.

A plain `exact` part has no adder of its own where its product is only summed; `exact[tree=array]`
and all others are whole multipliers.
"""

from __future__ import annotations

import functools

from amaranth.hdl import Cat, Value

from ...circuits.adders import wire
from ...circuits.columns import TREES, Columns
from ...circuits.dot_diagram import ApproximateCell, Dot, DotDiagram
from ...operands import Widths
from .family import Configured, Family, IntArray, Parameter, SignedForm

__all__ = ["RECURSIVE"]

_PARTS = {"hh": (1, 1), "hl": (1, 0), "lh": (0, 1), "ll": (0, 0)}
"""Part -> half of a, half of b (1 is the high half)."""


def _part_widths(name: str, widths: Widths) -> Widths:
    return Widths(*((width + high) // 2 for width, high in zip(widths, _PARTS[name], strict=True)))


def _part_weight(spec: Configured, name: str) -> int:
    """The product of the part counts in units of 2^this."""
    return sum(width // 2 * high for width, high in zip(spec.widths, _PARTS[name], strict=True))


def _joined_columns(spec: Configured) -> int:
    """Columns below this one are joined by or gates: those of the shorter low half hold one bit
    anyway.
    """
    return min(spec.widths) // 2 + spec.integer("loa")


def _rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    halves_a, halves_b = (
        (operand % (1 << width // 2), operand >> width // 2)
        for operand, width in zip((a, b), spec.widths, strict=True)
    )
    joined = (1 << _joined_columns(spec)) - 1
    low: IntArray = a * 0
    high: IntArray = a * 0
    for name, (half_a, half_b) in _PARTS.items():
        family, part = spec.part(name, _part_widths(name, spec.widths))
        product = family.product(part, halves_a[half_a], halves_b[half_b]) << _part_weight(
            spec, name
        )
        low = low | product & joined
        high = high + (product & ~joined)
    return low + high


def _array(columns: Columns, spec: Configured, a: Value, b: Value) -> None:
    m = columns.m
    halves_a, halves_b = (
        (operand[: len(operand) // 2], operand[len(operand) // 2 :]) for operand in (a, b)
    )
    joined: list[list[Value]] = [[] for _ in range(_joined_columns(spec))]
    for name, (half_a, half_b) in _PARTS.items():
        weight = _part_weight(spec, name)
        if spec.choice(name) == "exact" and spec.integer("loa") == 0:
            # Its partial products join the sum as they are, which saves an adder.
            _add_exact_part(columns, halves_a[half_a], halves_b[half_b], weight, name)
            continue
        family, part = spec.part(name, _part_widths(name, spec.widths))
        product = family.build(m, part, halves_a[half_a], halves_b[half_b])
        for position, bit in enumerate(product, weight):
            if position < len(joined):
                joined[position].append(bit)
            else:
                columns.add(position, bit)
    for position, bits in enumerate(joined):
        columns.add(position, wire(m, Cat(bits).any(), f"joined{position}"))


def _add_exact_part(columns: Columns, a: Value, b: Value, weight: int, name: str) -> None:
    for row, bit_b in enumerate(b):
        for column, bit_a in enumerate(a):
            columns.add(
                weight + row + column,
                wire(columns.m, bit_a & bit_b, f"{name}_product_{row}_{column}"),
            )


def _dots(spec: Configured) -> DotDiagram | None:
    """The dots of the four parts in one array; None where a part has no array of b's bits."""
    kept: list[Dot] = []
    dropped: list[Dot] = []
    cells = [
        ApproximateCell(weight, ())
        for weight in range(min(spec.widths) // 2, _joined_columns(spec))
    ]
    names = ["or gate"] * bool(cells)
    constant = 0
    for name, (_, half_b) in _PARTS.items():
        family, part = spec.part(name, _part_widths(name, spec.widths))
        array = family.dots(part)
        if array is None or len(array.rows) != part.width_b:
            return None
        row, weight = spec.width_b // 2 * half_b, _part_weight(spec, name)
        kept += [_moved(dot, row, weight) for dot in array.kept]
        dropped += [_moved(dot, row, weight) for dot in array.dropped]
        cells += [
            ApproximateCell(
                cell.weight + weight, tuple(_moved(dot, row, weight) for dot in cell.dots)
            )
            for cell in array.cells
        ]
        names += [array.cell_name] * bool(array.cells)
        constant += array.constant << weight
    rows = tuple(f"b{row}" for row in range(spec.width_b))
    return DotDiagram(
        rows,
        spec.widths.product,
        tuple(kept),
        tuple(dropped),
        tuple(cells),
        ", ".join(dict.fromkeys(names)),
        constant,
    )


def _moved(dot: Dot, rows: int, weight: int) -> Dot:
    return Dot(dot.row + rows, dot.weight + weight)


RECURSIVE = Family(
    name="recursive",
    title="Four multipliers of half the width, and the sum of their products",
    source=(
        "Rehman et al., ICCAD 2016, doi 10.1145/2966986.2967005; or gates for the lowest sums: "
        "Mahdiani et al., IEEE TCAS-I 2010"
    ),
    parameters=(
        *(
            Parameter(
                name,
                f"family[key=value,...] for the {words} halves",
                "exact",
                part=functools.partial(_part_widths, name),
            )
            for name, words in (
                ("hh", "high"),
                ("hl", "high and low"),
                ("lh", "low and high"),
                ("ll", "low"),
            )
        ),
        Parameter(
            "loa",
            "columns, from half the width up, joined by or gates",
            0,
            bounds=lambda widths: (0, widths.product // 2),
        ),
        Parameter("tree", "addition of the four products", "dadda", choices=tuple(TREES)),
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_rule,
    array=_array,
    dots=_dots,
    widths=range(4, 17),
)
