"""Profiles: what they count, against counting by hand; saving; margins against finite
differences.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval.datasets import Dataset, normalize
from cnn_eval.emulation.measurement import emulate
from cnn_eval.prediction.architectural_error import ame, features
from cnn_eval.prediction.layer_profile import SampleMargins
from cnn_eval.prediction.profile import NetworkProfile, ProfileError
from cnn_eval.profiling.profile_from_images import (
    check_profile,
    margin_gradients,
    profile_network,
    propagation_gap,
    zeros_after_zeros,
)
from cnn_eval.quantization.correction import corrected, derive_correction
from cnn_eval.quantization.quantized_network import (
    QuantizationError,
    QuantizedNetwork,
    quantize,
    quantize_as,
)
from cnn_eval.quantization.rounding import Rounding
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables.product_table import ProductTable

ENCODINGS = list(OperandEncoding)
NORMALIZATION = ((0.5, 0.4, 0.6), (0.25, 0.25, 0.2))


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 20, 3, stride=2, padding=1, groups=2, bias=False)
        self.fc = nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3)))


def images(count: int = 20) -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset(
        "noise",
        rng.integers(0, 256, (count, 9, 9, 3)).astype(np.uint8),
        rng.integers(0, 5, count),
        tuple("abcde"),
    )


def tiny(encoding: OperandEncoding) -> tuple[nn.Module, QuantizedNetwork]:
    torch.manual_seed(0)
    model = Tiny().eval()
    return model, quantize(
        model, normalize(images().images, *NORMALIZATION), encoding, normalization=NORMALIZATION
    )


def profile(encoding: OperandEncoding) -> NetworkProfile:
    return profile_network(
        tiny(encoding)[1], "tiny", images(), images(10), float_top1_pct=0.0, rank=12
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.slow
def test_counts(encoding: OperandEncoding) -> None:
    made = profile(encoding)
    assert [(layer.name, layer.macs, layer.products_per_output) for layer in made.layers] == [
        ("first", 81 * 8 * 27, 27),
        ("second", 25 * 20 * 36, 36),
        ("fc", 5 * 20, 20),
    ]
    channels = [(layer.output_channels, layer.groups) for layer in made.layers]
    assert channels == [(8, 1), (20, 2), (5, 1)]
    following = {layer.name: layer.zero_after_zero for layer in made.layers}
    assert following == zeros_after_zeros(tiny(encoding)[1], images())
    assert (made.network, made.encoding, made.data, made.chance_pct) == (
        "tiny",
        encoding,
        "noise",
        20.0,
    )
    assert (made.calibration_images, made.test_images) == (20, 10)
    distribution = made.operand_distribution()
    np.testing.assert_allclose(distribution.weights, np.array([17496, 18000, 100]) / 35596)
    assert distribution.a.shape == (3, 256)


@pytest.mark.slow
def test_histograms_count_every_multiplication() -> None:
    model, network = tiny(OperandEncoding.SIGN_MAGNITUDE)
    made = profile_network(network, "tiny", images(), images(5), float_top1_pct=0.0)
    layer = network.layers["first"]
    x = normalize(images().images, *NORMALIZATION)
    with torch.no_grad():
        windows = nn.functional.unfold(layer.integers(x), 3, padding=1).long().flatten().numpy()
    values = layer.coding.activation_values
    expected = np.bincount(windows - values[0], minlength=len(values)) / len(windows)
    np.testing.assert_allclose(made.layers[0].activations, expected, atol=1e-12)
    weights = (
        torch.round(model.first.weight.detach() / layer.weight_scale[:, None, None, None])
        .long()
        .numpy()
        .ravel()
    )
    np.testing.assert_allclose(
        made.layers[0].weights, np.bincount(weights + 127, minlength=255) / len(weights)
    )
    sums = nn.functional.conv2d(layer.integers(x).double(), layer.sums.weight.double(), padding=1)
    sigma = sums.transpose(0, 1).flatten(1).std(1, correction=0).detach().numpy()
    per_channel = (
        np.stack([np.bincount(row + 127, minlength=255) for row in weights.reshape(8, -1)]) / 27
    )
    np.testing.assert_allclose(
        made.layers[0].variance_weights, (per_channel / sigma[:, None] ** 2).mean(0)
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.slow
def test_ame_is_the_shift_of_the_logits(encoding: OperandEncoding) -> None:
    """In a network of one layer propagation has nothing to leave out: the mean shift of the logits,
    emulated.
    """
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(243, 5)).eval()
    data = images()
    x = normalize(data.images, *NORMALIZATION)
    network = quantize(model, x, encoding, normalization=NORMALIZATION)
    made = profile_network(network, "linear", data, data, float_top1_pct=0.0, rank=2)
    text = "tm:k=2,signed=1" if encoding.signed else "tm:k=2"
    table = ProductTable.of(MultiplierSpec.parse(text))
    with torch.no_grad():
        exact = network(x)
        shift = (emulate(network, table)(x) - exact).mean(0).numpy()
    relative = (shift - shift.mean()) / exact.std(0, correction=0).mean().item()
    # Histograms are taken over the 243 inputs of one channel each: nothing is pooled.
    assert ame(made, table.errors) == pytest.approx(np.sqrt(np.mean(relative**2)), rel=1e-3)


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


def test_fluctuation_factors() -> None:
    """With every pixel seen and few values, the factors are the whole covariances."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(294, 5)).eval()
    data = images(2)
    x = normalize(data.images, *NORMALIZATION)
    network = quantize(
        model, x, OperandEncoding.TWOS_COMPLEMENT, widths=Widths(3, 3), normalization=NORMALIZATION
    )
    made = profile_network(network, "tiny", data, data, float_top1_pct=0.0, rank=2)
    layer, quantized = made.layers[0], network.layers["0"]
    values = layer.coding.activation_values
    with torch.no_grad():
        windows = (
            nn.functional.unfold(quantized.integers(x), 3)
            .transpose(1, 2)
            .reshape(-1, 27)
            .long()
            .numpy()
        )
    counts = (windows[:, :, None] == values).sum(1)  # (pixels, A)
    np.testing.assert_allclose(
        layer.activation_factors.T @ layer.activation_factors,
        np.cov(counts.T, bias=True),
        atol=1e-9,
    )
    sums = quantized.sums(quantized.integers(x)).double().detach()
    sigma = sums.transpose(0, 1).flatten(1).std(1, correction=0).numpy()
    weights = quantized.sums.weight.long().flatten(1).numpy()
    histograms = (weights[:, :, None] == layer.coding.weight_values).mean(1) / sigma[
        :, None
    ]  # (o, W)
    np.testing.assert_allclose(
        layer.weight_factors.T @ layer.weight_factors, histograms.T @ histograms / 6, atol=1e-12
    )


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


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_saving(encoding: OperandEncoding, tmp_path: Path) -> None:
    made = profile(encoding)
    made.save(tmp_path / "a.npz")
    made.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = NetworkProfile.load(tmp_path / "a.npz")
    assert [layer.coding for layer in loaded.layers] == [layer.coding for layer in made.layers]
    assert (loaded.encoding, loaded.mean, loaded.exact_top1_pct) == (
        made.encoding,
        made.mean,
        made.exact_top1_pct,
    )
    np.testing.assert_allclose(loaded.variance_matrix, made.variance_matrix, rtol=1e-5)
    errors = np.random.default_rng(5).integers(-40, 40, (256, 256))
    assert ame(loaded, errors) == pytest.approx(ame(made, errors), rel=0.1)
    shifts = made.margins.shifts(errors)
    np.testing.assert_allclose(loaded.margins.shifts(errors), shifts, atol=0.1 * shifts.std())


