"""Training on a toy problem: it learns, it resumes, and its schedule is what the recipe says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval.datasets import Dataset, top1_pct
from cnn_eval.networks.training import Recipe, train

NORMALIZATION = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
RECIPE = Recipe(stages=((8, 1), (16, 2)), batch=16, peak_learning_rate=0.05, crop_px=1, seed=3)

ADAMW = replace(RECIPE, optimizer="adamw", peak_learning_rate=0.01, weight_decay=0.1)


def toy(count: int) -> Dataset:
    """Dark and bright images."""
    rng = np.random.default_rng(count)
    labels = rng.integers(0, 2, count)
    images = rng.integers(0, 120, (count, 16, 16, 3)) + 120 * labels[:, None, None, None]
    return Dataset("toy", images.astype(np.uint8), labels, ("dark", "bright"))


class Constant(nn.Module):
    """Logits that depend on nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0 * x


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )


@pytest.mark.slow
def test_learns(tmp_path: Path) -> None:
    network, test = model(), toy(64)
    log = train(network, toy(160), test, RECIPE, NORMALIZATION, tmp_path)
    assert [line.image_px for line in log] == [8, 16, 16]
    assert log[-1].train_loss < log[0].train_loss
    assert top1_pct(network, test, NORMALIZATION) == log[-1].test_top1_pct > 90


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [RECIPE, ADAMW], ids=["sgd", "adamw"])
def test_an_interrupted_run_ends_like_an_undisturbed_one(tmp_path: Path, recipe: Recipe) -> None:
    whole = model()
    train(whole, toy(64), toy(32), recipe, NORMALIZATION, tmp_path / "whole")

    class Stop(Exception):  # noqa: N818
        pass

    def stop(log: object) -> None:
        raise Stop

    halves = model()
    with pytest.raises(Stop):
        train(halves, toy(64), toy(32), recipe, NORMALIZATION, tmp_path / "halves", stop)
    resumed = model()
    log = train(resumed, toy(64), toy(32), recipe, NORMALIZATION, tmp_path / "halves")
    assert [line.epoch for line in log] == [1, 2, 3]
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_another_recipes_checkpoint_is_refused(tmp_path: Path) -> None:
    train(model(), toy(32), toy(16), replace(RECIPE, stages=((8, 1),)), NORMALIZATION, tmp_path)
    with pytest.raises(ValueError, match="another recipe"):
        train(model(), toy(32), toy(16), RECIPE, NORMALIZATION, tmp_path)


def test_a_checkpoint_is_older_than_a_field_of_the_recipe(tmp_path: Path) -> None:
    recipe = replace(RECIPE, stages=((8, 1),))
    wanted = train(model(), toy(32), toy(16), recipe, NORMALIZATION, tmp_path)
    record = tmp_path / "checkpoint.json"
    content = json.loads(record.read_text())
    del content["recipe"]["optimizer"]
    record.write_text(json.dumps(content))
    assert train(model(), toy(32), toy(16), recipe, NORMALIZATION, tmp_path) == wanted
    other = replace(ADAMW, stages=recipe.stages)
    with pytest.raises(ValueError, match="another recipe"):
        train(model(), toy(32), toy(16), other, NORMALIZATION, tmp_path)


def test_adamw_decays_weights_alone(tmp_path: Path) -> None:
    """Without gradients, decay is all that moves a parameter."""
    network = nn.Sequential(model(), Constant())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train(network, toy(32), toy(16), ADAMW, NORMALIZATION, tmp_path)
    for name, value in network.named_parameters():
        shrunk = bool((value.abs() < before[name].abs()).all())
        assert shrunk if value.ndim > 1 else torch.equal(value, before[name]), name


def test_a_recipe_names_its_optimizer() -> None:
    assert "SGD with Nesterov momentum 0.9, weight decay 0.0005, one-cycle" in RECIPE.summary()
    assert "1 at 8x8, 2 at 16x16; AdamW, weight decay 0.1, one-cycle" in ADAMW.summary()


def test_one_cycle() -> None:
    recipe = Recipe(
        stages=((16, 2), (32, 8)), peak_learning_rate=0.4, warmup_fraction=0.25, final_factor=100
    )
    assert recipe.epochs == 10
    assert [recipe.image_px(epoch) for epoch in (0, 1, 2, 9)] == [16, 16, 32, 32]
    with pytest.raises(IndexError):
        recipe.image_px(10)
    rates = [recipe.learning_rate(step / 100) for step in range(101)]
    assert max(rates) == recipe.learning_rate(0.25) == pytest.approx(0.4)
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert rates[-1] == pytest.approx(0.004)
