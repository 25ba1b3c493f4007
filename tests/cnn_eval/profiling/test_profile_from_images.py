"""Profiles: what they count, against counting by hand; saving."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_profiles import NORMALIZATION, Tiny, corrected_profile, images, profile, profile_of, tiny
from torch import nn

from cnn_eval.datasets import normalize
from cnn_eval.emulation.measurement import emulate
from cnn_eval.prediction.architectural_error import ame, features
from cnn_eval.prediction.profile import NetworkProfile, ProfileError
from cnn_eval.profiling.profile_from_images import (
    check_profile,
    profile_network,
    zeros_after_zeros,
)
from cnn_eval.quantization.quantized_network import (
    QuantizationError,
    quantize,
    quantize_as,
)
from cnn_eval.quantization.rounding import Rounding
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables.product_table import ProductTable

ENCODINGS = list(OperandEncoding)


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


def test_profiles_under_correction_are_saved_too(tmp_path: Path) -> None:
    made = corrected_profile(Widths(5, 4))
    assert (made.widths, made.corrected, made.rounding_sha256) == ((5, 4), True, "ab" * 32)
    made.save(tmp_path / "p.npz")
    loaded = NetworkProfile.load(tmp_path / "p.npz")
    assert (loaded.widths, loaded.corrected, loaded.rounding_sha256) == ((5, 4), True, "ab" * 32)
    errors = ProductTable.of(MultiplierSpec.parse("bam:h=0,v=3,width=5x4")).errors
    np.testing.assert_allclose(features(loaded, errors), features(made, errors), rtol=0.05)


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
