"""What a predictor is fitted to, emulated multipliers, and how far off a fit is on those that it
had not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .accuracy_law import AccuracyLaw, log_hazard, shares
from .architectural_error import FEATURES
from .nearby import NearbyCorrection

__all__ = [
    "FEWEST",
    "KNOTS_PP",
    "Emulated",
    "common_law",
    "deviation",
    "drop_error_pp",
    "errs",
    "fit",
    "fit_correction",
    "kept_share",
    "left_out_networks",
    "left_out_predictions",
    "log_hazards",
    "middle_region",
    "shares_of",
    "spread",
    "top1_of",
]

#: So many multipliers at least make a fit.
FEWEST = 8
#: Predicted drops that a predictor states its spread at, in percentage points.
KNOTS_PP = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# Emulated accuracies of a thousand images or so are not better than this.
_LEAST_SPREAD_PP = 0.3
# Variance of a difference of two accuracies on the same images, to that of one of them.
_PAIRED = 0.3
# Two spreads hold so many of the errors, among drops above this too.
_HELD, _LARGE_PP = 0.9, 5.0


@dataclass(frozen=True)
class Emulated:
    """One emulated multiplier of a calibration.

    Attributes:
        widths: of its operands, (width_a, width_b).
        features: see :data:`cnn_eval.prediction.FEATURES`.
        top1_pct: measured, and `exact_top1_pct` of exact products of the same widths on the same
            images.
    """

    name: str
    family: str
    widths: tuple[int, int]
    features: tuple[float, ...]
    top1_pct: float
    exact_top1_pct: float

    def row(self) -> list[str | float]:
        """As a list of a JSON document."""
        return [
            self.name,
            self.family,
            *self.widths,
            self.top1_pct,
            self.exact_top1_pct,
            *self.features,
        ]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Emulated:
        """Inverse of :meth:`row`. Raises ValueError or TypeError."""
        name, family, width_a, width_b, top1_pct, exact_top1_pct, *features = row
        return cls(
            name,
            family,
            (int(width_a), int(width_b)),
            tuple(map(float, features)),
            float(top1_pct),
            float(exact_top1_pct),
        )


def left_out_predictions(
    emulated: Sequence[Emulated], chance_pct: float, images: int, *, corrected: bool
) -> NDArray[np.float64]:
    """Top-1 of each multiplier, (m,), predicted by a fit to the multipliers of all other families
    and all other operand widths.

    Where all are of one family, or of the same widths, these are not left out.
    """
    families, widths = [one.family for one in emulated], [one.widths for one in emulated]
    predicted = np.zeros(len(emulated))
    for family, width in sorted(set(zip(families, widths, strict=True))):
        out = np.array([(one.family, one.widths) == (family, width) for one in emulated])
        rest = [one for one in emulated if one.family != family and one.widths != width]
        if len(rest) < FEWEST:
            rest = [one for one in emulated if one.family != family]
        known = rest if len(rest) >= FEWEST else emulated
        law, correction = fit(known, chance_pct, images, corrected=corrected)
        members = [one for one in emulated if (one.family, one.widths) == (family, width)]
        exact = np.array([one.exact_top1_pct for one in members])
        predicted[out] = chance_pct + (exact - chance_pct) * kept_share(
            law, correction, [one.features for one in members]
        )
    return predicted


def common_law(
    networks: Sequence[tuple[Sequence[Emulated], float]], *, corrected: bool
) -> AccuracyLaw:
    """One law of several networks: the emulated multipliers of each, and its accuracy by chance."""
    return AccuracyLaw.fit(
        [one.features for emulated, _ in networks for one in emulated],
        np.concatenate([shares_of(emulated, chance_pct) for emulated, chance_pct in networks]),
        corrected=corrected,
    )


def left_out_networks(
    networks: Sequence[tuple[Sequence[Emulated], float]], *, corrected: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Shares of accuracy kept that the law of all other networks predicts for each one's
    multipliers, those found, and which network they are of, (m,) each.
    """
    predicted = [
        np.exp(
            -np.exp(
                common_law(
                    [*networks[:index], *networks[index + 1 :]], corrected=corrected
                ).log_hazard([one.features for one in emulated])
            )
        )
        for index, (emulated, _) in enumerate(networks)
    ]
    found = [shares_of(emulated, chance_pct) for emulated, chance_pct in networks]
    sources = np.repeat(np.arange(len(networks)), [len(emulated) for emulated, _ in networks])
    return np.concatenate(predicted), np.concatenate(found), sources


def middle_region(
    top1_pct: NDArray[np.float64], exact_top1_pct: float, chance_pct: float
) -> NDArray[np.bool_]:
    """Where accuracy is lost, but not all of it: more than 0.5 points, and all but 5 points of what
    there is to lose.
    """
    middle: NDArray[np.bool_] = (exact_top1_pct - top1_pct > 0.5) & (top1_pct > chance_pct + 5)
    return middle


def fit(
    emulated: Sequence[Emulated], chance_pct: float, images: int, *, corrected: bool
) -> tuple[AccuracyLaw, NearbyCorrection]:
    """Law and correction of multipliers that were emulated on `images` images each."""
    law = AccuracyLaw.fit(
        [one.features for one in emulated], shares_of(emulated, chance_pct), corrected=corrected
    )
    counts = np.full(len(emulated), float(images))
    return law, fit_correction(law, emulated, chance_pct, counts, corrected=corrected)


