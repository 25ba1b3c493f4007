"""What the accuracy law leaves over, learned where there are emulations: a Gaussian process over
the error metrics.

The process has mean zero: away from every emulated multiplier a prediction is the law's alone. C.
E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press (2006),
chapters 2 and 5.
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

# Where the hyperparameters are expected before anything is known, as logarithms: standard deviation
# of the correction and of what no metric explains, both of ln H, and length scales in standard
# deviations of each metric. Each has a normal prior with this deviation: narrow, since some tens of
# multipliers tell little about nine hyperparameters, and what families left out are predicted from
# hardly differs between values of half and twice as much.
_EXPECTED = np.log([0.3, 0.2, 0.8])
_DEVIATION = 0.2
# Within reason: a covariance that is next to singular has no Cholesky factor.
_LOWEST, _HIGHEST = np.log([0.01, 0.02, 0.2]), np.log([3.0, 1.0, 50.0])
_ITERATIONS = 40
# Of the emulated multipliers, so many count as near to another.
_KNOWN_SHARE = 0.95


@dataclass(frozen=True)
class NearbyCorrection:
    """A correction to ln H as a sum of bells, one around each emulated multiplier.

    Attributes:
        center, scale: standardization of the metrics' logarithms.
        anchors: standardized metrics of the emulated multipliers.
        heights: of the bells.
        lengths: of the bells, one a metric.
    """

    center: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    anchors: tuple[tuple[float, ...], ...] = ()
    heights: tuple[float, ...] = ()
    lengths: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls, features: ArrayLike, residuals: NDArray[np.float64], variances: NDArray[np.float64]
    ) -> NearbyCorrection:
        """The posterior mean of the process, its hyperparameters at their most probable.

        Args:
            features: (m, 7), as :data:`cnn_eval.prediction.FEATURES`.
            residuals: ln H found less ln H of the law, (m,).
            variances: of the residuals, from the finite number of images, (m,).
        """
        # Slow to load, and workers, which predict, never fit.
        from scipy.optimize import minimize

        z = logarithms(features, FEATURES)
        center, scale = z.mean(axis=0), np.maximum(z.std(axis=0), 1e-3)
        anchors = (z - center) / scale

        def negative_log_posterior(p: NDArray[np.float64]) -> float:
            factor = cho_factor(
                _covariance(anchors, anchors, p) + np.diag(variances + np.exp(2 * p[1])), lower=True
            )
            likelihood = (
                residuals @ cho_solve(factor, residuals) / 2 + np.log(np.diag(factor[0])).sum()
            )
            return float(likelihood + (((p - expected) / _DEVIATION) ** 2).sum() / 2)

        repeats = [1, 1, anchors.shape[1]]
        expected = np.repeat(_EXPECTED, repeats)
        bounds = list(zip(np.repeat(_LOWEST, repeats), np.repeat(_HIGHEST, repeats), strict=True))
        p = minimize(
            negative_log_posterior,
            expected,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _ITERATIONS},
        ).x
        covariance = _covariance(anchors, anchors, p) + np.diag(variances + np.exp(2 * p[1]))
        heights = np.exp(2 * p[0]) * np.linalg.solve(covariance, residuals)
        return cls(
            center=tuple(center.tolist()),
            scale=tuple(scale.tolist()),
            anchors=tuple(map(tuple, anchors.tolist())),
            heights=tuple(heights.tolist()),
            lengths=tuple(np.exp(p[2:]).tolist()),
        )

    def at(self, features: ArrayLike) -> NDArray[np.float64]:
        """What to add to ln H, (m,), at features (m, 7)."""
        if not self.heights:
            return np.zeros(len(np.asarray(features)))
        bells: NDArray[np.float64] = np.exp(-self._distances_to_anchors(features) / 2)
        return np.asarray(bells @ np.array(self.heights))

    def knows(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Whether an emulated multiplier is as near as these are to each other, (m,), at features
        (m, 7); everywhere, where there is none.
        """
        if not self.heights:
            return np.ones(len(np.asarray(features)), np.bool_)
        return np.asarray(self._distances_to_anchors(features).min(axis=1) <= self._reach)

    def _distances_to_anchors(self, features: ArrayLike) -> NDArray[np.float64]:
        z = (logarithms(features, FEATURES) - self.center) / self.scale
        return _distances(z, np.array(self.anchors), np.array(self.lengths))

    @cached_property
    def _reach(self) -> float:
        """Squared distance that all but a few anchors have another one within."""
        anchors = np.array(self.anchors)
        among = _distances(anchors, anchors, np.array(self.lengths))
        np.fill_diagonal(among, np.inf)
        return float(np.quantile(among.min(axis=1), _KNOWN_SHARE))


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