def test_the_quantized_network_comes_back_from_its_profile(tmp_path: Path) -> None:
    model, network = tiny(OperandEncoding.TWOS_COMPLEMENT)
    profile_network(network, "tiny", images(), images(5), float_top1_pct=0.0).save(
        tmp_path / "p.npz"
    )
    again = quantize_as(model, NetworkProfile.load(tmp_path / "p.npz"))
    x = normalize(images().images, *NORMALIZATION)
    with torch.no_grad():
        assert torch.equal(again(x), network(x))
    with pytest.raises(QuantizationError, match="of another network: layer 'first' does not fit"):
        quantize_as(nn.Sequential(nn.Conv2d(3, 8, 3)), NetworkProfile.load(tmp_path / "p.npz"))


def test_loading_needs_no_torch(tmp_path: Path) -> None:
    profile(OperandEncoding.TWOS_COMPLEMENT).save(tmp_path / "p.npz")
    script = (
        "import sys, numpy; from cnn_eval import zoo; from cnn_eval.prediction import "
        "AccuracyPredictor, NetworkProfile, features\np = "
        f"NetworkProfile.load({str(tmp_path / 'p.npz')!r}); features(p, numpy.zeros((256, 256), "
        "numpy.int32))\nassert 'torch' not in sys.modules and 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut"])
