"""The law behind predicted accuracy: how error metrics become the share of its accuracy that a
network keeps.

    share = (top-1 - chance) / (exact - chance) = exp(-H1 - H2)
    ln H1 = c0 + u + c2 u^2,  u = sum of w_i z_i
        a quadratic regression on an index of what happens to the margins
    ln H2 = d0 + v,           v = sum of w_j z_j
        a second way to fail: fluctuation that first-order margins cannot see

with z the standardized logarithms of the metrics and w >= 0. The link saturates at chance and at
the exact network's accuracy by itself; nonnegative weights make the share fall with every metric.
Outside the range of u that the calibration covers the quadratic goes on as its tangent: it never
turns around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from .architectural_error import FEATURES

__all__ = ["INPUTS", "AccuracyLaw", "log_hazard", "logarithms", "shares"]

# The metrics that won on left-out families and networks (docs/ame.md): those of the index u, and of
# v.
_INDEX = ("margin_noise", "failures")
_SECOND = ("fluctuation",)
#: What the law reads, those of v last.
INPUTS = (*_INDEX, *_SECOND)

# Metrics below these are as good as zero: smaller errors than any multiplier worth the name has.
_FLOOR = 1e-6
_RIDGE = 0.003
_CURVATURE = 0.2
_LEAST_SLOPE = 0.3
# Shares that a few hundred images cannot tell from 0 or from 1.
_LEAST_SHARE, _MOST_SHARE = 0.004, 0.9985


@dataclass(frozen=True)
class AccuracyLaw:
    """The law with its constants.

    Attributes:
        center, scale: standardization of the logarithms of :data:`INPUTS`.
        constants, weights, curvature: (c0, d0), w and c2 of the module's formula.
        span: smallest and largest u of the calibration.
    """

    center: tuple[float, ...]
    scale: tuple[float, ...]
    constants: tuple[float, float]
    weights: tuple[float, ...]
    curvature: float
    span: tuple[float, float]

    @classmethod
    def fit(cls, features: ArrayLike, shares: NDArray[np.float64]) -> AccuracyLaw:
        """Least squares on the shares (m,) of accuracy kept, small losses counting more; a ridge on
        the standardized weights.

        Args:
            features: (m, 7), as :data:`cnn_eval.prediction.FEATURES`.
        """
        z = logarithms(features, INPUTS)
        center, scale = z.mean(axis=0), np.maximum(z.std(axis=0), 1e-9)
        standard = (z - center) / scale
        count, size = z.shape
        index, second = len(_INDEX), len(_SECOND)
        # In percentage points of what there is to lose.
        importance = 100 / np.sqrt(1 + np.maximum(1 - shares, 0) * 100 / 5)

        def residuals(p: NDArray[np.float64]) -> NDArray[np.float64]:
            weighted = standard * p[2:-1]
            u, v = weighted[:, :index].sum(axis=1), weighted[:, index:].sum(axis=1)
            predicted = np.exp(-_hazard(p[0] + u + p[-1] * u**2, p[1] + v))
            return np.concatenate(
                [(predicted - shares) * importance, np.sqrt(_RIDGE * count) * p[2:]]
            )

        low = np.array([-np.inf, -np.inf, *np.zeros(size), -_CURVATURE])
        high = np.array([np.inf, np.inf, *np.full(size, np.inf), _CURVATURE])
        # The second hazard is often negligible over most multipliers: where the search starts
        # decides what it finds.
        starts = (
            np.array([-2.0, rare, *np.ones(index), *np.full(second, 3.0), 0.0])
            for rare in (-3.0, -6.0)
        )
        p = min(
            (
                least_squares(residuals, start, bounds=(low, high), max_nfev=1000)
                for start in starts
            ),
            key=lambda found: found.cost,
        ).x
        weights, curvature = p[2:-1], float(p[-1])
        u = standard[:, :index] @ weights[:index]
        low_end, high_end = float(u.min()), float(u.max())
        # The span ends where the quadratic would get too flat, or turn around, should the
        # calibration reach so far.
        flat = (_LEAST_SLOPE - 1) / (2 * curvature) if curvature else 0.0
        if curvature > 0:
            low_end = max(low_end, flat)
        elif curvature < 0:
            high_end = min(high_end, flat)
        return cls(
            center=tuple(center.tolist()),
            scale=tuple(scale.tolist()),
            constants=(float(p[0]), float(p[1])),
            weights=tuple(weights.tolist()),
            curvature=curvature,
            span=(low_end, high_end),
        )

    def log_hazard(self, features: ArrayLike) -> NDArray[np.float64]:
        """ln(H1 + H2), (m,), of features (m, 7)."""
        terms = (logarithms(features, INPUTS) - self.center) / self.scale * self.weights
        u, v = terms[:, : len(_INDEX)].sum(axis=1), terms[:, len(_INDEX) :].sum(axis=1)
        inside = np.clip(u, *self.span)
        first = (
            self.constants[0]
            + inside
            + self.curvature * inside**2
            + (u - inside) * (1 + 2 * self.curvature * inside)
        )
        return np.asarray(np.log(_hazard(first, self.constants[1] + v)))


def _hazard(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of two hazards from their logarithms."""
    return np.asarray(np.exp(np.clip(first, -50.0, 5.0)) + np.exp(np.clip(second, -50.0, 5.0)))


def logarithms(features: ArrayLike, names: Sequence[str]) -> NDArray[np.float64]:
    """Decadic logarithms (m, names) of some of the features (m, 7); of the gain, which has a sign,
    the number itself.
    """
    columns = np.asarray(features, dtype=np.float64)[:, [FEATURES.index(name) for name in names]]
    signed = np.array([name == "gain" for name in names])
    return np.where(signed, columns, np.log10(np.maximum(columns, _FLOOR)))


def shares(
    top1_pct: ArrayLike, exact_top1_pct: ArrayLike, chance_pct: float
) -> NDArray[np.float64]:
    """What of the accuracy above chance is kept: 1 at the exact network's accuracy, 0 at chance."""
    return (np.asarray(top1_pct, dtype=np.float64) - chance_pct) / (
        np.asarray(exact_top1_pct, dtype=np.float64) - chance_pct
    )


def log_hazard(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(-ln share), for shares that are neither 0 nor 1."""
    return np.asarray(np.log(-np.log(np.clip(share, _LEAST_SHARE, _MOST_SHARE))))
