"""Calibration end to end on a small network, interrupted and resumed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval.datasets import Dataset, normalize
from cnn_eval.emulation.ground_truth import GroundTruth
from cnn_eval.prediction import calibration
from cnn_eval.prediction.architectural_error import FEATURES
from cnn_eval.prediction.calibration import (
    CalibrationError,
    CalibrationProgress,
    calibrate,
    exact_name,
)
from cnn_eval.prediction.candidates import Candidate, calibration_set, profiled_widths
from cnn_eval.prediction.predictor import AccuracyPredictor
from cnn_eval.prediction.profile import NetworkProfile
from cnn_eval.profiling.profile_from_images import profile_network
from cnn_eval.quantization.quantized_network import quantize
from hdl.errors import MissingError
from hdl.operands import OperandEncoding, Widths, operand_widths
from hdl.tables.product_table import ProductTable

NORMALIZATION = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


WIDTHS = Widths(8, 7)
FORMAT = OperandEncoding.SIGN_MAGNITUDE


@dataclass(frozen=True, eq=False)
class Subject:
    """A small network, its profile, and its ground truth."""

    truth: GroundTruth
    profile: NetworkProfile
    data: Dataset
    candidates: list[Candidate]

    def calibrate(self, path: Path, images: int, **options: Any) -> AccuracyPredictor:
        return calibrate(
            self.truth, [self.profile], self.data, self.candidates, path, images=images, **options
        )

    @property
    def names(self) -> list[str]:
        return [exact_name(WIDTHS), *(one.table.name for one in self.candidates)]


@pytest.fixture(scope="module")
def subject() -> Subject:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 6, 6, 3)).astype(np.uint8)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)).eval()
    x = normalize(images, *NORMALIZATION)
    network = quantize(model, x, FORMAT, widths=WIDTHS, normalization=NORMALIZATION)
    with torch.no_grad():
        labels = network(x).argmax(1).numpy()
    data = Dataset("noise", images, labels, tuple("abcd"))
    truth = GroundTruth(lambda widths: network, WIDTHS, None)
    profile = profile_network(network, "n", data.head(40), data, float_top1_pct=0.0)
    return Subject(truth, profile, data, calibration_set([profile], 10))


@pytest.mark.slow
def test_calibrates(subject: Subject, tmp_path: Path) -> None:
    seen: list[CalibrationProgress] = []
    predictor = subject.calibrate(tmp_path / "r.jsonl", 100, on_progress=seen.append)
    assert (predictor.network, predictor.encoding, predictor.data, predictor.corrected) == (
        "n",
        "sign_magnitude",
        "noise",
        False,
    )
    assert (predictor.multipliers, predictor.images, predictor.exact_top1_pct) == (10, 100, 100.0)
    assert [state.done for state in seen] == list(range(12))
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines[1:]] == subject.names
    table = subject.candidates[3].table
    measured = subject.truth.measure(table, subject.data.head(100))
    assert lines[5]["top1_pct"] == measured.smoothed_top1_pct


@pytest.mark.slow
def test_goes_on_where_it_was(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = subject.calibrate(tmp_path / "whole.jsonl", 60)
    path = tmp_path / "cut.jsonl"
    # Killed while the fifth multiplier was being written.
    path.write_text(
        "\n".join((tmp_path / "whole.jsonl").read_text().splitlines()[:6])
        + '\n{"name": "cut3", "top'
    )
    measured = []

    def measure(truth: GroundTruth, multiplier: ProductTable | Widths, *args: Any) -> float:
        measured.append(
            multiplier.name if isinstance(multiplier, ProductTable) else exact_name(multiplier)
        )
        return of_truth(truth, multiplier, *args)

    of_truth = calibration.screened_top1_pct
    monkeypatch.setattr(calibration, "screened_top1_pct", measure)
    assert subject.calibrate(path, 60) == whole
    assert measured == subject.names[5:]
    measured.clear()
    assert subject.calibrate(path, 60) == whole
    assert measured == []


def test_hopeless_multipliers_get_fewer_images(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_SCREEN_IMAGES", 30)
    subject.calibrate(tmp_path / "r.jsonl", 100)
    for line in (tmp_path / "r.jsonl").read_text().splitlines()[2:]:
        record = json.loads(line)
        table = next(one.table for one in subject.candidates if one.table.name == record["name"])
        first, rest = (
            subject.truth.measure(table, subject.data.part(*part)) for part in ((0, 30), (30, 100))
        )
        whole = 0.3 * first.smoothed_top1_pct + 0.7 * rest.smoothed_top1_pct
        hopeless = first.top1_pct < subject.profile.chance_pct + 4
        expected = first.smoothed_top1_pct if hopeless else whole
        assert record["top1_pct"] == pytest.approx(expected)


def test_results_of_something_else_are_refused(subject: Subject, tmp_path: Path) -> None:
    subject.calibrate(tmp_path / "r.jsonl", 40)
    with pytest.raises(
        CalibrationError, match=r"r\.jsonl' holds a calibration of other weights, scales or images"
    ):
        subject.calibrate(tmp_path / "r.jsonl", 41)
    with pytest.raises(MissingError, match="cannot be read"):
        subject.calibrate(tmp_path, 40)


def test_the_set_is_drawn_by_what_the_profiles_see(subject: Subject) -> None:
    again = calibration_set([subject.profile], 10)
    assert [str(one.multiplier) for one in again] == [
        str(one.multiplier) for one in subject.candidates
    ]
    assert len({one.multiplier.family for one in again}) >= 6
    noise = [one.features[FEATURES.index("margin_noise")] for one in again]
    assert max(noise) / min(noise) > 3
    for one in again:
        assert (one.multiplier.widths, one.multiplier.signed) == (WIDTHS, False)
        np.testing.assert_array_equal(one.table.products, ProductTable.of(one.multiplier).products)


@pytest.mark.parametrize("encoding", list(OperandEncoding))
def test_widths_that_are_worth_a_profile(encoding: OperandEncoding) -> None:
    widths = profiled_widths(encoding)
    assert widths[0] == operand_widths(encoding, 8, 8)
    assert len(set(widths)) == len(widths) >= 10
    assert all(1 <= bits <= 8 for one in widths for bits in one)
