"""Dot diagrams: they are what the circuit adds, and add up to what the rule says."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from family_checks import specs
from hypothesis import given, settings
from numpy.typing import NDArray

from hdl.circuits.compressors import COMPRESSORS
from hdl.circuits.dot_diagram import Dot, DotDiagram, and_array
from hdl.multipliers.elaboration import product, rtlil
from hdl.multipliers.families import FAMILIES, SignedForm
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import Widths, code_values

Integers = NDArray[np.int64]


def diagram(text: str) -> DotDiagram:
    spec = MultiplierSpec.parse(text)
    dots = FAMILIES[spec.family].dots(spec)
    assert dots is not None
    return dots


def operands(spec: MultiplierSpec) -> tuple[Integers, Integers]:
    """All operand values where they are few, else 3000 random pairs."""
    values_a, values_b = (code_values(width, signed=spec.signed) for width in spec.widths)
    if spec.widths.product <= 12:
        return np.repeat(values_a, len(values_b)), np.tile(values_b, len(values_a))
    rng = np.random.default_rng(5)
    return rng.choice(values_a, 3000), rng.choice(values_b, 3000)


def and_gate(dot: Dot, a: Integers, b: Integers) -> Integers:
    """b[row] * a[weight - row]."""
    return b >> dot.row & a >> dot.weight - dot.row & 1


def weighed(dot: Dot) -> int:
    return (-1 if dot.negative else 1) << dot.weight


def wrapped(value: Integers, spec: MultiplierSpec) -> Integers:
    return value & (1 << spec.widths.product) - 1


def assert_sum(spec: MultiplierSpec, total: Integers, a: Integers, b: Integers) -> None:
    np.testing.assert_array_equal(
        wrapped(total, spec), wrapped(product(spec, a, b), spec), err_msg=str(spec)
    )


@settings(deadline=None, max_examples=60)
@given(specs())
def test_kept_dots_and_or_gates_add_up_to_the_product(spec: MultiplierSpec) -> None:
    dots = FAMILIES[spec.family].dots(spec)
    magnitudes = FAMILIES[spec.family].signed_form is SignedForm.SIGN_MAGNITUDE and spec.signed
    if (
        dots is None
        or dots.cell_name not in ("", "or gate")
        or "digit 0" in dots.rows
        or not all(cell.dots for cell in dots.cells)
    ):
        return
    unsigned = replace(spec, signed=False) if magnitudes else spec
    a, b = operands(unsigned)
    joined = {dot for cell in dots.cells for dot in cell.dots}
    total = sum(
        (and_gate(dot, a, b) * weighed(dot) for dot in dots.kept if dot not in joined),
        np.full_like(a, dots.constant),
    )
    for cell in dots.cells:
        total = total + (
            np.bitwise_or.reduce([and_gate(dot, a, b) for dot in cell.dots])
            * weighed(replace(cell.dots[0], weight=cell.weight))
        )
    assert_sum(unsigned, total, a, b)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "exact",
            "tm:k=2,comp=9",
            "bam:h=2,v=5,comp=80",
            "perforate:j=2,k=3",
            "mask:bits=f0f0aa55ff00ff0f",
        ),
        *(
            "compressor:kind=lin,cols=9",
            "udm:exact=2,width=7",
            "sdlc:d=3,exact=4",
            "am1:m=8",
            "am2:m=3,width=6",
            "terms:sum=00+02|11+3.20|02+22+22,width=5x4",
        ),
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_kept_dots_are_the_gates_of_the_circuit(text: str, signed: bool) -> None:
    spec = replace(MultiplierSpec.parse(text), signed=signed)
    dots = FAMILIES[spec.family].dots(spec)
    assert dots is not None
    assert (
        len(set(dots.kept) | set(dots.dropped))
        == len(dots.kept) + len(dots.dropped)
        == spec.width_a * spec.width_b
    )
    wires = {
        (int(row), int(column))
        for row, column in re.findall(r"\\product_(\d+)_(\d+)$", rtlil(spec), flags=re.M)
    }
    assert wires == {(dot.row, dot.weight - dot.row) for dot in dots.kept}
    assert {dot for cell in dots.cells for dot in cell.dots} <= set(dots.kept)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        *(
            (f"compressor:kind={kind},cols={cols}", r"column(\d+)_compressor\d+_one_of_first")
            for kind in COMPRESSORS
            for cols in (5, 8, 13)
        ),
        *((f"am1:m=4,width={width}", r"adder\d+_sum(\d+)") for width in (4, 7, 8)),
        ("sdlc:d=4,exact=3", r"either_\d+_(\d+)"),
    ],
)
def test_approximate_cells_are_those_of_the_circuit(text: str, cell: str) -> None:
    spec = MultiplierSpec.parse(text)
    found = Counter(
        int(weight) for weight in re.findall(rf"wire .*\\{cell}$", rtlil(spec), flags=re.M)
    )
    dots = diagram(text)
    if spec.family == "sdlc":  # an or gate of one input is a wire
        found = Counter(cell.weight for cell in dots.cells if found[cell.weight])
    assert [found[weight] for weight in range(dots.columns)] == list(dots.cells_of_columns())


@pytest.mark.parametrize(("kind", "missing"), [("single_error", 1), ("lin", 2)])
@pytest.mark.parametrize("signed", [False, True])
def test_compressors_of_one_stage_err_where_all_their_dots_are_ones(
    kind: str, missing: int, signed: bool
) -> None:
    spec = MultiplierSpec.make("compressor", width=4, signed=signed, kind=kind, cols=4)
    dots = FAMILIES[spec.family].dots(spec)
    assert dots is not None
    a, b = operands(spec)
    error = np.zeros_like(a)
    for cell in dots.cells:
        assert len(cell.dots) == 4
        error = error - (
            missing
            * np.bitwise_and.reduce([and_gate(dot, a, b) ^ dot.negative for dot in cell.dots])
            << cell.weight
        )
    assert error.any()
    np.testing.assert_array_equal(product(spec, a, b) - a * b, error)


@pytest.mark.parametrize(
    ("width", "signed"), [(4, False), (5, False), (5, True), (8, True), (8, False)]
)
@pytest.mark.parametrize("kind", ["exact", "r4abe1", "r4abe2"])
def test_booth_rows_add_up_to_the_product(width: int, signed: bool, kind: str) -> None:
    limit = width
    parameters = {"kind": "booth"} if kind == "exact" else {"kind": kind, "p": limit}
    spec = MultiplierSpec.make(
        "exact" if kind == "exact" else "booth_r4", width=width, signed=signed, **parameters
    )
    dots = FAMILIES[spec.family].dots(spec)
    assert dots is not None
    rough = {dot for cell in dots.cells for dot in cell.dots}
    a, b = operands(spec)
    total = np.zeros_like(a)
    for dot in dots.kept:
        own_row, place = (dot.row, dot.weight - 2 * dot.row)
        completing = place < 0
        row = own_row - completing
        high, middle, low = (
            (b >> 2 * row + 1 & 1),
            (b >> 2 * row & 1),
            (b >> 2 * row - 1 & 1 if row else 0 * b),
        )
        digit = middle + low - 2 * high
        if completing:
            # Beside an approximate lowest cell it is a one of its own; with an exact cell it makes
            # the product's lowest bit and this carry.
            bit = (digit < 0) & ((place == -2) | (a * digit % 2 == 0))
        elif dot in rough:
            bit = (
                (np.abs(digit) == 1) & (a >> place & 1 ^ high)
                if kind == "r4abe1"
                else a >> place & 1 ^ high
            )
        else:
            bit = a * digit & 1 if place == 0 else a * digit - (digit < 0) >> place & 1
        total = total + bit.astype(np.int64) * weighed(dot)
    assert_sum(spec, total, a, b)
    assert {dot.weight < limit for dot in rough} <= {True}
    assert bool(rough) == (kind != "exact")


def test_a_broken_array_by_hand() -> None:
    dots = diagram("bam:h=2,v=3,width=4,comp=5,signed=1")
    assert dots.kept == (
        *(Dot(2, 3), Dot(2, 4), Dot(2, 5, negative=True)),
        *(Dot(3, 3, negative=True), Dot(3, 4, negative=True), Dot(3, 5, negative=True), Dot(3, 6)),
    )
    assert (len(dots.dropped), dots.columns, dots.constant, dots.rows) == (
        9,
        8,
        5,
        ("b0", "b1", "b2", "b3"),
    )


def test_terms_by_hand() -> None:
    dots = diagram("terms:sum=00+02|11+5.20+22+22+3.33+33,width=4,signed=1")
    assert {(dot.row, dot.weight) for dot in dots.kept} == {
        *((0, 0), (0, 2), (1, 2), (2, 2), (2, 4), (3, 6))
    }
    assert [(cell.weight, {(dot.row, dot.weight) for dot in cell.dots}) for cell in dots.cells] == [
        *((2, {(2, 2), (1, 2)}), (3, {(3, 6)})),
        *((4, {(2, 4)}), (4, {(2, 4)}), (5, {(0, 2)}), (6, {(3, 6)})),
    ]
    assert dots.lettered
    assert not diagram("terms:sum=00+11,width=4").lettered


def test_parts_of_a_recursive_multiplier_keep_their_places() -> None:
    dots = diagram("recursive:hl=tm[k=1,comp=3],ll=udm,loa=2")
    assert dots.constant == 3 << 4
    assert {(dot.row, dot.weight) for dot in dots.dropped} == {
        (row, row + column) for row in range(4) for column in range(4, 8)
    } - {(row, row + column) for row in range(1, 4) for column in range(5, 8)}
    assert dots.cells_of_columns() == (0, 1, 0, 2, 1, 2, *[0] * 10)
    assert set(dots.kept) | set(dots.dropped) == set(and_array(Widths(8, 8), signed=False).kept)


@pytest.mark.parametrize(
    "text",
    [
        "exact:kind=behavioural",
        "drum:k=4",
        "mitchell",
        "recursive:ll=drum[k=3]",
        "recursive:hh=exact[kind=booth]",
    ],
)
def test_multipliers_without_an_array_have_no_dots(text: str) -> None:
    spec = MultiplierSpec.parse(text)
    assert FAMILIES[spec.family].dots(spec) is None
