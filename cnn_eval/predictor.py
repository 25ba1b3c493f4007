"""From architectural error metrics to accuracy: a regression calibrated on emulated multipliers.

    top-1 = chance + (exact - chance) * exp(-H1 - H2)
    ln H1 = c0 + u + c2 u^2,  u = sum of w_i z_i        a quadratic regression on an index of what happens to the margins
    ln H2 = d0 + v,           v = sum of w_j z_j        a second way to fail: fluctuation that first-order margins cannot see

with z the standardized logarithms of the features and w >= 0. The link saturates at chance and at the exact network's accuracy by itself;
nonnegative weights make every prediction fall with every metric. Outside the range of u that the calibration covers the quadratic goes on
as its tangent: predictions never turn around.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from hdl.errors import InputError

from .ame import FEATURES

__all__ = ["AccuracyPredictor", "Emulated", "Prediction", "PredictorError", "left_out_predictions", "middle_region"]

_FORMAT = 2
# The features that won on left-out families (docs/ame.md): those of the index u, and of v.
_INDEX = ("margin_noise", "margin_rms", "failures")
_SECOND = ("fluctuation",)
# Features below these are as good as zero: smaller errors than any multiplier worth the name has.
_FLOOR = 1e-6
_RIDGE = 0.003
_CURVATURE = 0.2
_LEAST_SLOPE = 0.3
_FEWEST = 8
_KNOTS_PP = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# Emulated accuracies of a thousand images or so are not better than this.
_LEAST_SPREAD_PP = 0.3


class PredictorError(InputError):
    """Not enough to calibrate a predictor from, or not a predictor's file."""


@dataclass(frozen=True)
class Emulated:
    """One emulated multiplier of a calibration: its features (see :data:`cnn_eval.ame.FEATURES`) and measured top-1."""

    name: str
    family: str
    features: tuple[float, ...]
    top1_pct: float


@dataclass(frozen=True)
class Prediction:
    """Predicted accuracy.

    Attributes:
        drop_pp: loss against the exact quantized network, in percentage points, never negative.
        spread_pp: standard deviation of the predictor's error at this drop, found on multiplier families left out of the fit.
    """

    top1_pct: float
    drop_pp: float
    spread_pp: float


