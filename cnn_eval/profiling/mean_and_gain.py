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
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..emulation.kernels.counting import add_histograms, add_spread, channel_sums
from ..emulation.kernels.table_gradient import add_channel_gradients, add_folded, windows
from ..parallel import scratch
from ..quantization.coding import OperandCoding
from ..quantization.quantized_layer import ExactConvolution, QuantizedLayer
from .multiplied import Multiplied, weight_indices

__all__ = ["MeanAndGainOfProduct", "MeanAndGainRows"]

# Entries of the matrices of the channels that are made together, and output pixels of the images
# that are taken together.
_ENTRIES, _PIXELS = 1 << 23, 1 << 14
_INDICES = 256
_ALL = slice(None)


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
        indices = weight_indices(layer)
        self._weights = indices.reshape(len(indices), -1)
        self._codes: list[NDArray[np.uint8]] = []
        channels = len(indices)
        self._total, self._squares, self._outputs = np.zeros(channels), np.zeros(channels), 0
        self._sums, self._with_output = np.zeros((rows, channels)), np.zeros((rows, channels))

    def add(self, seen: Multiplied) -> None:
        """A batch of images."""
        sums = seen.by_pixel(seen.sums)
        by_pixel = sums.reshape(1, -1, sums.shape[-1])
        (total,), (squares,) = channel_sums(by_pixel, by_pixel)
        self._total += total
        self._squares += squares
        self._outputs += by_pixel.shape[1]
        self._codes.extend(seen.codes)

    def add_gradients(
        self, rows: slice, gradients: NDArray[np.float32], sums: NDArray[np.float32]
    ) -> None:
        """Gradients with respect to the sums, (n, height, width, o), that rows of the gradient are
        made of, and the sums.
        """
        shape = len(sums), -1, sums.shape[-1]
        total, products = channel_sums(gradients.reshape(shape), sums.reshape(shape))
        self._sums[rows] += total
        self._with_output[rows] += products

    def remove_from(self, gradients: NDArray[np.float32]) -> None:
        """Takes the layer's mean and gain out of gradients (rows, 2^width_a, 2^width_b), in
        place.
        """
        mean = self._total / self._outputs
        variance = np.maximum(self._squares / self._outputs - mean**2, 0)
        slopes = (self._with_output - self._sums * mean) / np.maximum(
            variance, 1e-3 * variance.mean() + 1e-9
        )
        of_pairs, of_products = (
            (-part / self._outputs).astype(np.float32) for part in (self._sums, slopes)
        )
        counts = self._counts()
        removed = np.zeros((_INDICES, len(gradients), _INDICES), np.float32)
        for channels in self._parts():
            weights = self._weights[channels]
            matrices = _no_matrices(channels)
            add_spread(matrices, counts[self._groups(channels)], weights)
            _add_products(removed, of_pairs[:, channels], matrices, weights)
            if not self._mean_only:
                matrices[:] = 0
                self._add_outputs(matrices, channels, mean)
                _add_products(removed, of_products[:, channels], matrices, weights)
        for row, total in enumerate(gradients):
            add_folded(total, removed[:, row].T, self._exact.coding)

    def _parts(self) -> Iterator[slice]:
        """Channels that are dealt with together: some of a group, or some groups."""
        channels, groups = len(self._weights), self._geometry.groups
        of_group = channels // groups
        at_once = max(1, _ENTRIES // _INDICES**2)
        step = min(at_once, of_group) if groups == 1 else of_group * max(1, at_once // of_group)
        for start in range(0, channels, step):
            yield slice(start, min(start + step, channels))

    def _groups(self, channels: slice) -> slice:
        """Those that channels are of."""
        of_group = len(self._weights) // self._geometry.groups
        return slice(channels.start // of_group, -(-channels.stop // of_group))

    def _batches(self, channels: slice = _ALL) -> Iterator[NDArray[np.uint8]]:
        """Padded activation indices of some input channels, some images at a time."""
        at_once = max(1, _PIXELS * len(self._codes) // self._outputs)
        for start in range(0, len(self._codes), at_once):
            yield np.stack([one[..., channels] for one in self._codes[start : start + at_once]])

    def _counts(self) -> NDArray[np.int32]:
        """How often each activation index is at each position, (groups, positions of a group,
        256): as H has them in the column of the weight there, times the number of outputs.
        """
        groups, positions = self._geometry.groups, self._weights.shape[1]
        found = np.zeros((groups * positions, _INDICES), np.int32)
        for codes in self._batches():
            add_histograms(found, windows(codes, self._geometry).reshape(len(found), -1))
        return found.reshape(groups, positions, _INDICES)

    def _add_outputs(
        self, matrices: NDArray[np.float32], channels: slice, mean: NDArray[np.float64]
    ) -> None:
        """Adds K of channels times the number of outputs to matrices [weight index, channel,
        activation index].
        """
        exact, geometry, groups = self._exact, self._geometry, self._groups(channels)
        inputs = self._codes[0].shape[-1] // geometry.groups
        part = replace(geometry, groups=groups.stop - groups.start)
        layer = ExactConvolution(exact.weight[channels], part, (0, 0, 0, 0), exact.coding)
        center = torch.from_numpy(mean[channels]).float()[:, None, None]
        for codes in self._batches(slice(groups.start * inputs, groups.stop * inputs)):
            values = torch.from_numpy(codes).permute(0, 3, 1, 2).float()
            with torch.no_grad():
                moved = layer(values + exact.coding.activation_range[0]).float() - center
            outputs = np.ascontiguousarray(moved.permute(0, 2, 3, 1).numpy())
            add_channel_gradients(matrices, codes, self._weights[channels], part, outputs)


def _no_matrices(channels: slice) -> NDArray[np.float32]:
    """Zeros, [weight index, channel, activation index], of this thread's own until the next."""
    shape = _INDICES, channels.stop - channels.start, _INDICES
    found: NDArray[np.float32] = scratch("channel_matrices", shape, np.float32)
    found[:] = 0
    return found


def _add_products(
    total: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    matrices: NDArray[np.float32],
    weights: NDArray[np.uint8],
) -> None:
    """Adds coefficients (rows, channels) times the channels' matrices to total, [weight index, row,
    activation index]; a matrix has nothing but zeros beside the weights of its channel, (channels,
    positions), of which many have few.
    """
    there = np.zeros(matrices.shape[:2], np.bool_)
    there[weights, np.arange(len(weights))[:, None]] = True
    for index, channels in enumerate(there):
        if channels.any():
            total[index] += coefficients[:, channels] @ matrices[index, channels]


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
