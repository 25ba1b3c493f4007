"""The law behind predicted accuracy: how error metrics become the share of its accuracy that a
network keeps.

    share = (top-1 - chance) / (exact - chance) = exp(-H1 - H2)
    ln H1 = c0 + u + c2 u^2,  u = sum of w_i z_i
        a quadratic regression on an index of what happens to the margins, and of the variance that
        errors add to every layer
    ln H2 = d0 + v,           v = sum of w_j z_j
        a second way to fail: fluctuation that first-order margins cannot see

with z the logarithms of the metrics over a usual value, and w >= 0. The link saturates at chance
and at the exact network's accuracy by itself; nonnegative weights make the share fall with every
metric. Outside the range of u that the calibration covers the quadratic goes on as its tangent: it
never turns around.

In place of the variance V the law takes e^V - 1: a layer whose outputs are brought back to their
variance keeps 1 / (1 + V_t) of it as signal, so that behind all layers e^-V is left of the signal,
about, and 1 - e^-V is noise; their ratio is e^V - 1.

The exponents w are much the same for all networks. A fit starts from what is known of them, as the
mean and the deviation of a normal prior: c0 alone is free. Families that a calibration has not seen
are predicted better for that than by exponents of the network's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .architectural_error import FEATURES

__all__ = ["INPUTS", "AccuracyLaw", "log_hazard", "logarithms", "shares"]

# The metrics of the index u, and of v.
_INDEX = ("margin_noise", "failures", "variance")
_SECOND = ("fluctuation",)
#: What the law reads, those of v last.
INPUTS = (*_INDEX, *_SECOND)

# Usual values of the metrics: of a multiplier that loses two points or so.
_USUAL = np.log([0.25, 0.03, 0.2, 0.15])
# Metrics below these are as good as zero: smaller errors than any multiplier worth the name has.
_FLOOR = 1e-6
_LEAST_SLOPE = 0.3
# Shares that a few hundred images cannot tell from 0 or from 1.
_LEAST_SHARE, _MOST_SHARE = 0.004, 0.9985
# Of residuals: the loss, in points of what there is to lose, at which they begin to count less, and
# how much less.
_SMALL_LOSS_PP, _LESS = 5.0, 0.75
_HIGHEST = 5.0


@dataclass(frozen=True)
class _Prior:
    """Means and standard deviations of c0, d0, the weights of :data:`INPUTS`, and c2.

    `rare` is where a second search for d0 starts: which of two hazards explains a loss is not
    always clear.
    """

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    rare: float


# In round figures, over the networks of the zoo. Without correction the means of errors do most of
# the harm, which margins see and the variance does not; there networks differ more.
_PRIORS = {
    True: _Prior(
        (-3.8, -9.5, 0.9, 0.0, 0.35, 4.0, 0.04), (1.0, 0.5, 0.05, 0.03, 0.05, 0.2, 0.01), -9.5
    ),
    False: _Prior(
        (-3.8, -7.0, 1.5, 0.3, 0.0, 4.0, 0.0), (3.0, 5.0, 1.0, 0.5, 0.02, 4.0, 0.1), -4.0
    ),
}


@dataclass(frozen=True)
class AccuracyLaw:
    """The law with its constants.

    Attributes:
        constants, weights, curvature: (c0, d0), w and c2 of the module's formula.
        span: smallest and largest u of the calibration.
    """

    constants: tuple[float, float]
    weights: tuple[float, ...]
    curvature: float
    span: tuple[float, float]

    @classmethod
    def fit(
        cls, features: ArrayLike, shares: NDArray[np.float64], *, corrected: bool
    ) -> AccuracyLaw:
        """The most probable law, from the shares (m,) of accuracy kept; small losses count more.

        Args:
            features: (m, 7), as :data:`cnn_eval.prediction.FEATURES`.
            corrected: whether the networks were corrected for the multipliers.
        """
        # Slow to load, and workers, which predict, never fit.
        from scipy.optimize import least_squares

        z = _relative(features)
        prior = _PRIORS[corrected]
        means, deviations = np.array(prior.means), np.array(prior.deviations)
        lost_pp = 100 * np.maximum(1 - shares, 0)
        importance = 100 / (1 + lost_pp / _SMALL_LOSS_PP) ** _LESS

        def residuals(p: NDArray[np.float64]) -> NDArray[np.float64]:
            u, v = _indices(z, p[2:-1])
            predicted = np.exp(-_hazard(p[0] + u + p[-1] * u**2, p[1] + v))
            return np.concatenate([(predicted - shares) * importance, (p - means) / deviations])

        low = np.array([-np.inf, -np.inf, *np.zeros(len(INPUTS)), -np.inf])
        starts = (
            np.array([means[0], rare, *means[2:]]) for rare in dict.fromkeys((means[1], prior.rare))
        )
        p = min(
            (least_squares(residuals, start, bounds=(low, np.inf)) for start in starts),
            key=lambda found: found.cost,
        ).x
        weights, curvature = p[2:-1], float(p[-1])
        u = _indices(z, weights)[0]
        low_end, high_end = float(u.min()), float(u.max())
        # The span ends where the quadratic would get too flat, or turn around, should the
        # calibration reach so far.
        flat = (_LEAST_SLOPE - 1) / (2 * curvature) if curvature else 0.0
        if curvature > 0:
            low_end = max(low_end, flat)
        elif curvature < 0:
            high_end = min(high_end, flat)
        return cls(
            constants=(float(p[0]), float(p[1])),
            weights=tuple(weights.tolist()),
            curvature=curvature,
            span=(low_end, max(low_end, high_end)),
        )

    def log_hazard(self, features: ArrayLike) -> NDArray[np.float64]:
        """ln(H1 + H2), (m,), of features (m, 7)."""
        u, v = _indices(_relative(features), np.array(self.weights))
        inside = np.clip(u, *self.span)
        first = (
            self.constants[0]
            + inside
            + self.curvature * inside**2
            + (u - inside) * (1 + 2 * self.curvature * inside)
        )
        return np.asarray(np.log(_hazard(first, self.constants[1] + v)))


def _relative(features: ArrayLike) -> NDArray[np.float64]:
    """Logarithms of the law's inputs over their usual values, (m, inputs), of features (m, 7)."""
    columns = np.asarray(features, dtype=np.float64)[:, [FEATURES.index(name) for name in INPUTS]]
    values = np.maximum(columns, _FLOOR)
    relative: NDArray[np.float64] = np.log(values)
    variance = values[:, INPUTS.index("variance")]
    relative[:, INPUTS.index("variance")] = variance + np.log(-np.expm1(-variance))
    return relative - _USUAL


def _indices(
    z: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """u and v, (m,) each."""
    weighted = z * weights
    return weighted[:, : len(_INDEX)].sum(axis=1), weighted[:, len(_INDEX) :].sum(axis=1)


def _hazard(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of two hazards from their logarithms."""
    return np.asarray(
        np.exp(np.clip(first, -50.0, _HIGHEST)) + np.exp(np.clip(second, -50.0, _HIGHEST))
    )


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
