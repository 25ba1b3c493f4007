"""What correction removes from a gradient over the product table: its share in the mean and the
gain of every channel.

With e the errors of a layer's sums and y the exact sums, correction leaves e - mean(e) - (y -
mean(y)) cov(e, y) / var(y) of each channel. Mean and covariance are linear in the error matrix,
with the matrices

    H_c = mean of the pairs that channel c multiplies for an output,
    K_c = mean of (y_c - mean y_c) times these pairs,

so that a gradient G = sum over channels and outputs of g * (pairs) becomes G - sum_c D_c H_c -
sum_c E_c K_c / var(y_c), with D_c the total of g over the outputs of channel c, and E_c that of g
(y_c - mean y_c). docs/ame.md has the derivation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from ..emulation.kernels.table_gradient import add_channel_gradients
from ..quantization.coding import OperandCoding
from ..quantization.geometry import Geometry, patches
from ..quantization.quantized_layer import ExactConvolution, QuantizedLayer
from .multiplied import Multiplied, pack, weight_indices

__all__ = ["MeanAndGainOfProduct", "MeanAndGainRows"]

# Entries of the matrices of the channels that are made together, and output pixels of the images
# that are taken together.
_ENTRIES, _PIXELS = 1 << 23, 1 << 12


class MeanAndGainRows:
    """Running sums of one layer, and what they take from the rows of a gradient.

    The matrices of all channels of a large network would not fit into memory: activations are kept,
    as bytes, and the matrices are made of them when they are needed, some channels at a time.

    Args:
        rows: of the gradient.
        mean_only: the correction of the layer leaves the gain alone, as that of the last layer
            does.
    """

    def __init__(self, layer: QuantizedLayer, rows: int, *, mean_only: bool) -> None:
        exact = layer.sums
        assert isinstance(exact, ExactConvolution)
        self._exact, self._geometry, self._mean_only = exact, exact.geometry, mean_only
        self._indices = weight_indices(layer)
        channels = len(self._indices)
        self._positions = self._indices[0].size
        self._sides = len(exact.coding.activation_values), len(exact.coding.weight_values)
        self._codes: list[NDArray[np.uint8]] = []
        self._seen = np.zeros((self._positions * exact.geometry.groups, self._sides[0]), np.int32)
        self._total, self._squares, self._outputs = np.zeros(channels), np.zeros(channels), 0
        self._sums, self._with_output = np.zeros((rows, channels)), np.zeros((rows, channels))

    def add(self, seen: Multiplied) -> None:
        """A batch of images."""
        sums = seen.by_pixel(seen.sums)
        flat = sums.reshape(-1, sums.shape[-1]).astype(np.float64)
        self._total += flat.sum(0)
        self._squares += (flat**2).sum(0)
        self._outputs += len(flat)
        self._codes.extend(seen.codes)
        for image in seen.codes:
            # (outputs, kernel positions, channels) -> positions in the order of the weights:
            # channels of all groups first
            windows = (
                patches(image[None], self._geometry)[0]
                .transpose(4, 2, 3, 0, 1)
                .reshape(len(self._seen), -1)
            )
            places = windows + np.arange(len(windows))[:, None] * self._sides[0]
            found = np.bincount(places.ravel(), minlength=self._seen.size)
            self._seen += found.reshape(self._seen.shape).astype(np.int32)

    def add_gradients(
        self, rows: slice, gradients: NDArray[np.float32], sums: NDArray[np.float32]
    ) -> None:
        """Gradients with respect to the sums, (n, height, width, o), that rows of the gradient are
        made of, and the sums.
        """
        self._sums[rows] += gradients.sum((1, 2), dtype=np.float64)
        self._with_output[rows] += np.einsum("nhwo,nhwo->no", gradients, sums, dtype=np.float64)

    def remove_from(self, gradients: NDArray[np.float32]) -> None:
        """Takes the layer's mean and gain out of gradients (rows, 2^width_a, 2^width_b), in
        place.
        """
        mean = self._total / self._outputs
        variance = np.maximum(self._squares / self._outputs - mean**2, 0)
        slopes = (self._with_output - self._sums * mean) / np.maximum(
            variance, 1e-3 * variance.mean() + 1e-9
        )
        removed = np.zeros((len(gradients), self._sides[0] * self._sides[1]))
        for channels in self._parts():
            pairs = self._mean_pairs(channels)
            removed += self._sums[:, channels] @ pairs.reshape(len(pairs), -1)
            if not self._mean_only:
                products = self._products(channels) - mean[channels, None, None] * pairs
                removed += slopes[:, channels] @ products.reshape(len(products), -1)
        coding = self._exact.coding
        gradients -= coding.fold(removed.reshape(-1, *self._sides)).astype(np.float32)

    def _parts(self) -> Iterator[slice]:
        """Channels that are dealt with together: some of a group, or some groups."""
        channels, groups = len(self._indices), self._geometry.groups
        of_group = channels // groups
        at_once = max(1, _ENTRIES // (self._sides[0] * self._sides[1]))
        step = min(at_once, of_group) if groups == 1 else of_group * max(1, at_once // of_group)
        for start in range(0, channels, step):
            yield slice(start, min(start + step, channels))

    def _mean_pairs(self, channels: slice) -> NDArray[np.float64]:
        """H of channels, (o, A, W)."""
        (values, weights), positions = self._sides, self._positions
        index = self._indices[channels].reshape(-1, positions).astype(np.int64)
        number = np.arange(channels.start, channels.stop)
        group = number * self._geometry.groups // len(self._indices)
        column = group[:, None] * positions + np.arange(positions)
        row = np.arange(len(index))[:, None] * weights + index
        places = (np.ones(row.size), (row.ravel(), column.ravel()))
        chosen = sparse.csr_array(places, shape=(len(index) * weights, len(self._seen)))
        found: NDArray[np.float64] = (
            (chosen @ (self._seen / self._outputs))
            .reshape(len(index), weights, values)
            .transpose(0, 2, 1)
        )
        return np.ascontiguousarray(found)

    def _products(self, channels: slice) -> NDArray[np.float32]:
        """Mean over outputs of y_c times the pairs of channel c, (o, A, W)."""
        exact, geometry = self._exact, self._geometry
        of_group = len(self._indices) // geometry.groups
        groups = slice(channels.start // of_group, -(-channels.stop // of_group))
        inputs = self._codes[0].shape[-1] // geometry.groups
        seen = slice(groups.start * inputs, groups.stop * inputs)
        part = Geometry(
            geometry.kernel, geometry.stride, geometry.dilation, groups.stop - groups.start
        )
        layer = ExactConvolution(exact.weight[channels], part, (0, 0, 0, 0), exact.coding)
        packed, low = pack(self._indices[channels], part), exact.coding.activation_range[0]
        found = np.zeros((channels.stop - channels.start, *self._sides), np.float32)
        at_once = max(1, _PIXELS * len(self._codes) // self._outputs)
        for start in range(0, len(self._codes), at_once):
            codes = np.stack([one[..., seen] for one in self._codes[start : start + at_once]])
            with torch.no_grad():
                sums = layer(torch.from_numpy(codes).permute(0, 3, 1, 2).float() + low)
            add_channel_gradients(
                found, codes, packed, np.ascontiguousarray(sums.float().permute(0, 2, 3, 1).numpy())
            )
        found /= self._outputs
        return found


class MeanAndGainOfProduct:
    """The same of a product of two activations, whose correction is one for all of its outputs.

    Args:
        rows: of the gradient.
        coding: of the product.
    """

    def __init__(self, coding: OperandCoding, rows: int) -> None:
        self._shape = 1 << coding.width_a, 1 << coding.width_b
        self._pairs, self._products = np.zeros(self._shape), np.zeros(self._shape)
        self._total = self._squares = 0.0
        self._outputs = 0
        self._sums, self._with_output = np.zeros(rows), np.zeros(rows)

    def add(self, seen: Multiplied) -> None:
        """A batch of images."""
        sums = seen.by_pixel(seen.sums)
        self._total += float(sums.sum(dtype=np.float64))
        self._squares += float(np.square(sums, dtype=np.float64).sum())
        self._outputs += sums.size
        for total, values in ((self._pairs, np.ones_like(sums)), (self._products, sums)):
            found = np.zeros((len(sums), *self._shape), np.float32)
            seen.add_gradients(found, values, threads=1)
            total += found.sum(0, dtype=np.float64)

    def add_gradients(
        self, rows: slice, gradients: NDArray[np.float32], sums: NDArray[np.float32]
    ) -> None:
        """As :meth:`MeanAndGainRows.add_gradients`."""
        self._sums[rows] += gradients.sum((1, 2, 3), dtype=np.float64)
        self._with_output[rows] += np.einsum("nhwo,nhwo->n", gradients, sums, dtype=np.float64)

    def remove_from(self, gradients: NDArray[np.float32]) -> None:
        """As :meth:`MeanAndGainRows.remove_from`."""
        mean = self._total / self._outputs
        variance = max(self._squares / self._outputs - mean**2, float(np.finfo(np.float32).tiny))
        slopes = (self._with_output - self._sums * mean) / variance
        pairs = self._pairs / self._outputs
        products = self._products / self._outputs - mean * pairs
        removed = np.multiply.outer(self._sums, pairs) + np.multiply.outer(slopes, products)
        gradients -= removed.astype(np.float32)
