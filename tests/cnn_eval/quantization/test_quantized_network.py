"""Quantized networks against integer arithmetic done by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from cnn_eval.quantization.activation_range import CALIBRATIONS
from cnn_eval.quantization.coding import OperandCoding
from cnn_eval.quantization.geometry import Geometry
from cnn_eval.quantization.quantized_layer import ExactConvolution, quantize_weights
from cnn_eval.quantization.quantized_network import QuantizationError, quantize
from hdl.operands import OperandEncoding, Widths

ENCODINGS = list(OperandEncoding)


class Small(nn.Module):
    """Convolutions of several shapes, a linear layer, batch normalization and a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.strided = nn.Conv2d(8, 20, (3, 1), stride=(2, 1), padding=(2, 0), dilation=(2, 1))
        self.fc = nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.second(x) + x)
        return self.fc(torch.relu(self.strided(x)).mean((2, 3)))


def small(seed: int = 0) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(seed)
    return Small().eval(), torch.randn(12, 3, 10, 9)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_close_to_the_float_network(encoding: OperandEncoding, per_channel: bool) -> None:
    model, x = small()
    with torch.no_grad():
        expected, got = model(x), quantize(model, x, encoding, per_channel=per_channel)(x)
    assert (got - expected).abs().max() < 0.03 * expected.std() * 5


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_layer_is_integers_times_scales(encoding: OperandEncoding) -> None:
    model, x = small()
    layer = quantize(model, x, encoding, calibration="min_max").layers["first"]
    low, high = layer.coding.activation_range
    integers = torch.round(x.double() / layer.activation_scale.double()).clamp(low, high)
    weights = torch.round(
        model.first.weight.double() / layer.weight_scale.double()[:, None, None, None]
    )
    assert weights.abs().max() == 127
    sums = functional.conv2d(integers, weights, padding=1)
    with torch.no_grad():
        assert torch.equal(layer.sums(layer.integers(x)).double(), sums)
        scale = layer.activation_scale * layer.weight_scale
        torch.testing.assert_close(
            layer(x).double(), sums * scale.double()[:, None, None], rtol=1e-6, atol=1e-6
        )


def test_signs_follow_the_calibration() -> None:
    model, x = small()
    layers = quantize(model, x, OperandEncoding.SIGN_MAGNITUDE).layers
    assert [layer.coding.negative for layer in layers.values()] == [True, False, False, False]
    assert layers["second"].coding.activation_range == (0, 255)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_calibrations_clip_at_most_the_extremes(calibration: str) -> None:
    model, x = small()
    x[0, 0, 0, 0] = 40.0
    layer = quantize(model, x, OperandEncoding.TWOS_COMPLEMENT, calibration=calibration).layers[
        "first"
    ]
    reach = float(layer.activation_scale) * layer.coding.activation_range[1]
    if calibration == "min_max":
        assert reach == pytest.approx(40.0, rel=1e-3)
    else:
        assert 2 < reach < 40


def test_percentile_is_the_percentile_of_the_magnitudes() -> None:
    x = np.random.default_rng(0).standard_normal(200_000)
    counts, edges = np.histogram(x, 2048)
    chosen = CALIBRATIONS["percentile"](
        np.abs((edges[1:] + edges[:-1]) / 2), counts.astype(float), 127
    )
    assert chosen == pytest.approx(np.quantile(np.abs(x), 0.9999), abs=2 * (edges[1] - edges[0]))


def test_one_weight_scale_per_channel_or_per_layer() -> None:
    model, x = small()
    weight = model.first.weight.detach()
    per_channel, per_layer = (
        quantize(model, x, OperandEncoding.TWOS_COMPLEMENT, per_channel=choice).layers["first"]
        for choice in (True, False)
    )
    torch.testing.assert_close(per_channel.weight_scale, weight.abs().amax((1, 2, 3)) / 127)
    torch.testing.assert_close(per_layer.weight_scale, (weight.abs().max() / 127).expand(8))
    assert (per_channel.sums.weight.abs().amax((1, 2, 3)) == 127).all()


