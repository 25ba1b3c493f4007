"""What the accuracy law leaves over, learned where there are emulations: a Gaussian process over
the error metrics.

The process has mean zero: away from every emulated multiplier a prediction is the law's alone. To a
law of other networks it adds a level, which holds everywhere. C. E. Rasmussen, C. K. I. Williams,
"Gaussian Processes for Machine Learning", MIT Press (2006), chapters 2 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve

from .accuracy_law import logarithms
from .architectural_error import FEATURES

__all__ = ["NearbyCorrection"]

# Normal priors of the hyperparameters' logarithms, means and deviations, by whether the networks
# were corrected: standard deviation of the correction and of what no metric explains, both of ln H,
# and length scales in standard deviations of each metric. In round figures, over the networks of
# the zoo. Under correction they are narrow: some tens of multipliers, many of them made by one
# search, tell little about nine hyperparameters.
_PRIORS = {
    True: (np.log([0.3, 0.2, 0.8]), np.array([0.2, 0.2, 0.2])),
    False: (np.log([0.3, 0.1, 2.0]), np.array([1.0, 1.0, 0.7])),
}
# Standard deviation, in ln H, of how much more one network loses than the law of others says: 0.4
# over the zoo's.
_LEVEL_DEVIATION = 0.5
# Within reason: a covariance that is next to singular has no Cholesky factor.
_LOWEST, _HIGHEST = np.log([0.01, 0.02, 0.2]), np.log([3.0, 1.0, 50.0])
_ITERATIONS = 40
# Near is within so many times the distance that so large a share of the emulated multipliers have
# another one within.
_NEAR, _KNOWN_SHARE = 2.0, 0.95


@dataclass(frozen=True)
class NearbyCorrection:
    """A correction to ln H as a sum of bells, one around each emulated multiplier.

    Attributes:
        center, scale: standardization of the metrics' logarithms.
        anchors: standardized metrics of the emulated multipliers.
        heights: of the bells.
        lengths: of the bells, one a metric.
        level: what is added beside the bells, everywhere.
    """

    center: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    anchors: tuple[tuple[float, ...], ...] = ()
    heights: tuple[float, ...] = ()
    lengths: tuple[float, ...] = ()
    level: float = 0.0

    @classmethod
    def fit(
        cls,
        features: ArrayLike,
        residuals: NDArray[np.float64],
        variances: NDArray[np.float64],
        *,
        corrected: bool,
        transferred: bool = False,
    ) -> NearbyCorrection:
        """The posterior mean of the process, its hyperparameters at their most probable.

        Args:
            features: (m, 7), as :data:`cnn_eval.prediction.FEATURES`.
            residuals: ln H found less ln H of the law, (m,).
            variances: of the residuals, from the finite number of images, (m,).
            corrected: whether the networks were corrected for the multipliers.
            transferred: whether the law is that of other networks, so that a level is missing.
        """
        # Slow to load, and workers, which predict, never fit.
        from scipy.optimize import minimize

        z = logarithms(features, FEATURES)
        center, scale = z.mean(axis=0), np.maximum(z.std(axis=0), 1e-3)
        anchors = (z - center) / scale

        level_variance = _LEVEL_DEVIATION**2 if transferred else 0.0

        def covariance(p: NDArray[np.float64]) -> NDArray[np.float64]:
            noise = np.diag(variances + np.exp(2 * p[1]))
            return _covariance(anchors, anchors, p) + noise + level_variance

        def negative_log_posterior(p: NDArray[np.float64]) -> float:
            factor = cho_factor(covariance(p), lower=True)
            likelihood = (
                residuals @ cho_solve(factor, residuals) / 2 + np.log(np.diag(factor[0])).sum()
            )
            return float(likelihood + (((p - expected) / deviations) ** 2).sum() / 2)

        repeats = [1, 1, anchors.shape[1]]
        expected, deviations = (np.repeat(each, repeats) for each in _PRIORS[corrected])
        bounds = list(zip(np.repeat(_LOWEST, repeats), np.repeat(_HIGHEST, repeats), strict=True))
        p = minimize(
            negative_log_posterior,
            expected,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _ITERATIONS},
        ).x
        weights = np.linalg.solve(covariance(p), residuals)
        return cls(
            center=tuple(center.tolist()),
            scale=tuple(scale.tolist()),
            anchors=tuple(map(tuple, anchors.tolist())),
            heights=tuple((np.exp(2 * p[0]) * weights).tolist()),
            lengths=tuple(np.exp(p[2:]).tolist()),
            level=float(level_variance * weights.sum()),
        )

    def at(self, features: ArrayLike) -> NDArray[np.float64]:
        """What to add to ln H, (m,), at features (m, 7)."""
        if not self.heights:
            return np.zeros(len(np.asarray(features)))
        bells: NDArray[np.float64] = np.exp(-self._distances_to_anchors(features) / 2)
        return np.asarray(bells @ np.array(self.heights) + self.level)

    def knows(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Whether an emulated multiplier is about as near as these are to each other, (m,), at
        features (m, 7); everywhere, where there is none.
        """
        if not self.heights:
            return np.ones(len(np.asarray(features)), np.bool_)
        return np.asarray(self._distances_to_anchors(features).min(axis=1) <= self._reach)

    def _distances_to_anchors(self, features: ArrayLike) -> NDArray[np.float64]:
        z = (logarithms(features, FEATURES) - self.center) / self.scale
        return _distances(z, np.array(self.anchors), np.array(self.lengths))

    @cached_property
    def _reach(self) -> float:
        """Squared distance that counts as near."""
        anchors = np.array(self.anchors)
        among = _distances(anchors, anchors, np.array(self.lengths))
        np.fill_diagonal(among, np.inf)
        return _NEAR**2 * float(np.quantile(among.min(axis=1), _KNOWN_SHARE))


def _covariance(
    one: NDArray[np.float64], other: NDArray[np.float64], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    covariance: NDArray[np.float64] = np.exp(2 * p[0] - _distances(one, other, np.exp(p[2:])) / 2)
    return covariance


def _distances(
    one: NDArray[np.float64], other: NDArray[np.float64], lengths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Squared distances in units of the lengths, (m, n)."""
    a, b = one / lengths, other / lengths
    squared: NDArray[np.float64] = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squared, 0)
