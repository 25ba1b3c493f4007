"""Families that differ in how columns are formed or added: compressors, Booth rows, adders without
carry propagation.
"""

from __future__ import annotations

from itertools import product as combinations
from pathlib import Path

import numpy as np
import pytest
from family_checks import WIDTHS_AND_SIGNS, assert_gates_follow_the_rule, assert_golden_rows

from hdl.circuits.compressors import COMPRESSORS, CompressorArithmetic
from hdl.multipliers.elaboration import product, rtlil
from hdl.multipliers.spec import MultiplierSpec
from hdl.tables.metrics import error_metrics
from hdl.tables.product_table import ProductTable
from hdl.yosys.gate_netlist import gates

BOOTH_KINDS = ("r4abe1", "r4abe2")


def points(low: int, high: int) -> list[int]:
    return sorted({low, (low + high) // 2, high})


@pytest.mark.parametrize("kind", COMPRESSORS)
@pytest.mark.parametrize(("width", "signed"), WIDTHS_AND_SIGNS)
def test_compressor_gates_follow_the_rule(kind: str, width: int, signed: bool) -> None:
    for columns in (width, 2 * width - 3):
        assert_gates_follow_the_rule(
            MultiplierSpec.make("compressor", width=width, signed=signed, kind=kind, cols=columns)
        )


@pytest.mark.parametrize("kind", BOOTH_KINDS)
@pytest.mark.parametrize(("width", "signed"), [*WIDTHS_AND_SIGNS, (5, False), (5, True)])
def test_approximate_booth_gates_follow_the_rule(kind: str, width: int, signed: bool) -> None:
    for limit in points(1, 2 * width - 1):
        assert_gates_follow_the_rule(
            MultiplierSpec.make("booth_r4", width=width, signed=signed, kind=kind, p=limit)
        )


@pytest.mark.parametrize("family", ["am1", "am2"])
@pytest.mark.parametrize(("width", "signed"), [*WIDTHS_AND_SIGNS, (7, True)])
def test_carry_free_adders_follow_the_rule(family: str, width: int, signed: bool) -> None:
    for recovered in points(0, 2 * width):
        assert_gates_follow_the_rule(
            MultiplierSpec.make(family, width=width, signed=signed, m=recovered)
        )


@pytest.mark.parametrize("width", range(4, 10))
@pytest.mark.parametrize("signed", [False, True])
def test_booth_recoding_is_exact(width: int, signed: bool) -> None:
    assert not ProductTable.of(
        MultiplierSpec.make("exact", width=width, signed=signed, kind="booth")
    ).errors.any()


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "exact:kind=booth",
        "booth_r4:kind=r4abe1,p=11",
        "compressor:kind=momeni1,cols=16",
        "am2:m=20",
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_sixteen_bits_in_samples(text: str, signed: bool) -> None:
    spec = MultiplierSpec.parse(f"{text}{',' if ':' in text else ':'}width=16,signed={signed:d}")
    low = -(1 << 15) if signed else 0
    a, b = np.random.default_rng(0).integers(low, low + (1 << 16), (2, 2000))
    a[:4], b[:4] = (low, low, low + 65535, low + 65535), (low, low + 65535, low, low + 65535)
    codes = gates(rtlil(spec)).evaluate(a & 65535, b & 65535)
    np.testing.assert_array_equal(codes, product(spec, a, b) & (1 << 32) - 1)


ERRORS = {
    "momeni2": {"0000": 1, "0011": -1, "1100": -1, "1111": -1},
    "venkatachalam": {"0101": -1, "0110": -1, "1001": -1, "1010": -1, "1111": -1},
    "single_error": {"1111": -1},
    "lin": {"1111": -2},
}
"""Kind -> the inputs that it counts wrongly, and by how much."""


@pytest.mark.parametrize("kind", ERRORS)
def test_compressors_err_where_published(kind: str) -> None:
    bits = np.array(list(combinations((0, 1), repeat=4)), dtype=np.uint8).T
    arithmetic = CompressorArithmetic(kind, (16,))
    total, (carry,), link = arithmetic.compress(3, list(bits), None)
    expected = [ERRORS[kind].get("".join(map(str, column)), 0) for column in bits.T]
    assert link is None
    np.testing.assert_array_equal(arithmetic.error, 8 * np.array(expected))
    np.testing.assert_array_equal(
        total.astype(int) + 2 * carry.astype(int), bits.sum(axis=0) + expected
    )


def test_the_first_design_of_momeni_errs_for_12_of_32_inputs() -> None:
    bits = list(np.array(list(combinations((0, 1), repeat=5)), dtype=np.uint8).T)
    arithmetic = CompressorArithmetic("momeni1", (32,))
    total, (carry,), link = arithmetic.compress(0, bits[:4], bits[4])
    assert link is not None
    assert np.count_nonzero(arithmetic.error) == 12
    assert np.abs(arithmetic.error).max() == 1
    np.testing.assert_array_equal(carry, bits[4])
    np.testing.assert_array_equal(
        total.astype(int) + 2 * (carry.astype(int) + link), np.sum(bits, axis=0) + arithmetic.error
    )


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_only_compressors_with_a_wrong_zero_spoil_products_with_zero(kind: str) -> None:
    metrics = error_metrics(ProductTable.of(MultiplierSpec.make("compressor", kind=kind, cols=8)))
    assert (metrics.zero_error > 0) == kind.startswith("momeni")


@pytest.mark.slow
def test_more_approximate_columns_err_more() -> None:
    errors = [
        error_metrics(ProductTable.of(MultiplierSpec.make("compressor", kind="lin", cols=cols))).med
        for cols in range(4, 14)
    ]
    assert errors == sorted(errors)
    assert errors[0] > 0


@pytest.mark.parametrize("family", ["am1", "am2"])
def test_full_recovery_leaves_products_that_are_never_too_large(family: str) -> None:
    tables = [ProductTable.of(MultiplierSpec.make(family, m=recovered)) for recovered in (0, 8, 16)]
    assert all(table.errors.max() == 0 for table in tables)
    assert tables[0].errors.sum() < tables[1].errors.sum() < tables[2].errors.sum() < 0


@pytest.mark.slow
def test_golden_rows(shared: Path) -> None:
    assert_golden_rows(shared, "am1", "am2")


@pytest.mark.parametrize(
    ("kind", "published"),
    [("r4abe1", ("54.10", "-21.50", "21.50", 147)), ("r4abe2", ("82.40", "21.25", "27.72", 171))],
)
def test_published_figures_of_approximate_booth_multipliers(
    kind: str, published: tuple[str, str, str, int]
) -> None:
    metrics = error_metrics(
        ProductTable.of(MultiplierSpec.make("booth_r4", signed=True, kind=kind, p=6))
    )
    assert (
        f"{metrics.er_pct:.2f}",
        f"{metrics.me:.2f}",
        f"{metrics.med:.2f}",
        metrics.wce,
    ) == published
    assert metrics.zero_error > 0