@dataclass(frozen=True)
class AccuracyPredictor:
    """A calibrated predictor of one network under one encoding.

    Attributes:
        inputs: the features it reads, those of v last.
        center, scale: standardization of their logarithms.
        constants, weights, curvature: (c0, d0), w and c2 of the module's formula.
        span: smallest and largest u of the calibration.
        spread_pp: standard deviation of the error at predicted drops of 0, 1, 2, 4, 8, 16, 32, 64 points, families left out.
        deviation_pp: mean absolute deviation with families left out, over the multipliers that lose between 0.5 points and all but
            5 points of what there is to lose.
        multipliers, images: what it was calibrated on.
    """

    network: str
    encoding: str
    data: str
    exact_top1_pct: float
    chance_pct: float
    inputs: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    constants: tuple[float, float]
    weights: tuple[float, ...]
    curvature: float
    span: tuple[float, float]
    spread_pp: tuple[float, ...]
    deviation_pp: float
    multipliers: int
    images: int

    @classmethod
    def fit(
        cls,
        emulated: Sequence[Emulated],
        *,
        network: str,
        encoding: str,
        data: str,
        exact_top1_pct: float,
        chance_pct: float,
        images: int,
    ) -> AccuracyPredictor:
        """Calibrates on emulated multipliers. Those without any error say nothing and are left aside.

        Args:
            exact_top1_pct: of the exact quantized network, on the same images.

        Raises:
            PredictorError: fewer than 8 multipliers with errors.
        """
        useful = [one for one in emulated if one.features[FEATURES.index("variance")] > 0]
        if len(useful) < _FEWEST:
            raise PredictorError(
                f"{len(useful)} multipliers with errors are too few to calibrate on; emulate {_FEWEST} or more (40 are good)"
            )
        z = _logarithms([one.features for one in useful], (*_INDEX, *_SECOND))
        top1 = np.array([one.top1_pct for one in useful])
        fitted = _fit(z, top1, exact_top1_pct, chance_pct)
        left_out = left_out_predictions(useful, exact_top1_pct, chance_pct)
        middle = middle_region(top1, exact_top1_pct, chance_pct)
        deviation = np.abs(left_out - top1)
        return cls(
            network=network,
            encoding=encoding,
            data=data,
            exact_top1_pct=exact_top1_pct,
            chance_pct=chance_pct,
            inputs=(*_INDEX, *_SECOND),
            center=tuple(fitted.center.tolist()),
            scale=tuple(fitted.scale.tolist()),
            constants=fitted.constants,
            weights=tuple(fitted.weights.tolist()),
            curvature=fitted.curvature,
            span=fitted.span,
            spread_pp=_spread(exact_top1_pct - left_out, left_out - top1),
            deviation_pp=float(deviation[middle].mean()) if middle.any() else float(deviation.mean()),
            multipliers=len(useful),
            images=images,
        )

    def predict(self, features: ArrayLike) -> Prediction:
        """Accuracy from the features of one multiplier, in the order of :data:`cnn_eval.ame.FEATURES`."""
        if np.asarray(features)[FEATURES.index("variance")] == 0:  # no error at all, which a logarithm cannot say
            return Prediction(self.exact_top1_pct, 0.0, 0.0)
        model = _Model(np.array(self.center), np.array(self.scale), self.constants, np.array(self.weights), self.curvature, self.span)
        z = _logarithms([features], self.inputs)
        top1 = float(model.top1_pct(z, self.exact_top1_pct, self.chance_pct)[0])
        drop = self.exact_top1_pct - top1
        return Prediction(top1, drop, float(np.interp(drop, _KNOTS_PP, self.spread_pp)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON."""
        Path(path).write_text(json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AccuracyPredictor:
        """Inverse of :meth:`save`.

        Raises:
            PredictorError: no file there, or not a predictor.
        """
        try:
            fields: dict[str, Any] = json.loads(Path(path).read_text())
            if fields.pop("format") != _FORMAT:
                raise PredictorError(f"{str(path)!r} was written by another version of ameliorate; make it again with `dse calibrate`")
            values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
            predictor = cls(**values)
        except PredictorError:
            raise
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PredictorError(f"{str(path)!r} is not an accuracy predictor ({error}); make one with `dse calibrate`") from error
        sizes = {len(predictor.center), len(predictor.scale), len(predictor.weights)}
        if predictor.inputs != (*_INDEX, *_SECOND) or sizes != {len(predictor.inputs)} or len(predictor.spread_pp) != len(_KNOTS_PP):
            raise PredictorError(
                f"{str(path)!r} is not an accuracy predictor (its fields do not fit together); make one with `dse calibrate`"
            )
        return predictor


def left_out_predictions(emulated: Sequence[Emulated], exact_top1_pct: float, chance_pct: float) -> NDArray[np.float64]:
    """Top-1 of each multiplier, (m,), predicted by a fit to the multipliers of all other families."""
    z = _logarithms([one.features for one in emulated], (*_INDEX, *_SECOND))
    top1, family = np.array([one.top1_pct for one in emulated]), np.array([one.family for one in emulated])
    predicted = np.zeros(len(top1))
    for name in np.unique(family):
        rest = family != name
        # With a single family there is nothing to leave out.
        taken = rest if rest.sum() >= _FEWEST else np.ones_like(rest)
        predicted[~rest] = _fit(z[taken], top1[taken], exact_top1_pct, chance_pct).top1_pct(z[~rest], exact_top1_pct, chance_pct)
    return predicted


def middle_region(top1_pct: NDArray[np.float64], exact_top1_pct: float, chance_pct: float) -> NDArray[np.bool_]:
    """Where accuracy is lost, but not all of it: more than 0.5 points, and all but 5 points of what there is to lose."""
    middle: NDArray[np.bool_] = (exact_top1_pct - top1_pct > 0.5) & (top1_pct > chance_pct + 5)
    return middle


@dataclass(frozen=True)
class _Model:
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    constants: tuple[float, float]
    weights: NDArray[np.float64]
    curvature: float
    span: tuple[float, float]

    def top1_pct(self, z: NDArray[np.float64], exact_top1_pct: float, chance_pct: float) -> NDArray[np.float64]:
        """(m, inputs) -> (m,)."""
        terms = (z - self.center) / self.scale * self.weights
        u, v = terms[:, : len(_INDEX)].sum(axis=1), terms[:, len(_INDEX) :].sum(axis=1)
        inside = np.clip(u, *self.span)
        first = self.constants[0] + inside + self.curvature * inside**2 + (u - inside) * (1 + 2 * self.curvature * inside)
        return _top1(first, self.constants[1] + v, exact_top1_pct, chance_pct)


def _top1(first: NDArray[np.float64], second: NDArray[np.float64], exact_top1_pct: float, chance_pct: float) -> NDArray[np.float64]:
    """Accuracy from the logarithms of the two hazards."""
    hazard = np.exp(np.clip(first, -50.0, 5.0)) + np.exp(np.clip(second, -50.0, 5.0))
    top1: NDArray[np.float64] = chance_pct + (exact_top1_pct - chance_pct) * np.exp(-hazard)
    return top1


def _logarithms(features: Sequence[ArrayLike], inputs: Sequence[str]) -> NDArray[np.float64]:
    columns = [FEATURES.index(name) for name in inputs]
    return np.log10(np.maximum(np.asarray(features, dtype=np.float64)[:, columns], _FLOOR))


def _fit(z: NDArray[np.float64], top1: NDArray[np.float64], exact_top1_pct: float, chance_pct: float) -> _Model:
    """Least squares in percentage points, small drops counting more; a ridge on the standardized weights."""
    center, scale = z.mean(axis=0), np.maximum(z.std(axis=0), 1e-9)
    standard = (z - center) / scale
    count, size = z.shape
    index, second = len(_INDEX), size - len(_INDEX)
    importance = 1 / np.sqrt(1 + np.maximum(exact_top1_pct - top1, 0) / 5)

    def residuals(p: NDArray[np.float64]) -> NDArray[np.float64]:
        weighted = standard * p[2:-1]
        u, v = weighted[:, :index].sum(axis=1), weighted[:, index:].sum(axis=1)
        predicted = _top1(p[0] + u + p[-1] * u**2, p[1] + v, exact_top1_pct, chance_pct)
        return np.concatenate([(predicted - top1) * importance, np.sqrt(_RIDGE * count) * p[2:]])

    low = np.array([-np.inf, -np.inf, *np.zeros(size), -_CURVATURE])
    high = np.array([np.inf, np.inf, *np.full(size, np.inf), _CURVATURE])
    # The second hazard is often negligible over most multipliers: where the search starts decides what it finds.
    starts = (np.array([-2.0, rare, *np.ones(index), *np.full(second, 3.0), 0.0]) for rare in (-3.0, -6.0))
    p = min((least_squares(residuals, start, bounds=(low, high), max_nfev=1000) for start in starts), key=lambda found: found.cost).x
    weights, curvature = p[2:-1], float(p[-1])
    u = standard[:, :index] @ weights[:index]
    low_end, high_end = float(u.min()), float(u.max())
    # The span ends where the quadratic would get too flat, or turn around, should the calibration reach so far.
    flat = (_LEAST_SLOPE - 1) / (2 * curvature) if curvature else 0.0
    if curvature > 0:
        low_end = max(low_end, flat)
    elif curvature < 0:
        high_end = min(high_end, flat)
    return _Model(center, scale, (float(p[0]), float(p[1])), weights, curvature, (low_end, high_end))


def _spread(predicted_drop: NDArray[np.float64], error: NDArray[np.float64]) -> tuple[float, ...]:
    """Root mean square of the errors around each knot of the predicted drop; neighbours count by their distance in log(1 + drop)."""
    where = np.log1p(np.maximum(predicted_drop, 0))
    weight = np.exp(-(((np.log1p(_KNOTS_PP)[:, None] - where) / 0.5) ** 2) / 2) + 1e-6  # (knots, multipliers)
    found = np.sqrt((weight @ error**2) / weight.sum(axis=1))
    return tuple(np.maximum(found, _LEAST_SPREAD_PP).tolist())
