"""Running statistics of one layer's multiplications over calibration images."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..emulation.kernels.counting import add_weighted_histogram, channel_sums, histograms
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
        fields: how many output pixels tell how often each activation index is multiplied for
            them; the sum of that, (256,), and of its products, (256, 256).
        histograms: channels, some of a product's, and how often each weight index occurs there,
            (channels, 256).
    """

    activations: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    pixels: int = 0
    images: int = 0
    groups: int = 0
    products_per_output: int = 0
    total: NDArray[np.float64] | float = 0.0
    squares: NDArray[np.float64] | float = 0.0
    fields: int = 0
    field_sum: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    field_products: NDArray[np.float64] = field(default_factory=lambda: np.zeros((256, 256)))
    histograms: list[tuple[NDArray[np.int64], NDArray[np.int32]]] = field(default_factory=list)
    zero_runs: ZeroRuns = field(default_factory=ZeroRuns)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, seen: Multiplied) -> None:
        """A batch of images."""
        count, height, width, channels = seen.codes.shape
        coverage = _coverage(height, width, seen.geometry)
        by_pixel = seen.codes.reshape(count, -1, channels)
        add_weighted_histogram(self.activations, by_pixel, coverage.ravel())
        self.zero_runs.add(seen.codes, seen.coding, seen.geometry)
        self._add_receptive_fields(seen.codes, seen.geometry)
        if seen.product or not self.histograms:
            self._add_weights(seen.weights, _FIELDS_PER_BATCH if seen.product else None)
        sums = seen.by_pixel(seen.sums)
        outputs = sums.reshape(1, -1, sums.shape[-1])
        (total,), (squares,) = channel_sums(outputs, outputs)
        self.total, self.squares = self.total + total, self.squares + squares
        self.groups, self.products_per_output = seen.geometry.groups, seen.weights.shape[-1]
        self.images += count
        self.pixels += outputs.shape[1]

    def _add_weights(self, weights: NDArray[np.uint8], most: int | None) -> None:
        """Weight indices (n, channels, positions), of which `most` channels, chosen at random, have
        histograms of their own; all with None.
        """
        self.weights += np.bincount(weights.ravel(), minlength=256)
        rows = weights.reshape(-1, weights.shape[-1])
        chosen = np.arange(len(rows))
        if most is not None and most < len(rows):
            chosen = self.rng.choice(len(rows), most, replace=False)
        self.histograms.append((chosen % weights.shape[1], histograms(rows[chosen])))

    def _add_receptive_fields(self, codes: NDArray[np.uint8], geometry: Geometry) -> None:
        """Some output pixels, chosen at random."""
        windows = patches(codes, geometry)
        pixels = windows.shape[:3]
        chosen = self.rng.choice(
            int(np.prod(pixels)), min(_FIELDS_PER_BATCH, int(np.prod(pixels))), replace=False
        )
        seen = windows[np.unravel_index(chosen, pixels)].reshape(len(chosen), -1)
        found = histograms(seen) / geometry.groups
        self.fields += len(found)
        self.field_sum += found.sum(0)
        self.field_products += found.T @ found

    def profile(self, name: str, layer: QuantizedLayer | QuantizedProduct) -> LayerProfile:
        """Of the layer that all this was of."""
        coding = layer.coding
        variance = np.asarray(self.squares / self.pixels - (self.total / self.pixels) ** 2)
        # A channel that never changes (a dead one) would have infinite weight, and has no signal
        # that errors could disturb: it counts nothing.
        alive = variance > _DEAD * variance.mean()
        sigma = np.where(alive, np.sqrt(np.maximum(variance, 1e-9)), np.inf)
        values, weights = len(coding.activation_values), len(coding.weight_values)
        channels, counts = (np.concatenate(parts) for parts in zip(*self.histograms, strict=True))
        of_channels = sigma[channels, None]
        normalized = counts[:, :weights] / self.products_per_output / of_channels
        mean = self.field_sum / self.fields
        covariance = self.field_products / self.fields - np.outer(mean, mean)
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
            activation_factors=_leading_factors(covariance[:values, :values]),
            weight_factors=_leading_factors(normalized.T @ normalized / len(normalized)),
            output_channels=len(sigma),
            groups=self.groups,
            zero_after_zero=self.zero_runs.probabilities,
            second_scale=float(layer.weight_scale) if isinstance(layer, QuantizedProduct) else 0.0,
        )


def _leading_factors(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of products (values, values) -> F (12, values) with F^T F nearly these."""
    values, vectors = np.linalg.eigh(moments)
    leading = np.argsort(values)[::-1][:_FACTORS]
    factors = np.zeros((_FACTORS, len(moments)))
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
