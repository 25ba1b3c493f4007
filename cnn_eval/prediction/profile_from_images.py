"""Makes a :class:`~cnn_eval.prediction.NetworkProfile` of a quantized network from calibration images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from hdl.operands import code_values

from ..datasets import Dataset, normalize, top1_pct
from ..emulation.kernels.row_accumulation import PackedWeights
from ..emulation.kernels.table_gradient import add_table_gradients
from ..emulation.measurement import measure_top1
from ..quantization.coding import OperandCoding
from ..quantization.geometry import Geometry, patches
from ..quantization.quantized_network import ExactConvolution, QuantizationError, QuantizedLayer, QuantizedNetwork
from .profile import LayerProfile, NetworkProfile, SampleMargins, leading_components
from .propagation_tracing import trace_propagation

__all__ = ["margin_gradients", "profile_network"]

_RANK = 32
# Images behind propagation, which averages over all of their pixels, and components that the shifts of many logits are compressed to.
_PROPAGATION_IMAGES = 64
_LOGIT_RANK = 16
_BATCH = 16
# Components of the two covariances behind the fluctuation, and output pixels that one batch contributes to it.
_FACTORS = 12
_FIELDS_PER_BATCH = 128


def profile_network(
    model: nn.Module,
    network: QuantizedNetwork,
    name: str,
    calibration: Dataset,
    test: Dataset,
    *,
    rank: int = _RANK,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> NetworkProfile:
    """The profile of `network`, quantized from `model`.

    Args:
        name: of the network, as the zoo will know it.
        calibration: images behind histograms and margins; a few hundred.
        test: images that accuracies are measured on.
        rank: components that the margin gradients are compressed to.
        on_progress: called with (what is being done, images done, of so many).
    """
    margins, gradients, statistics = _observe(network, calibration, on_progress)
    on_progress("accuracy", 0, len(test))
    exact = measure_top1(network, None, test, on_progress=lambda done, _: on_progress("accuracy", done, len(test)))
    labels = np.bincount(calibration.labels, minlength=len(calibration.classes))
    return NetworkProfile(
        network=name,
        encoding=network.encoding,
        width=network.width,
        data=calibration.name,
        per_channel=any(bool((layer.weight_scale != layer.weight_scale[0]).any()) for layer in network.layers.values()),
        mean=network.mean,
        std=network.std,
        layers=tuple(statistics[layer_name].profile(layer_name, layer) for layer_name, layer in network.layers.items()),
        architectural=_architectural(network, calibration),
        margins=SampleMargins.compress(margins, gradients, _typical_errors(network), rank),
        exact_top1_pct=exact.top1_pct,
        float_top1_pct=top1_pct(model, test, (network.mean, network.std)),
        chance_pct=100 / len(labels),
        test_images=len(test),
        calibration_images=len(calibration),
    )


def _architectural(network: QuantizedNetwork, calibration: Dataset) -> NDArray[np.float32]:
    """The layers' architectural matrices added up, in their leading components: lengths of vectors of logits are kept."""
    images = calibration.head(_PROPAGATION_IMAGES)
    propagation = trace_propagation(network, normalize(images.images, network.mean, network.std))
    total = sum(propagation.architectural_matrices().values(), np.zeros(()))
    # Shifts are relative to the mean logit: they have a dimension less than there are logits.
    _, components = leading_components(total.reshape(len(total), -1), _typical_errors(network), min(len(total) - 1, _LOGIT_RANK))
    return components


def _typical_errors(network: QuantizedNetwork) -> NDArray[np.float64]:
    """How large errors tend to be by operand pair, up to a factor, (4^width,): with the square root of the product in most families."""
    magnitude = np.abs(code_values(network.width, signed=network.encoding.signed)).astype(np.float64)
    # The constant keeps pairs with small operands, where designs that add a compensation err most of all.
    return (np.sqrt(np.multiply.outer(magnitude, magnitude)) + (1 << network.width) / 32).ravel()


