"""Block, row-cluster and recursive multipliers: gates, rules, golden figures."""

from __future__ import annotations

from itertools import product as pairs
from pathlib import Path

import numpy as np
import pytest
from family_checks import WIDTHS_AND_SIGNS, assert_gates_follow_the_rule, assert_golden_rows

from hdl.multipliers.elaboration import product, rtlil
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import code_values
from hdl.tables.product_table import ProductTable
from hdl.yosys.gate_netlist import gates


@pytest.mark.parametrize(("width", "signed"), WIDTHS_AND_SIGNS)
@pytest.mark.parametrize("exact", [0, 2, None])
def test_gates_of_udm_follow_the_rule(width: int, signed: bool, exact: int | None) -> None:
    assert_gates_follow_the_rule(
        MultiplierSpec.make(
            "udm", width=width, signed=signed, exact=width - 2 if exact is None else exact
        )
    )


@pytest.mark.parametrize(("width", "signed"), WIDTHS_AND_SIGNS)
@pytest.mark.parametrize(("d", "exact"), [(2, 0), (3, 3), (4, 5)])
def test_gates_of_sdlc_follow_the_rule(width: int, signed: bool, d: int, exact: int) -> None:
    assert_gates_follow_the_rule(
        MultiplierSpec.make("sdlc", width=width, signed=signed, d=d, exact=exact)
    )


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize(
    "parts",
    [
        "ll=udm",
        "hh=exact[tree=array],hl=drum[k=3],lh=mitchell,ll=bam[h=0,v=3],loa=3,tree=wallace",
        "hh=udm,hl=tm[k=1,comp=2],lh=ssm[m=2],ll=perforate[j=0,k=2],loa=8",
    ],
)
def test_gates_of_recursive_follow_the_rule(parts: str, signed: int) -> None:
    assert_gates_follow_the_rule(MultiplierSpec.parse(f"recursive:{parts},signed={signed}"))


@pytest.mark.parametrize(
    "text",
    [
        "udm:width=5",
        "udm:width=7,exact=1,signed=1",
        "sdlc:d=2,width=7,exact=2",
        "sdlc:d=3,width=5,signed=1",
    ],
)
def test_gates_follow_the_rule_at_odd_widths(text: str) -> None:
    assert_gates_follow_the_rule(MultiplierSpec.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "udm:width=16,exact=4",
        "udm:width=13",
        "sdlc:d=3,width=16,exact=9",
        "recursive:width=12,ll=udm,hl=drum[k=4]",
        "recursive:width=16,ll=recursive[ll=udm,lh=drum[k=3],loa=2],hh=lodtrunc[k=5],loa=4",
    ],
)
def test_gates_follow_the_rule_at_large_widths(text: str) -> None:
    spec = MultiplierSpec.parse(text)
    a, b = np.random.default_rng(2).integers(0, 1 << spec.width_a, (2, 20_000))
    np.testing.assert_array_equal(gates(rtlil(spec)).evaluate(a, b), product(spec, a, b))


def test_golden_figures(shared: Path) -> None:
    assert_golden_rows(shared, "udm")


def test_udm_is_composed_of_blocks_in_which_three_times_three_is_seven() -> None:
    digits = np.arange(256) >> np.array([[0], [2], [4], [6]]) & 3
    expected = np.zeros((256, 256), dtype=np.int64)
    for i, j in pairs(range(4), repeat=2):
        block = np.multiply.outer(digits[i], digits[j])
        expected += np.where(block == 9, 7, block) << 2 * (i + j)
    np.testing.assert_array_equal(ProductTable.of(MultiplierSpec.make("udm")).products, expected)


def test_recursive_udm_is_udm() -> None:
    composed = ProductTable.of(
        MultiplierSpec.make("recursive", hh="udm", hl="udm", lh="udm", ll="udm")
    )
    np.testing.assert_array_equal(
        composed.products, ProductTable.of(MultiplierSpec.make("udm")).products
    )


@pytest.mark.parametrize(
    "text", ["udm:exact=6", "sdlc:exact=13", "recursive", "recursive:signed=1"]
)
def test_as_exact_as_it_gets(text: str) -> None:
    errors = ProductTable.of(MultiplierSpec.parse(text)).errors
    if text.startswith("udm"):
        assert np.unique(errors).tolist() == [-2, 0]  # only the block of the lowest digits is left
    elif text.startswith("sdlc"):
        assert np.unique(errors).tolist() == [-2, 0]  # column 1 is the lowest with two cells
    else:
        assert not errors.any()


@pytest.mark.parametrize("family", ["udm", "sdlc"])
def test_exact_columns_never_raise_the_error(family: str) -> None:
    worst = [
        np.abs(ProductTable.of(MultiplierSpec.make(family, exact=exact)).errors).max()
        for exact in range(0, 7, 2)
    ]
    assert worst == sorted(worst, reverse=True)


def test_each_half_of_the_operands_goes_to_its_part() -> None:
    values = code_values(8, signed=False)
    a, b = values[:, None], values
    halves = {
        "hh": (a >> 4, b >> 4, 8),
        "hl": (a >> 4, b & 15, 4),
        "lh": (a & 15, b >> 4, 4),
        "ll": (a & 15, b & 15, 0),
    }
    for name, (half_a, half_b, weight) in halves.items():
        spec = MultiplierSpec.parse(f"recursive:{name}=perforate[j=1,k=1]")
        np.testing.assert_array_equal(
            ProductTable.of(spec).errors, -(half_a * (half_b & 2)) << weight
        )


def test_columns_joined_by_or_gates_by_hand() -> None:
    # 0x1F * 0x23: 1*2 << 8, 1*3 << 4, 15*2 << 4 and 15*3; columns 4 to 6 hold 0b011, 0b110 and
    # 0b010.
    spec = MultiplierSpec.make("recursive", loa=3)
    assert product(spec, 0x1F, 0x23) == (2 << 8) + (0b11 << 7) + (0b111 << 4) + 0b1101
