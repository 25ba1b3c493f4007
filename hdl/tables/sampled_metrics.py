"""Error metrics from a sample of operand pairs, with confidence intervals: for operands too wide to
try them all.

Means and rates get intervals by the normal approximation (the error rate Wilson's, right near 0 and
100 % too), deviations by the delta method. Maxima of a sample are lower bounds and are named so;
errors where an operand is 0 are taken from all such pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..operands import largest_product, values_of_codes
from ..yosys.gate_netlist import GateNetlist

__all__ = ["SampledMetrics", "sampled_error_metrics"]

_BLOCK_PAIRS = 1 << 19
#: Two-sided 95 % quantile of the normal distribution.
_Z = 1.959964
MIN_SAMPLES = 1000


@dataclass(frozen=True)
class SampledMetrics:
    """What :class:`hdl.tables.ErrorMetrics` has, estimated from uniform random operand pairs;
    definitions and units are the same.
    """

    er_pct: float
    me: float
    med: float
    nmed_pct: float
    mae_pct: float
    mred_pct: float
    mred_all_pct: float
    variance: float
    std: float
    rms: float
    wce_at_least: int
    """Largest absolute error seen: the worst case is this or worse."""
    wcre_at_least_pct: float
    """Largest relative error seen."""
    zero_error: int
    """Exact: over all pairs with an operand that is 0."""
    samples: int
    seed: int
    confidence: dict[str, tuple[float, float]]
    """Low and high end of the 95 % confidence interval, by the name of the metric."""

    def to_json(self) -> dict[str, float | int | str | dict[str, tuple[float, float]]]:
        """The metrics as an object for `json.dump`."""
        return {**vars(self), "distribution": f"uniform, {self.samples} random operand pairs"}


def sampled_error_metrics(
    gates: GateNetlist, *, signed: bool, samples: int = 1 << 22, seed: int = 0
) -> SampledMetrics:
    """Metrics of a multiplier's gates over `samples` uniform random operand pairs. Repeatable for a
    seed.

    Raises InputError below 1,000 samples.
    """
    if samples < MIN_SAMPLES:
        raise InputError(
            f"{samples} samples say too little of operands of {gates.widths} bits; take "
            f"{MIN_SAMPLES} or more"
        )
    rng, limits = np.random.default_rng(seed), np.array([[1 << width] for width in gates.widths])
    pairs = 1 << gates.widths.product
    powers = np.zeros(4)  # of the error
    totals = np.zeros(5)  # wrong, |error|, relative |error|, its square, exact product is not 0
    wce, wcre = 0, 0.0
    for start in range(0, samples, _BLOCK_PAIRS):
        a, b = rng.integers(0, limits, (2, min(_BLOCK_PAIRS, samples - start)))
        error, exact = _errors(gates, a, b, signed=signed)
        distance, nonzero = np.abs(error), exact != 0
        relative = np.divide(distance, np.abs(exact), out=np.zeros(exact.shape), where=nonzero)
        real = error.astype(np.float64)
        powers += [(real**order).sum() for order in (1, 2, 3, 4)]
        totals += [
            (error != 0).sum(),
            distance.sum(dtype=np.float64),
            relative.sum(),
            (relative**2).sum(),
            nonzero.sum(),
        ]
        wce, wcre = max(wce, int(distance.max())), max(wcre, float(relative.max()))
    m1, m2, m3, m4 = powers / samples
    wrong, med, mred_all, relative_square = totals[:4] / samples
    variance = max(m2 - m1 * m1, 0.0)
    fourth = max(m4 - 4 * m1 * m3 + 6 * m1 * m1 * m2 - 3 * m1**4, 0.0)
    largest = largest_product(gates.widths, signed=signed)
    nonzero_share = totals[4] / samples
    mred = mred_all / nonzero_share if nonzero_share else 0.0
    std, rms = math.sqrt(variance), math.sqrt(m2)

    def mean(value: float, square: float, scale: float = 1.0) -> tuple[float, float]:
        half = _Z * math.sqrt(max(square - value * value, 0.0) / samples)
        return scale * (value - half), scale * (value + half)

    def root(value: float, spread: float) -> tuple[float, float]:
        half = _Z * spread / (2 * value * math.sqrt(samples)) if value else 0.0
        return max(value - half, 0.0), value + half

    variance_spread = math.sqrt(max(fourth - variance**2, 0.0))
    variance_half = _Z * variance_spread / math.sqrt(samples)
    low, high = mean(med, m2)
    all_low, all_high = mean(mred_all, relative_square, 100)
    confidence = {
        "er_pct": _wilson_pct(wrong, samples),
        "me": mean(m1, m2),
        "med": (low, high),
        "nmed_pct": (100 * low / largest, 100 * high / largest),
        "mae_pct": (100 * low / pairs, 100 * high / pairs),
        "mred_pct": mean(mred, relative_square / nonzero_share, 100)
        if nonzero_share
        else (0.0, 0.0),
        "mred_all_pct": (all_low, all_high),
        "variance": (max(variance - variance_half, 0.0), variance + variance_half),
        "std": root(std, variance_spread),
        "rms": root(rms, math.sqrt(max(m4 - m2 * m2, 0.0))),
    }
    return SampledMetrics(
        er_pct=100 * wrong,
        me=m1,
        med=med,
        nmed_pct=100 * med / largest,
        mae_pct=100 * med / pairs,
        mred_pct=100 * mred,
        mred_all_pct=100 * mred_all,
        variance=variance,
        std=std,
        rms=rms,
        wce_at_least=wce,
        wcre_at_least_pct=100 * wcre,
        zero_error=_zero_error(gates, signed=signed),
        samples=samples,
        seed=seed,
        confidence={name: (float(low), float(high)) for name, (low, high) in confidence.items()},
    )


def _errors(
    gates: GateNetlist, a: NDArray[np.int64], b: NDArray[np.int64], *, signed: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Errors and exact products of operand codes."""
    products = values_of_codes(gates.evaluate(a, b), len(gates.p), signed=signed)
    exact = values_of_codes(a, gates.widths.a, signed=signed) * values_of_codes(
        b, gates.widths.b, signed=signed
    )
    return products - exact, exact


def _zero_error(gates: GateNetlist, *, signed: bool) -> int:
    every_a, every_b = (np.arange(1 << width) for width in gates.widths)
    pairs = ((every_a, np.zeros_like(every_a)), (np.zeros_like(every_b), every_b))
    return max(int(np.abs(_errors(gates, a, b, signed=signed)[0]).max()) for a, b in pairs)


def _wilson_pct(rate: float, samples: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a rate, in percent."""
    from scipy.stats import binomtest  # a second to load, and for wide operands alone

    interval = binomtest(round(rate * samples), samples).proportion_ci(0.95, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)
