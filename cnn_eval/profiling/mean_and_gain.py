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

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..emulation.kernels.row_accumulation import PackedWeights
from ..emulation.kernels.table_gradient import add_channel_gradients
from ..quantization.geometry import patches
from ..quantization.quantized_layer import ExactConvolution, QuantizedLayer

__all__ = ["MeanAndGainRows"]


class MeanAndGainRows:
    """Running sums of one layer, and what they take from the rows of a gradient.

    Args:
        rows: of the gradient.
        mean_only: the correction of the layer leaves the gain alone, as that of the last layer
            does.
    """

    def __init__(self, layer: QuantizedLayer, rows: int, *, mean_only: bool) -> None:
        exact = layer.sums
        assert isinstance(exact, ExactConvolution)
        self._coding, self._geometry, self._mean_only = exact.coding, exact.geometry, mean_only
        index = (
            (exact.weight - exact.coding.weight_range[0]).long().flatten(1).numpy()
        )  # (o, positions of a group)
        channels, positions = index.shape
        self._weight_index = index
        self._shape = channels, len(exact.coding.activation_values), len(exact.coding.weight_values)
        self._products = np.zeros(self._shape, np.float32)
        self._seen = np.zeros((positions * exact.geometry.groups, self._shape[1]))
        self._total, self._squares, self._outputs = np.zeros(channels), np.zeros(channels), 0
        self._sums, self._with_output = np.zeros((rows, channels)), np.zeros((rows, channels))

    def add(
        self, codes: NDArray[np.uint8], weights: PackedWeights, sums: NDArray[np.float32]
    ) -> None:
        """A batch of padded activation indices (n, height, width, channels) and the layer's exact
        sums (n, height, width, o).
        """
        flat = sums.reshape(-1, sums.shape[-1]).astype(np.float64)
        self._total += flat.sum(0)
        self._squares += (flat**2).sum(0)
        self._outputs += len(flat)
        if not self._mean_only:
            add_channel_gradients(self._products, codes, weights, sums)
        values = self._shape[1]
        for image in codes:
            # (outputs, kernel positions, channels) -> positions in the order of the weights:
            # channels of all groups first
            windows = (
                patches(image[None], self._geometry)[0]
                .transpose(4, 2, 3, 0, 1)
                .reshape(len(self._seen), -1)
            )
            places = windows + np.arange(len(windows))[:, None] * values
            self._seen += np.bincount(places.ravel(), minlength=self._seen.size).reshape(
                self._seen.shape
            )

    def add_gradients(
        self, rows: slice, gradients: NDArray[np.float32], sums: NDArray[np.float32]
    ) -> None:
        """Gradients with respect to the sums, (n, height, width, o), that rows of the gradient are
        made of.
        """
        self._sums[rows] += gradients.sum((1, 2), dtype=np.float64)
        self._with_output[rows] += np.einsum("nhwo,nhwo->no", gradients, sums, dtype=np.float64)

    def remove_from(self, gradients: NDArray[np.float32]) -> None:
        """Takes the layer's mean and gain out of gradients (rows, 2^width_a, 2^width_b), in
        place.
        """
        mean = self._total / self._outputs
        variance = np.maximum(self._squares / self._outputs - mean**2, 0)
        pairs = self._mean_pairs()
        removed = self._sums @ pairs.reshape(len(pairs), -1)
        if not self._mean_only:
            products = self._products / self._outputs - mean[:, None, None] * pairs
            slopes = (self._with_output - self._sums * mean) / np.maximum(
                variance, 1e-3 * variance.mean() + 1e-9
            )
            removed += slopes @ products.reshape(len(products), -1)
        gradients -= self._coding.fold(removed.reshape(-1, *self._shape[1:])).astype(np.float32)

    def _mean_pairs(self) -> NDArray[np.float64]:
        """H of every channel, (o, A, W)."""
        channels, values, weights = self._shape
        positions, groups = self._weight_index.shape[1], self._geometry.groups
        group = np.arange(channels) * groups // channels
        column = group[:, None] * positions + np.arange(positions)
        row = np.arange(channels)[:, None] * weights + self._weight_index
        places = (np.ones(row.size), (row.ravel(), column.ravel()))
        chosen = sparse.csr_array(places, shape=(channels * weights, positions * groups))
        found: NDArray[np.float64] = (
            (chosen @ (self._seen / self._outputs))
            .reshape(channels, weights, values)
            .transpose(0, 2, 1)
        )
        return np.ascontiguousarray(found)