def test_folding_batch_normalization_would_not_change_what_is_multiplied() -> None:
    """With a scale per channel, a factor per channel is in the scale; a negative one turns the
    signs of the channel's weights.
    """
    model, x = small()
    torch.nn.init.uniform_(model.norm.weight, -2, 2)
    folded = copy.deepcopy(model)
    factor = model.norm.weight.detach() / torch.sqrt(model.norm.running_var + model.norm.eps)
    folded.first.weight.data *= factor[:, None, None, None]
    plain, other = (
        quantize(network, x, OperandEncoding.SIGN_MAGNITUDE).layers["first"].sums.weight
        for network in (model, folded)
    )
    assert torch.equal(other, plain * factor.sign()[:, None, None, None])


def test_mean_square_is_the_best_clipping_point() -> None:
    x = np.random.default_rng(0).standard_exponential(20_000)
    counts, edges = np.histogram(x, 2048, (0, x.max()))
    centers = (edges[1:] + edges[:-1]) / 2

    def error(reach: float) -> float:
        scale = reach / 15
        return float(((np.clip(np.round(x / scale), 0, 15) * scale - x) ** 2).mean())

    chosen = error(CALIBRATIONS["mse"](centers, counts.astype(float), 15))
    assert chosen <= 1.01 * min(error(fraction * x.max()) for fraction in np.linspace(0.05, 1, 60))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 2**31 - 1), st.booleans())
def test_exact_sums_are_exact(channels: int, kernel: int, seed: int, worst: bool) -> None:
    rng = np.random.default_rng(seed)
    coding = OperandCoding(OperandEncoding.SIGN_MAGNITUDE, 8, 7, False)
    weights = (
        np.full((4, channels, kernel, kernel), 127)
        if worst
        else rng.integers(-127, 128, (4, channels, kernel, kernel))
    )
    x = np.full((1, channels, 5, 5), 255) if worst else rng.integers(0, 256, (1, channels, 5, 5))
    layer = ExactConvolution(
        torch.from_numpy(weights).float(), Geometry((kernel, kernel)), (0, 0, 0, 0), coding
    )
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))
    np.testing.assert_array_equal(
        layer(torch.from_numpy(x).float()).numpy(), np.einsum("ncyxij,ocij->noyx", windows, weights)
    )


@pytest.mark.parametrize(
    ("channels", "groups", "parts", "dtype"),
    [
        (500, 1, 1, torch.float32),
        (1037, 1, 4, torch.float32),
        (2077, 1, 1, torch.float64),
        (1037, 2, 1, torch.float64),
    ],
)
def test_long_sums_go_beyond_float32(
    channels: int, groups: int, parts: int, dtype: torch.dtype
) -> None:
    """A float32 holds 518 products of 255 and 127; the odd sums here are beyond."""
    coding = OperandCoding(OperandEncoding.SIGN_MAGNITUDE, 8, 7, False)
    weight = torch.full((groups, channels, 1, 1), 127.0)
    layer = ExactConvolution(weight, Geometry((1, 1), groups=groups), (0, 0, 0, 0), coding)
    sums = layer(torch.full((1, channels * groups, 1, 1), 255.0))
    assert sums.flatten().tolist() == [channels * 127 * 255] * groups
    assert (layer.parts, layer.dtype) == (parts, dtype)


def test_gradients_pass_rounding_and_stop_at_clipping() -> None:
    model, x = small()
    layer = quantize(model, x, OperandEncoding.TWOS_COMPLEMENT).layers["first"]
    x = torch.tensor([[[[0.3]], [[1e3]], [[-0.2]]]], requires_grad=True)
    layer.integers(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0, :, 0, 0], torch.tensor([1, 0, 1]) / layer.activation_scale)


