"""Calibration end to end on a small network, interrupted and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval.datasets import Dataset, normalize
from cnn_eval.emulation.measurement import measure_top1
from cnn_eval.prediction import calibration
from cnn_eval.prediction.architectural_error import features
from cnn_eval.prediction.calibration import CalibrationError, CalibrationProgress, calibrate, calibration_specs
from cnn_eval.prediction.profile import NetworkProfile
from cnn_eval.prediction.profile_from_images import profile_network
from cnn_eval.quantization.quantized_network import QuantizedNetwork, quantize
from hdl.errors import MissingError
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding
from hdl.tables.product_table import ProductTable

NORMALIZATION = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def tables() -> list[tuple[str, ProductTable]]:
    """Operands with their low bits cut, and exact products rounded down: ten multipliers of two families."""
    codes = np.arange(256)
    found = []
    for bits in range(1, 6):
        cut = codes >> bits << bits
        found.append(("cut", ProductTable(np.multiply.outer(cut, cut).astype(np.int32), False, f"cut{bits}")))
        rounded = np.multiply.outer(codes, codes) >> 2 * bits << 2 * bits
        found.append(("rounded", ProductTable(rounded.astype(np.int32), False, f"rounded{bits}")))
    return found


@pytest.fixture(scope="module")
def subject() -> tuple[QuantizedNetwork, NetworkProfile, Dataset]:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 6, 6, 3)).astype(np.uint8)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)).eval()
    x = normalize(images, *NORMALIZATION)
    network = quantize(model, x, OperandEncoding.SIGN_MAGNITUDE, normalization=NORMALIZATION)
    with torch.no_grad():
        labels = network(x).argmax(1).numpy()
    data = Dataset("noise", images, labels, tuple("abcd"))
    return network, profile_network(model, network, "n", data.head(40), data), data


def test_calibrates(subject: tuple[QuantizedNetwork, NetworkProfile, Dataset], tmp_path: Path) -> None:
    network, profile, data = subject
    seen: list[CalibrationProgress] = []
    predictor = calibrate(network, profile, data, tables(), tmp_path / "r.jsonl", images=100, on_progress=seen.append)
    assert (predictor.network, predictor.encoding, predictor.data) == ("n", "sign_magnitude", "noise")
    assert (predictor.multipliers, predictor.images, predictor.exact_top1_pct) == (10, 100, 100.0)
    assert [state.done for state in seen] == list(range(11))
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines[1:]] == ["exact", *(table.name for _, table in tables())]
    name, table = tables()[3]
    assert name == "rounded"
    assert lines[5]["top1_pct"] == measure_top1(network, table, data, images=100).top1_pct
    predictions = [predictor.predict(features(profile, table.errors)).top1_pct for family, table in tables() if family == "cut"]
    assert predictions == sorted(predictions, reverse=True)


def test_goes_on_where_it_was(
    subject: tuple[QuantizedNetwork, NetworkProfile, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, profile, data = subject
    whole = calibrate(network, profile, data, tables(), tmp_path / "whole.jsonl", images=60)
    path = tmp_path / "cut.jsonl"
    # Killed while the fifth multiplier was being written.
    path.write_text("\n".join((tmp_path / "whole.jsonl").read_text().splitlines()[:6]) + '\n{"name": "cut3", "top')
    measured = []

    def measure(network: QuantizedNetwork, table: ProductTable | None, *args: object, **options: object) -> object:
        measured.append(None if table is None else table.name)
        return measure_top1(network, table, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(calibration, "measure_top1", measure)
    assert calibrate(network, profile, data, tables(), path, images=60) == whole
    assert measured == [table.name for _, table in tables()[4:]]
    measured.clear()
    assert calibrate(network, profile, data, tables(), path, images=60) == whole
    assert measured == []


def test_hopeless_multipliers_get_fewer_images(
    subject: tuple[QuantizedNetwork, NetworkProfile, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, profile, data = subject
    monkeypatch.setattr(calibration, "_SCREEN_IMAGES", 30)
    calibrate(network, profile, data, tables(), tmp_path / "r.jsonl", images=100)
    for line in (tmp_path / "r.jsonl").read_text().splitlines()[2:]:
        record = json.loads(line)
        table = next(table for _, table in tables() if table.name == record["name"])
        whole, screened = (measure_top1(network, table, data, images=count).top1_pct for count in (100, 30))
        hopeless = screened < profile.chance_pct + 4
        assert record["top1_pct"] == pytest.approx(screened if hopeless else whole)


def test_results_of_something_else_are_refused(subject: tuple[QuantizedNetwork, NetworkProfile, Dataset], tmp_path: Path) -> None:
    network, profile, data = subject
    calibrate(network, profile, data, tables(), tmp_path / "r.jsonl", images=40)
    with pytest.raises(CalibrationError, match=r"r\.jsonl' holds a calibration of other weights, scales or images"):
        calibrate(network, profile, data, tables(), tmp_path / "r.jsonl", images=41)
    with pytest.raises(MissingError, match="cannot be read"):
        calibrate(network, profile, data, tables(), tmp_path, images=40)


@pytest.mark.parametrize("signed", [False, True])
def test_the_set_that_ships(signed: bool) -> None:
    specs = [MultiplierSpec.parse(text) for text in calibration_specs(signed=signed)]
    assert len(set(specs)) == len(specs) >= 40
    assert all(spec.signed == signed and spec.widths == (8, 8) for spec in specs)
    assert len({spec.family for spec in specs}) >= 6
    assert [str(spec) for spec in specs] == list(calibration_specs(signed=signed))
