"""Gradients of margins and logits, against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_profiles import NORMALIZATION, corrected_profile, images, profile_of, tiny
from torch import nn

from cnn_eval.datasets import normalize
from cnn_eval.emulation.measurement import emulate
from cnn_eval.prediction.architectural_error import ame
from cnn_eval.prediction.layer_profile import SampleMargins
from cnn_eval.profiling.profile_from_images import (
    check_profile,
    margin_gradients,
    profile_network,
    propagation_gap,
)
from cnn_eval.quantization.quantized_network import (
    QuantizationError,
    QuantizedNetwork,
    quantize,
)
from hdl.operands import OperandEncoding, Widths
from hdl.tables.product_table import ProductTable

ENCODINGS = list(OperandEncoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_gradients_are_exact_where_the_margin_is_linear(encoding: OperandEncoding) -> None:
    """The last layer's errors shift logits linearly: with that layer alone, first order is all
    there is.
    """
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(243, 5)).eval()
    data = images()
    x = normalize(data.images, *NORMALIZATION)
    network = quantize(model, x, encoding, normalization=NORMALIZATION)
    margins, gradients = margin_gradients(network, data)
    exact = ProductTable.exact(8, encoding.signed)
    errors = np.random.default_rng(2).integers(-3, 4, (256, 256))
    low, high = (-(1 << 15), (1 << 15) - 1) if encoding.signed else (0, (1 << 16) - 1)
    table = ProductTable(
        np.clip(exact.products + errors, low, high).astype(np.int32),
        encoding.signed,
        "off by little",
    )
    with torch.no_grad():
        found = [margin(net(x), data.labels) for net in (network, emulate(network, table))]
    np.testing.assert_allclose(margins, found[0], atol=1e-5)
    # The runner-up may change; where it does not, shifts agree.
    same = np.abs(found[1] - found[0]) < np.abs(second_gap(network, x, data.labels))
    assert same.sum() > 10
    np.testing.assert_allclose(
        (gradients @ table.errors.ravel())[same], (found[1] - found[0])[same], atol=1e-4
    )


def margin(logits: torch.Tensor, labels: np.ndarray) -> np.ndarray:
    true = logits[torch.arange(len(labels)), torch.from_numpy(labels)]
    others = logits.clone()
    others[torch.arange(len(labels)), torch.from_numpy(labels)] = -torch.inf
    return (true - others.amax(1)).numpy()


def second_gap(network: QuantizedNetwork, x: torch.Tensor, labels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        others = network(x)
    others[torch.arange(len(labels)), torch.from_numpy(labels)] = -torch.inf
    best = others.topk(2, dim=1).values
    return (best[:, 0] - best[:, 1]).numpy()


def test_small_errors_shift_margins_as_the_gradients_say() -> None:
    encoding = OperandEncoding.SIGN_MAGNITUDE
    _, network = tiny(encoding)
    data = images()
    margins, gradients = margin_gradients(network, data)
    cut = np.arange(256) >> 2 << 2
    table = ProductTable(np.multiply.outer(cut, cut).astype(np.int32), False, "two bits cut")
    with torch.no_grad():
        found = (
            margin(emulate(network, table)(normalize(data.images, *NORMALIZATION)), data.labels)
            - margins
        )
    predicted = gradients @ table.errors.ravel()
    assert np.corrcoef(found, predicted)[0, 1] > 0.85
    assert predicted.std() == pytest.approx(found.std(), rel=0.2)


def test_compression_keeps_what_matters() -> None:
    rng = np.random.default_rng(4)
    gradients = (rng.standard_normal((30, 5)) @ rng.standard_normal((5, 256))).astype(np.float32)
    margins = rng.standard_normal(30)
    compressed = SampleMargins.compress(margins, gradients, np.linspace(1, 3, 256), rank=5)
    errors = rng.integers(-9, 9, (7, 16, 16))
    np.testing.assert_allclose(
        compressed.shifts(errors), errors.reshape(7, -1) @ gradients.T, rtol=1e-4, atol=1e-3
    )
    assert compressed.components.shape == (5, 256)
    np.testing.assert_allclose(
        compressed.shifts(errors[0]), compressed.shifts(errors)[0], rtol=1e-5, atol=1e-4
    )


def test_an_emulated_network_has_no_profile() -> None:
    _, network = tiny(OperandEncoding.TWOS_COMPLEMENT)
    with pytest.raises(QuantizationError, match="not of an emulated one"):
        margin_gradients(emulate(network, ProductTable.exact(8, True)), images())


def test_margins_under_correction_do_not_move_with_a_gain_of_the_inner_layers() -> None:
    """All layers' gains together leave what the last layer's does, whose gain is not corrected."""
    made, plain = corrected_profile(Widths(5, 4)), profile_of(Widths(5, 4))
    exact = np.multiply.outer(np.arange(32), np.arange(16)) / 16
    shift, plain_shift = (np.abs(one.margins.shifts(exact)).mean() for one in (made, plain))
    assert 0 < shift < plain_shift
    of_weight = np.tile(np.arange(16.0), (32, 1))
    assert (
        np.abs(made.margins.shifts(of_weight)).mean()
        < np.abs(plain.margins.shifts(of_weight)).mean()
    )


class Tokens(nn.Module):
    """Linear layers on every pixel, or the same as convolutions of one pixel."""

    def __init__(self, *, linear: bool) -> None:
        super().__init__()
        self.linear = linear
        self.first = nn.Linear(3, 8) if linear else nn.Conv2d(3, 8, 1)
        self.second = nn.Linear(8, 5) if linear else nn.Conv2d(8, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.linear:
            return self.second(torch.relu(self.first(x.flatten(2).mT))).mean(1)
        return self.second(torch.relu(self.first(x))).mean((2, 3))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_linear_layer_on_tokens_is_a_convolution_of_one_pixel(encoding: OperandEncoding) -> None:
    torch.manual_seed(0)
    linear, convolution = Tokens(linear=True).eval(), Tokens(linear=False).eval()
    convolution.load_state_dict(
        {
            key: value[:, :, None, None] if value.ndim == 2 else value
            for key, value in linear.state_dict().items()
        }
    )
    found, expected = (
        quantize(
            model, normalize(images().images, *NORMALIZATION), encoding, normalization=NORMALIZATION
        )
        for model in (linear, convolution)
    )
    check_profile(found, images())
    ours, theirs = (margin_gradients(network, images()) for network in (found, expected))
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_without_a_rule_gradients_stand_in_for_propagation() -> None:
    """Of logits, as under correction; the lengths that they give are those of small errors."""
    torch.manual_seed(0)
    model, x = Tokens(linear=True).eval(), normalize(images().images, *NORMALIZATION)
    network = quantize(model, x, OperandEncoding.SIGN_MAGNITUDE, normalization=NORMALIZATION)
    assert "has no rule for the errors that pass it" in propagation_gap(network, images())
    made = profile_network(network, "tokens", images(), images(5), float_top1_pct=0.0)
    a, b = np.indices((256, 256))
    errors = ((a * b) // 64).astype(np.int32)  # a gain of a 64th in both layers
    with torch.no_grad():
        logits = network(x)
        shifts = (
            emulate(network, ProductTable((a * b + errors).astype(np.int32), False, "gain"))(x)
            - logits
        )
    shifts = shifts - shifts.mean(1, keepdim=True)
    measured = float((shifts**2).mean().sqrt() / logits.std(0).mean())
    assert ame(made, errors) == pytest.approx(measured, rel=0.3)
