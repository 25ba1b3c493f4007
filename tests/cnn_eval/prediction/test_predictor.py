"""The accuracy regression on accuracies made up by a known law."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn_eval.prediction.architectural_error import FEATURES
from cnn_eval.prediction.fitting import (
    KNOTS_PP,
    Emulated,
    drop_error_pp,
    left_out_predictions,
    spread,
)
from cnn_eval.prediction.nearby import NearbyCorrection
from cnn_eval.prediction.predictor import AccuracyPredictor, PredictorError

EXACT, CHANCE = 88.0, 10.0
WIDTHS = ((8, 7), (5, 4), (4, 3))
LABELS = {"network": "n", "encoding": "e", "corrected": True, "data": "d"}


def emulated(count: int = 60, noise_pp: float = 0.0) -> list[Emulated]:
    """Accuracy falls with powers of the margin shifts and of the noise that errors add to layers,
    much as in real networks, and where the fluctuation is large.
    """
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        rms = 10 ** rng.uniform(-2, 0.3)
        noise = rms * rng.uniform(0.6, 1.0)
        failures = 0.12 + 0.3 * rms / (1 + rms) * rng.uniform(0.5, 1.0)
        variance = 3 * rms**2 * rng.uniform(0.5, 2.0)
        fluctuation = 10 ** rng.uniform(-2, 0.2)
        added = np.exp(variance) - 1
        hazard = 0.02 * (noise / 0.25) * (added / 0.2) ** 0.35 + 0.2 * fluctuation**4
        top1 = CHANCE + (EXACT - CHANCE) * np.exp(-hazard) + noise_pp * rng.standard_normal()
        features = (0.3, variance, fluctuation, rms, noise, failures, -0.1 * rms)
        found.append(
            Emulated(
                f"m{index}", f"family{index % 6}", WIDTHS[index % 3], features, float(top1), EXACT
            )
        )
    return found


def fit(samples: list[Emulated]) -> AccuracyPredictor:
    return AccuracyPredictor.fit(
        samples, **LABELS, exact_top1_pct=EXACT, chance_pct=CHANCE, images=1000
    )  # type: ignore[arg-type]


def test_recovers_the_law() -> None:
    predictor = fit(emulated())
    assert predictor.deviation_pp < 2
    for one in emulated():
        assert predictor.predict(one.features).top1_pct == pytest.approx(one.top1_pct, abs=2)


def test_spread_is_the_noise() -> None:
    clean, noisy = fit(emulated()), fit(emulated(noise_pp=3.0))
    at = emulated()[30].features
    assert clean.predict(at).spread_pp < 2
    assert 1.5 < noisy.predict(at).spread_pp < 12  # it holds errors of the fit, too


def test_no_errors_no_drop_and_large_errors_end_at_chance() -> None:
    predictor = fit(emulated(noise_pp=1.0))
    nothing = predictor.predict((0, 0, 0, 0, 0, 0.12, 0))
    assert nothing.top1_pct == pytest.approx(EXACT)
    assert nothing.drop_pp == pytest.approx(0, abs=1e-6)
    for scale in (1e2, 1e5, 1e9):
        assert predictor.predict(
            (scale, scale, scale, scale, scale, 0.5, -1)
        ).top1_pct == pytest.approx(CHANCE)


@given(
    st.lists(st.floats(1e-8, 1e8), min_size=4, max_size=4),
    st.sampled_from([1, 2, 4, 5]),
    st.floats(1, 1e4),
    st.booleans(),
)
def test_the_law_never_predicts_better_for_worse_figures(
    values: list[float], which: int, factor: float, noisy: bool
) -> None:
    predictor = replace(NOISY if noisy else CLEAN, correction=NearbyCorrection())
    features = [0.1, *values, 0.3, -0.1]
    before = predictor.predict(features)
    features[which] *= factor
    after = predictor.predict(features)
    assert after.top1_pct <= before.top1_pct + 1e-9
    assert CHANCE - 1e-9 <= after.top1_pct <= EXACT + 1e-9
    assert after.drop_pp >= -1e-9


CLEAN, NOISY = fit(emulated()), fit(emulated(noise_pp=6.0))


def test_multipliers_without_errors_say_nothing() -> None:
    exact = Emulated("exact", "exact", (8, 7), (0, 0, 0, 0, 0, 0.1, 0), EXACT, EXACT)
    assert fit([*emulated(), exact]) == CLEAN
    assert CLEAN.recalibrated([exact], 1000) == CLEAN


def test_too_few() -> None:
    with pytest.raises(PredictorError, match="7 multipliers with errors are too few"):
        fit(emulated(7))


def test_one_family_alone() -> None:
    assert fit([replace(one, family="f") for one in emulated()]).multipliers == 60


def test_saving(tmp_path: Path) -> None:
    CLEAN.save(tmp_path / "p.json")
    assert AccuracyPredictor.load(tmp_path / "p.json") == CLEAN


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 5}', "{", '{"format": 5, "network": "n", "nonsense": 2}'],
)
def test_not_a_predictor(tmp_path: Path, content: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(PredictorError, match="is not an accuracy predictor"):
        AccuracyPredictor.load(path)


def test_fields_that_do_not_fit_together(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    CLEAN.save(path)
    fields = json.loads(path.read_text())
    broken: tuple[dict[str, object], ...] = (
        {"law": fields["law"] | {"weights": [1.0]}},
        {"correction": fields["correction"] | {"heights": [1.0]}},
        {"calibration": [["m", "f", 8, 7, 80.0, 88.0, 1.0]]},
        {"spread_pp": []},
    )
    for change in broken:
        path.write_text(json.dumps(fields | change))
        with pytest.raises(PredictorError, match="do not fit together"):
            AccuracyPredictor.load(path)
    path.write_text(json.dumps(fields | {"format": 99}))
    with pytest.raises(PredictorError, match="another version"):
        AccuracyPredictor.load(path)


@pytest.mark.parametrize("version", [4, 5])
def test_fitted_anew_to_the_emulations_of_a_file(tmp_path: Path, version: int) -> None:
    """Whatever law stands in it."""
    path = tmp_path / "p.json"
    replace(CLEAN, exact_top1_pct=87.0).save(path)
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"format": version, "law": {}, "spread_pp": []}))
    assert AccuracyPredictor.refitted(path) == replace(CLEAN, exact_top1_pct=87.0)
    path.write_text(json.dumps(fields | {"calibration": [["m", "f", 8]]}))
    with pytest.raises(PredictorError, match="holds no emulations to fit to"):
        AccuracyPredictor.refitted(path)


@pytest.mark.parametrize("large_too_low", [False, True])
def test_two_spreads_hold_nine_of_ten(large_too_low: bool) -> None:
    """Of new errors of the same kind, among large drops too: errors grow with the drop, have heavy
    tails, and may be worse where the drop turned out large.
    """
    rng = np.random.default_rng(4)

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        predicted = 10 ** rng.uniform(-1, 1.5, count)
        found = predicted * np.exp(0.3 * rng.standard_t(3, count))
        return predicted, np.where((found > 5) & large_too_low, found * 1.5, found)

    stated = spread(*drawn(500))
    predicted, found = drawn(20000)
    within = np.abs(predicted - found) <= 2 * np.interp(predicted, KNOTS_PP, stated)
    assert within.mean() > 0.88
    assert within[found > 5].mean() > 0.88


def test_spreads_over_networks_hold_for_the_worst_of_them() -> None:
    rng = np.random.default_rng(4)
    predicted = rng.uniform(1, 2, 300)
    found = predicted + np.repeat([0.1, 0.2, 0.8], 100) * rng.standard_normal(300)
    stated = spread(predicted, found, np.repeat([0, 1, 2], 100))
    off = np.abs(predicted - found)[200:] / np.interp(predicted[200:], KNOTS_PP, stated)
    # Nine of ten of the worst network, and a third more for one that is not known yet.
    assert np.quantile(off, 0.9) == pytest.approx(2 * 3 / 4, rel=0.05)


def test_inputs_are_features() -> None:
    assert set(CLEAN.inputs) <= set(FEATURES)


@pytest.mark.parametrize("corrected", [True, False])
def test_the_correction_is_a_gaussian_process(corrected: bool) -> None:
    """The posterior mean, with the hyperparameters found, by a second formulation: conditioning the
    joint normal distribution.
    """
    rng = np.random.default_rng(3)
    features = np.array([one.features for one in emulated(20)])
    residuals, variances = rng.standard_normal(20), rng.uniform(0.01, 0.1, 20)
    correction = NearbyCorrection.fit(features, residuals, variances, corrected=corrected)
    at_anchors = correction.at(features)
    # (K + N) h / s^2 = r and K h / s^2 = mean, so that r - mean = N h / s^2, of the sign of h and
    # proportional to the variances.
    left = residuals - at_anchors
    np.testing.assert_array_equal(np.sign(left), np.sign(correction.heights))
    ratio = left / np.array(correction.heights)  # (variance + noise^2) / s^2
    slope, intercept = np.polyfit(variances, ratio, 1)
    np.testing.assert_allclose(ratio, slope * variances + intercept, rtol=1e-6)
    assert slope > 0
    assert intercept > 0


def test_no_correction_far_away() -> None:
    far = (1e3, 1e6, 1e-5, 1e3, 1e3, 1.0, -40.0)
    assert CLEAN.predict(far) == replace(CLEAN, correction=NearbyCorrection()).predict(far)


def test_recalibration_follows_what_was_measured() -> None:
    """Designs of a family that the law gets wrong: once some are emulated, the others are predicted
    better, and the rest stays.
    """
    law = replace(CLEAN, correction=NearbyCorrection())
    rng = np.random.default_rng(5)
    strange = []
    for index in range(12):
        size = 10 ** rng.uniform(-0.8, -0.4)
        features = (3.0, size**2, 0.01, size, size, 0.2, 0.9)
        strange.append(
            Emulated(
                f"s{index}",
                "strange",
                (8, 7),
                features,
                law.predict(features).top1_pct - 12.0,
                EXACT,
            )
        )
    # Measured on other images, where the exact network does 2 points worse: what share is kept
    # counts.
    shifted = [
        replace(
            one, top1_pct=CHANCE + (one.top1_pct - CHANCE) * 76 / 78, exact_top1_pct=EXACT - 2.0
        )
        for one in strange[:6]
    ]
    found = CLEAN.recalibrated(shifted, 2000)
    assert found.law == CLEAN.law
    for one in strange[6:]:
        assert abs(found.predict(one.features).top1_pct - one.top1_pct) < 4
        assert abs(CLEAN.predict(one.features).top1_pct - one.top1_pct) > 8
    for one in emulated():
        assert found.predict(one.features).top1_pct == pytest.approx(
            CLEAN.predict(one.features).top1_pct, abs=2
        )


def test_transfer_to_a_network_that_loses_half_as_much() -> None:
    def of(name: str, start: int, exact: float) -> AccuracyPredictor:
        factor = (exact - CHANCE) / (EXACT - CHANCE)
        scaled = [
            replace(one, top1_pct=CHANCE + (one.top1_pct - CHANCE) * factor, exact_top1_pct=exact)
            for one in emulated()[start::2]
        ]
        labels = LABELS | {"network": name}
        return AccuracyPredictor.fit(
            scaled, **labels, exact_top1_pct=exact, chance_pct=CHANCE, images=1000
        )  # type: ignore[arg-type]

    others = [of("one", 0, 88.0), of("two", 1, 70.0)]
    labels = LABELS | {"exact_top1_pct": 49.0, "chance_pct": CHANCE}
    predictor = AccuracyPredictor.transferred(others, **labels)  # type: ignore[arg-type]
    assert (predictor.transferred_from, predictor.multipliers) == (("one", "two"), 0)
    for one in emulated():
        assert predictor.predict(one.features).drop_pp == pytest.approx(
            (EXACT - one.top1_pct) / 2, abs=2
        )
    with pytest.raises(PredictorError, match="1 calibrated networks are too few"):
        AccuracyPredictor.transferred(others[:1], **labels)  # type: ignore[arg-type]
    # It learns from the first emulation of its own, most of the way.
    known = emulated()[3].features
    harmless = Emulated("h", "f", (8, 7), known, predictor.predict(known).top1_pct - 5, 49.0)
    after = predictor.recalibrated([harmless], 1000).predict(known)
    assert after.top1_pct == pytest.approx(harmless.top1_pct, abs=2.5)


def test_a_transferred_law_learns_how_much_a_network_loses() -> None:
    """A network whose hazard is 1.6 times that of the others: eight emulations tell it, for designs
    far from them too; where the law is the network's own, they say nothing of those.
    """
    others = [fit(emulated()[start::2]) for start in (0, 1)]
    labels = LABELS | {"exact_top1_pct": EXACT, "chance_pct": CHANCE}
    transferred = AccuracyPredictor.transferred(others, **labels)  # type: ignore[arg-type]
    far = np.array([[1e3, 1e2, 1e-5, 1e3, 1e-2, 1.0, -40.0]])
    for predictor, least, most in ((transferred, 0.3, 0.5), (fit(emulated(20)), 0.0, 0.0)):
        worse = [
            replace(one, name=f"own {one.name}", top1_pct=CHANCE + (EXACT - CHANCE) * float(kept))
            for one, kept in (
                (one, np.exp(-1.6 * np.exp(predictor.log_hazards([one.features])[0])))
                for one in emulated()[30:38]
            )
        ]
        found = predictor.recalibrated(worse, 1000)
        rise = (found.log_hazards(far) - predictor.log_hazards(far)).item()
        assert least <= rise <= most


def test_transferred_predictors_are_saved_too(tmp_path: Path) -> None:
    predictor = replace(
        CLEAN, correction=NearbyCorrection(), calibration=(), transferred_from=("a", "b")
    )
    predictor.save(tmp_path / "p.json")
    assert AccuracyPredictor.load(tmp_path / "p.json") == predictor


def test_designs_that_the_metrics_cannot_tell_apart() -> None:
    """Many equal anchors, whose covariance is singular but for the noise."""
    assert (
        fit(
            [replace(one, features=emulated()[4].features, top1_pct=80.0) for one in emulated()]
        ).multipliers
        == 60
    )
    strange = [replace(one, name=f"again {one.name}") for one in emulated()]
    assert CLEAN.recalibrated([*strange, *strange], 10**9).predict(strange[0].features).drop_pp >= 0


def test_drops_count_from_the_widest_exact_network() -> None:
    """With exact products of narrow operands nothing is left to predict: what they lose has been
    measured.
    """
    nothing = (0, 0, 0, 0, 0, 0.12, 0)
    assert CLEAN.predict(nothing, EXACT - 1.5).drop_pp == pytest.approx(1.5)
    assert CLEAN.predict(nothing, EXACT + 0.5).drop_pp == 0
    at = emulated()[30].features
    wide, narrow = CLEAN.predict(at), CLEAN.predict(at, EXACT - 1.5)
    assert narrow.top1_pct == pytest.approx(
        CHANCE + (wide.top1_pct - CHANCE) * (EXACT - 1.5 - CHANCE) / (EXACT - CHANCE)
    )


def test_families_and_widths_are_left_out_together() -> None:
    samples = emulated(24)
    left_out = left_out_predictions(samples, CHANCE, 1000, corrected=True)
    rest = [
        one
        for one in samples
        if one.family != samples[0].family and one.widths != samples[0].widths
    ]
    assert left_out[0] == pytest.approx(fit(rest).predict(samples[0].features).top1_pct, abs=1e-6)


def test_the_error_of_a_drop_is_that_of_answers_given_twice() -> None:
    """Of networks that answer 88 % right and change 3.7 % of their answers' rightness, as an exact
    multiplier of 5x2 bits does to ResNet-20.
    """
    rng = np.random.default_rng(0)
    right = rng.random((2000, 1000)) < 0.885
    other = np.where(rng.random(right.shape) < 0.0365, ~right, right)
    drops_pp = 100 * (right.mean(axis=1) - other.mean(axis=1))
    assert drop_error_pp(88.0, 1000) == pytest.approx(drops_pp.std(), rel=0.15)
    assert drop_error_pp([88.0, 88.0], [1000, 4000]).tolist() == pytest.approx(
        [0.563, 0.281], abs=1e-3
    )
