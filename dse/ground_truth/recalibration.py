"""Ground truth during a search: designs of the front so far are emulated and the predictors learn
from them, so that a search cannot live on what a predictor gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cnn_eval.prediction import Emulated
from hdl.multipliers import Multiplier
from hdl.operands import OperandEncoding, Widths

from ..evaluation.point import DesignPoint
from ..evaluation.workbench import Predictors, Reading
from ..search.exploration import Recalibration
from .emulator import Emulator
from .verification import choose

__all__ = ["ROUNDS", "Recalibrator"]

#: Predictors learn so often in a search, the last time at its end.
ROUNDS = 4


class Recalibrator:
    """Teaches the predictors of a search.

    Args:
        emulators: of each network.
        predictors: by network and encoding.
        designs: to emulate over the whole search; a quarter of them each time.
    """

    def __init__(
        self,
        emulators: Mapping[str, Emulator],
        predictors: Predictors,
        *,
        designs: int,
    ) -> None:
        self.history: list[Recalibration] = []
        self._emulators, self._original = emulators, predictors
        self._designs = designs
        self._rounds = 0
        self._emulated: dict[tuple[str, str], list[Emulated]] = {
            (network, encoding): [] for network in predictors for encoding in predictors[network]
        }
        # What every network's calibration knows is not emulated again.
        self._known = set.intersection(
            *(
                {one.name for predictor in by_encoding.values() for one in predictor.calibration}
                for by_encoding in predictors.values()
            )
        )

    def recalibrated(
        self,
        predictors: Predictors,
        front: Sequence[DesignPoint],
        readings_of: Callable[[str], Mapping[str, Reading]],
        multiplier_of: Callable[[str], Multiplier],
        evaluations: int,
        on_design: Callable[[str], None],
    ) -> Predictors:
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
            drops_pp = self._emulate(point, multiplier_of(point.spec), readings_of(point.spec))
            deviations.append(abs(point.predicted_drop_pp - max(drops_pp)))
            spreads.append(point.spread_pp)
            self._known.add(point.spec)
        designs = tuple(point.spec for point in chosen)
        spread = float(np.sqrt(np.mean(np.square(spreads))))
        self.history.append(
            Recalibration(evaluations, designs, self._images, float(np.mean(deviations)), spread)
        )
        return {
            network: {
                encoding: predictor.recalibrated(emulated, self._images)
                if (emulated := self._emulated[network, encoding])
                else predictor
                for encoding, predictor in by_encoding.items()
            }
            for network, by_encoding in self._original.items()
        }

    @property
    def _images(self) -> int:
        return next(iter(self._emulators.values())).images

    def _emulate(
        self, point: DesignPoint, multiplier: Multiplier, readings: Mapping[str, Reading]
    ) -> list[float]:
        """Emulates a design in every network, for its predictor to learn from; what each loses."""
        encoding, widths = OperandEncoding(point.encoding), Widths(point.width_a, point.width_b)
        drops_pp = []
        for network, emulator in self._emulators.items():
            top1_pct = emulator.measure(multiplier, encoding).smoothed_top1_pct
            exact = emulator.measure_exact(encoding, widths).smoothed_top1_pct
            drops_pp.append(emulator.measure_exact(encoding).smoothed_top1_pct - top1_pct)
            features = readings[network].features
            self._emulated[network, point.encoding].append(
                Emulated(point.spec, point.family, widths, features, top1_pct, exact)
            )
        return drops_pp
