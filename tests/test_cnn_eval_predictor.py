"""The accuracy regression on accuracies made up by a known law."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn_eval.ame import FEATURES
from cnn_eval.predictor import AccuracyPredictor, Emulated, PredictorError

EXACT, CHANCE = 88.0, 10.0


def emulated(count: int = 60, noise_pp: float = 0.0) -> list[Emulated]:
    """Accuracy falls with a power of the margin shifts, and where the fluctuation is large."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        rms = 10 ** rng.uniform(-2, 0.7)
        noise = rms * rng.uniform(0.6, 1.0)
        failures = 0.12 + 0.3 * rms / (1 + rms) * rng.uniform(0.5, 1.0)
        fluctuation = 10 ** rng.uniform(-2, 0.2)
        hazard = (rms * noise) ** 1.2 * failures**0.2 + fluctuation**4
        top1 = CHANCE + (EXACT - CHANCE) * np.exp(-hazard) + noise_pp * rng.standard_normal()
        found.append(Emulated(f"m{index}", f"family{index % 6}", (0.3, rms**2, fluctuation, rms, noise, failures), float(top1)))
    return found


def fit(samples: list[Emulated]) -> AccuracyPredictor:
    return AccuracyPredictor.fit(samples, network="n", encoding="e", data="d", exact_top1_pct=EXACT, chance_pct=CHANCE, images=1000)


def test_recovers_the_law() -> None:
    predictor = fit(emulated())
    assert predictor.deviation_pp < 2
    for one in emulated():
        assert predictor.predict(one.features).top1_pct == pytest.approx(one.top1_pct, abs=3)


def test_spread_is_the_noise() -> None:
    clean, noisy = fit(emulated()), fit(emulated(noise_pp=3.0))
    at = emulated()[30].features
    assert clean.predict(at).spread_pp < 2
    assert 1.5 < noisy.predict(at).spread_pp < 6


def test_no_errors_no_drop_and_large_errors_end_at_chance() -> None:
    predictor = fit(emulated(noise_pp=1.0))
    nothing = predictor.predict((0, 0, 0, 0, 0, 0.12))
    assert nothing.top1_pct == pytest.approx(EXACT)
    assert nothing.drop_pp == pytest.approx(0, abs=1e-6)
    for scale in (1e2, 1e5, 1e9):
        assert predictor.predict((scale, scale, scale, scale, scale, 0.5)).top1_pct == pytest.approx(CHANCE)


@given(
    st.lists(st.floats(1e-8, 1e8), min_size=3, max_size=3),
    st.sampled_from([2, 3, 4, 5]),
    st.floats(1, 1e4),
    st.booleans(),
)
def test_worse_figures_never_predict_better(values: list[float], which: int, factor: float, noisy: bool) -> None:
    predictor = NOISY if noisy else CLEAN
    features = [0.1, 1.0, *values, 0.3]
    before = predictor.predict(features)
    features[which] *= factor
    after = predictor.predict(features)
    assert after.top1_pct <= before.top1_pct + 1e-9
    assert CHANCE - 1e-9 <= after.top1_pct <= EXACT + 1e-9
    assert after.drop_pp >= -1e-9


CLEAN, NOISY = fit(emulated()), fit(emulated(noise_pp=6.0))


def test_multipliers_without_errors_say_nothing() -> None:
    exact = Emulated("exact", "exact", (0, 0, 0, 0, 0, 0.1), EXACT)
    assert fit([*emulated(), exact]) == fit(emulated())


def test_too_few() -> None:
    with pytest.raises(PredictorError, match="7 multipliers with errors are too few"):
        fit(emulated(7))


def test_one_family_alone() -> None:
    assert fit([replace(one, family="f") for one in emulated()]).multipliers == 60


def test_saving(tmp_path: Path) -> None:
    CLEAN.save(tmp_path / "p.json")
    assert AccuracyPredictor.load(tmp_path / "p.json") == CLEAN


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2}', "{", '{"format": 2, "network": "n", "nonsense": 2}'])
def test_not_a_predictor(tmp_path: Path, content: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(PredictorError, match="is not an accuracy predictor"):
        AccuracyPredictor.load(path)


def test_fields_that_do_not_fit_together(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    CLEAN.save(path)
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"weights": [1.0]}))
    with pytest.raises(PredictorError, match="do not fit together"):
        AccuracyPredictor.load(path)
    path.write_text(json.dumps(fields | {"format": 99}))
    with pytest.raises(PredictorError, match="another version"):
        AccuracyPredictor.load(path)


def test_inputs_are_features() -> None:
    assert set(CLEAN.inputs) <= set(FEATURES)
