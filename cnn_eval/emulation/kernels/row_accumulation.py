"""Convolution through a product table on the CPU, by row accumulation.

For a step of 16 input positions k and a block of 16 or 32 output channels o, the products of all
activation codes that occur are laid out as rows ``rows[k][code][o]``. They stay in the second-level
cache. Every output pixel then adds the 16 rows that its activation codes pick, as vectors over o:
one vector load and add does a row's worth of multiplications, with no gather. The table is read
once per (k, code, o) instead of once per multiplication, by transposing tiles of it in registers.

How fast it runs is how fast the cache delivers rows, so that narrow ones count. Where the products
of each of a step's weights span no more than 16 bits, rows hold them as int16 (256 KiB), less the
middle of their span; elsewhere they hold them as int32. Both are exact.

Pixels and blocks are shared among threads; the kernels release the interpreter lock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...parallel import aligned, run_threads, scratch
from ...quantization.geometry import Geometry
from .code_windows import CodeLayout
from .vector_instructions import (
    CACHE_LINE_BYTES,
    CODES,
    LANES,
    POSITIONS,
    Columns,
    Scratch,
    Weights,
    Windows,
    convolve_items,
    interleaved_channels,
    rows_bytes,
)

__all__ = ["LookupWeights", "PackedWeights", "ProductColumns", "convolve"]

# Output pixels that share laid out rows.
_TILE_PX = 4096
# The weight index of positions and channels that only fill up a block: its column of products is
# zero.
_NOTHING = CODES - 1
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, eq=False)
class ProductColumns:
    """A table's products, laid out for the kernel: products = offsets + residuals, by weight.

    Arrays that vectors are read from are aligned to 64 bytes. The last weight index is that of
        nothing: all its values are zero.

    Attributes:
        products: int32, (256, 256 and a cache line), [weight index, activation index]: columns are
            no power of two apart.
        offsets: int32, (256,), the middle of a weight's products.
        residuals: int16, (256, 256 and a cache line), as `products`; of use where they are
            `narrow`.
        narrow: bool, (256,), whether a weight's residuals fit.
    """

    products: NDArray[np.int32]
    offsets: NDArray[np.int32]
    residuals: NDArray[np.int16]
    narrow: NDArray[np.bool_]

    @classmethod
    def of(cls, products: NDArray[np.int32]) -> ProductColumns:
        """From the products (A, W) of all values, A <= 256, W <= 255; indices count the values from
        the smallest.
        """
        activations, weights = products.shape
        if activations > CODES or weights > _NOTHING:
            raise ValueError(f"products of shape {products.shape} exceed ({CODES}, {_NOTHING})")
        columns, residuals = (
            aligned((CODES, CODES + CACHE_LINE_BYTES // np.dtype(kind).itemsize), kind)
            for kind in (np.int32, np.int16)
        )
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
    """A layer's weights in blocks of output channels and steps of 16 input positions.

    Input positions are ordered (kernel row, kernel column, channel of the group).

    Attributes:
        indices: uint8, (groups, blocks, steps, 16, block).
        channels: output channels of one group.
        positions: input positions of one group, before filling up to steps.
    """

    indices: NDArray[np.uint8]
    channels: int
    positions: int
    geometry: Geometry

    @classmethod
    def of(
        cls, weights: NDArray[np.uint8], geometry: Geometry, *, block: int | None = None
    ) -> PackedWeights:
        """From weight indices (out channels, in channels / groups, kernel height, kernel width).

        `block` is that of row accumulation by default, 16 or 32.
        """
        groups = geometry.groups
        flat = weights.transpose(0, 2, 3, 1).reshape(groups, weights.shape[0] // groups, -1)
        _, channels, positions = flat.shape
        block = block or (LANES if channels <= LANES else 2 * LANES)
        blocks, steps = math.ceil(channels / block), math.ceil(positions / POSITIONS)
        filled = np.full((groups, blocks * block, steps * POSITIONS), _NOTHING, np.uint8)
        filled[:, :channels, :positions] = flat
        indices = filled.reshape(groups, blocks, block, steps, POSITIONS).transpose(0, 1, 3, 4, 2)
        return cls(np.ascontiguousarray(indices), channels, positions, geometry)


@dataclass(frozen=True, eq=False)
class LookupWeights:
    """A layer's weights, with what a table makes of them.

    Attributes:
        interleaved: uint8, as the packed indices, with the channels of a block in the order of
            narrow rows.
        narrow: bool, (groups, blocks, steps): whether all products of the step's weights fit into
            16 bits.
        offsets: int32, (groups, blocks, block), over all narrow steps.
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
        offsets = (
            (columns.offsets[indices].astype(np.int64).sum(3) * narrow[..., None])
            .sum(2)
            .astype(np.int32)
        )
        interleaved = np.ascontiguousarray(indices[..., interleaved_channels(indices.shape[-1])])
        return cls(packed, columns, interleaved, narrow, offsets)


def convolve(
    values: NDArray[Any],
    weights: LookupWeights,
    *,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    low: int = 0,
    threads: int = 1,
) -> NDArray[np.int32]:
    """Convolution whose every multiplication is looked up.

    Args:
        values: activations, (n, height, width, channels), of which the table's indices count from
            `low`.
        padding: (left, right, top, bottom), of activations 0.

    Returns:
        Sums of products, (n, output height, output width, output channels). They wrap around beyond
        int32.
    """
    packed, columns = weights.packed, weights.columns
    groups, blocks, _, _, block = packed.indices.shape
    (count, height, width, _), (left, right, top, bottom) = values.shape, padding
    out_size = packed.geometry.output_size(top + height + bottom, left + width + right)
    sums: NDArray[np.int32] = aligned((count, *out_size, groups * packed.channels), np.int32)
    if sums.size == 0:
        return sums
    layout = CodeLayout.of(values, packed.geometry, padding=padding, low=low, threads=threads)
    pixels, tiles = len(layout.base), math.ceil(len(layout.base) / _TILE_PX)
    if groups * blocks * tiles < 4 * threads and groups * blocks * tiles % threads:
        tiles = (
            math.ceil(tiles / threads) * threads
        )  # no thread is to wait for the last item of another
    bounds = np.arange(tiles + 1) * pixels // tiles
    table = Columns(columns.products, columns.residuals)
    layer = Weights(packed.indices, weights.interleaved, weights.narrow, weights.offsets)
    windows = Windows(layout.codes, layout.base, layout.offsets, layout.least, layout.largest)
    # One thread does all items in one go, several one at a time each.
    items = groups * blocks * tiles
    size = items if threads == 1 else 1

    def work(part: int) -> None:
        total = scratch("total", (math.ceil(pixels / tiles), block), np.int32)
        rows = scratch("rows", (rows_bytes(block),), np.uint8)
        memory = Scratch(total, rows)
        convolve_items(
            sums.reshape(pixels, -1),
            memory,
            table,
            layer,
            windows,
            bounds,
            part * size,
            (part + 1) * size,
        )

    run_threads(work, items // size, threads)
    return sums
