"""Depthwise convolution through a product table on the CPU.

Row accumulation shares laid out rows among output channels, and here every output channel has an
input channel of its own. So products are looked up one by one, with all that a lookup reads in the
first-level cache: an output channel has a column of products for each input position, and takes
them over all pixels of a tile before the next channel takes its own. Four pixels go side by side,
so that no addition waits for another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...parallel import aligned, run_threads
from ...quantization.geometry import Geometry
from .code_windows import ChannelCodes
from .row_accumulation import ProductColumns
from .vector_instructions import LANES

__all__ = ["DepthwiseWeights", "convolve_depthwise"]

# Output pixels that a channel takes at a time: their sums over a block of channels stay in the
# second-level cache.
_TILE_PX = 2048


@dataclass(frozen=True, eq=False)
class DepthwiseWeights:
    """Weights of a layer with one input channel a group.

    Attributes:
        indices: uint8, (output channels, positions); positions are ordered (kernel row, kernel
            column).
    """

    indices: NDArray[np.uint8]
    columns: ProductColumns
    geometry: Geometry

    @classmethod
    def of(
        cls, weights: NDArray[np.uint8], columns: ProductColumns, geometry: Geometry
    ) -> DepthwiseWeights:
        """From weight indices (out channels, 1, kernel height, kernel width)."""
        return cls(np.ascontiguousarray(weights.reshape(len(weights), -1)), columns, geometry)


def convolve_depthwise(
    values: NDArray[Any],
    weights: DepthwiseWeights,
    *,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    low: int = 0,
    threads: int = 1,
) -> NDArray[np.int32]:
    """Convolution whose every multiplication is looked up; arguments and result are those of
    :func:`~cnn_eval.emulation.kernels.row_accumulation.convolve`.
    """
    geometry, channels = weights.geometry, len(weights.indices)
    (count, height, width, _), (left, right, top, bottom) = values.shape, padding
    out_size = geometry.output_size(top + height + bottom, left + width + right)
    sums: NDArray[np.int32] = aligned((count, *out_size, channels), np.int32)
    if sums.size == 0:
        return sums
    found = ChannelCodes.of(values, geometry, padding=padding, low=low)
    pixels, blocks = len(found.base), math.ceil(channels / LANES)
    tiles = math.ceil(pixels / _TILE_PX)
    # Unsigned addresses: numba looks whether others count from an array's end.
    base, starts, offsets = (
        addresses.astype(np.uint64)
        for addresses in (
            found.base,
            found.starts.repeat(channels // geometry.groups),
            found.offsets,
        )
    )

    def work(item: int) -> None:
        block, tile = divmod(item, tiles)
        _look_up(
            sums.reshape(pixels, -1),
            weights.columns.products,
            weights.indices,
            found.codes,
            base,
            starts,
            offsets,
            (tile * pixels // tiles, (tile + 1) * pixels // tiles),
            (block * LANES, min(channels, (block + 1) * LANES)),
        )

    run_threads(work, blocks * tiles, threads)
    return sums


@njit(cache=True, nogil=True)
def _look_up(
    sums: NDArray[np.int32],
    products: NDArray[np.int32],
    indices: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    base: NDArray[np.uint64],
    starts: NDArray[np.uint64],
    offsets: NDArray[np.uint64],
    pixels: tuple[int, int],
    channels: tuple[int, int],
) -> None:
    """sums[p, c] = sum over k of products[indices[c, k], codes[base[p] + starts[c] + offsets[k]]],
    for the pixels and the channels from the first up to the last.
    """
    stop = pixels[1]
    fours = pixels[0] + (stop - pixels[0]) // 4 * 4
    for channel in range(channels[0], channels[1]):
        of_channel, start = indices[channel], starts[channel]
        for pixel in range(pixels[0], fours, 4):
            first, second = base[pixel] + start, base[pixel + 1] + start
            third, fourth = base[pixel + 2] + start, base[pixel + 3] + start
            sum_1 = sum_2 = sum_3 = sum_4 = np.int32(0)
            for position in range(len(offsets)):
                column, offset = products[of_channel[position]], offsets[position]
                sum_1 += column[codes[first + offset]]
                sum_2 += column[codes[second + offset]]
                sum_3 += column[codes[third + offset]]
                sum_4 += column[codes[fourth + offset]]
            sums[pixel, channel], sums[pixel + 1, channel] = sum_1, sum_2
            sums[pixel + 2, channel], sums[pixel + 3, channel] = sum_3, sum_4
        for pixel in range(fours, stop):
            total = np.int32(0)
            for position in range(len(offsets)):
                code = codes[base[pixel] + start + offsets[position]]
                total += products[of_channel[position], code]
            sums[pixel, channel] = total
