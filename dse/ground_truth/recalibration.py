"""Ground truth during a search: designs of the front so far are emulated and the predictors learn
from them, so that a search cannot live on what a predictor gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cnn_eval.prediction import Emulated
from hdl.multipliers import Multiplier
from hdl.operands import OperandEncoding

from ..evaluation.point import DesignPoint
from ..evaluation.workbench import Predictors, Reading
from ..search.data_sizing import is_exact
from ..search.exploration import Recalibration
from .emulator import Emulator, Subject
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
        calibrations know; exact ones, which nothing can be learned from, are left out.
        """
        count = (
            self._designs * (self._rounds + 1) // ROUNDS - self._designs * self._rounds // ROUNDS
        )
        self._rounds += 1
        chosen = choose(
            [point for point in front if point.spec not in self._known and not is_exact(point)],
            count,
        )
        if not chosen:
            return predictors
        drops_pp = self._emulate(chosen, readings_of, multiplier_of, on_design)
        deviations, spreads = [], []
        for point, drop_pp in zip(chosen, drops_pp, strict=True):
            deviations.append(abs(point.predicted_drop_pp - drop_pp))
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
        self,
        chosen: Sequence[DesignPoint],
        readings_of: Callable[[str], Mapping[str, Reading]],
        multiplier_of: Callable[[str], Multiplier],
        on_design: Callable[[str], None],
    ) -> list[float]:
        """Emulates designs in every network, for its predictor to learn from; what each loses where
        it loses the most, in percentage points.
        """
        formats = list(dict.fromkeys(encoding for _, encoding in self._emulated))
        wanted: list[tuple[Subject, OperandEncoding]] = [
            (None, OperandEncoding(encoding)) for encoding in formats
        ]
        for point in chosen:
            encoding = OperandEncoding(point.encoding)
            wanted += [(multiplier_of(point.spec), encoding), (point.widths, encoding)]
        drops_pp = [-np.inf] * len(chosen)
        for network, emulator in self._emulators.items():
            found = [
                one.smoothed_top1_pct
                for one in emulator.measure_all(
                    wanted, on_progress=lambda done, name: on_design(name)
                )
            ]
            widest_pct = max(found[: len(formats)])
            for index, point in enumerate(chosen):
                first = len(formats) + 2 * index
                top1_pct, exact_pct = found[first : first + 2]
                drops_pp[index] = max(drops_pp[index], widest_pct - top1_pct)
                features = readings_of(point.spec)[network].features
                self._emulated[network, point.encoding].append(
                    Emulated(point.spec, point.family, point.widths, features, top1_pct, exact_pct)
                )
        return drops_pp
