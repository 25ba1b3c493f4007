"""Propagation of mean errors, against sampling, emulation and finite sums written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import OptionAResNet, made
from torch import nn
from torch.nn import functional

from cnn_eval.emulation.measurement import emulate
from cnn_eval.profiling.propagation_tracing import channel_means, trace_propagation
from cnn_eval.profiling.running_sums import PropagationError
from cnn_eval.quantization.quantized_network import QuantizedNetwork, quantize
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding
from hdl.tables.product_table import ProductTable

ENCODINGS = list(OperandEncoding)


class Branches(nn.Module):
    """One of everything: padding of two kinds, groups, strides, pooling, a shortcut, a
    concatenation, a flattening of several pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.left = nn.Conv2d(12, 12, 3, padding=1, groups=3, bias=False)
        self.right = nn.Conv2d(12, 12, 3, padding=1, padding_mode="reflect")
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(24 * 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.norm(self.stem(x))))
        y = self.relu(self.left(x) + x)
        y = torch.cat([y, torch.sigmoid(self.right(x))], 1)
        return self.fc(torch.flatten(functional.avg_pool2d(y, 2), 1))


def images(count: int = 48) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    smooth = functional.interpolate(
        torch.randn(count, 3, 4, 4, generator=generator), size=(8, 8), mode="bilinear"
    )
    return smooth + 0.2 * torch.randn(count, 3, 8, 8, generator=generator)


def branches(encoding: OperandEncoding = OperandEncoding.SIGN_MAGNITUDE) -> QuantizedNetwork:
    torch.manual_seed(1)
    model = Branches()
    with torch.no_grad():
        model.train()(images())  # statistics of the batch normalization
    return quantize(model.eval(), images(), encoding)


def table(text: str, encoding: OperandEncoding) -> ProductTable:
    return ProductTable.of(
        MultiplierSpec.parse(text + (",signed=1" if ":" in text else ":signed=1") * encoding.signed)
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.slow
def test_predicted_means_are_those_of_the_emulated_network(encoding: OperandEncoding) -> None:
    network = branches(encoding)
    propagation = trace_propagation(network, images())
    exact = channel_means(network, images())
    predicted, measured = [], []
    # Errors of offset operands all have one sign and add up: first order holds for smaller ones
    # only.
    for text in (
        ("tm:k=1", "drum:k=5")
        if encoding is OperandEncoding.UNSIGNED
        else ("tm:k=2", "drum:k=4", "mitchell")
    ):
        multiplier = table(text, encoding)
        means = propagation.mean_errors(dict.fromkeys(network.layers, multiplier.errors))
        found = channel_means(emulate(network, multiplier), images())
        for step in propagation.steps[1:]:
            predicted.append(means[step.name] / step.deviation)
            measured.append((found[step.name] - exact[step.name]) / step.deviation)
    a, b = np.concatenate(predicted), np.concatenate(measured)
    assert np.corrcoef(a, b)[0, 1] > 0.95
    assert a @ b / (a @ a) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_architectural_matrices_are_the_adjoint_of_generated_states(
    encoding: OperandEncoding,
) -> None:
    propagation = trace_propagation(branches(encoding), images(8))
    rng = np.random.default_rng(0)
    errors = rng.integers(-50, 50, (256, 256)).astype(np.int32)
    assert list(propagation.operands) == ["stem", "left", "right", "fc"]
    for operands in propagation.operands.values():
        state = operands.generated(errors)
        gains = rng.standard_normal((3, *state.shape))
        np.testing.assert_allclose(
            (operands.matrices(gains) * errors).sum((1, 2)), gains @ state, rtol=1e-9
        )


def test_logit_gains_are_the_adjoint_of_the_maps() -> None:
    propagation = trace_propagation(branches(), images(8))
    errors = table("mitchell", OperandEncoding.SIGN_MAGNITUDE).errors
    for layer, gains in propagation.logit_gains().items():
        forward = propagation.mean_errors({layer: errors})[propagation.steps[-1].name]
        np.testing.assert_allclose(
            gains @ propagation.operands[layer].generated(errors), forward, atol=1e-9
        )


def test_the_generated_state_of_a_layer_is_its_mean_error_and_regression() -> None:
    """1x1 kernels, and errors linear in the activation, for which nothing is left out."""
    encoding = OperandEncoding.TWOS_COMPLEMENT
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Flatten(), nn.Linear(6 * 64, 4))
    network = quantize(model, images(), encoding)
    layer = network.layers["0"]
    value = np.arange(256) - 256 * (np.arange(256) > 127)
    errors = np.multiply.outer(value, value & 3).astype(np.int32)
    with torch.no_grad():
        x = layer.integers(images()).double()
    weights = layer.sums.weight.double()
    sums = functional.conv2d(x, weights).transpose(0, 1).flatten(1).numpy()
    wrong = functional.conv2d(x, (weights.long() & 3).double()).transpose(0, 1).flatten(1).numpy()
    state = trace_propagation(network, images()).operands["0"].generated(errors)
    scale = float(layer.activation_scale) * layer.weight_scale.numpy()
    np.testing.assert_allclose(state[:6], wrong.mean(1) * scale, rtol=1e-4, atol=1e-9)
    slopes = [np.cov(a, b, bias=True)[0, 1] / b.var() for a, b in zip(wrong, sums, strict=True)]
    np.testing.assert_allclose(state[6:], slopes, rtol=1e-4, atol=1e-6)


