"""What the tests of every multiplier family check: gates against the arithmetic rule, and metrics against published or golden figures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hdl.component import product
from hdl.error_metrics import error_metrics
from hdl.operands import code_values
from hdl.spec import MultiplierSpec
from hdl.table import ProductTable

WIDTHS_AND_SIGNS = [(width, signed) for width in (4, 6, 8) for signed in (False, True)]


def assert_gates_follow_the_rule(spec: MultiplierSpec) -> None:
    """Every operand pair: the product of the gates is that of the family's arithmetic."""
    values = code_values(spec.width, signed=spec.signed)
    np.testing.assert_array_equal(ProductTable.of(spec).products, product(spec, values[:, None], values), err_msg=str(spec))


def assert_golden_rows(shared: Path, *families: str) -> None:
    """Every row of these families in the golden figures of 8x8 unsigned multipliers, to the last printed digit."""
    with (shared / "reference" / "golden_metrics_mul8u.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["spec"].partition(":")[0] in families]
    assert {row["spec"].partition(":")[0] for row in rows} == set(families)
    for row in rows:
        metrics = error_metrics(ProductTable.of(MultiplierSpec.parse(row["spec"])))
        measured = {
            "ER_pct": metrics.er_pct,
            "ME": metrics.me,
            "MED": metrics.med,
            "NMED_pct": metrics.nmed_pct,
            "MRED_nz_pct": metrics.mred_pct,
            "MRED_all_pct": metrics.mred_all_pct,
            "WCE": metrics.wce,
            "WCRE_pct": metrics.wcre_pct,
            "STD": metrics.std,
        }
        printed = {key: f"{value:.{len(row[key].partition('.')[2])}f}" for key, value in measured.items()}
        assert printed == {key: row[key] for key in measured}, row["spec"]


def sampled_relative_errors(spec: MultiplierSpec, pairs: int = 1 << 18) -> NDArray[np.float64]:
    """Signed relative errors in percent of the rule over random pairs of nonzero unsigned operands."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 1 << spec.width, (2, pairs))
    relative: NDArray[np.float64] = 100 * (product(spec, a, b) / (a * b) - 1)
    return relative
