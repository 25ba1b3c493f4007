from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from cnn_eval.datasets import CIFAR10_CLASSES, Dataset, ImageRoles
from cnn_eval.zoo import zoo_network
from dse.ground_truth import emulator
from dse.ground_truth.emulator import EXACT, Emulator
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding

FORMAT = OperandEncoding.SIGN_MAGNITUDE


def measured(path: Path) -> int:
    return len(sqlite3.connect(path).execute("SELECT item FROM known").fetchall())


def test_accuracies_are_kept_by_the_products_of_a_design(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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

    exact = ground_truth().top1_pct(EXACT, FORMAT)
    assert ground_truth().top1_pct("exact", FORMAT) == exact
    assert measured(path) == 2
    # An array and a tree of compressors add up to the same products: the same row, though the
    # circuits differ.
    assert ground_truth().top1_pct("exact:tree=array", FORMAT) == exact
    assert measured(path) == 2
    # The same name for another circuit: another row.
    monkeypatch.setattr(
        emulator, "named_multiplier", lambda design, known: MultiplierSpec.parse("tm:k=4")
    )
    ground_truth().top1_pct("exact", FORMAT)
    assert measured(path) == 3
    ground_truth(images.head(5)).top1_pct("exact", FORMAT)
    assert measured(path) == 4
