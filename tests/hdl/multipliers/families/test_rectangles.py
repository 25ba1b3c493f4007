"""Multipliers whose operands differ in width: gates, rule and text of every family, and what the
catalogue says of its widths.
"""

from __future__ import annotations

import numpy as np
import pytest
from family_checks import assert_gates_follow_the_rule, example, widths_of

from hdl.multipliers.elaboration import dots, product
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import Widths
from hdl.tables.product_table import ProductTable

RECTANGLES = [Widths(8, 7), Widths(8, 3), Widths(5, 8), Widths(4, 6), Widths(3, 2), Widths(2, 5)]
#: Where each integer of a family goes to its ends.
TO_THE_ENDS = [Widths(8, 3), Widths(4, 6)]
SMALLEST = {"exact": 1, "terms": 1, "tm": 3, "compressor": 4, "etm": 4, "recursive": 4}
"""Family -> the least bits of the narrower operand, where that is not 2."""
SMALLEST_WIDER = {"drum": 4, "dralm": 3, "essm": 3, "scaletrim": 3}
"""Family -> the least bits of the wider operand, where that is more than the least of the narrower.
"""


def extremes(family: str, widths: Widths, signed: bool) -> list[MultiplierSpec]:
    """A multiplier with its integers in the middle, and those with each integer at its ends."""
    middle = example(family, width=widths, signed=signed)
    found = {str(middle): middle}
    for parameter in FAMILIES[family].parameters:
        for value in parameter.bounds(widths) if parameter.bounds else ():
            spec = MultiplierSpec.nearest(
                family,
                width=widths,
                signed=signed,
                **{**dict(middle.parameters), parameter.name: value},
            )
            found[str(spec)] = spec
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("widths", RECTANGLES, ids=str)
def test_gates_follow_the_rule(family: str, signed: bool, widths: Widths) -> None:
    if not FAMILIES[family].fits(widths):
        assert min(widths) < SMALLEST.get(family, 2) or max(widths) < SMALLEST_WIDER.get(family, 2)
        return
    middle = [example(family, width=widths, signed=signed)]
    for spec in extremes(family, widths, signed) if widths in TO_THE_ENDS else middle:
        assert_gates_follow_the_rule(spec)
        assert MultiplierSpec.parse(str(spec)) == spec


@pytest.mark.parametrize("family", FAMILIES)
def test_the_widths_of_a_family_are_all_that_fit_its_rule(family: str) -> None:
    least = SMALLEST.get(family, 2)
    wider = SMALLEST_WIDER.get(family, least)
    sides = range(least, 17)
    assert widths_of(FAMILIES[family]) == [
        Widths(a, b) for a in sides for b in sides if max(a, b) >= wider
    ]


@pytest.mark.slow
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", ["and", "booth", "behavioural"])
def test_exact_products_of_any_narrow_operands(kind: str, signed: bool) -> None:
    for width_a in range(1, 6):
        for width_b in range(1, 6):
            table = ProductTable.of(
                MultiplierSpec.make("exact", kind=kind, width=(width_a, width_b), signed=signed)
            )
            np.testing.assert_array_equal(
                table.products, ProductTable.exact((width_a, width_b), signed).products
            )


@pytest.mark.parametrize(
    "text",
    [
        "bam:h=1,v=4",
        "mask:bits=f0f0f0f0ff",
        "terms:sum=00+02|20+3.44",
        "compressor:kind=lin,cols=6",
        "sdlc:d=3",
        "udm",
        "am1:m=4",
        "tm:k=2",
    ],
)
def test_families_of_partial_products_describe_a_rectangle_of_them(text: str) -> None:
    spec = MultiplierSpec.parse(f"{text},width=8x5" if ":" in text else f"{text}:width=8x5")
    diagram = dots(spec)
    assert diagram is not None
    assert (len(diagram.rows), diagram.columns) == (5, 13)
    cells = {(dot.row, dot.weight - dot.row) for dot in (*diagram.kept, *diagram.dropped)}
    assert cells == {(row, column) for row in range(5) for column in range(8)}
    exchanged = dots(spec.exchanged())
    assert exchanged is not None
    assert exchanged.rows == ("a0", "a1", "a2", "a3", "a4")


def test_bits_of_a_mask_count_through_the_rows_of_a() -> None:
    for row in range(2):
        for column in range(3):
            spec = MultiplierSpec.make("mask", bits=f"{1 << 3 * row + column:x}", width=(3, 2))
            a, b = np.arange(8)[:, None], np.arange(4)
            np.testing.assert_array_equal(
                ProductTable.of(spec).products, ((a >> column & 1) * (b >> row & 1)) << row + column
            )


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("drum:k=5", "drum:k=5,width=8x5"),
        ("ssm:m=5", "ssm:m=5,width=8x5"),
        ("mitchell", "mitchell:width=8x5"),
    ],
)
def test_a_narrow_operand_is_a_wide_one_with_zeros_on_top(wide: str, narrow: str) -> None:
    """These families look at an operand from its leading one down, wherever it is."""
    a, b = np.arange(256)[:, None], np.arange(32)
    np.testing.assert_array_equal(
        product(MultiplierSpec.parse(narrow), a, b), product(MultiplierSpec.parse(wide), a, b)
    )
