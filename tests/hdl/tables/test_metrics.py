"""Error metrics: against published figures, and against plain sums of fractions."""

from __future__ import annotations

import csv
import doctest
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandDistribution, code_values
from hdl.tables.metrics import ErrorMetrics, error_metrics, error_rank
from hdl.tables.product_table import ProductTable

GOLDEN_COLUMNS = {
    "ER_pct": "er_pct",
    "ME": "me",
    "MED": "med",
    "NMED_pct": "nmed_pct",
    "MRED_nz_pct": "mred_pct",
    "MRED_all_pct": "mred_all_pct",
    "WCE": "wce",
    "WCRE_pct": "wcre_pct",
    "STD": "std",
}


def half_unit(text: str) -> float:
    """Half a unit of the last printed digit."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2]) + 1e-9


def differences(row: dict[str, str], table: ProductTable) -> list[str]:
    metrics = error_metrics(table)
    return [
        f"{row['spec']}: {column} {row[column]} is {getattr(metrics, field)}"
        for column, field in GOLDEN_COLUMNS.items()
        if abs(float(row[column]) - getattr(metrics, field)) > half_unit(row[column])
    ]


def golden_rows(shared: Path) -> list[dict[str, str]]:
    with (shared / "reference" / "golden_metrics_mul8u.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_golden_metrics_of_circuits_to_the_printed_digits(shared: Path) -> None:
    # The figures of mbm are those of products of 17 bits, which the circuit saturates: see
    # test_hdl_families_logarithmic.py.
    rows = [
        row
        for row in golden_rows(shared)
        if row["spec"].partition(":")[0] in FAMILIES and row["spec"] != "mbm"
    ]
    wrong = [
        line
        for row in rows
        for line in differences(row, ProductTable.of(MultiplierSpec.parse(row["spec"])))
    ]
    assert rows
    assert not wrong, "\n".join(wrong)


def test_golden_metrics_of_rules_written_out_here(shared: Path) -> None:
    a, b = np.arange(256)[:, None], np.arange(256)

    def dropped_columns(v: int) -> np.ndarray:
        return sum(
            (
                (a >> i & 1) * (b >> j & 1) << i + j
                for i in range(8)
                for j in range(8)
                if i + j >= v
            ),
            np.zeros((256, 256), np.int64),
        )

    products = {f"bam:h=0,v={v}": dropped_columns(v) for v in (1, 5, 10)} | {
        f"tm:k={k}": (a >> k << k) * (b >> k << k) for k in (1, 2, 4)
    }
    rows = [row for row in golden_rows(shared) if row["spec"] in products]
    assert len(rows) == len(products)
    for row in rows:
        assert not differences(row, ProductTable(products[row["spec"]], False, row["spec"]))


@pytest.mark.parametrize("signed", [False, True])
def test_published_figures_of_evoapproxlib(shared: Path, signed: bool) -> None:
    name = "mul8s" if signed else "mul8u"
    with (
        (shared / "reference" / f"evoapprox_{name}_published.csv").open(newline="") as file,
        np.load(shared / "reference" / f"evoapprox_{name}_tables.npz") as tables,
    ):
        for row in csv.DictReader(file):
            products = tables[row["circuit"]]
            # Signed tables come in the order of the values -128..127.
            table = ProductTable(
                np.roll(products, (128, 128), (0, 1)) if signed else products,
                signed,
                row["circuit"],
            )
            metrics = error_metrics(table)
            found = {
                "MAE_pct": metrics.mae_pct,
                "WCE_pct": 100 * metrics.wce / 65536,
                "EP_pct": metrics.er_pct,
                "MRE_pct": metrics.mred_pct,
            }
            for column, value in found.items():
                # Published partly rounded, partly cut: mul8s_1KVB's MAE of 0.00648 % is printed as
                # 0.0064.
                assert value == pytest.approx(float(row[column]), abs=2 * half_unit(row[column])), (
                    row["circuit"],
                    column,
                )
            assert metrics.rms**2 == pytest.approx(float(row["MSE"]), abs=0.5001), row["circuit"]
            assert metrics.zero_error == (36 if row["circuit"] == "mul8u_2AC" else 0)


@st.composite
def tables(draw: st.DrawFn) -> ProductTable:
    signed = draw(st.booleans())
    widths = draw(st.sampled_from([(2, 2), (3, 2), (2, 3)]))
    products = ProductTable.exact(widths, signed).products.copy()
    half = 1 << sum(widths) - 1
    low, high = (-half, half - 1) if signed else (0, 2 * half - 1)
    for a, b in draw(
        st.lists(st.tuples(*(st.integers(0, side - 1) for side in products.shape)), max_size=8)
    ):
        products[a, b] = draw(st.integers(low, high))
    return ProductTable(products, signed, "drawn")


@st.composite
def tables_and_layers(
    draw: st.DrawFn,
) -> tuple[ProductTable, list[tuple[int, list[int], list[int]]]]:
    """A table and a mixture of operand counts for it."""
    table = draw(tables())
    counts = [
        st.lists(st.integers(0, 9), min_size=side, max_size=side).filter(any)
        for side in table.products.shape
    ]
    return table, draw(st.lists(st.tuples(st.integers(1, 9), *counts), min_size=1, max_size=3))


def plain_metrics(
    table: ProductTable, mixture: list[tuple[int, list[int], list[int]]]
) -> dict[str, float]:
    values_a, values_b = (
        code_values(width, signed=table.signed).tolist() for width in table.widths
    )
    largest = 1 << sum(table.widths) - 2 if table.signed else max(values_a) * max(values_b)
    total = sum(weight for weight, _, _ in mixture)
    pairs = []
    for i, a in enumerate(values_a):
        for j, b in enumerate(values_b):
            chance = sum(
                Fraction(w * pa[i] * pb[j], total * sum(pa) * sum(pb)) for w, pa, pb in mixture
            )
            if chance:
                pairs.append((chance, int(table.products[i, j]) - a * b, a * b))
    nonzero = sum(chance for chance, _, exact in pairs if exact)
    relative = sum(
        (chance * Fraction(abs(error), abs(exact)) for chance, error, exact in pairs if exact),
        Fraction(0),
    )
    me = sum(chance * error for chance, error, _ in pairs)
    med = sum(chance * abs(error) for chance, error, _ in pairs)
    mean_square = sum(chance * error**2 for chance, error, _ in pairs)
    found = {
        "er_pct": 100 * sum(chance for chance, error, _ in pairs if error),
        "me": me,
        "med": med,
        "nmed_pct": 100 * med / Fraction(largest),
        "mae_pct": 100 * med / Fraction(table.products.size),
        "mred_pct": 100 * relative / nonzero if nonzero else 0,
        "mred_all_pct": 100 * relative,
        "wce": max(abs(error) for _, error, _ in pairs),
        "wcre_pct": 100
        * max(
            (Fraction(abs(error), abs(exact)) for _, error, exact in pairs if exact),
            default=Fraction(0),
        ),
        "variance": mean_square - me**2,
        "zero_error": max((abs(error) for _, error, exact in pairs if not exact), default=0),
    }
    return {field: float(value) for field, value in found.items()}


@settings(deadline=None)
@given(tables_and_layers())
def test_metrics_under_any_distribution_are_the_plain_sums(
    drawn: tuple[ProductTable, list[tuple[int, list[int], list[int]]]],
) -> None:
    table, mixture = drawn
    weights, a, b = zip(*mixture, strict=True)
    distribution = OperandDistribution.from_counts(weights, a, b, "drawn")
    metrics = error_metrics(table, distribution)
    for field, value in plain_metrics(table, mixture).items():
        assert getattr(metrics, field) == pytest.approx(value, abs=1e-9), field
    assert metrics.distribution == "drawn"


@settings(deadline=None)
@given(tables())
def test_no_distribution_is_the_uniform_one(table: ProductTable) -> None:
    plain, uniform = (
        error_metrics(table).to_json(),
        error_metrics(table, OperandDistribution.uniform(table.widths)).to_json(),
    )
    assert plain == pytest.approx(uniform, abs=1e-9)


def test_wide_tables_go_in_blocks() -> None:
    products = ProductTable.exact(11).products.copy()
    products[2047, 2047] -= 2047
    metrics = error_metrics(ProductTable(products, False, "x"))
    assert (metrics.wce, metrics.rank) == (2047, None)
    assert metrics.me == -2047 / (1 << 22)
    assert metrics.wcre_pct == pytest.approx(100 / 2047)


def rank_by_elimination(matrix: np.ndarray) -> int:
    """Rank over the rationals, by elimination without division."""
    rows = [[int(value) for value in row] for row in matrix]
    rank = 0
    for column in range(len(rows[0])):
        pivot = next((row for row in rows[rank:] if row[column]), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        rows.insert(rank, pivot)
        for index in range(rank + 1, len(rows)):
            row = rows[index]
            if row[column]:
                reduced = [
                    pivot[column] * x - row[column] * y for x, y in zip(row, pivot, strict=True)
                ]
                divisor = math.gcd(*reduced) or 1
                rows[index] = [value // divisor for value in reduced]
        rank += 1
    return rank


@pytest.mark.parametrize("rank", [0, 1, 3, 9, 16])
def test_rank_of_the_error_matrix(rank: int) -> None:
    rng = np.random.default_rng(rank)
    errors = rng.integers(-2, 3, (16, rank)) @ rng.integers(-2, 3, (rank, 16))
    products = np.clip(ProductTable.exact(4).products + errors, 0, 255)
    table = ProductTable(products, False, "x")
    assert error_rank(table) == rank_by_elimination(table.errors)


def test_rank_of_an_outer_product_is_one() -> None:
    products = ProductTable.exact(8).products.copy()
    products[1::2, 1::2] -= 1
    assert error_metrics(ProductTable(products, False, "x")).rank == 1


def test_json_has_the_documented_keys() -> None:
    keys = set(json.loads(json.dumps(error_metrics(ProductTable.exact(4)).to_json())))
    assert keys == set(ErrorMetrics.__dataclass_fields__)
    assert keys >= {
        "er_pct",
        "me",
        "med",
        "nmed_pct",
        "mred_pct",
        "mred_all_pct",
        "wce",
        "wcre_pct",
        "std",
        "zero_error",
        "rank",
    }


def test_a_distribution_of_another_width_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=(
            r"multiplies operands of 4 bits, but the operand distribution 'uniform' is one of "
            r"8x4 bits"
        ),
    ):
        error_metrics(ProductTable.exact(4), OperandDistribution.uniform((8, 4)))


def test_the_examples_of_the_documentation() -> None:
    page = Path(__file__).parents[3] / "docs" / "tables-and-metrics.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert (failed, tried > 5) == (0, True)
