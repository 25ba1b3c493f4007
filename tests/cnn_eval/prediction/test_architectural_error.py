"""Architectural metrics against expectations worked out by sampling and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cnn_eval.prediction.architectural_error import (
    FEATURES,
    ame,
    ame_of_assignments,
    ame_of_masks,
    ame_of_tables,
    features,
    layer_variances,
    partial_product_shifts,
    rounding_variances,
)
from cnn_eval.prediction.layer_profile import LayerProfile, SampleMargins
from cnn_eval.prediction.profile import NetworkProfile
from cnn_eval.quantization.coding import OperandCoding
from hdl.errors import InputError
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, code_values
from hdl.tables.product_table import ProductTable

ENCODINGS = list(OperandEncoding)
WIDTH = 4


def coding(encoding: OperandEncoding, negative: bool) -> OperandCoding:
    return OperandCoding(
        encoding,
        WIDTH,
        WIDTH,
        negative,
        zero_point=5 if negative and encoding is OperandEncoding.UNSIGNED else 0,
    )


def layer(name: str, coding: OperandCoding, seed: int) -> LayerProfile:
    rng = np.random.default_rng(seed)
    p, q = (
        rng.dirichlet(np.ones(len(coding.activation_values))),
        rng.dirichlet(np.ones(len(coding.weight_values))),
    )
    factors = rng.standard_normal((3, len(p))), rng.standard_normal((2, len(q))) / 100
    return LayerProfile(name, 100, 9, coding, 0.1, p, q, q / 400, *factors)


def profile(encoding: OperandEncoding) -> NetworkProfile:
    layers = (layer("a", coding(encoding, True), 0), layer("b", coding(encoding, False), 1))
    rng = np.random.default_rng(2)
    margins = SampleMargins(
        rng.standard_normal(50),
        rng.standard_normal((50, 3)),
        rng.standard_normal((3, 256)).astype(np.float32) / 100,
    )
    architectural = rng.standard_normal((4, 256)).astype(np.float32) / 100
    return NetworkProfile(
        "n",
        encoding,
        WIDTH,
        WIDTH,
        False,
        "",
        "d",
        True,
        (0.0,),
        (1.0,),
        layers,
        architectural,
        margins,
        80.0,
        81.0,
        10.0,
        100,
        50,
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_ame_is_the_length_of_the_shift_of_the_logits(encoding: OperandEncoding) -> None:
    made = profile(encoding)
    errors = np.random.default_rng(3).integers(-20, 20, (5, 16, 16)).astype(np.int32)
    shifts = np.array(
        [[(row.reshape(16, 16) * one).sum() for row in made.architectural] for one in errors]
    )
    expected = np.linalg.norm(shifts, axis=1)
    assert ame(made, errors[0]) == pytest.approx(expected[0], rel=1e-5)
    np.testing.assert_allclose(ame_of_tables(made, errors), expected, rtol=1e-5)
    np.testing.assert_allclose(
        features(made, errors)[:, FEATURES.index("ame")], expected, rtol=1e-5
    )


@pytest.mark.parametrize(
    "encoding", [OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.TWOS_COMPLEMENT]
)
def test_ame_of_masks_is_that_of_their_tables(encoding: OperandEncoding) -> None:
    made = profile(encoding)
    rng = np.random.default_rng(4)
    masks = np.array([0xFFFF, 0, 0xFFFE, 0x8000, 0xFE8F, *rng.integers(0, 1 << 16, 20)], np.uint64)
    tables = [
        ProductTable.of(
            MultiplierSpec.make("mask", width=WIDTH, signed=encoding.signed, bits=f"{mask:x}")
        )
        for mask in masks
    ]
    expected = ame_of_tables(made, np.stack([table.errors for table in tables]))
    found = ame_of_masks(made, masks)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert found[0] == 0


def test_ame_of_masks_of_8_bits() -> None:
    rng = np.random.default_rng(5)
    made = replace(
        profile(OperandEncoding.TWOS_COMPLEMENT),
        width_a=8,
        width_b=8,
        architectural=rng.standard_normal((3, 1 << 16)).astype(np.float32),
    )
    masks = rng.integers(0, 1 << 64, 6, dtype=np.uint64)
    tables = [
        ProductTable.of(MultiplierSpec.parse(f"mask:bits={mask:x},signed=1")) for mask in masks
    ]
    np.testing.assert_allclose(
        ame_of_masks(made, masks),
        ame_of_tables(made, np.stack([table.errors for table in tables])),
        rtol=1e-4,
    )
    assert partial_product_shifts(made).shape == (64, 3)


def test_ame_of_assignments_adds_up_the_layers() -> None:
    made = profile(OperandEncoding.UNSIGNED)
    rng = np.random.default_rng(6)
    errors = rng.integers(-20, 20, (4, 16, 16)).astype(np.int32)
    parts = rng.standard_normal((3, *made.architectural.shape))
    parts[2] = made.architectural - parts[0] - parts[1]
    matrices = parts.reshape(3, -1, 16, 16)
    same = np.repeat(np.arange(4)[:, None], 3, axis=1)
    np.testing.assert_allclose(
        ame_of_assignments(matrices, errors, same), ame_of_tables(made, errors), rtol=1e-4
    )
    mixed = np.array([[0, 3, 1], [2, 2, 0]])
    expected = [
        np.linalg.norm(sum(parts[t] @ errors[one[t]].ravel() for t in range(3))) for one in mixed
    ]
    np.testing.assert_allclose(ame_of_assignments(matrices, errors, mixed), expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_variance_is_the_expected_square(encoding: OperandEncoding) -> None:
    made = profile(encoding)
    errors = np.random.default_rng(4).integers(-20, 20, (16, 16)).astype(np.int32)
    expected = 0.0
    for one in made.layers:
        exact = np.multiply.outer(one.coding.activation_values, one.coding.weight_values)
        squares = (one.coding.products(errors) - exact) ** 2
        expected += 9 * float(one.activations @ squares @ one.variance_weights)
    assert features(made, errors)[FEATURES.index("variance")] == pytest.approx(expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_fluctuation_is_the_standard_deviation_of_expected_errors(
    encoding: OperandEncoding,
) -> None:
    """The factors' covariances of receptive fields and of weight histograms, multiplied out."""
    made = profile(encoding)
    errors = np.random.default_rng(8).integers(-20, 20, (16, 16)).astype(np.int32)
    expected = 0.0
    for one in made.layers:
        exact = np.multiply.outer(one.coding.activation_values, one.coding.weight_values)
        effect = one.coding.products(errors) - exact
        covariance = one.activation_factors.T @ one.activation_factors
        channels = one.weight_factors.T @ one.weight_factors
        expected += float(np.trace(covariance @ effect @ channels @ effect.T))
    assert features(made, errors)[FEATURES.index("fluctuation")] == pytest.approx(
        np.sqrt(expected), rel=1e-4
    )


