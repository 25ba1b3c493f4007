"""Error metrics of a product table under a distribution of its operands.

The definitions are those of the approximate-arithmetic literature (Liang, Han, Lombardi, "New
Metrics for the Reliability of Approximate and Probabilistic Adders", IEEE TC 2013). Two of them
have rival conventions, and both are here by name: the mean relative error over the nonzero exact
products (`mred_pct`, EvoApproxLib's MRE) or over all products (`mred_all_pct`), and the mean error
distance relative to the largest exact product (`nmed_pct`) or to the number of product codes
(`mae_pct`, EvoApproxLib's MAE).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..operands import OperandDistribution, code_values, largest_product
from .product_table import ProductTable

__all__ = ["MAX_RANK_BITS", "METRICS_VERSION", "ErrorMetrics", "error_metrics", "error_rank"]

#: Of error metrics and of the tables behind them; raised where the same circuit may come to other
#: figures.
METRICS_VERSION = 1

MAX_RANK_BITS = 20
"""The most bits of both operands together whose error matrix gets a rank: the decomposition takes a
minute at 24 bits.
"""

_BLOCK_PAIRS = 1 << 20


@dataclass(frozen=True)
class ErrorMetrics:
    """Error metrics, with errors counted as product minus exact product.

    Means and rates weigh each operand pair by its probability; maxima run over the pairs that can
    occur. Percentages are of 100.
    """

    er_pct: float
    """Error rate: how often the product is wrong."""
    me: float
    """Mean error, the bias."""
    med: float
    """Mean error distance: the mean of the absolute errors."""
    nmed_pct: float
    """MED relative to the largest exact product: (2^m - 1)(2^n - 1) unsigned, 2^(m + n - 2) signed,
    of operands of m and n bits.
    """
    mae_pct: float
    """MED relative to 2^(m + n), as EvoApproxLib reports it."""
    mred_pct: float
    """Mean relative error distance over the pairs whose exact product is not 0."""
    mred_all_pct: float
    """The same with pairs whose exact product is 0 counted as error-free in the mean."""
    wce: int
    """Worst-case error: the largest absolute error."""
    wcre_pct: float
    """Worst-case relative error, over the pairs whose exact product is not 0."""
    variance: float
    """Variance of the error around its mean."""
    std: float
    """Square root of the variance."""
    rms: float
    """Root mean square error."""
    zero_error: int
    """The largest absolute error where an operand is 0. Anything but 0 hurts networks, whose
    activations are mostly 0.
    """
    rank: int | None
    """Rank of the error matrix (`error_rank`); None past MAX_RANK_BITS bits."""
    distribution: str
    """Name of the operand distribution, `uniform` when all pairs count alike."""

    def to_json(self) -> dict[str, float | int | str | None]:
        """The metrics as an object for `json.dump`, keys being the names above."""
        return dict(vars(self))


def error_metrics(
    table: ProductTable, distribution: OperandDistribution | None = None
) -> ErrorMetrics:
    """Metrics of all products of `table` under `distribution` (None: all operand pairs equally
    likely).

    Raises InputError when the distribution belongs to other operand widths.
    """
    widths = table.widths
    if distribution is not None and distribution.widths != widths:
        raise InputError(
            f"{table.name} multiplies operands of {widths} bits, but the operand distribution "
            f"{distribution.name!r} is one of {distribution.widths} bits"
        )
    values_a, values_b = (code_values(width, signed=table.signed) for width in widths)
    codes = len(values_a)
    sums = np.zeros(6)  # wrong, error, |error|, error^2, relative |error|, exact product is not 0
    wce, zero_error, wcre = 0, 0, 0.0
    rows = max(1, _BLOCK_PAIRS // len(values_b))
    for start in range(0, codes, rows):
        stop = min(start + rows, codes)
        exact = np.multiply.outer(values_a[start:stop], values_b)
        error = table.products[start:stop] - exact
        distance = np.abs(error)
        nonzero = exact != 0
        relative = np.divide(distance, np.abs(exact), out=np.zeros(exact.shape), where=nonzero)
        terms = (error != 0, error, distance, np.square(error, dtype=np.float64), relative, nonzero)
        if distribution is None:
            sums += [term.sum(dtype=np.float64) for term in terms]
            possible: NDArray[np.bool_] | bool = True
        else:
            weight = distribution.rows(start, stop)
            sums += [np.vdot(weight, term) for term in terms]
            possible = weight > 0
        wce = max(wce, int(distance.max(where=possible, initial=0)))
        wcre = max(wcre, float(relative.max(where=possible, initial=0)))
        zero_error = max(zero_error, int(distance.max(where=possible & ~nonzero, initial=0)))
    total = (
        float(table.products.size) if distribution is None else float(distribution.weights.sum())
    )
    er, me, med, mean_square, mred_all, share_nonzero = (sums / total).tolist()
    variance = max(mean_square - me * me, 0.0)
    largest = largest_product(widths, signed=table.signed)
    return ErrorMetrics(
        er_pct=100 * er,
        me=me,
        med=med,
        nmed_pct=100 * med / largest,
        mae_pct=100 * med / table.products.size,
        mred_pct=100 * mred_all / share_nonzero if share_nonzero else 0.0,
        mred_all_pct=100 * mred_all,
        wce=wce,
        wcre_pct=100 * wcre,
        variance=variance,
        std=math.sqrt(variance),
        rms=math.sqrt(mean_square),
        zero_error=zero_error,
        rank=error_rank(table) if widths.product <= MAX_RANK_BITS else None,
        distribution="uniform" if distribution is None else distribution.name,
    )


def error_rank(table: ProductTable) -> int:
    """Rank of the error matrix, by singular values in float64.

    Singular values count above the largest of them x 2^max(m, n) x 2.2e-16 (the tolerance of
    `numpy.linalg.matrix_rank`). A multiplier of rank r errs like r products of functions of one
    operand each, so that r further exact multiplications would correct it.
    """
    # Equal and empty rows are frequent, and change neither the rank nor, but for a factor, the
    # scale of the singular values.
    rows = np.unique(table.errors, axis=0)
    return int(np.linalg.matrix_rank(rows.astype(np.float64))) if rows.any() else 0
