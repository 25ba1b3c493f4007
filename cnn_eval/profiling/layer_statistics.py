"""Running statistics of one layer's multiplications over calibration images."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..emulation.kernels.counting import channel_sums, histograms, weighted_histogram
from ..prediction.layer_profile import LayerProfile
from ..quantization.geometry import Geometry, patches
from ..quantization.products import QuantizedProduct
from ..quantization.quantized_layer import QuantizedLayer
from .multiplied import Multiplied
from .zero_runs import ZeroRuns

__all__ = ["LayerStatistics"]

# Components of the two covariances behind the fluctuation; output pixels, and channels of a product
# of two activations, that one batch contributes to them.
_FACTORS = 12
# Share of the layer's mean variance below which a channel is dead.
_DEAD = 0.01
_FIELDS_PER_BATCH = 128


@dataclass
class LayerStatistics:
    """Of a layer, or of a product of two activations.

    Attributes:
        activations: how often each activation index is multiplied, (256,).
        weights: how often each weight index occurs, (256,), in the weights or in all images.
        fields: for some output pixels, how often each activation index is multiplied.
        histograms: of the weights of some output channels, all of a layer's, (channels, 256); their
            channels.
    """

    activations: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    pixels: int = 0
    images: int = 0
    groups: int = 0
    products_per_output: int = 0
    total: NDArray[np.float64] | float = 0.0
    squares: NDArray[np.float64] | float = 0.0
    fields: list[NDArray[np.float64]] = field(default_factory=list)
    histograms: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = field(default_factory=list)
    zero_runs: ZeroRuns = field(default_factory=ZeroRuns)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, seen: Multiplied) -> None:
        """A batch of images."""
        count, height, width, channels = seen.codes.shape
        coverage = _coverage(height, width, seen.geometry)
        self.activations += weighted_histogram(
            seen.codes.reshape(count, -1, channels), coverage.ravel()
        )
        self.zero_runs.add(seen.codes, seen.coding, seen.geometry)
        self.fields.append(self._receptive_fields(seen.codes, seen.geometry))
        if seen.product or not self.histograms:
            self._add_weights(seen.weights, _FIELDS_PER_BATCH if seen.product else None)
        sums = seen.by_pixel(seen.sums)
        by_pixel = sums.reshape(1, -1, sums.shape[-1])
        (total,), (squares,) = channel_sums(by_pixel, by_pixel)
        self.total, self.squares = self.total + total, self.squares + squares
        self.groups, self.products_per_output = seen.geometry.groups, seen.weights.shape[-1]
        self.images += count
        self.pixels += by_pixel.shape[1]

    def _add_weights(self, weights: NDArray[np.uint8], most: int | None) -> None:
        """Weight indices (n, channels, positions), of which `most` channels, chosen at random, have
        histograms of their own; all with None.
        """
        self.weights += np.bincount(weights.ravel(), minlength=256)
        rows = weights.reshape(-1, weights.shape[-1])
        chosen = np.arange(len(rows))
        if most is not None and most < len(rows):
            chosen = self.rng.choice(len(rows), most, replace=False)
        found = histograms(rows[chosen]) / weights.shape[-1]
        self.histograms.append((chosen % weights.shape[1], found))

    def _receptive_fields(
        self, codes: NDArray[np.uint8], geometry: Geometry
    ) -> NDArray[np.float64]:
        """For some output pixels, chosen at random, how often each activation index is multiplied,
        (pixels, 256).
        """
        windows = patches(codes, geometry)
        pixels = windows.shape[:3]
        chosen = self.rng.choice(
            int(np.prod(pixels)), min(_FIELDS_PER_BATCH, int(np.prod(pixels))), replace=False
        )
        seen = windows[np.unravel_index(chosen, pixels)].reshape(len(chosen), -1)
        return histograms(seen) / geometry.groups

    def profile(self, name: str, layer: QuantizedLayer | QuantizedProduct) -> LayerProfile:
        """Of the layer that all this was of."""
        coding = layer.coding
        variance = np.asarray(self.squares / self.pixels - (self.total / self.pixels) ** 2)
        # A channel that never changes (a dead one) would have infinite weight, and has no signal
        # that errors could disturb: it counts nothing.
        alive = variance > _DEAD * variance.mean()
        sigma = np.where(alive, np.sqrt(np.maximum(variance, 1e-9)), np.inf)
        values, weights = len(coding.activation_values), len(coding.weight_values)
        channels, histograms = (
            np.concatenate(parts) for parts in zip(*self.histograms, strict=True)
        )
        of_channels = sigma[channels, None]
        normalized = histograms[:, :weights] / of_channels
        fields = np.concatenate(self.fields)[:, :values]
        outputs = self.pixels // self.images * len(sigma)
        return LayerProfile(
            name=name,
            macs=outputs * self.products_per_output,
            products_per_output=self.products_per_output,
            coding=coding,
            activation_scale=float(layer.activation_scale),
            activations=self.activations[:values] / self.activations.sum(),
            weights=self.weights[:weights] / self.weights.sum(),
            variance_weights=(normalized / of_channels).mean(0),
            activation_factors=_leading_factors(fields - fields.mean(0)),
            weight_factors=_leading_factors(normalized),
            output_channels=len(sigma),
            groups=self.groups,
            zero_after_zero=self.zero_runs.probabilities,
            second_scale=float(layer.weight_scale) if isinstance(layer, QuantizedProduct) else 0.0,
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
    for size, outputs, kernel, stride, dilation in zip(
        sizes, outs, geometry.kernel, geometry.stride, geometry.dilation, strict=True
    ):
        seen = np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation
        axes.append(np.bincount(seen.ravel(), minlength=size))
    return np.multiply.outer(*axes)
