"""Products of two activations beside layers with weights, against a table that torch
differentiates.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import CAPTURED, made
from torch import nn
from torch.nn import functional

from cnn_eval.capture import capture
from cnn_eval.datasets import Dataset, normalize
from cnn_eval.emulation import emulate
from cnn_eval.prediction import NetworkProfile, layer_shapes
from cnn_eval.profiling.layer_statistics import LayerStatistics
from cnn_eval.profiling.multiplied import Recorder
from cnn_eval.profiling.profile_from_images import check_profile, margin_gradients, profile_network
from cnn_eval.quantization import quantized_layer
from cnn_eval.quantization.coding import OperandCoding
from cnn_eval.quantization.products import ExactProduct
from cnn_eval.quantization.quantized_network import (
    QuantizationError,
    QuantizedNetwork,
    quantize,
    quantize_as,
)
from hdl.elements import LayerShape
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

NORMALIZATION = ((0.5, 0.4, 0.6), (0.25, 0.25, 0.2))
WIDTHS = Widths(5, 4)


def images(count: int = 6) -> Dataset:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return Dataset("noise", pixels, rng.integers(0, 5, count), tuple("abcde"))


def quantized(make: Callable[[], nn.Module], encoding: OperandEncoding) -> QuantizedNetwork:
    model, _ = made(make)
    return quantize(
        model,
        normalize(images().images, *NORMALIZATION),
        encoding,
        widths=WIDTHS,
        normalization=NORMALIZATION,
    )


class Lookup(nn.Module):
    """Exact sums, and for every product an entry of a table of zeros."""

    def __init__(self, exact: nn.Module, coding: OperandCoding, errors: torch.Tensor) -> None:
        super().__init__()
        self.exact, self.coding, self.errors = exact, coding, errors

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        (a, a_sign), (b, b_sign) = self.coding.activation_codes(), self.coding.weight_codes()
        by_value = self.errors[a[:, None], b] * torch.from_numpy(np.multiply.outer(a_sign, b_sign))
        if isinstance(self.exact, ExactProduct):
            first, second = operands
            x, w = first[..., :, None, :], second.mT[..., None, :, :]
        else:
            (values,), exact = operands, self.exact
            x = functional.unfold(
                functional.pad(values, exact.padding),
                exact.geometry.kernel,
                stride=exact.geometry.stride,
            ).mT[:, :, None]  # (n, pixels, 1, positions)
            w = exact.weight.flatten(1)
        low_x, low_w = self.coding.activation_range[0], self.coding.weight_range[0]
        added = by_value[(x - low_x).long(), (w - low_w).long()].sum(-1)
        sums = self.exact(*operands)
        if not isinstance(self.exact, ExactProduct):
            added = added.mT.reshape(sums.shape)
        return sums + added


@pytest.mark.parametrize("encoding", list(OperandEncoding))
@pytest.mark.parametrize("name", ["timm", "einsum", "encoder, norm first"])
def test_gradients_are_those_of_a_table(name: str, encoding: OperandEncoding) -> None:
    network, data = quantized(CAPTURED[name], encoding), images()
    assert network.products
    check_profile(network, data)
    margins, gradients = margin_gradients(network, data)

    errors = torch.zeros(1 << WIDTHS.a, 1 << WIDTHS.b, requires_grad=True)
    for layer in network.multiplications.values():
        layer.sums = Lookup(layer.sums, layer.coding, errors)
    logits = network(normalize(data.images, *NORMALIZATION))
    true = logits.gather(1, torch.from_numpy(data.labels)[:, None])
    others = logits.scatter(1, torch.from_numpy(data.labels)[:, None], -torch.inf).amax(1)
    expected = true[:, 0] - others
    np.testing.assert_allclose(margins, expected.detach().numpy(), rtol=1e-4, atol=1e-4)
    for image, margin in enumerate(expected):
        (of_table,) = torch.autograd.grad(margin, errors, retain_graph=True)
        wanted = of_table.numpy().ravel()
        np.testing.assert_allclose(
            gradients[image].ravel(), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max()
        )


@pytest.mark.parametrize("encoding", [OperandEncoding.SIGN_MAGNITUDE])
def test_a_profile_counts_products_and_brings_them_back(
    encoding: OperandEncoding, tmp_path: Path
) -> None:
    network, data = quantized(CAPTURED["timm"], encoding), images()
    path = tmp_path / "timm.npz"
    profile_network(network, "timm", data, data, float_top1_pct=0.0, rank=4).save(path)
    profile = NetworkProfile.load(path)
    # 16 tokens of 8 channels, in two heads.
    shapes = {one.name: one for one in layer_shapes(profile)}
    products = [layer for layer in profile.layers if layer.second_scale]
    assert [layer.name for layer in products] == list(network.products)
    assert [shapes[one.name] for one in products] == [
        LayerShape(products[0].name, pixels=16, channels=16, terms=4, groups=2),
        LayerShape(products[1].name, pixels=16, channels=4, terms=16, groups=2),
    ]
    assert [layer.macs for layer in products] == [16 * 16 * 4 * 2] * 2

    with torch.no_grad():
        x = normalize(data.images, *NORMALIZATION)
        logits, seen = Recorder(network).run(x)
    for layer in products:
        one = next(one for one in seen if one.name == layer.name)
        codes = np.bincount(one.codes.ravel(), minlength=len(layer.activations))
        weights = np.bincount(one.weights.ravel(), minlength=len(layer.weights))
        np.testing.assert_allclose(layer.activations, codes / codes.sum(), atol=1e-6)
        np.testing.assert_allclose(layer.weights, weights / weights.sum(), atol=1e-6)

    model, _ = made(CAPTURED["timm"])
    again = quantize_as(capture(model, x), profile)
    with torch.no_grad():
        torch.testing.assert_close(again(x), logits)


def test_layers_of_large_images_are_seen_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized_layer, "_PART", 1)
    network = quantized(CAPTURED["timm"], OperandEncoding.SIGN_MAGNITUDE)
    with torch.no_grad():
        _, seen = Recorder(network).run(normalize(images().images, *NORMALIZATION))
    assert {len(one.codes) for one in seen} == {len(images())}


def test_a_dead_channel_counts_nothing() -> None:
    model, _ = made(CAPTURED["timm"])
    with torch.no_grad():
        model.patches.weight[3] = 0
    x = normalize(images().images, *NORMALIZATION)
    network = quantize(model, x, OperandEncoding.SIGN_MAGNITUDE, widths=WIDTHS)
    one = Recorder(network).run(x)[1][0]
    statistics = LayerStatistics()
    statistics.add(one)
    found = statistics.profile("patches", network.layers["patches"])
    variance = one.by_pixel(one.sums).reshape(-1, 8).astype(float).var(0)
    assert variance[3] == 0
    histograms = np.stack([np.bincount(row, minlength=31) / row.size for row in one.weights[0]])
    alive = variance > 0
    wanted = (histograms[alive] / variance[alive, None]).sum(0) / 8
    np.testing.assert_allclose(found.variance_weights, wanted, rtol=1e-6)


class Mixing(nn.Module):
    """Attention from image to image."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(192, 8), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x.flatten(1))
        return self.head((y @ y.mT).softmax(-1) @ y)


class HeadsFirst(nn.Module):
    """Attention whose matrices are in the order of heads, and of images within a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(3, 8), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x.flatten(2).mT)
        heads = torch.cat(y.chunk(2, -1))
        mixed = torch.bmm(torch.bmm(heads, heads.mT).softmax(-1), heads)
        return self.head(torch.cat(mixed.chunk(2), -1).mean(1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Mixing, "multiplies activations of several images|multiplies 1 matrices for 2 images"),
        (HeadsFirst, "does not have the images along its first axis"),
    ],
)
def test_products_without_images_in_front_are_refused(
    make: Callable[[], nn.Module], message: str
) -> None:
    network = quantized(make, OperandEncoding.SIGN_MAGNITUDE)
    with pytest.raises(QuantizationError, match=message):
        check_profile(network, images())


def test_an_emulated_network_is_refused() -> None:
    network = quantized(CAPTURED["timm"], OperandEncoding.SIGN_MAGNITUDE)
    name = next(iter(network.products))
    emulated = emulate(network, {name: ProductTable.exact(WIDTHS, signed=False)})
    with pytest.raises(QuantizationError, match="not of an emulated one"):
        Recorder(emulated)