def margin_gradients(network: QuantizedNetwork, images: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Margins (n,) of the images, and their derivatives with respect to the product table, (n, 4^width).

    One backward pass, with rounding passing gradients unchanged; see :class:`~.profile.SampleMargins`.
    """
    margins, gradients, _ = _observe(network, images, lambda what, done, total: None)
    return margins, gradients


def _observe(
    network: QuantizedNetwork, images: Dataset, on_progress: Callable[[str, int, int], None]
) -> tuple[NDArray[np.float64], NDArray[np.float32], dict[str, _Statistics]]:
    side = 1 << network.width
    margins = np.zeros(len(images))
    gradients = np.zeros((len(images), side, side), np.float32)
    statistics = {name: _Statistics() for name in network.layers}
    packed = {name: _packed(layer) for name, layer in network.layers.items()}
    threads = torch.get_num_threads()
    for start in range(0, len(images), _BATCH):
        on_progress("margins", start, len(images))
        stop = min(start + _BATCH, len(images))
        x = normalize(images.images[start:stop], network.mean, network.std).contiguous(memory_format=torch.channels_last)
        labels = torch.from_numpy(images.labels[start:stop])
        with _recording(network) as records, torch.enable_grad():
            logits = network(x)
            true = logits.gather(1, labels[:, None])[:, 0]
            margin = true - logits.scatter(1, labels[:, None], -torch.inf).amax(1)
            margin.sum().backward()
        margins[start:stop] = margin.detach().numpy()
        for name, values, sums in records:
            exact = network.layers[name].sums
            assert isinstance(exact, ExactConvolution)
            assert sums.grad is not None
            codes = _codes(exact, values)
            statistics[name].add(codes, sums.detach(), exact.coding, exact.geometry)
            gradient = np.ascontiguousarray(sums.grad.float().permute(0, 2, 3, 1).numpy())
            # A linear layer on a sequence sees several rows per image; they belong to it in order.
            add_table_gradients(_by_row(gradients[start:stop], len(codes)), codes, packed[name], gradient, exact.coding, threads=threads)
    on_progress("margins", len(images), len(images))
    return margins, gradients.reshape(len(images), -1), statistics


def _by_row(gradients: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    if len(gradients) != rows:
        raise QuantizationError(f"a layer sees {rows} inputs for {len(gradients)} images; margins need one input per image and layer")
    return gradients


def _packed(layer: QuantizedLayer) -> PackedWeights:
    exact = layer.sums
    if not isinstance(exact, ExactConvolution):
        raise QuantizationError("a profile is made of the quantized network, not of an emulated one")
    return PackedWeights.of((exact.weight - exact.coding.weight_range[0]).to(torch.uint8).numpy(), exact.geometry)


def _codes(exact: ExactConvolution, values: torch.Tensor) -> NDArray[np.uint8]:
    """Padded activation indices (n, height, width, channels)."""
    low, _ = exact.coding.activation_range
    index = functional.pad((values - low).to(torch.uint8), exact.padding, value=-low)
    return np.ascontiguousarray(index.permute(0, 2, 3, 1).numpy())


@contextmanager
def _recording(network: QuantizedNetwork) -> Iterator[list[tuple[str, torch.Tensor, torch.Tensor]]]:
    """While open, collects (layer name, activation integers, sums of products); the sums keep their gradients."""
    records: list[tuple[str, torch.Tensor, torch.Tensor]] = []

    def record(name: str, values: torch.Tensor, sums: torch.Tensor) -> None:
        # Integer inputs do not require gradients in the first layer; its sums are made to.
        if not sums.requires_grad:
            sums.requires_grad_()
        sums.retain_grad()
        records.append((name, values.detach(), sums))

    handles = [
        layer.sums.register_forward_hook(lambda _, args, output, name=name: record(name, args[0], output))
        for name, layer in network.layers.items()
    ]
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class _Statistics:
    """Running statistics of one layer over calibration images."""

    activations: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    count: int = 0
    pixels: int = 0
    images: int = 0
    total: torch.Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: torch.Tensor = field(default_factory=lambda: torch.zeros(()))
    fields: list[NDArray[np.float64]] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, codes: NDArray[np.uint8], sums: torch.Tensor, coding: OperandCoding, geometry: Geometry) -> None:
        _, height, width, _ = codes.shape
        coverage = _coverage(height, width, geometry)
        for times in np.unique(coverage):
            self.activations += times * np.bincount(codes[:, coverage == times].ravel(), minlength=256)
        self.fields.append(self._receptive_fields(codes, geometry))
        exact = sums.double()
        self.total = self.total + exact.sum((0, 2, 3))
        self.squares = self.squares + exact.square().sum((0, 2, 3))
        self.images += len(sums)
        self.pixels += sums[:, 0].numel()

    def _receptive_fields(self, codes: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.float64]:
        """For some output pixels, chosen at random, how often each activation index is multiplied, (pixels, 256)."""
        windows = patches(codes, geometry)
        pixels = windows.shape[:3]
        chosen = self.rng.choice(int(np.prod(pixels)), min(_FIELDS_PER_BATCH, int(np.prod(pixels))), replace=False)
        seen = windows[np.unravel_index(chosen, pixels)].reshape(len(chosen), -1)
        return np.stack([np.bincount(row, minlength=256) for row in seen]) / geometry.groups

    def profile(self, name: str, layer: QuantizedLayer) -> LayerProfile:
        exact = layer.sums
        assert isinstance(exact, ExactConvolution)
        coding = exact.coding
        variance = (self.squares / self.pixels - (self.total / self.pixels) ** 2).numpy()
        # A channel that never changes (a dead one) would have infinite weight: the layer's mean variance bounds it from below.
        sigma = np.sqrt(np.maximum(variance, 1e-3 * variance.mean() + 1e-9))
        low, _ = coding.weight_range
        index = (exact.weight - low).long().flatten(1).numpy()
        histograms = np.stack([np.bincount(row, minlength=len(coding.weight_values)) for row in index]) / index.shape[1]  # (o, W)
        normalized = histograms / sigma[:, None]
        outputs = self.pixels // self.images * len(index)
        fields = np.concatenate(self.fields)[:, : len(coding.activation_values)]
        return LayerProfile(
            name=name,
            macs=outputs * index.shape[1],
            products_per_output=index.shape[1],
            coding=coding,
            activation_scale=float(layer.activation_scale),
            activations=(self.activations / self.activations.sum())[: len(coding.activation_values)],
            weights=histograms.mean(0),
            variance_weights=(normalized / sigma[:, None]).mean(0),
            activation_factors=_leading_factors(fields - fields.mean(0)),
            weight_factors=_leading_factors(normalized),
        )


def _leading_factors(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Samples (n, values) -> F (12, values) with F^T F nearly the mean over samples of s s^T."""
    values, vectors = np.linalg.eigh(samples.T @ samples / len(samples))
    leading = np.argsort(values)[::-1][:_FACTORS]
    factors = np.zeros((_FACTORS, samples.shape[1]))
    factors[: len(leading)] = (vectors[:, leading] * np.sqrt(np.maximum(values[leading], 0))).T
    return factors


def _coverage(height: int, width: int, geometry: Geometry) -> NDArray[np.int64]:
    """How many windows see each pixel of the padded input, (height, width)."""
    sizes, outs = (height, width), geometry.output_size(height, width)
    axes = []
    for size, outputs, kernel, stride, dilation in zip(sizes, outs, geometry.kernel, geometry.stride, geometry.dilation, strict=True):
        seen = np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation
        axes.append(np.bincount(seen.ravel(), minlength=size))
    return np.multiply.outer(*axes)