def test_margin_features() -> None:
    made = profile(OperandEncoding.SIGN_MAGNITUDE)
    errors = np.random.default_rng(5).integers(-20, 20, (16, 16)).astype(np.int32)
    margins = made.margins
    shifts = np.array([score @ margins.components @ errors.ravel() for score in margins.scores])
    values = dict(zip(FEATURES, features(made, errors), strict=True))
    assert values["margin_rms"] == pytest.approx(
        np.sqrt(np.mean(shifts**2)) / margins.margins.std(), rel=1e-5
    )
    gain = np.linalg.lstsq(margins.margins[:, None], shifts, rcond=None)[0]
    noise = shifts - gain * margins.margins
    assert values["margin_noise"] == pytest.approx(
        np.sqrt(np.mean(noise**2)) / margins.margins.std(), rel=1e-5
    )
    assert values["gain"] == pytest.approx(gain.item(), rel=1e-5)
    right = margins.margins > 0
    assert values["failures"] == np.mean(margins.margins[right] + shifts[right] <= 0)


def test_a_gain_is_no_noise() -> None:
    made = profile(OperandEncoding.SIGN_MAGNITUDE)
    margins = replace(
        made.margins, scores=made.margins.margins[:, None], components=np.ones((1, 256), np.float32)
    )
    values = dict(
        zip(
            FEATURES,
            features(replace(made, margins=margins), np.ones((16, 16), np.int32)),
            strict=True,
        )
    )
    assert values["margin_rms"] > 100
    assert values["margin_noise"] < 1e-6 * values["margin_rms"]


