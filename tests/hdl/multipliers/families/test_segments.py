"""Segment multipliers: gates, rules, golden and published figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from family_checks import (
    WIDTHS_AND_SIGNS,
    assert_gates_follow_the_rule,
    assert_golden_rows,
    sampled_relative_errors,
)

from hdl.multipliers.elaboration import product, rtlil
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import Widths
from hdl.tables.product_table import ProductTable
from hdl.yosys.gate_netlist import gates

SEGMENT_FAMILIES = {"drum": "k", "lodtrunc": "k", "ssm": "m", "essm": "m", "etm": "offset"}
"""Family -> its size parameter."""


def specs(family: str, width: int, signed: bool) -> list[MultiplierSpec]:
    """The smallest, a middle and the largest size at this width."""
    name = SEGMENT_FAMILIES[family]
    parameter = FAMILIES[family].parameter(name)
    assert parameter is not None
    assert parameter.bounds is not None
    low, high = parameter.bounds(Widths.of(width))
    sizes = sorted({low, (low + high) // 2, high})
    return [
        MultiplierSpec.make(family, width=width, signed=signed, **{name: size}) for size in sizes
    ]


@pytest.mark.parametrize("family", SEGMENT_FAMILIES)
@pytest.mark.parametrize(("width", "signed"), WIDTHS_AND_SIGNS)
def test_gates_follow_the_rule(family: str, width: int, signed: bool) -> None:
    for spec in specs(family, width, signed):
        assert_gates_follow_the_rule(spec)


@pytest.mark.parametrize(
    "text",
    [
        "drum:k=3,width=5",
        "lodtrunc:k=2,width=7",
        "ssm:m=4,width=7",
        "essm:m=3,width=7",
        "etm:width=7",
    ],
)
def test_gates_follow_the_rule_at_odd_widths(text: str) -> None:
    assert_gates_follow_the_rule(MultiplierSpec.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "drum:k=6,width=16",
        "lodtrunc:k=5,width=13",
        "ssm:m=9,width=16",
        "essm:m=7,width=15",
        "etm:width=16",
    ],
)
def test_gates_follow_the_rule_at_large_widths(text: str) -> None:
    spec = MultiplierSpec.parse(text)
    rng = np.random.default_rng(1)
    # Operands of every magnitude, so that every window and every shift occurs.
    a, b = rng.integers(0, 1 << spec.width_a, (2, 20_000)) >> rng.integers(
        0, spec.width_a, (2, 20_000)
    )
    np.testing.assert_array_equal(gates(rtlil(spec)).evaluate(a, b), product(spec, a, b))


@pytest.mark.parametrize("family", SEGMENT_FAMILIES)
def test_golden_figures(shared: Path, family: str) -> None:
    assert_golden_rows(shared, family)


@pytest.mark.parametrize(("size", "mred_pct", "sigma_pct"), [(6, 1.468, 1.804), (4, 5.891, None)])
def test_published_relative_error_of_16_bit_drum(
    size: int, mred_pct: float, sigma_pct: float | None
) -> None:
    relative = sampled_relative_errors(MultiplierSpec.make("drum", width=16, k=size))
    assert np.abs(relative).mean() == pytest.approx(mred_pct, rel=0.01)
    if sigma_pct is not None:
        assert relative.std() == pytest.approx(sigma_pct, rel=0.01)


@pytest.mark.parametrize("family", SEGMENT_FAMILIES)
def test_a_signed_product_is_the_unsigned_one_of_the_magnitudes(family: str) -> None:
    for unsigned, signed in zip(specs(family, 6, False), specs(family, 6, True), strict=True):
        magnitudes, products = ProductTable.of(unsigned).products, ProductTable.of(signed).products
        for a, b in ((-32, -32), (-32, 31), (5, -32), (-1, 1), (-27, -14)):
            sign = -1 if (a < 0) != (b < 0) else 1
            assert (
                products[a, b] == sign * magnitudes[abs(a), abs(b)]
            )  # negative codes index from the end


def test_drum_by_hand() -> None:
    spec = MultiplierSpec.make("drum", k=4)
    assert product(spec, 0b1101_0110, 0b0000_1001) == 0b1101_0000 * 0b1001
    assert product(spec, 0b1100_0110, 0b0001_0000) == 0b1101_0000 * 0b0001_0010


def test_etm_by_hand() -> None:
    spec = MultiplierSpec.make("etm")
    assert product(spec, 13, 11) == 143
    assert product(spec, 0b0011_0010, 0b0101_0000) == (3 * 5 << 8) + 0b0011_1111
    assert product(spec, 0, 0b0100_0000) == 0
    assert product(spec, 0, 0b0100_1000) == 0b1111_1111
