"""Families that leave partial products or operand bits out: tm, bam, perforate, mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from family_checks import WIDTHS_AND_SIGNS, assert_gates_follow_the_rule, assert_golden_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.multipliers.elaboration import product, rtlil
from hdl.multipliers.spec import MultiplierSpec, SpecError
from hdl.operands import code_values
from hdl.tables.product_table import ProductTable
from hdl.yosys.gate_netlist import gates


@pytest.mark.parametrize(("width", "signed"), WIDTHS_AND_SIGNS)
def test_gates_follow_the_rule(width: int, signed: bool) -> None:
    top = width - 1
    texts = [
        *(f"tm:k={k}" for k in (1, width // 2, width - 2)),
        f"tm:k=2,comp={width}",
        *(f"bam:h={h},v={v}" for h, v in ((0, width), (top, 0), (width // 2, 2 * width - 4))),
        f"bam:h=1,v=3,comp={width}",
        *(f"perforate:j={j},k={k}" for j, k in ((0, 1), (width // 2, width // 2), (0, top))),
        "perforate:j=1,k=2,comp=5,tree=wallace",
        f"mask:bits={(1 << width * width) // 3:x},comp=7,tree=array",
        "mask:bits=0",
    ]
    for text in texts:
        assert_gates_follow_the_rule(
            MultiplierSpec.parse(f"{text},width={width},signed={signed:d}")
        )


@pytest.mark.parametrize(
    "text",
    ["tm:k=5,comp=77", "bam:h=2,v=11", "perforate:j=3,k=4", f"mask:bits={(1 << 256) // 7:x}"],
)
@pytest.mark.parametrize("signed", [False, True])
def test_sixteen_bits_in_samples(text: str, signed: bool) -> None:
    spec = MultiplierSpec.parse(f"{text},width=16,signed={signed:d}")
    low = -(1 << 15) if signed else 0
    a, b = np.random.default_rng(0).integers(low, low + (1 << 16), (2, 2000))
    codes = gates(rtlil(spec)).evaluate(a & 65535, b & 65535)
    np.testing.assert_array_equal(codes, product(spec, a, b) & (1 << 32) - 1)


@pytest.mark.slow
def test_golden_rows(shared: Path) -> None:
    assert_golden_rows(shared, "tm", "bam", "perforate")


@pytest.mark.parametrize("width", [4, 7, 8])
@pytest.mark.parametrize("signed", [False, True])
def test_the_full_mask_is_exact(width: int, signed: bool) -> None:
    mask = f"{(1 << width * width) - 1:x}"
    assert not ProductTable.of(
        MultiplierSpec.make("mask", width=width, signed=signed, bits=mask)
    ).errors.any()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 5), (7, 1), (1, 7), (7, 7)])
def test_a_mask_without_one_cell_misses_its_weight_alone(
    row: int, column: int, signed: bool
) -> None:
    mask = (1 << 64) - 1 ^ 1 << 8 * row + column
    table = ProductTable.of(MultiplierSpec.make("mask", signed=signed, bits=f"{mask:x}"))
    codes = np.arange(256)
    both = (codes[:, None] >> column & 1) * (codes >> row & 1)
    sign = -1 if signed and (row == 7) != (column == 7) else 1
    np.testing.assert_array_equal(table.errors, -sign * both << row + column)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("bam:h=2,v=5", lambda row, column: row >= 2 and row + column >= 5),
        ("perforate:j=3,k=2", lambda row, column: row not in (3, 4)),
        ("tm:k=3", lambda row, column: min(row, column) >= 3),
    ],
)
def test_a_mask_is_every_other_family(text: str, kept: Callable[[int, int], bool]) -> None:
    mask = sum(
        1 << 8 * row + column for row in range(8) for column in range(8) if kept(row, column)
    )
    masked = ProductTable.of(MultiplierSpec.make("mask", bits=f"{mask:x}"))
    np.testing.assert_array_equal(
        masked.products, ProductTable.of(MultiplierSpec.parse(text)).products
    )


@settings(deadline=None, max_examples=15)
@given(mask=st.integers(0, (1 << 36) - 1), comp=st.integers(0, (1 << 10) - 1), signed=st.booleans())
def test_the_constant_shifts_every_product(mask: int, comp: int, signed: bool) -> None:
    spec = MultiplierSpec.make("mask", width=6, signed=signed, bits=f"{mask:x}")
    shifted = MultiplierSpec.make("mask", width=6, signed=signed, bits=f"{mask:x}", comp=comp)
    difference = ProductTable.of(shifted).products - ProductTable.of(spec).products
    assert np.unique(difference % (1 << 12)).tolist() == [comp]


@pytest.mark.parametrize("family", ["tm:k=2", "bam:h=1,v=6", "perforate:j=0,k=2"])
@pytest.mark.parametrize("signed", [False, True])
def test_products_with_zero_stay_zero_without_a_constant(family: str, signed: bool) -> None:
    products = ProductTable.of(MultiplierSpec.parse(f"{family},signed={signed:d}")).products
    assert not products[0].any()
    assert not products[:, 0].any()


def test_rows_are_the_bits_of_b() -> None:
    values = code_values(8, signed=False)
    products = ProductTable.of(MultiplierSpec.parse("perforate:j=0,k=3")).products
    np.testing.assert_array_equal(products, values[:, None] * (values & ~7))


def test_perforated_rows_end_at_the_top() -> None:
    with pytest.raises(SpecError, match="perforate:j=6,k=2"):
        MultiplierSpec.parse("perforate:j=6,k=5")
    assert str(MultiplierSpec.nearest("perforate", j=6, k=5)) == "perforate:j=6,k=2"


@pytest.mark.parametrize("bits", ["g", "1ffffffffffffffff", "-1", ""])
def test_masks_that_do_not_exist(bits: str) -> None:
    with pytest.raises(SpecError, match="mask"):
        MultiplierSpec.parse(f"mask:bits={bits}")


def test_equal_masks_are_spelled_equally() -> None:
    assert str(MultiplierSpec.parse("mask:bits=0x00FF")) == "mask:bits=ff"