@pytest.mark.parametrize("mode", ["reflect", "circular", "replicate"])
def test_other_paddings(mode: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding="same", padding_mode=mode)).eval()
    x = torch.randn(4, 3, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(
            quantize(model, x, OperandEncoding.TWOS_COMPLEMENT)(x), model(x), atol=0.05, rtol=0
        )


def test_the_model_is_left_alone() -> None:
    model, x = small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quantize(model, x, OperandEncoding.TWOS_COMPLEMENT)
    assert isinstance(model.first, nn.Conv2d)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("widths", [(8, 7), (5, 4), (4, 2), (2, 5), (3, 3)])
def test_integers_of_narrow_operands(encoding: OperandEncoding, widths: tuple[int, int]) -> None:
    model, x = small()
    network = quantize(model, x, encoding, widths=Widths(*widths))
    assert network.widths == widths
    for layer in network.layers.values():
        assert (layer.coding.width_a, layer.coding.width_b) == widths
        low, high = layer.coding.activation_range
        integers = layer.integers(torch.linspace(-50, 50, 999))
        assert (float(integers.min()), float(integers.max())) == (low, high)
        assert torch.equal(integers, integers.round())
        weight = layer.sums.weight
        assert torch.equal(weight, weight.round())
        assert weight.abs().max() == layer.coding.weight_range[1]
    with torch.no_grad():
        assert torch.isfinite(network(x)).all()


@pytest.mark.parametrize("largest", [1, 3, 7, 15, 31, 63, 127])
@pytest.mark.parametrize("per_channel", [True, False])
def test_clipped_weights_are_no_worse_than_whole_ranges(largest: int, per_channel: bool) -> None:
    torch.manual_seed(0)
    weight = torch.distributions.Laplace(0.0, 1.0).sample((12, 6, 3, 3))
    weight[0] = 0
    integers, scale = quantize_weights(weight, largest, per_channel=per_channel)
    assert integers.abs().max() <= largest
    assert torch.isfinite(scale).all()
    magnitude = (
        weight.abs().amax((1, 2, 3), keepdim=True)
        if per_channel
        else weight.abs().max().expand(12, 1, 1, 1)
    )
    whole = magnitude.clamp_min(1e-30) / largest
    pairs = ((integers, scale[:, None, None, None]), ((weight / whole).round(), whole))
    clipped, plain = ((rounded * step - weight).square().sum((1, 2, 3)) for rounded, step in pairs)
    if not per_channel:
        clipped, plain = clipped.sum(), plain.sum()
    assert (clipped <= plain * (1 + 1e-6)).all()
    if largest <= 7:
        assert clipped.sum() < 0.9 * plain.sum()


@pytest.mark.parametrize("steps", [1, 3, 7, 15, 255])
def test_activation_ranges_of_least_error_are_no_worse_than_extremes(steps: int) -> None:
    x = np.random.default_rng(0).standard_exponential(20_000)
    counts, edges = np.histogram(x, 2048, (0, x.max()))
    centers = (edges[1:] + edges[:-1]) / 2
    errors = []
    for calibration in ("mse", "min_max"):
        scale = CALIBRATIONS[calibration](centers, counts.astype(float), steps) / steps
        errors.append(
            float((np.clip(np.round(centers / scale), 0, steps) * scale - centers) ** 2 @ counts)
        )
    assert errors[0] <= errors[1]


def test_layers_may_have_widths_of_their_own() -> None:
    model, x = small()
    widths = {
        "first": Widths(8, 7),
        "second": Widths(5, 3),
        "strided": Widths(4, 4),
        "fc": Widths(6, 2),
    }
    network = quantize(model, x, OperandEncoding.SIGN_MAGNITUDE, widths=widths)
    assert {
        name: (layer.coding.width_a, layer.coding.width_b) for name, layer in network.layers.items()
    } == widths
    assert network.widths == (8, 7)
    alone = quantize(model, x, OperandEncoding.SIGN_MAGNITUDE, widths=Widths(5, 3))
    assert torch.equal(network.layers["second"].sums.weight, alone.layers["second"].sums.weight)
    assert network.layers["second"].activation_scale == alone.layers["second"].activation_scale
    with pytest.raises(
        QuantizationError, match="no operand widths for layer 'strided'; give them for every layer"
    ):
        quantize(
            model,
            x,
            OperandEncoding.SIGN_MAGNITUDE,
            widths={"first": Widths(8, 7), "second": Widths(5, 3)},
        )


def test_errors_are_one_line() -> None:
    model, x = small()
    encoding = OperandEncoding.TWOS_COMPLEMENT
    with pytest.raises(
        QuantizationError, match="unknown calibration 'best'; known are mse, percentile, min_max"
    ):
        quantize(model, x, encoding, calibration="best")
    with pytest.raises(QuantizationError, match="needs calibration images"):
        quantize(model, x[:0], encoding)
    with pytest.raises(QuantizationError, match="ReLU has no Conv2d and no Linear layer"):
        quantize(nn.ReLU(), x, encoding)
    with pytest.raises(
        QuantizationError, match="layer 'first' sees activations that are not finite"
    ):
        quantize(model, x * torch.nan, encoding)
    model.second.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(QuantizationError, match="not finite"):
        quantize(model, x, encoding)
