from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from cnn_eval.datasets import CIFAR10_CLASSES, Dataset, ImageRoles
from cnn_eval.zoo import load_profile, zoo_network
from dse.ground_truth.emulator import Accuracy, Emulator
from dse.search import Assignment, AssignmentError, Kind, LayerDesign
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding

FORMAT = OperandEncoding.SIGN_MAGNITUDE


def measured(path: Path) -> int:
    return len(sqlite3.connect(path).execute("SELECT item FROM known").fetchall())


@pytest.mark.slow
def test_accuracies_are_kept_by_the_products_of_a_design(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = Dataset(
        "noise",
        rng.integers(0, 256, (30, 32, 32, 3)).astype(np.uint8),
        rng.integers(0, 10, 30),
        CIFAR10_CLASSES,
    )
    images, roles = noise.head(6), ImageRoles(noise.head(6), noise.part(6, 20), noise.part(20, 30))
    path = tmp_path / "points.sqlite"
    network = zoo_network("resnet20")

    def ground_truth(sample: Dataset = images) -> Emulator:
        return Emulator(network, roles, sample, path)

    multiplier = MultiplierSpec.parse
    exact = ground_truth().measure_exact(FORMAT)
    same = ground_truth().measure(multiplier("exact"), FORMAT)
    assert same.top1_pct == exact.top1_pct
    assert same.smoothed_top1_pct == pytest.approx(exact.smoothed_top1_pct, abs=1e-3)
    assert measured(path) == 2
    # An array and a tree of compressors add up to the same products: the same row, though the
    # circuits differ.
    assert ground_truth().measure(multiplier("exact:tree=array"), FORMAT) == same
    assert measured(path) == 2
    # Another circuit, whatever its name: another row.
    ground_truth().measure(multiplier("tm:k=4"), FORMAT)
    assert measured(path) == 3
    ground_truth(images.head(5)).measure(multiplier("exact"), FORMAT)
    assert measured(path) == 4


def test_a_damaged_row_is_measured_anew() -> None:
    assert Accuracy.from_dict({"top1_pct": 50, "smoothed_top1_pct": 48.5}) == Accuracy(50.0, 48.5)
    for damaged in ({}, {"top1_pct": 50}, {"top1_pct": 50, "smoothed_top1_pct": 101}):
        assert Accuracy.from_dict(damaged) is None


def assignment(by_layer: dict[str, str]) -> Assignment:
    return Assignment(
        network="resnet8",
        encoding=FORMAT,
        data="noise",
        corrected=False,
        layers=tuple(LayerDesign(layer, spec, 1, 1.0, 0.0) for layer, spec in by_layer.items()),
        kinds=tuple(Kind(spec, 4, 3, 1.0, 1.0) for spec in dict.fromkeys(by_layer.values())),
        made=(),
        imported=(),
        gap=0.0,
    )


def test_an_assignment_of_one_kind_is_that_design(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = Dataset(
        "noise",
        rng.integers(0, 256, (20, 32, 32, 3)).astype(np.uint8),
        rng.integers(0, 10, 20),
        CIFAR10_CLASSES,
    )
    path, coarse = tmp_path / "points.sqlite", "tm:k=1,width=4x3"
    emulator = Emulator(
        zoo_network("resnet8"),
        ImageRoles(noise, noise, noise),
        noise.head(4),
        path,
        corrected=False,
    )
    layers = [layer.name for layer in load_profile("resnet8", FORMAT).layers]
    alone = emulator.measure_assignment(assignment(dict.fromkeys(layers, coarse)))
    assert alone == emulator.measure(MultiplierSpec.parse(coarse), FORMAT)
    assert measured(path) == 1
    two = assignment(dict.fromkeys(layers, coarse) | {"fc": "exact:width=4x3"})
    assert emulator.measure_assignment(two) == emulator.measure_assignment(two)
    assert measured(path) == 2
    assert sorted(emulator.layer_sensitivities(FORMAT)) == sorted(layers)
    with pytest.raises(AssignmentError, match="no design for the layer 'fc' of 'resnet8'"):
        emulator.measure_assignment(assignment(dict.fromkeys(layers[:-1], coarse)))
