"""Predicted losses of whole error matrices, and of small changes near one: against the metrics and
the predictor asked one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from cnn_eval import zoo
from cnn_eval.prediction import FEATURES, LossModel, WorstLoss, features
from hdl.multipliers import MultiplierSpec, product
from hdl.operands import OperandEncoding, Widths, code_values

ENCODING, WIDTHS = OperandEncoding.SIGN_MAGNITUDE, Widths(5, 3)


@pytest.fixture(scope="module")
def model() -> LossModel:
    return LossModel(
        zoo.load_profile("resnet20", ENCODING, WIDTHS), zoo.load_predictor("resnet20", ENCODING)
    )


def errors_of(text: str) -> np.ndarray:
    spec = MultiplierSpec.parse(f"{text},width=5x3")
    a, b = (code_values(width, signed=False) for width in WIDTHS)
    return (product(spec, a[:, None], b) - np.multiply.outer(a, b)).astype(np.int32)


def test_losses_are_the_predictors(model: LossModel) -> None:
    tables = [errors_of(text) for text in ("bam:h=0,v=2", "bam:h=0,v=3", "tm:k=1")]
    found = model.drops_pp(np.stack(tables))
    for errors, drop_pp in zip(tables, found, strict=True):
        predicted = model.predictor.predict(
            features(model.profile, errors), model.profile.exact_top1_pct
        )
        assert drop_pp == pytest.approx(predicted.drop_pp)


def test_without_errors_the_bits_alone_lose(model: LossModel) -> None:
    lost = model.predictor.exact_top1_pct - model.profile.exact_top1_pct
    assert model.drops_pp(np.zeros((1, 32, 8), np.int32))[0] == pytest.approx(max(lost, 0))
    # Sensitivities are taken where something begins to be lost.
    around = model.around(np.zeros((32, 8), np.int32))
    assert lost < float(around.drops_pp(np.zeros(1))[0]) < lost + 1


def test_what_is_known_is_near_emulations(model: LossModel) -> None:
    nothing = np.zeros((32, 8), np.int32)
    assert model.knows(nothing)  # it loses next to nothing
    near = [one for one in model.predictor.calibration if one.widths == WIDTHS]
    assert model.predictor.knows([one.features for one in near]).mean() > 0.9
    far = np.array([one.features for one in near]) * [1, 1, 1, 1, 1, 1, 1e4][: len(FEATURES)]
    assert not model.predictor.knows(far).any()
    one_pair = nothing.copy()
    one_pair[31, 7] = -10_000  # errors as no multiplier of the calibration has
    assert not model.knows(one_pair)


def test_of_several_networks_the_worst_counts(model: LossModel) -> None:
    other = LossModel(
        zoo.load_profile("resnet8", ENCODING, WIDTHS), zoo.load_predictor("resnet8", ENCODING)
    )
    both = WorstLoss([model, other])
    tables = np.stack([errors_of(text) for text in ("drum:k=3", "bam:h=1,v=4", "tm:k=1")])
    drops_pp = np.stack([one.drops_pp(tables) for one in (model, other)])
    assert both.drops_pp(tables) == pytest.approx(drops_pp.max(axis=0))
    assert len(set(drops_pp.argmax(axis=0))) == 2  # each is the worst for some multiplier
    for errors, worst in zip(tables, drops_pp.argmax(axis=0), strict=True):
        expected = (model, other)[worst].around(errors)
        assert (both.around(errors).gradient == expected.gradient).all()
    assert both.importance.sum() == pytest.approx(2)


def test_the_quadratic_form_ranks_small_changes_as_the_metrics_do(model: LossModel) -> None:
    """Changes of a few products by a few units, in a multiplier that errs already."""
    base = errors_of("bam:h=0,v=3")
    around = model.around(base)
    rng = np.random.default_rng(1)
    quadratic, whole = [], []
    for _ in range(200):
        change = np.zeros_like(base)
        for _ in range(int(rng.integers(1, 30))):
            change[rng.integers(32), rng.integers(8)] = rng.integers(-6, 7)
        d = change.ravel().astype(np.float64)
        effect = around.gradient @ d + ((around.components @ d) ** 2).sum()
        quadratic.append(effect + around.variances @ d**2)
        whole.append(model.drops_pp((base + change)[None])[0])
    estimated = around.drops_pp(np.array(quadratic))
    assert spearmanr(estimated, whole).statistic > 0.8
    now = float(model.drops_pp(base[None])[0])
    assert float(around.drops_pp(np.zeros(1))[0]) == pytest.approx(now, rel=0.1)


def test_rows_give_the_metrics_of_the_profile(model: LossModel) -> None:
    """But for the amplification, which is next to 1 for a multiplier of little gain."""
    errors = errors_of("bam:h=0,v=2")
    found = dict(zip(FEATURES, features(model.profile, errors), strict=True))
    flat = errors.ravel().astype(np.float64)
    for name in ("ame", "margin_noise"):
        row = model._rows[name] @ flat
        assert float(np.sqrt(row @ row)) == pytest.approx(found[name], rel=0.15)
