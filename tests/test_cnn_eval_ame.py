"""Architectural metrics against expectations worked out by sampling and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cnn_eval.ame import FEATURES, ame, architectural_matrix, features
from cnn_eval.coding import OperandCoding
from cnn_eval.profile import LayerProfile, NetworkProfile, SampleMargins
from hdl.errors import InputError
from hdl.operands import OperandEncoding

ENCODINGS = list(OperandEncoding)
WIDTH = 4


def coding(encoding: OperandEncoding, negative: bool) -> OperandCoding:
    return OperandCoding(encoding, WIDTH, negative, zero_point=5 if negative and encoding is OperandEncoding.UNSIGNED else 0)


def layer(name: str, coding: OperandCoding, seed: int, propagation: float = 1.0) -> LayerProfile:
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(len(coding.activation_values))), rng.dirichlet(np.ones(len(coding.weight_values)))
    factors = rng.standard_normal((3, len(p))), rng.standard_normal((2, len(q))) / 100
    return LayerProfile(name, 100, 9, coding, 0.1, p, q, q / 20, q / 400, *factors, propagation)


def profile(encoding: OperandEncoding) -> NetworkProfile:
    layers = (layer("a", coding(encoding, True), 0, 0.5), layer("b", coding(encoding, False), 1))
    rng = np.random.default_rng(2)
    margins = SampleMargins(rng.standard_normal(50), rng.standard_normal((50, 3)), rng.standard_normal((3, 256)).astype(np.float32) / 100)
    return NetworkProfile("n", encoding, WIDTH, "d", True, (0.0,), (1.0,), layers, margins, 80.0, 81.0, 10.0, 100, 50)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_ame_is_the_expected_error_of_a_sum(encoding: OperandEncoding) -> None:
    made = profile(encoding)
    errors = np.random.default_rng(3).integers(-20, 20, (16, 16)).astype(np.int32)
    expected = 0.0
    for one in made.layers:
        products = one.coding.products(errors)
        exact = np.multiply.outer(one.coding.activation_values, one.coding.weight_values)
        expected += one.propagation * 9 * float(one.activations @ (products - exact) @ one.mean_weights)
    assert ame(made, errors) == pytest.approx(expected)
    assert ame(made, errors) == pytest.approx(float((architectural_matrix(made) * errors).sum()))
    assert features(made, errors)[FEATURES.index("ame")] == pytest.approx(expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_variance_is_the_expected_square(encoding: OperandEncoding) -> None:
    made = profile(encoding)
    errors = np.random.default_rng(4).integers(-20, 20, (16, 16)).astype(np.int32)
    expected = 0.0
    for one in made.layers:
        exact = np.multiply.outer(one.coding.activation_values, one.coding.weight_values)
        squares = (one.coding.products(errors) - exact) ** 2
        expected += one.propagation**2 * 9 * float(one.activations @ squares @ one.variance_weights)
    assert features(made, errors)[FEATURES.index("variance")] == pytest.approx(expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_fluctuation_is_the_standard_deviation_of_expected_errors(encoding: OperandEncoding) -> None:
    """The factors' covariances of receptive fields and of weight histograms, multiplied out."""
    made = profile(encoding)
    errors = np.random.default_rng(8).integers(-20, 20, (16, 16)).astype(np.int32)
    expected = 0.0
    for one in made.layers:
        exact = np.multiply.outer(one.coding.activation_values, one.coding.weight_values)
        effect = one.coding.products(errors) - exact
        covariance = one.activation_factors.T @ one.activation_factors
        channels = one.weight_factors.T @ one.weight_factors
        expected += one.propagation**2 * float(np.trace(covariance @ effect @ channels @ effect.T))
    assert features(made, errors)[FEATURES.index("fluctuation")] == pytest.approx(np.sqrt(expected), rel=1e-4)


def test_margin_features() -> None:
    made = profile(OperandEncoding.SIGN_MAGNITUDE)
    errors = np.random.default_rng(5).integers(-20, 20, (16, 16)).astype(np.int32)
    margins = made.margins
    shifts = np.array([score @ margins.components @ errors.ravel() for score in margins.scores])
    values = dict(zip(FEATURES, features(made, errors), strict=True))
    assert values["margin_rms"] == pytest.approx(np.sqrt(np.mean(shifts**2)) / margins.margins.std(), rel=1e-5)
    gain = np.linalg.lstsq(margins.margins[:, None], shifts, rcond=None)[0]
    noise = shifts - gain * margins.margins
    assert values["margin_noise"] == pytest.approx(np.sqrt(np.mean(noise**2)) / margins.margins.std(), rel=1e-5)
    assert values["failures"] == np.mean(margins.margins + shifts <= 0)


def test_a_gain_is_no_noise() -> None:
    made = profile(OperandEncoding.SIGN_MAGNITUDE)
    margins = replace(made.margins, scores=made.margins.margins[:, None], components=np.ones((1, 256), np.float32))
    values = dict(zip(FEATURES, features(replace(made, margins=margins), np.ones((16, 16), np.int32)), strict=True))
    assert values["margin_rms"] > 100
    assert values["margin_noise"] < 1e-6 * values["margin_rms"]


def test_everything_is_linear_or_quadratic_in_the_errors() -> None:
    made = profile(OperandEncoding.TWOS_COMPLEMENT)
    errors = np.random.default_rng(6).integers(-20, 20, (16, 16)).astype(np.int32)
    once, thrice = features(made, errors), features(made, 3 * errors)
    np.testing.assert_allclose(thrice[:5] / once[:5], [3, 9, 3, 3, 3], rtol=1e-5)
    none = features(made, np.zeros_like(errors))
    np.testing.assert_array_equal(none[:5], 0)
    assert none[5] == np.mean(made.margins.margins <= 0)


def test_failures_are_never_quite_none() -> None:
    made = profile(OperandEncoding.TWOS_COMPLEMENT)
    sure = replace(made, margins=replace(made.margins, margins=np.full(50, 5.0)))
    assert features(sure, np.zeros((16, 16), np.int32))[5] == 0.5 / 50


def test_many_tables_at_once() -> None:
    made = profile(OperandEncoding.UNSIGNED)
    errors = np.random.default_rng(7).integers(-20, 20, (6, 16, 16)).astype(np.int32)
    np.testing.assert_allclose(features(made, errors), [features(made, one) for one in errors], rtol=1e-5)


def test_width_is_checked() -> None:
    with pytest.raises(InputError, match=r"shape \(256, 256\) do not fit the 4-bit multiplications of 'n'"):
        ame(profile(OperandEncoding.UNSIGNED), np.zeros((256, 256), np.int32))
