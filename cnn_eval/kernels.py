"""Convolution through a product table on the CPU, by row accumulation.

For 8 input positions k and a block of 16 or 32 output channels o the products of all 256 activation codes are laid out as rows
``rows[k][code][o]``. They stay in the second-level cache. Every output pixel then adds the 8 rows that its activation codes pick, as
vectors over o: one vector load and add does a row's worth of multiplications, with no gather. The table is read once per (k, code, o)
instead of once per multiplication, by transposing 16x16 tiles of it in registers.

How fast it runs is how fast the cache delivers rows, so that narrow ones count. Where the products of each of an octet's weights span
no more than 16 bits, rows hold them as int16 (128 KiB), less the middle of their span; elsewhere they hold them as int32. Both are exact.

Pixels and blocks are shared among threads; the kernels release the interpreter lock.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .geometry import Geometry
from .vector_code import CODES, LANES, POSITIONS, accumulate, copy_windows, interleaved_channels

__all__ = ["LookupWeights", "PackedWeights", "ProductColumns", "addresses", "convolve", "run_threads"]

_TILE_PX = 4096
# The weight index of positions and channels that only fill up a block: its column of products is zero.
_NOTHING = CODES - 1
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, eq=False)
class ProductColumns:
    """A table's products, laid out for the kernel: products = offsets + residuals, by weight.

    Arrays that vectors are read from are aligned to 64 bytes. The last weight index is that of nothing: all its values are zero.

    Attributes:
        products: int32, (256, 256), [weight index, activation index].
        offsets: int32, (256,), the middle of a weight's products.
        residuals: int16, (256, 256), as `products`; of use where they are `narrow`.
        narrow: bool, (256,), whether a weight's residuals fit.
    """

    products: NDArray[np.int32]
    offsets: NDArray[np.int32]
    residuals: NDArray[np.int16]
    narrow: NDArray[np.bool_]

    @classmethod
    def of(cls, products: NDArray[np.int32]) -> ProductColumns:
        """From the products (A, W) of all values, A <= 256, W <= 255; indices count the values from the smallest."""
        activations, weights = products.shape
        if activations > CODES or weights > _NOTHING:
            raise ValueError(f"products of shape {products.shape} exceed ({CODES}, {_NOTHING})")
        columns, residuals = _aligned((CODES, CODES), np.int32), _aligned((CODES, CODES), np.int16)
        columns[:], residuals[:] = 0, 0
        columns[:weights, :activations] = products.T
        offsets, narrow = np.zeros(CODES, np.int32), np.ones(CODES, np.bool_)
        least, most = products.min(0).astype(np.int64), products.max(0).astype(np.int64)
        offsets[:weights] = (least + most + 1) // 2
        narrow[:weights] = most - least <= _INT16.max - _INT16.min
        residuals[:weights, :activations] = (products.T - offsets[:weights, None]).astype(np.int16)
        return cls(columns, offsets, residuals, narrow)


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """A layer's weights in blocks of output channels and octets of input positions.

    Input positions are ordered (kernel row, kernel column, channel of the group).

    Attributes:
        indices: uint8, (groups, blocks, octets, 8, block).
        channels: output channels of one group.
        positions: input positions of one group, before filling up to octets.
    """

    indices: NDArray[np.uint8]
    channels: int
    positions: int
    geometry: Geometry

    @classmethod
    def of(cls, weights: NDArray[np.uint8], geometry: Geometry) -> PackedWeights:
        """From weight indices (out channels, in channels / groups, kernel height, kernel width)."""
        groups = geometry.groups
        flat = weights.transpose(0, 2, 3, 1).reshape(groups, weights.shape[0] // groups, -1)
        _, channels, positions = flat.shape
        block = LANES if channels <= LANES else 2 * LANES
        blocks, octets = math.ceil(channels / block), math.ceil(positions / POSITIONS)
        filled = np.full((groups, blocks * block, octets * POSITIONS), _NOTHING, np.uint8)
        filled[:, :channels, :positions] = flat
        indices = filled.reshape(groups, blocks, block, octets, POSITIONS).transpose(0, 1, 3, 4, 2)
        return cls(np.ascontiguousarray(indices), channels, positions, geometry)


@dataclass(frozen=True, eq=False)
class LookupWeights:
    """A layer's weights, with what a table makes of them.

    Attributes:
        interleaved: uint8, as the packed indices, with the channels of a block in the order of narrow rows.
        narrow: bool, (groups, blocks, octets): whether all products of the octet's weights fit into 16 bits.
        offsets: int32, (groups, blocks, block), over all narrow octets.
    """

    packed: PackedWeights
    columns: ProductColumns
    interleaved: NDArray[np.uint8]
    narrow: NDArray[np.bool_]
    offsets: NDArray[np.int32]

    @classmethod
    def of(cls, packed: PackedWeights, columns: ProductColumns) -> LookupWeights:
        indices = packed.indices
        narrow: NDArray[np.bool_] = np.all(columns.narrow[indices], axis=(3, 4))
        offsets = (columns.offsets[indices].astype(np.int64).sum(3) * narrow[..., None]).sum(2).astype(np.int32)
        interleaved = np.ascontiguousarray(indices[..., interleaved_channels(indices.shape[-1])])
        return cls(packed, columns, interleaved, narrow, offsets)


def convolve(activations: NDArray[np.uint8], weights: LookupWeights, *, threads: int = 1) -> NDArray[np.int32]:
    """Convolution whose every multiplication is looked up.

    Args:
        activations: activation indices, padded, (n, height, width, channels).

    Returns:
        Sums of products, (n, output height, output width, output channels). They wrap around beyond int32.
    """
    packed, columns = weights.packed, weights.columns
    groups, blocks, _, _, block = packed.indices.shape
    count, height, width, _ = activations.shape
    out_height, out_width = packed.geometry.output_size(height, width)
    sums: NDArray[np.int32] = _aligned((count * out_height * out_width, groups * packed.channels), np.int32)
    if sums.size == 0:
        return sums.reshape(count, out_height, out_width, -1)
    used = (int(activations.min()) // LANES * LANES, int(activations.max()) + 1)
    codes, base, offsets = addresses(activations, packed)
    alone = sums.shape[1] == block
    tiles = math.ceil(len(base) / _TILE_PX)
    if groups * blocks * tiles < 4 * threads and groups * blocks * tiles % threads:
        tiles = math.ceil(tiles / threads) * threads  # no thread is to wait for the last item of another
    bounds = [round(tile * len(base) / tiles) for tile in range(tiles + 1)]

    def work(item: int) -> None:
        pair, tile = divmod(item, tiles)
        group, index = divmod(pair, blocks)
        part = group, index
        first = group * packed.channels + index * block
        last = min(first + block, (group + 1) * packed.channels)
        start, stop = bounds[tile], bounds[tile + 1]
        rows = _aligned((POSITIONS, CODES, block), np.int32)
        total = sums[start:stop] if alone else _aligned((stop - start, block), np.int32)
        total[:] = weights.offsets[part]
        layer = packed.indices[part], weights.interleaved[part], weights.narrow[part]
        accumulate(total, rows, columns.products, columns.residuals, *layer, codes, base[start:stop], offsets[group], *used)
        if not alone:
            sums[start:stop, first:last] = total[:, : last - first]

    run_threads(work, groups * blocks * tiles, threads)
    return sums.reshape(count, out_height, out_width, -1)


def run_threads(work: Callable[[int], None], items: int, threads: int) -> None:
    """Calls work(0) .. work(items - 1), on up to `threads` threads, of which the caller's is one."""
    todo = iter(range(items))  # shared: each number goes to one thread

    def take() -> None:
        for item in todo:
            work(item)

    helpers = min(threads, items) - 1
    others = [_helpers(helpers, os.getpid()).submit(take) for _ in range(helpers)]
    take()
    for other in others:
        other.result()


