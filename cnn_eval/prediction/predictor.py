"""From architectural error metrics to accuracy: a regression calibrated on emulated multipliers, or
transferred from other networks.

One predictor serves all operand widths of a number format: what share of its accuracy a network
keeps goes by the same metrics, whatever the accuracy of the exact network at those widths is, which
the profile of the widths has measured.

ln H = the law's (cnn_eval.prediction.accuracy_law) + a correction near emulated multipliers
(cnn_eval.prediction.nearby) top-1 = chance + (exact at these widths - chance) exp(-H)
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hdl.errors import InputError
from hdl.files import convert, decode_json, plain, read_bytes, words

from .accuracy_law import INPUTS, AccuracyLaw
from .architectural_error import FEATURES
from .fitting import (
    FEWEST,
    KNOTS_PP,
    Emulated,
    common_law,
    deviation,
    errs,
    fit,
    fit_correction,
    kept_share,
    left_out_networks,
    left_out_predictions,
    log_hazards,
    middle_region,
    spread,
    top1_of,
)
from .nearby import NearbyCorrection

__all__ = [
    "AccuracyPredictor",
    "Prediction",
    "PredictorError",
]

_FORMAT = 5
_LIMIT_BYTES = 16 << 20
# What a fit takes over from the file of an earlier one.
_KEPT = ("network", "encoding", "corrected", "data", "chance_pct", "images", "images_sha256")


class PredictorError(InputError):
    """Not enough to calibrate a predictor from, or not a predictor's file."""


@dataclass(frozen=True)
class Prediction:
    """Predicted accuracy.

    Attributes:
        drop_pp: loss against the exact network at the widest operands, in percentage points, never
            negative.
        spread_pp: of the predictor's error at this drop, its standard deviation or more, found on
            multiplier families and operand widths (of a transferred predictor: on networks) left
            out of the fit: nine of ten are within two spreads.
    """

    top1_pct: float
    drop_pp: float
    spread_pp: float


