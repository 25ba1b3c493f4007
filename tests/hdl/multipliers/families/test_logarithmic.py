"""Logarithmic multipliers and those that linearize (1 + x)(1 + y): gates, rules, golden and
published figures.
"""

from __future__ import annotations

import csv
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
from hdl.multipliers.spec import MultiplierSpec
from hdl.tables.product_table import ProductTable
from hdl.yosys.gate_netlist import gates

Values = dict[str, int | str]


def parameters(family: str, width: int) -> list[Values]:
    """Up to four parameter points at this width, the extremes among them."""
    points: dict[str, list[Values]] = {
        "mitchell": [{}],
        "mitchw": [{"f": 0}, {"f": 1}, {"f": width - 2}],
        "dralm": [{"t": 3}, {"t": width - 1}, {"t": width}],
        "mbm": [{}, {"c": "1/4"}, {"c": "3/32", "k": 1}, {"c": "1/16", "k": width - 2}],
        "ilm": [{"n": 0}, {"n": 1}, {"n": 3}],
        "roba": [{}],
        "tosam": [
            {"h": 0, "t": 1},
            {"h": 1, "t": width - 1},
            {"h": width // 2 - 1, "t": width - 2},
        ],
        "scaletrim": [{"h": 1, "m": 0}, {"h": 2}, {"h": width - 2, "m": 2}],
    }
    return points[family]


FAMILY_NAMES = ("mitchell", "mitchw", "dralm", "mbm", "ilm", "roba", "tosam", "scaletrim")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize(("width", "signed"), WIDTHS_AND_SIGNS)
def test_gates_follow_the_rule(family: str, width: int, signed: bool) -> None:
    for values in parameters(family, width):
        assert_gates_follow_the_rule(
            MultiplierSpec.make(family, width=width, signed=signed, **values)
        )


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_gates_follow_the_rule_at_an_odd_width(family: str) -> None:
    assert_gates_follow_the_rule(MultiplierSpec.make(family, width=7, **parameters(family, 7)[-1]))


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("width", [13, 16])
def test_gates_follow_the_rule_at_large_widths(family: str, width: int) -> None:
    rng = np.random.default_rng(1)
    # Operands of every magnitude, and the largest, which overflow first.
    a, b = rng.integers(0, 1 << width, (2, 20_000)) >> rng.integers(0, width, (2, 20_000))
    a[:64], b[:64] = (1 << width) - 1 - rng.integers(0, 1 << width - 6, (2, 64))
    spec = MultiplierSpec.make(family, width=width, **parameters(family, width)[0])
    np.testing.assert_array_equal(gates(rtlil(spec)).evaluate(a, b), product(spec, a, b))


@pytest.mark.parametrize("family", ["mitchell", "mitchw", "dralm", "ilm", "roba", "tosam"])
def test_golden_figures(shared: Path, family: str) -> None:
    assert_golden_rows(shared, family)


def test_golden_figures_of_mbm_once_its_saturated_products_are_let_grow(shared: Path) -> None:
    with (shared / "reference" / "golden_metrics_mul8u.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["spec"] == "mbm")
    mitchell, mbm = (
        ProductTable.of(MultiplierSpec.parse(text)).products.astype(np.int64)
        for text in ("mitchell", "mbm")
    )
    saturated = mbm == 65535
    # Only operands whose logarithms add up to 2^15 reach the end of the range: the constant is 2^14
    # / 12 there.
    products = np.where(saturated, mitchell + (1 << 14) // 12, mbm)
    exact = np.multiply.outer(np.arange(256), np.arange(256))
    errors = products - exact
    assert saturated.sum() == 10
    assert products[saturated].min() > 65535
    assert f"{errors.mean():.3f}" == row["ME"]
    assert f"{np.abs(errors).mean():.3f}" == row["MED"]
    assert f"{errors.std():.2f}" == row["STD"]
    assert np.abs(errors).max() == int(row["WCE"])
    assert f"{100 * (np.abs(errors)[1:, 1:] / exact[1:, 1:]).mean():.4f}" == row["MRED_nz_pct"]


@pytest.mark.parametrize(
    ("text", "mred_pct"), [("mitchell", 3.849), ("mbm", 2.622), ("tosam:h=3,t=7", 1.048)]
)
def test_published_relative_error_at_16_bits(text: str, mred_pct: float) -> None:
    spec = MultiplierSpec.parse(f"{text}{',' if ':' in text else ':'}width=16")
    assert np.abs(sampled_relative_errors(spec)).mean() == pytest.approx(mred_pct, rel=0.01)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_zero_times_anything_is_zero_and_signs_follow_the_magnitudes(family: str) -> None:
    for values in parameters(family, 6):
        unsigned = ProductTable.of(MultiplierSpec.make(family, width=6, **values)).products
        signed = ProductTable.of(
            MultiplierSpec.make(family, width=6, signed=True, **values)
        ).products
        assert not unsigned[0].any()
        assert not unsigned[:, 0].any()
        np.testing.assert_array_equal(unsigned, unsigned.T)
        for a, b in ((-32, -32), (-32, 31), (5, -32), (-1, 1), (-27, -14), (0, -32)):
            sign = -1 if (a < 0) != (b < 0) else 1
            assert (
                signed[a, b] == sign * unsigned[abs(a), abs(b)]
            )  # negative codes index from the end


def test_powers_of_two_are_exact_in_mitchells_and_its_kin() -> None:
    powers = 1 << np.arange(8)
    for text in ("mitchell", "mitchw:f=2", "ilm:n=0", "roba"):
        np.testing.assert_array_equal(
            product(MultiplierSpec.parse(text), powers[:, None], powers), powers[:, None] * powers
        )


def test_corrections_leave_fewer_errors_until_none_is_left() -> None:
    errors = [
        np.abs(ProductTable.of(MultiplierSpec.make("ilm", width=4, n=n)).errors).sum()
        for n in range(4)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_rules_by_hand() -> None:
    def of(text: str, a: int, b: int) -> int:
        return int(product(MultiplierSpec.parse(text), a, b))

    assert of("mitchell", 0b0110, 0b1010) == (0b100 * 0b1000) + 2 * 8 + 2 * 4
    assert of("mitchell", 0b0111, 0b1110) == 2 * (3 * 8 + 6 * 4)
    assert of("mbm:c=1/16", 0b0110, 0b1010) == 56 + 32 // 16
    assert of("mbm", 255, 255) == 65535
    assert of("dralm:t=3", 0b1100_0000, 0b1100_0000) == (1 << 15) * 7 // 4
    assert of("roba", 3, 3) == 2 * 3 + 2 * 3 - 2 * 2
    assert of("roba", 6, 3) == 8 * 3 + 2 * 6 - 8 * 2
    assert of("tosam:h=0,t=2", 0b1110, 0b1001) == 64 * (4 + 3 + 0 + 1) // 4


def test_scaletrim_errs_less_with_more_bits_and_more_segments() -> None:
    def mean_error(h: int, m: int) -> float:
        return float(
            np.abs(ProductTable.of(MultiplierSpec.make("scaletrim", h=h, m=m)).errors).mean()
        )

    assert mean_error(2, 4) > mean_error(3, 4) > mean_error(4, 4) > mean_error(4, 8)
    assert all(mean_error(h, 0) > mean_error(h, 4) for h in (2, 3, 4))