def test_relu_passes_the_errors_of_what_is_active() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )
    network = quantize(model, images(), OperandEncoding.SIGN_MAGNITUDE)
    step = trace_propagation(network, images()).steps[2]
    with torch.no_grad():
        y = network.model.get_submodule("0")(images()).transpose(0, 1).flatten(1).double().numpy()
    z = np.maximum(y, 0)
    rng = np.random.default_rng(0)
    state = rng.standard_normal(12)
    error = (state[:6, None] + state[6:, None] * (y - y.mean(1, keepdims=True))) * (y > 0)
    slopes = [np.cov(a, b, bias=True)[0, 1] / b.var() for a, b in zip(error, z, strict=True)]
    ((_, transfer),) = step.sources
    np.testing.assert_allclose(transfer @ state, [*error.mean(1), *slopes], rtol=1e-3, atol=1e-5)


def test_a_convolution_adds_up_kernels_without_their_taps_on_padding() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3, padding=1, stride=2), nn.Flatten(), nn.Linear(45, 4)
    )
    network = quantize(model, images(), OperandEncoding.TWOS_COMPLEMENT, calibration="min_max")
    step = trace_propagation(network, images()).steps[2]
    quantized = network.layers["1"]
    weights = quantized.sums.weight * quantized.weight_scale[:, None, None, None]
    rows = [
        functional.conv2d(
            torch.eye(4)[c].view(1, 4, 1, 1).expand(1, 4, 6, 6), weights, None, 2, 1
        ).mean((2, 3))[0]
        for c in range(4)
    ]
    ((_, transfer),) = step.sources
    np.testing.assert_allclose(transfer[:5, :4], torch.stack(rows, 1).numpy(), rtol=2e-3, atol=1e-6)


def test_coefficients_multiply_to_the_gain_of_a_layer() -> None:
    propagation = trace_propagation(branches(), images(16))
    alphas = propagation.coefficients()
    assert list(alphas) == ["stem", "left", "right", "fc"]
    assert alphas["stem"] == 1
    deviation = {step.layer: step.deviation for step in propagation.steps}
    gain = {}
    for layer, gains in propagation.logit_gains().items():
        shifts = gains[:, : len(deviation[layer])] * deviation[layer]
        gain[layer] = np.sqrt(((shifts - shifts.mean(0)) ** 2).mean())
    assert alphas["left"] * alphas["right"] * alphas["fc"] == pytest.approx(
        gain["stem"] / gain["fc"]
    )


class Moved(nn.Module):
    """Channels split and put together again, zeros added and cut off: nothing, in the end."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, middle, right = x.split([4, 5, 3], dim=1)
        x = torch.cat([middle, left, right], 1)[:, [5, 6, 7, 8, 0, 1, 2, 3, 4, 9, 10, 11]]
        return functional.pad(x, (0, 0, 0, 0, 2, 1))[:, 2:-1]


def test_what_moves_channels_and_comes_back_changes_nothing() -> None:
    plain, moved = Branches(), Branches()
    moved.set_submodule("pool", nn.Sequential(nn.MaxPool2d(2), Moved()))
    moved.load_state_dict(plain.state_dict())
    expected, found = (
        trace_propagation(
            quantize(model.eval(), images(), OperandEncoding.SIGN_MAGNITUDE), images(16)
        ).logit_gains()
        for model in (plain, moved)
    )
    for layer, gains in expected.items():
        np.testing.assert_allclose(found[layer], gains, rtol=1e-4, atol=1e-6)


def test_shortcuts_that_skip_pixels_and_add_channels() -> None:
    """Predicted means behind a slice and padding are those of the emulated network."""
    model, _ = made(OptionAResNet)
    model = nn.Sequential(nn.ZeroPad2d((1, 0, 1, 0)), model)
    network = quantize(model, images(), OperandEncoding.SIGN_MAGNITUDE)
    propagation = trace_propagation(network, images())
    multiplier = table("tm:k=2", OperandEncoding.SIGN_MAGNITUDE)
    predicted = propagation.mean_errors(dict.fromkeys(network.layers, multiplier.errors))
    exact, found = (channel_means(one, images()) for one in (network, emulate(network, multiplier)))
    names = [step.name for step in propagation.steps if step.name in ("getitem", "pad", "add")]
    assert len(names) == 3
    a = np.concatenate([predicted[name] for name in names])
    b = np.concatenate([found[name] - exact[name] for name in names])
    assert np.corrcoef(a, b)[0, 1] > 0.95
    assert a @ b / (a @ a) == pytest.approx(1, abs=0.2)
    assert not predicted["pad"][[0, 1, 6, 7]].any()


class Conditional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(192, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.fc(torch.flatten(x, 1))
        return y if y.sum() > 0 else -y


class Unbound(nn.Module):
    """Half of the channels, in a way that no rule knows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack(x.unbind(1)[:4], 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Softmax(1)),
            r"operation '_2' \(2\) has no rule",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 8, 1), nn.PixelShuffle(2), nn.Flatten(), nn.Linear(512, 4)),
            "has no rule",
        ),
        (Conditional(), "the graph of Conditional cannot be read"),
        (
            nn.Sequential(nn.Conv2d(3, 8, 1), Unbound(), nn.Flatten(), nn.Linear(256, 4)),
            r"operation 'unbind' \(unbind\) does not give one result by channel",
        ),
    ],
)
def test_what_cannot_be_read_is_named(model: nn.Module, message: str) -> None:
    network = quantize(model, images(4), OperandEncoding.TWOS_COMPLEMENT)
    with pytest.raises(PropagationError, match=message):
        trace_propagation(network, images(4))


def test_an_emulated_network_is_refused() -> None:
    network = branches()
    with pytest.raises(PropagationError, match="not off an emulated one"):
        trace_propagation(emulate(network, ProductTable.exact()), images(4))
