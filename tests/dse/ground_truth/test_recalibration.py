"""Predictors that learn during a search, from an emulator whose answers are made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from design_points import make_point

from cnn_eval import zoo
from dse.evaluation.workbench import Reading
from dse.ground_truth.emulator import Accuracy
from dse.ground_truth.recalibration import Recalibrator
from hdl.operands import OperandEncoding, Widths

ENCODING = OperandEncoding.SIGN_MAGNITUDE


class MadeUpEmulator:
    """Exact products give 88 %; every design loses 10 points less than nothing would."""

    images = 500

    def __init__(self) -> None:
        self.asked: list[str] = []

    def measure_all(
        self, subjects: list[tuple[Any, OperandEncoding]], *, on_progress: Any
    ) -> list[Accuracy]:
        assert {encoding for _, encoding in subjects} == {ENCODING}
        self.asked += [subject for subject, _ in subjects if isinstance(subject, str)]
        on_progress(0, subjects[0][0])
        return [self.accuracy(subject) for subject, _ in subjects]

    def accuracy(self, subject: Any) -> Accuracy:
        if isinstance(subject, str):
            return Accuracy(78.5, 78.0)
        assert subject in (None, Widths(8, 7))
        return Accuracy(88.5, 88.0)


def recalibrator(emulator: Any, designs: int = 10) -> Recalibrator:
    return Recalibrator(
        {"resnet20": emulator},
        {"resnet20": {str(ENCODING): zoo.load_predictor("resnet20", ENCODING, corrected=False)}},
        designs=designs,
    )


def test_predictions_follow_what_was_emulated() -> None:
    emulator = MadeUpEmulator()
    made = recalibrator(emulator)
    original = zoo.load_predictor("resnet20", ENCODING, corrected=False)
    known = original.calibration[0].name
    front = [
        make_point(f"new{index}", 0.5 + index / 100, drop=2 + index / 10) for index in range(8)
    ] + [make_point(known, 0.4, drop=2.5), replace(make_point("exact", 0.6, drop=2.2), er_pct=0.0)]
    typical = np.median([one.features for one in original.calibration], axis=0)
    features = {
        point.spec: tuple((typical * (1 + index / 50)).tolist())
        for index, point in enumerate(front)
    }
    readings = {spec: {"resnet20": Reading(found, 88.0)} for spec, found in features.items()}
    predictors: Any = {"resnet20": {str(ENCODING): original}}
    for evaluations in (100, 200):
        drops = {
            text: predictors["resnet20"][str(ENCODING)].predict(found).drop_pp
            for text, found in features.items()
        }
        front = [replace(point, predicted_drop_pp=drops[point.spec]) for point in front]
        predictors = made.recalibrated(
            predictors, front, readings.__getitem__, str, evaluations, lambda text: None
        )
    emulated = emulator.asked
    assert len(emulated) == len(set(emulated)) == 5  # 10 designs in four parts: 2, 3, 2, 3
    assert not {known, "exact"} & set(emulated)
    first, second = made.history
    assert (first.evaluations, first.images, len(first.designs), len(second.designs)) == (
        100,
        500,
        2,
        3,
    )
    predicted = (
        original.predict(features[first.designs[0]]).drop_pp,
        original.predict(features[first.designs[1]]).drop_pp,
    )
    assert first.deviation_pp == pytest.approx(np.mean(np.abs(np.array(predicted) - 10)))
    assert second.deviation_pp < first.deviation_pp
    # A design that was not emulated, among those that were: much nearer to the truth.
    before, after = (
        one.predict(features["new4"]).drop_pp
        for one in (original, predictors["resnet20"][str(ENCODING)])
    )
    assert abs(after - 10) < 0.6 * abs(before - 10)
    assert original == zoo.load_predictor("resnet20", ENCODING, corrected=False)