@functools.cache
def _helpers(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that stay, since starting some takes as long as a small layer; a forked process needs its own."""
    return ThreadPoolExecutor(threads)


def addresses(activations: NDArray[np.uint8], weights: PackedWeights) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Where the kernel finds activation codes: those of octet j of pixel p are the 8 bytes at codes[base[p] + offsets[group, j]].

    Octets of channels are read from the images where they lie; other layers have their windows copied out.
    """
    geometry = weights.geometry
    count, height, width, channels = activations.shape
    (kernel_y, kernel_x), (stride_y, stride_x), (dilation_y, dilation_x) = geometry.kernel, geometry.stride, geometry.dilation
    out_height, out_width = geometry.output_size(height, width)
    pixels, octets = count * out_height * out_width, weights.indices.shape[2]
    per_group = channels // geometry.groups
    activations = np.ascontiguousarray(activations)
    if per_group % POSITIONS == 0:
        y, x = np.arange(out_height) * stride_y, np.arange(out_width) * stride_x
        base = (np.arange(count)[:, None, None] * height + y[:, None]) * width + x
        window = np.arange(kernel_y)[:, None] * dilation_y * width + np.arange(kernel_x) * dilation_x
        first = np.arange(geometry.groups)[:, None, None, None] * per_group + np.arange(0, per_group, POSITIONS)
        offsets = window[:, :, None] * channels + first
        return activations.reshape(-1), base.reshape(-1) * channels, offsets.reshape(geometry.groups, octets)
    copied, source = np.empty(pixels * geometry.groups * octets * POSITIONS + 8, np.uint8), np.empty(activations.size + 8, np.uint8)
    source[: activations.size] = activations.reshape(-1)
    # Positions that fill up an octet get a code that occurs: its row is zero, others may not have been laid out.
    filling = np.full(8, activations.min())
    windows = copied[:-8].reshape(pixels, geometry.groups, -1)
    size, out_size = (height, width, channels), (out_height, out_width)
    copy_windows(windows, source, size, out_size, geometry.kernel, geometry.stride, geometry.dilation, filling)
    stride = geometry.groups * octets * POSITIONS
    offsets = np.arange(geometry.groups * octets).reshape(geometry.groups, octets) * POSITIONS
    return copied, np.arange(pixels) * stride, offsets


def _aligned(shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
    """Uninitialized array on a cache line."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(kind).reshape(shape)
