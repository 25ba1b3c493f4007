"""Correction: multipliers whose errors are a mean and a gain are as good as exact ones; elsewhere
it is a least squares fit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval.emulation.measurement import emulate
from cnn_eval.quantization.correction import (
    Correction,
    CorrectionError,
    Reference,
    corrected,
    derive_correction,
)
from cnn_eval.quantization.correction_limits import MOST_GAIN
from cnn_eval.quantization.quantized_network import QuantizedNetwork, quantize
from hdl.operands import OperandEncoding, Widths
from hdl.tables.product_table import ProductTable

WIDTHS = Widths(6, 5)


def network(*, normalized: bool) -> tuple[QuantizedNetwork, torch.Tensor]:
    """Two convolutions and a linear layer, with and without batch normalization, whose statistics
    are those of the images.
    """
    torch.manual_seed(0)
    norms = (nn.BatchNorm2d(6), nn.BatchNorm2d(8)) if normalized else (nn.Identity(), nn.Identity())
    first, second = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3)
    model = nn.Sequential(
        first, norms[0], nn.ReLU(), second, norms[1], nn.ReLU(), nn.Flatten(), nn.Linear(72, 4)
    )
    images = torch.rand(48, 3, 7, 7)
    for norm in norms:
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
            nn.init.uniform_(norm.weight, 0.5, 1.5)
    with torch.no_grad():
        model.train()(images)
    return quantize(model.eval(), images, OperandEncoding.SIGN_MAGNITUDE, widths=WIDTHS), images


def table(errors: np.ndarray) -> ProductTable:
    exact = np.multiply.outer(np.arange(1 << WIDTHS.a), np.arange(1 << WIDTHS.b))
    return ProductTable((exact + errors).astype(np.int32), False, "wrong")


def halved() -> np.ndarray:
    """Every product halved: a gain and nothing else, but for half a unit of rounding."""
    return -(np.multiply.outer(np.arange(1 << WIDTHS.a), np.arange(1 << WIDTHS.b)) // 2)


def of_weights() -> np.ndarray:
    """Errors that the weight alone decides: every output of a channel has the same."""
    return np.tile(90 * (np.arange(1 << WIDTHS.b) % 2), (1 << WIDTHS.a, 1))


def outputs(made: QuantizedNetwork, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return made(images)


def into_the_last(made: QuantizedNetwork, images: torch.Tensor) -> torch.Tensor:
    """What the last layer multiplies."""
    seen: list[torch.Tensor] = []
    handle = made.layers["7"].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    outputs(made, images)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("errors", [halved(), of_weights()], ids=["gain", "mean"])
def test_a_mean_and_a_gain_are_taken_out(normalized: bool, errors: np.ndarray) -> None:
    quantized, images = network(normalized=normalized)
    exact = corrected(quantized, derive_correction(quantized, images))
    wrong = emulate(quantized, table(errors))
    right = corrected(wrong, derive_correction(wrong, images, Reference.of(exact, images)))
    # The last layer's gain stays: only the mean logits come back.
    rest = outputs(right, images) - outputs(exact, images)
    torch.testing.assert_close(rest.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    unaided, aided, wanted = (into_the_last(one, images) for one in (wrong, right, exact))
    before, after = (
        (one - wanted).square().mean().sqrt() / wanted.std() for one in (unaided, aided)
    )
    assert after < 0.08
    assert after < before / 5


def test_normalizations_get_the_statistics_that_they_expect() -> None:
    quantized, images = network(normalized=True)
    right = corrected(quantized, derive_correction(quantized, images))
    for name, norm_name in (("0", "1"), ("3", "4")):
        layer, norm = right.layers[name], right.model.get_submodule(norm_name)
        seen: list[torch.Tensor] = []
        handle = layer.register_forward_hook(lambda _, args, output, seen=seen: seen.append(output))
        outputs(right, images)
        handle.remove()
        torch.testing.assert_close(seen[0].mean((0, 2, 3)), norm.running_mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            seen[0].var((0, 2, 3), correction=0), norm.running_var, atol=1e-5, rtol=1e-3
        )


def test_plain_layers_are_fitted_by_least_squares() -> None:
    quantized, images = network(normalized=False)
    rng = np.random.default_rng(0)
    wrong = emulate(
        quantized, table(rng.integers(-1, 90, (1 << WIDTHS.a, 1 << WIDTHS.b)) * (halved() != 0))
    )
    correction = derive_correction(wrong, images, Reference.of(quantized, images))
    # The first layer sees the images themselves: its own output, and the exact one.
    with torch.inference_mode():
        got, wanted = (
            one.layers["0"](images).double().transpose(0, 1).flatten(1).numpy()
            for one in (wrong, quantized)
        )
    for channel in range(6):
        columns = np.stack([got[channel], np.ones_like(got[channel])], axis=1)
        gain, offset = np.linalg.lstsq(columns, wanted[channel], rcond=None)[0]
        assert correction.gains["0"][channel] == pytest.approx(
            np.clip(gain, 0, MOST_GAIN), rel=1e-4
        )
        if 0 < gain < MOST_GAIN:
            assert correction.offsets["0"][channel] == pytest.approx(offset, rel=1e-3, abs=1e-5)
    np.testing.assert_array_equal(correction.gains["7"], 1)


def test_a_silent_channel_is_not_amplified_without_bound() -> None:
    for normalized in (True, False):
        quantized, images = network(normalized=normalized)
        silent = emulate(
            quantized, table(-np.multiply.outer(np.arange(1 << WIDTHS.a), np.arange(1 << WIDTHS.b)))
        )
        correction = derive_correction(silent, images, Reference.of(quantized, images))
        for name in quantized.layers:
            assert np.isfinite(correction.offsets[name]).all()
            assert (np.abs(correction.gains[name]) <= MOST_GAIN).all()


def test_exact_products_need_nothing_but_statistics() -> None:
    """Without a network to follow, layers without batch normalization stay as they are."""
    quantized, images = network(normalized=False)
    correction = derive_correction(quantized, images)
    for name in quantized.layers:
        np.testing.assert_array_equal(correction.gains[name], 1)
        np.testing.assert_array_equal(correction.offsets[name], 0)


def test_the_network_is_left_alone() -> None:
    quantized, images = network(normalized=True)
    before = outputs(quantized, images)
    right = corrected(quantized, derive_correction(quantized, images))
    assert right.corrected
    assert not quantized.corrected
    assert torch.equal(outputs(quantized, images), before)


def test_a_correction_of_something_else() -> None:
    quantized, images = network(normalized=True)
    correction = derive_correction(quantized, images)
    gains = {name: gain for name, gain in correction.gains.items() if name != "3"}
    with pytest.raises(
        CorrectionError,
        match="the correction is of another network: layer '3' is not in both; derive it anew",
    ):
        corrected(quantized, Correction(gains, correction.offsets))
    short = {**correction.gains, "0": correction.gains["0"][:4]}
    with pytest.raises(
        CorrectionError, match="the correction of layer '0' has 4 channels, not 6; derive it anew"
    ):
        corrected(quantized, replace(correction, gains=short))
    with pytest.raises(CorrectionError, match="layer '0'"):
        corrected(
            quantized,
            Correction(correction.gains, {**correction.offsets, "0": correction.offsets["0"][:4]}),
        )
    with pytest.raises(CorrectionError, match="layer '3' is not in both"):
        corrected(
            quantized,
            Correction(
                correction.gains,
                {name: one for name, one in correction.offsets.items() if name != "3"},
            ),
        )


class Tokens(nn.Module):
    """Linear layers that see an image in as many places as they have channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2).mT[:, :6]  # (n, 6 tokens, 3 features)
        return self.head(torch.relu(self.second(torch.relu(self.first(tokens)))).mean(1))