def test_not_a_profile(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(content)
    with pytest.raises(
        ProfileError, match=r"p\.npz' is not a network profile .* make one with `dse profile`"
    ):
        NetworkProfile.load(path)
    with pytest.raises(ProfileError, match="nowhere"):
        NetworkProfile.load(tmp_path / "nowhere.npz")


def test_an_emulated_network_has_no_profile() -> None:
    _, network = tiny(OperandEncoding.TWOS_COMPLEMENT)
    with pytest.raises(QuantizationError, match="not of an emulated one"):
        margin_gradients(emulate(network, ProductTable.exact(8, True)), images())


def corrected_profile(widths: Widths) -> NetworkProfile:
    torch.manual_seed(0)
    x = normalize(images().images, *NORMALIZATION)
    network = quantize(
        Tiny().eval(), x, OperandEncoding.SIGN_MAGNITUDE, widths=widths, normalization=NORMALIZATION
    )
    right = corrected(network, derive_correction(network, x))
    return profile_network(
        right, "tiny", images(), images(10), float_top1_pct=0.0, rounding_sha256="ab" * 32, rank=12
    )


def test_profiles_under_correction_are_saved_too(tmp_path: Path) -> None:
    made = corrected_profile(Widths(5, 4))
    assert (made.widths, made.corrected, made.rounding_sha256) == ((5, 4), True, "ab" * 32)
    made.save(tmp_path / "p.npz")
    loaded = NetworkProfile.load(tmp_path / "p.npz")
    assert (loaded.widths, loaded.corrected, loaded.rounding_sha256) == ((5, 4), True, "ab" * 32)
    errors = ProductTable.of(MultiplierSpec.parse("bam:h=0,v=3,width=5x4")).errors
    np.testing.assert_allclose(features(loaded, errors), features(made, errors), rtol=0.05)


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


def profile_of(widths: Widths) -> NetworkProfile:
    torch.manual_seed(0)
    x = normalize(images().images, *NORMALIZATION)
    network = quantize(
        Tiny().eval(), x, OperandEncoding.SIGN_MAGNITUDE, widths=widths, normalization=NORMALIZATION
    )
    return profile_network(network, "tiny", images(), images(10), float_top1_pct=0.0, rank=12)


def test_another_rounding_is_refused() -> None:
    made = corrected_profile(Widths(5, 4))
    torch.manual_seed(0)
    with pytest.raises(
        QuantizationError,
        match="made with learned weights, and the rounding given is another; make both anew",
    ):
        quantize_as(Tiny().eval(), made)
    plain = profile_of(Widths(5, 4))
    with pytest.raises(
        QuantizationError,
        match="made with weights rounded to the nearest, and the rounding given is another",
    ):
        quantize_as(Tiny().eval(), plain, Rounding({}))


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


class Doubled(nn.Module):
    """Every image in two halves along the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        halves = torch.cat([x[:, :, :4], x[:, :, 5:]])
        return self.layer(halves).mean((2, 3)).unflatten(0, (2, -1)).sum(0)


def test_layers_with_more_inputs_than_images_cannot_be_profiled() -> None:
    network = quantize(
        Doubled().eval(),
        normalize(images().images, *NORMALIZATION),
        OperandEncoding.SIGN_MAGNITUDE,
        normalization=NORMALIZATION,
    )
    with pytest.raises(QuantizationError, match="layer 'layer' sees 4 inputs for 2 images"):
        check_profile(network, images())