def fit_correction(
    law: AccuracyLaw,
    emulated: Sequence[Emulated],
    chance_pct: float,
    images: NDArray[np.float64],
    *,
    corrected: bool,
    transferred: bool = False,
) -> NearbyCorrection:
    """The correction of a law to what it leaves over; `images`, (m,), is how many each multiplier
    was emulated on, and `transferred` whether the law is that of other networks.
    """
    features, exact = (
        [one.features for one in emulated],
        np.array([one.exact_top1_pct for one in emulated]),
    )
    kept = np.clip(shares_of(emulated, chance_pct), 0.004, 0.9985)
    error_pp = drop_error_pp(chance_pct + (exact - chance_pct) * kept, images)
    error = error_pp / (exact - chance_pct) + 0.002
    # Carried over to ln H.
    slope = -kept * np.log(kept)
    return NearbyCorrection.fit(
        features,
        log_hazard(kept) - law.log_hazard(features),
        (error / slope) ** 2,
        corrected=corrected,
        transferred=transferred,
    )


def drop_error_pp(top1_pct: ArrayLike, images: ArrayLike) -> NDArray[np.float64]:
    """About the standard error of drops that so many images tell, (...,), in percentage points:
    that of the accuracies (...,), in percent, smaller because the exact network answers the same
    images. The factor, seen on two networks, is that of drops near one point; it is half of it
    where nothing is lost, and twice at three points.
    """
    share = np.asarray(top1_pct, dtype=np.float64) / 100
    return np.asarray(100 * np.sqrt(_PAIRED * share * (1 - share) / np.asarray(images)))


def shares_of(emulated: Sequence[Emulated], chance_pct: float) -> NDArray[np.float64]:
    """Shares of accuracy that the network keeps, (m,)."""
    return shares(top1_of(emulated), np.array([one.exact_top1_pct for one in emulated]), chance_pct)


def kept_share(
    law: AccuracyLaw, correction: NearbyCorrection, features: ArrayLike
) -> NDArray[np.float64]:
    """Predicted shares of accuracy kept, (m,), of features (m, 7)."""
    return np.asarray(np.exp(-np.exp(np.minimum(log_hazards(law, correction, features), 5.0))))


def log_hazards(
    law: AccuracyLaw, correction: NearbyCorrection, features: ArrayLike
) -> NDArray[np.float64]:
    """ln H, (m,), of features (m, 7)."""
    return np.add(law.log_hazard(features), correction.at(features))


def errs(features: ArrayLike) -> NDArray[np.bool_]:
    """Whether multipliers with features (..., 7) err at all, (...,)."""
    return np.asarray(features)[..., FEATURES.index("variance")] > 0


def top1_of(emulated: Sequence[Emulated]) -> NDArray[np.float64]:
    """Measured accuracies, (m,), in percent."""
    return np.array([one.top1_pct for one in emulated])


def deviation(error: NDArray[np.float64], middle: NDArray[np.bool_]) -> float:
    """Mean absolute error of those in the middle region, of all where there are none."""
    return float(np.abs(error[middle] if middle.any() else error).mean())


def spread(
    predicted_drop: NDArray[np.float64],
    drop: NDArray[np.float64],
    sources: NDArray[np.generic] | None = None,
) -> tuple[float, ...]:
    """What to state as spread at each knot of the predicted drop, from predictions that were made
    without what they are about.

    Root mean square of the errors around the knot, neighbours counting by their distance in
    log(1 + drop), times a factor: so large that two spreads hold nine of ten errors, and nine of
    ten among the large drops too. J. Lei et al., "Distribution-free predictive inference for
    regression", JASA 113 (2018), calls this locally weighted conformal.

    Args:
        predicted_drop, drop: (m,).
        sources: the network that each comes from, where these were left out: the factor holds for
            each of n networks, since a new one may be like any, and is larger by 1 / n, since it
            may be worse. None: all of one.
    """
    error = np.abs(predicted_drop - drop)
    where = np.log1p(np.maximum(predicted_drop, 0))
    weight = (
        np.exp(-(((np.log1p(KNOTS_PP)[:, None] - where) / 0.5) ** 2) / 2) + 1e-6
    )  # (knots, multipliers)
    found = np.maximum(
        np.sqrt((weight @ error**2) / weight.sum(axis=1)),
        _LEAST_SPREAD_PP,
    )
    scores = error / np.interp(predicted_drop, KNOTS_PP, found) / 2
    networks = [] if sources is None else np.unique(sources).tolist()
    sources = np.zeros(len(error)) if sources is None else sources
    factors = [1.0]
    for source in networks or [0]:
        for members in (sources == source, (sources == source) & (drop > _LARGE_PP)):
            if (count := int(members.sum())) >= FEWEST:
                place = min(math.ceil(_HELD * (count + 1)), count)
                factors.append(float(np.sort(scores[members])[place - 1]))
    # A hair more, for the error that decides.
    factor = max(factors) * (1 + 1 / len(networks) if networks else 1 + 1e-9)
    return tuple((found * factor).tolist())