def test_channels_of_tokens_are_their_features() -> None:
    torch.manual_seed(0)
    images = torch.rand(48, 3, 7, 7)
    made = quantize(Tokens().eval(), images, OperandEncoding.SIGN_MAGNITUDE, widths=WIDTHS)
    wrong = emulate(made, {"first": table(halved() + of_weights())})
    mended = corrected(wrong, derive_correction(wrong, images, Reference.of(made, images)))
    seen: list[list[torch.Tensor]] = [[], []]
    for place, network_ in enumerate((made, mended)):
        network_.layers["first"].register_forward_hook(
            lambda _, args, output, place=place: seen[place].append(output)
        )
        outputs(network_, images)
    (wanted,), (found,) = seen
    assert wanted.shape == (48, 6, 6)
    # By feature, not by token: means are those of the exact layer, and what is left of its errors
    # is not correlated with it.
    torch.testing.assert_close(found.mean((0, 1)), wanted.mean((0, 1)))
    assert (((found - wanted) * (found - found.mean((0, 1)))).mean((0, 1)).abs() < 1e-5).all()


def test_statistics_of_large_outputs_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, images = network(normalized=True)
    whole = derive_correction(exact, images)
    monkeypatch.setattr("cnn_eval.quantization.correction._PART", 50)
    parts = derive_correction(exact, images)
    for name, gain in whole.gains.items():
        np.testing.assert_allclose(parts.gains[name], gain, rtol=1e-6)
        np.testing.assert_allclose(parts.offsets[name], whole.offsets[name], rtol=1e-5, atol=1e-6)


def test_no_correction_leaves_a_network_as_it_is() -> None:
    exact, images = network(normalized=True)
    unchanged = corrected(exact, Correction.none(exact))
    assert unchanged.corrected
    assert torch.equal(outputs(unchanged, images), outputs(exact, images))


def test_on_few_images_channels_get_the_mean_and_the_variance_of_the_exact_network() -> None:
    """Not those that the normalization has stored of all images."""
    exact, images = network(normalized=True)
    images = images[:3]
    errors = np.random.default_rng(0).integers(0, 50, (1 << WIDTHS.a, 1 << WIDTHS.b))
    wrong = emulate(exact, table(errors))
    reference = Reference.of(exact, images, few=True)
    found = corrected(wrong, derive_correction(wrong, images, reference))
    norm = found.model.get_submodule("1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    with torch.inference_mode():
        y, wanted = (one.layers["0"](images.contiguous()) for one in (found, exact))
    axes = (0, 2, 3)
    torch.testing.assert_close(y.mean(axes), wanted.mean(axes), rtol=0, atol=1e-5)
    deviations = [(part.var(axes, correction=0) + norm.eps).sqrt() for part in (y, wanted)]
    torch.testing.assert_close(*deviations, rtol=1e-2, atol=0)
    assert (y.mean(axes) - norm.running_mean).abs().max() > 1e-3
