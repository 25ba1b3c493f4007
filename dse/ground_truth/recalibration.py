"""Ground truth during a search: designs of the front so far are emulated and the predictors learn
from them, so that a search cannot live on what a predictor gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cnn_eval.prediction import AccuracyPredictor, Emulated
from hdl.multipliers import Multiplier
from hdl.operands import OperandEncoding, Widths

from ..evaluation.point import DesignPoint
from ..search.exploration import Recalibration
from .emulator import Emulator
from .verification import choose

__all__ = ["ROUNDS", "Recalibrator"]

#: Predictors learn so often in a search, the last time at its end.
ROUNDS = 4


class Recalibrator:
    """Teaches the predictors of a search.

    Args:
        predictors: by encoding.
        designs: to emulate over the whole search; a quarter of them each time.
    """

    def __init__(
        self,
        emulator: Emulator,
        predictors: Mapping[str, AccuracyPredictor],
        *,
        designs: int,
    ) -> None:
        self.history: list[Recalibration] = []
        self._emulator, self._original = emulator, predictors
        self._designs = designs
        self._rounds = 0
        self._emulated: dict[str, list[Emulated]] = {encoding: [] for encoding in predictors}
        self._known = {
            one.name for predictor in predictors.values() for one in predictor.calibration
        }

    def recalibrated(
        self,
        predictors: Mapping[str, AccuracyPredictor],
        front: Sequence[DesignPoint],
        features_of: Callable[[str], tuple[float, ...]],
        multiplier_of: Callable[[str], Multiplier],
        evaluations: int,
        on_design: Callable[[str], None],
    ) -> Mapping[str, AccuracyPredictor]:
        """The predictors, after designs of the front were emulated that neither they nor their
        calibrations know.
        """
        count = (
            self._designs * (self._rounds + 1) // ROUNDS - self._designs * self._rounds // ROUNDS
        )
        self._rounds += 1
        chosen = choose([point for point in front if point.spec not in self._known], count)
        if not chosen:
            return predictors
        deviations, spreads = [], []
        for point in chosen:
            on_design(point.spec)
            features, encoding = features_of(point.spec), OperandEncoding(point.encoding)
            widths = Widths(point.width_a, point.width_b)
            measured = self._emulator.measure(multiplier_of(point.spec), encoding)
            top1_pct = measured.smoothed_top1_pct
            exact = self._emulator.measure_exact(encoding, widths).smoothed_top1_pct
            drop_pp = self._emulator.measure_exact(encoding).smoothed_top1_pct - top1_pct
            deviations.append(abs(point.predicted_drop_pp - drop_pp))
            spreads.append(point.spread_pp)
            self._emulated[point.encoding].append(
                Emulated(point.spec, point.family, widths, features, top1_pct, exact)
            )
            self._known.add(point.spec)
        designs = tuple(point.spec for point in chosen)
        spread = float(np.sqrt(np.mean(np.square(spreads))))
        self.history.append(
            Recalibration(
                evaluations, designs, self._emulator.images, float(np.mean(deviations)), spread
            )
        )
        return {
            encoding: predictor.recalibrated(emulated, self._emulator.images)
            if (emulated := self._emulated[encoding])
            else predictor
            for encoding, predictor in self._original.items()
        }