def test_everything_is_linear_or_quadratic_in_the_errors() -> None:
    made = profile(OperandEncoding.TWOS_COMPLEMENT)
    errors = np.random.default_rng(6).integers(-20, 20, (16, 16)).astype(np.int32)
    once, thrice = features(made, errors), features(made, 3 * errors)
    np.testing.assert_allclose(thrice[:5] / once[:5], [3, 9, 3, 3, 3], rtol=1e-5)
    none = features(made, np.zeros_like(errors))
    np.testing.assert_array_equal(none[:5], 0)
    assert none[5] == 0.5 / (made.margins.margins > 0).sum()
    assert none[6] == 0


def corrected_profile(encoding: OperandEncoding) -> NetworkProfile:
    """Activations of one sign, and of zero mean weight, as the figures of a layer's mean and gain
    take them to be.
    """
    layers = (layer("a", coding(encoding, False), 0), layer("b", coding(encoding, False), 1))
    return replace(profile(encoding), corrected=True, layers=layers)


def over_codes(one: OperandCoding, values: np.ndarray) -> np.ndarray:
    """Errors of value pairs as an error matrix; codes that no value has stay without."""
    (a, a_sign), (b, b_sign) = one.activation_codes(), one.weight_codes()
    errors = np.zeros((1 << one.width_a, 1 << one.width_b))
    errors[np.ix_(a, b)] = values * np.multiply.outer(a_sign, b_sign)
    return errors


@pytest.mark.parametrize(
    "encoding", [OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.TWOS_COMPLEMENT]
)
def test_the_mean_under_each_weight_is_no_variance(encoding: OperandEncoding) -> None:
    made = corrected_profile(encoding)
    one = made.layers[0].coding
    of_weight = np.random.default_rng(9).integers(-20, 20, len(one.weight_values))
    if encoding is OperandEncoding.SIGN_MAGNITUDE:  # the sign stands beside the multiplier
        of_weight = np.sign(one.weight_values) * of_weight[np.abs(one.weight_values)]
    errors = over_codes(one, np.tile(of_weight, (len(one.activation_values), 1)))
    plain = dict(zip(FEATURES, features(replace(made, corrected=False), errors), strict=True))
    values = dict(zip(FEATURES, features(made, errors), strict=True))
    assert plain["variance"] > 0
    assert values["variance"] < 1e-7 * plain["variance"]  # figures are sums in float32


@pytest.mark.parametrize(
    "encoding", [OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.TWOS_COMPLEMENT]
)
@pytest.mark.parametrize("gain", [-0.5, 0.25])
def test_a_common_gain_is_nothing_at_all(encoding: OperandEncoding, gain: float) -> None:
    made = corrected_profile(encoding)
    values_of_codes = code_values(WIDTH, signed=encoding.signed)
    errors = gain * np.multiply.outer(values_of_codes, values_of_codes)
    plain = dict(zip(FEATURES, features(replace(made, corrected=False), errors), strict=True))
    values = dict(zip(FEATURES, features(made, errors), strict=True))
    for name in ("variance", "fluctuation"):
        assert plain[name] > 0
        assert values[name] < 1e-3 * plain[name]
    for name in ("ame", "margin_rms", "margin_noise"):
        assert values[name] < 1e-3 * plain[name] + 1e-9