@dataclass(frozen=True)
class AccuracyPredictor:
    """A predictor of one network under one encoding.

    Attributes:
        corrected: whether it is of networks under correction.
        exact_top1_pct: of the exact network at the widest operands, where drops count from.
        calibration: this network's emulated multipliers behind the predictor; none where it is
            transferred.
        calibration_exact_top1_pct: of the exact quantized network on the images of the calibration.
        images, images_sha256: how many images the calibration was emulated on, and
            :meth:`cnn_eval.datasets.Dataset.sha256` of them.
        spread_pp: stated at predicted drops of 0, 1, 2, 4, 8, 16, 32, 64 points (:func:`spread` of
            `fitting.py`); families and widths left out, or networks.
        deviation_pp: mean absolute deviation over what was left out, among the multipliers that
            lose between 0.5 points and all but 5 points of what there is to lose.
        transferred_from: the networks whose emulations it rests on, where it is transferred.
    """

    network: str
    encoding: str
    corrected: bool
    data: str
    exact_top1_pct: float
    chance_pct: float
    law: AccuracyLaw
    correction: NearbyCorrection
    calibration: tuple[Emulated, ...]
    calibration_exact_top1_pct: float
    images: int
    images_sha256: str
    spread_pp: tuple[float, ...]
    deviation_pp: float
    transferred_from: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        emulated: Sequence[Emulated],
        *,
        network: str,
        encoding: str,
        corrected: bool,
        data: str,
        exact_top1_pct: float,
        chance_pct: float,
        images: int,
        images_sha256: str = "",
    ) -> AccuracyPredictor:
        """Calibrates on emulated multipliers. Those without any error say nothing and are left
        aside.

        Args:
            exact_top1_pct: of the exact network at the widest operands, on the same images.

        Raises:
            PredictorError: fewer than 8 multipliers with errors.
        """
        useful = [one for one in emulated if errs(one.features)]
        if len(useful) < FEWEST:
            raise PredictorError(
                f"{len(useful)} multipliers with errors are too few to calibrate on; emulate "
                f"{FEWEST} or more (40 are good)"
            )
        top1 = top1_of(useful)
        law, correction = fit(useful, chance_pct, images, corrected=corrected)
        left_out = left_out_predictions(useful, chance_pct, images, corrected=corrected)
        return cls(
            network=network,
            encoding=encoding,
            corrected=corrected,
            data=data,
            exact_top1_pct=exact_top1_pct,
            chance_pct=chance_pct,
            law=law,
            correction=correction,
            calibration=tuple(useful),
            calibration_exact_top1_pct=exact_top1_pct,
            images=images,
            images_sha256=images_sha256,
            spread_pp=spread(exact_top1_pct - left_out, exact_top1_pct - top1),
            deviation_pp=deviation(
                left_out - top1, middle_region(top1, exact_top1_pct, chance_pct)
            ),
        )

    @classmethod
    def transferred(
        cls,
        others: Sequence[AccuracyPredictor],
        *,
        network: str,
        encoding: str,
        corrected: bool,
        data: str,
        exact_top1_pct: float,
        chance_pct: float,
    ) -> AccuracyPredictor:
        """A predictor of a network that was never emulated, from the calibrations of others.

        What share of its accuracy a network keeps goes by the same metrics everywhere, so that one
        law is fitted to all. Spread and deviation are what comes of predicting each of the others
        from the rest.

        Raises:
            PredictorError: fewer than two other networks, or too few multipliers.
        """
        calibrated = [other for other in others if other.calibration]
        if len(calibrated) < 2:
            raise PredictorError(
                f"{len(calibrated)} calibrated networks are too few to predict {network!r} from; "
                "calibrate it itself"
            )
        networks = [(other.calibration, other.chance_pct) for other in calibrated]
        *kept, sources = left_out_networks(networks, corrected=corrected)
        predicted, found = (chance_pct + (exact_top1_pct - chance_pct) * one for one in kept)
        return cls(
            network=network,
            encoding=encoding,
            corrected=corrected,
            data=data,
            exact_top1_pct=exact_top1_pct,
            chance_pct=chance_pct,
            law=common_law(networks, corrected=corrected),
            correction=NearbyCorrection(),
            calibration=(),
            calibration_exact_top1_pct=exact_top1_pct,
            images=0,
            images_sha256="",
            spread_pp=spread(exact_top1_pct - predicted, exact_top1_pct - found, sources),
            deviation_pp=deviation(
                predicted - found, middle_region(found, exact_top1_pct, chance_pct)
            ),
            transferred_from=tuple(other.network for other in calibrated),
        )

    def recalibrated(self, emulated: Sequence[Emulated], images: int) -> AccuracyPredictor:
        """The predictor with what was learned from further emulated multipliers, on `images` images
        of the user's.

        The correction is fitted anew to residuals of the calibration and the new multipliers
        together, so that predictions near them follow what was measured; where the predictor is
        transferred, predictions everywhere follow what this network loses beside the others.
        Multipliers that the calibration knows already, or without errors, add nothing.
        """
        known = {one.name for one in self.calibration}
        new = [one for one in emulated if one.name not in known and errs(one.features)]
        if not new:
            return self
        rows = [*self.calibration, *new]
        counts = np.array(
            [self.images] * len(self.calibration) + [images] * len(new), dtype=np.float64
        )
        correction = fit_correction(
            self.law,
            rows,
            self.chance_pct,
            counts,
            corrected=self.corrected,
            transferred=not self.calibration,
        )
        return replace(self, correction=correction)

    @property
    def multipliers(self) -> int:
        """How many emulated multipliers of this network are behind it."""
        return len(self.calibration)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The features that predictions depend on: those of the law, and all where there is a
        correction.
        """
        return FEATURES if self.correction.heights else INPUTS

    def predict(self, features: ArrayLike, exact_top1_pct: float | None = None) -> Prediction:
        """Accuracy from the features of one multiplier, in the order of
        :data:`cnn_eval.prediction.FEATURES`.

        Args:
            exact_top1_pct: of exact products with the multiplier's operand widths
                (:attr:`NetworkProfile.exact_top1_pct`); None: of the widest.
        """
        exact = self.exact_top1_pct if exact_top1_pct is None else exact_top1_pct
        drop = float(self.drops_pp(np.asarray(features)[None], exact)[0])
        # Exact products of the widest operands are what drops count from: nothing about them is
        # predicted.
        certain = not errs(features) and exact == self.exact_top1_pct
        return Prediction(
            self.exact_top1_pct - drop,
            drop,
            0.0 if certain else float(self.spreads_pp(drop)),
        )

    def drops_pp(self, features: ArrayLike, exact_top1_pct: float) -> NDArray[np.float64]:
        """Losses (m,) that :meth:`predict` tells one by one, of multipliers with features (m,
        7).
        """
        found = np.asarray(features, dtype=np.float64)
        kept = np.where(errs(found), kept_share(self.law, self.correction, found), 1.0)
        top1 = self.chance_pct + (exact_top1_pct - self.chance_pct) * kept
        return np.maximum(self.exact_top1_pct - top1, 0.0)

    def spreads_pp(self, drops_pp: ArrayLike) -> NDArray[np.float64]:
        """The spreads that :meth:`predict` states with predicted losses, in their shape."""
        drops = np.asarray(drops_pp, dtype=np.float64)
        return np.asarray(np.interp(drops, KNOTS_PP, self.spread_pp))

    def knows(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Whether there are emulated multipliers near features (m, 7), (m,)."""
        return self.correction.knows(features)

    def log_hazards(self, features: ArrayLike) -> NDArray[np.float64]:
        """ln H, (m,), of features (m, 7): the share of its accuracy that a network keeps is
        exp(-H).
        """
        return log_hazards(self.law, self.correction, features)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON, a calibrated multiplier a line."""
        fields = asdict(self)
        rows = [json.dumps(one.row()) for one in self.calibration]
        fields["calibration"] = []
        text = json.dumps({"format": _FORMAT, **fields}, indent=1)
        Path(path).write_text(
            text.replace('"calibration": []', '"calibration": [\n  ' + ",\n  ".join(rows) + "\n ]")
            + "\n"
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AccuracyPredictor:
        """Inverse of :meth:`save`.

        Raises:
            PredictorError: no file there, or not a predictor.
        """
        try:
            fields = decode_json(
                read_bytes(Path(path), limit_bytes=_LIMIT_BYTES), dict[str, Any], repr(str(path))
            )
            if fields.pop("format") != _FORMAT:
                raise PredictorError(
                    f"{str(path)!r} was written by another version of ameliorate; make it again "
                    "with `dse calibrate`"
                )
            fields["law"] = AccuracyLaw(**_tuples(fields["law"]))
            fields["correction"] = NearbyCorrection(**_tuples(fields["correction"]))
            fields["calibration"] = tuple(map(Emulated.of_row, fields["calibration"]))
            predictor = cls(**_tuples(fields))
            # By the types of its fields; what was made of rows is written out for that.
            convert(plain(predictor), cls, repr(str(path)))
        except PredictorError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise PredictorError(
                f"{str(path)!r} is not an accuracy predictor ({words(error)}); make one with `dse "
                "calibrate`"
            ) from error
        if not predictor._whole():
            raise PredictorError(
                f"{str(path)!r} is not an accuracy predictor (its fields do not fit together); "
                "make one with `dse calibrate`"
            )
        return predictor

    @classmethod
    def refitted(cls, path: str | os.PathLike[str]) -> AccuracyPredictor:
        """A predictor fitted anew to the emulations in a file that :meth:`save` wrote, of this
        version or the one before.

        Raises:
            PredictorError: no such file, or no emulations in it.
        """
        try:
            text = read_bytes(Path(path), limit_bytes=_LIMIT_BYTES)
            fields = decode_json(text, dict[str, Any], repr(str(path)))
            predictor = cls.fit(
                list(map(Emulated.of_row, fields["calibration"])),
                exact_top1_pct=fields["calibration_exact_top1_pct"],
                **{name: fields[name] for name in _KEPT},
            )
            return replace(predictor, exact_top1_pct=fields["exact_top1_pct"])
        except PredictorError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PredictorError(
                f"{str(path)!r} holds no emulations to fit to ({words(error)}); make it again with "
                "`dse calibrate`"
            ) from error

    def _whole(self) -> bool:
        law, correction = self.law, self.correction
        lengths = {
            len(row)
            for row in (
                correction.center,
                correction.scale,
                correction.lengths,
                *correction.anchors,
            )
        }
        return (
            len(law.weights) == len(INPUTS)
            and lengths <= ({len(FEATURES)} if correction.heights else {0})
            and len(correction.heights) == len(correction.anchors)
            and all(len(one.features) == len(FEATURES) for one in self.calibration)
            and len(self.spread_pp) == len(KNOTS_PP)
            and all(
                0 <= figure < math.inf
                for figure in (*self.spread_pp, self.deviation_pp, self.images)
            )
            and all(
                0 <= figure <= 100
                for figure in (
                    self.exact_top1_pct,
                    self.chance_pct,
                    *(one.top1_pct for one in self.calibration),
                )
            )
            and all(scale > 0 for scale in (*correction.scale, *correction.lengths))
        )


def _tuples(value: Any) -> Any:
    """Lists of a JSON document as tuples, at any depth."""
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