def test_a_signal_that_is_gone_is_not_brought_back() -> None:
    """Correction amplifies up to its limit; what is lost beyond counts as an error."""
    made = corrected_profile(OperandEncoding.SIGN_MAGNITUDE)
    exact = np.multiply.outer(np.arange(16), np.arange(16)).astype(float)
    within, gone = (
        dict(zip(FEATURES, features(made, -share * exact), strict=True)) for share in (0.5, 1.0)
    )
    assert within["variance"] < 1e-6
    assert gone["variance"] == pytest.approx(len(made.layers))
    assert gone["margin_noise"] == pytest.approx(np.sqrt(len(made.layers)), rel=1e-3)


def test_failures_are_never_quite_none() -> None:
    made = profile(OperandEncoding.TWOS_COMPLEMENT)
    sure = replace(made, margins=replace(made.margins, margins=np.full(50, 5.0)))
    assert features(sure, np.zeros((16, 16), np.int32))[5] == 0.5 / 50


def test_many_tables_at_once() -> None:
    made = profile(OperandEncoding.UNSIGNED)
    errors = np.random.default_rng(7).integers(-20, 20, (6, 16, 16)).astype(np.int32)
    np.testing.assert_allclose(
        features(made, errors), [features(made, one) for one in errors], rtol=1e-5
    )


def test_width_is_checked() -> None:
    with pytest.raises(
        InputError, match=r"shape \(256, 256\) do not fit the 4x4 multiplications of 'n'"
    ):
        ame(profile(OperandEncoding.UNSIGNED), np.zeros((256, 256), np.int32))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_variances_of_layers_add_up(encoding: OperandEncoding) -> None:
    made = profile(encoding)
    errors = np.random.default_rng(3).integers(-40, 40, (3, 16, 16)).astype(np.int32)
    by_layer = layer_variances(made, errors)
    assert by_layer.shape == (3, 2)
    variance = features(made, errors)[:, FEATURES.index("variance")]
    # The features are computed in float32.
    np.testing.assert_allclose(by_layer.sum(axis=1), variance, rtol=1e-5)
    np.testing.assert_allclose(layer_variances(made, errors[1]), by_layer[1])
    # Of each layer by itself, under correction, too.
    for known in (made, corrected_profile(encoding)):
        found = layer_variances(known, errors[0])
        for index, one in enumerate(known.layers):
            alone = features(replace(known, layers=(one,)), errors[0])
            assert found[index] == pytest.approx(alone[FEATURES.index("variance")], rel=1e-5)


def rounded_profile(step: float, bits: int) -> NetworkProfile:
    """A layer of uniform activations and weights, with integers of so many bits, a step of so many
    of the finest.
    """
    one = OperandCoding(OperandEncoding.SIGN_MAGNITUDE, bits, bits, False)
    p, q = (np.full(len(v), 1 / len(v)) for v in (one.activation_values, one.weight_values))
    layer = LayerProfile("a", 100, 9, one, 0.1 * step, p, q, q / 400, p[None], q[None])
    return replace(profile(OperandEncoding.SIGN_MAGNITUDE), layers=(layer,))


def test_the_variance_of_rounded_operands_is_that_of_a_step() -> None:
    widest = rounded_profile(1, 8)
    assert rounding_variances(widest, widest) == 0
    found = rounding_variances(rounded_profile(16, 4), widest)
    # Both operands are moved by half a step at most, evenly; products add up the shares of both.
    a, w = np.arange(256), np.arange(-127, 128)
    steps = (w.std() / np.arange(-15, 16).std()) ** 2
    of_activation = 16**2 / 12 * (w**2).mean() / 400
    of_weight = (a**2).mean() * (steps - 1) / 12 / 400
    # The largest activations are clipped to 240: a little more.
    assert 1 < found[0] / (9 * (of_activation + of_weight)) < 1.3
    # What is proportional to the activation, and constant, is corrected.
    corrected = rounding_variances(replace(rounded_profile(16, 4), corrected=True), widest)
    assert 0 < corrected[0] < found[0]
