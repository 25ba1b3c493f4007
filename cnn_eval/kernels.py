"""Convolution through a product table on the CPU, by row accumulation.

For 8 input positions k and a block of 16 or 32 output channels o the products of all 256 activation codes are laid out as rows
``rows[k][code][o]`` (int32, at most 256 KiB: they stay in the second-level cache). Every output pixel then adds the 8 rows that its
activation codes pick, as vectors over o: one vector load and add does a row's worth of multiplications, with no gather. The table is read
once per (k, code, o) instead of once per multiplication, by transposing 16x16 tiles of it in registers.

The vector code is written as LLVM intermediate representation through numba's intrinsics: it is explicit (nothing depends on what the
optimizer finds), and LLVM fits the vectors to any processor. Pixels are shared among threads; the kernels release the interpreter lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["Geometry", "PackedWeights", "ProductColumns", "addresses", "convolve", "patches", "run_threads"]

_POSITIONS = 8
_LANES = 16
_TILE_PX = 4096
_CODES = 256
# The weight index of positions and channels that only fill up a block: its column of products is zero.
_NOTHING = _CODES - 1

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BYTES_I32 = 4


@dataclass(frozen=True)
class Geometry:
    """Shape of a convolution, per image axis as (vertical, horizontal); padding is the caller's."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Output (height, width) of a padded input of this size."""
        vertical, horizontal = (
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, dilation in zip((height, width), self.kernel, self.stride, self.dilation, strict=True)
        )
        return vertical, horizontal


@dataclass(frozen=True, eq=False)
class ProductColumns:
    """A layer's products, laid out for the kernel.

    Attributes:
        columns: int32, (256, 256), [weight index, activation index], aligned to 64 bytes; the last row is zero.
    """

    columns: NDArray[np.int32]

    @classmethod
    def of(cls, products: NDArray[np.int32]) -> ProductColumns:
        """From the products (A, W) of all values, A <= 256, W <= 255; indices count the values from the smallest."""
        activations, weights = products.shape
        if activations > _CODES or weights > _NOTHING:
            raise ValueError(f"products of shape {products.shape} exceed ({_CODES}, {_NOTHING})")
        columns = _aligned((_CODES, _CODES))
        columns[:] = 0
        columns[:weights, :activations] = products.T
        return cls(columns)


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
        block = _LANES if channels <= _LANES else 2 * _LANES
        blocks, octets = math.ceil(channels / block), math.ceil(positions / _POSITIONS)
        filled = np.full((groups, blocks * block, octets * _POSITIONS), _NOTHING, np.uint8)
        filled[:, :channels, :positions] = flat
        indices = filled.reshape(groups, blocks, block, octets, _POSITIONS).transpose(0, 1, 3, 4, 2)
        return cls(np.ascontiguousarray(indices), channels, positions, geometry)


def convolve(activations: NDArray[np.uint8], weights: PackedWeights, products: ProductColumns, *, threads: int = 1) -> NDArray[np.int32]:
    """Convolution whose every multiplication is looked up.

    Args:
        activations: activation indices, padded, (n, height, width, channels).

    Returns:
        Sums of products, (n, output height, output width, output channels). They wrap around beyond int32.
    """
    geometry = weights.geometry
    groups, blocks, _, _, block = weights.indices.shape
    count, height, width, _ = activations.shape
    out_height, out_width = geometry.output_size(height, width)
    sums = np.empty((count * out_height * out_width, groups * weights.channels), np.int32)
    if sums.size == 0:
        return sums.reshape(count, out_height, out_width, -1)
    used = (int(activations.min()) // _LANES * _LANES, int(activations.max()) + 1)
    codes, base, offsets = addresses(activations, weights)
    tiles = max(math.ceil(len(base) / _TILE_PX), math.ceil(threads / (groups * blocks)))
    bounds = [round(tile * len(base) / tiles) for tile in range(tiles + 1)]

    def work(item: int) -> None:
        pair, tile = divmod(item, tiles)
        group, index = divmod(pair, blocks)
        first = group * weights.channels + index * block
        last = min(first + block, (group + 1) * weights.channels)
        start, stop = bounds[tile], bounds[tile + 1]
        rows, total = _aligned((_POSITIONS, _CODES, block)), _aligned((stop - start, block))
        _accumulate(total, rows, products.columns, weights.indices[group, index], codes, base[start:stop], offsets[group], *used)
        sums[start:stop, first:last] = total[:, : last - first]

    run_threads(work, groups * blocks * tiles, threads)
    return sums.reshape(count, out_height, out_width, -1)


def run_threads(work: Callable[[int], None], items: int, threads: int) -> None:
    """Calls work(0) .. work(items - 1), on up to `threads` threads."""
    if threads == 1 or items == 1:
        for item in range(items):
            work(item)
        return
    with ThreadPoolExecutor(min(threads, items)) as pool:
        for _ in pool.map(work, range(items)):
            pass


def patches(activations: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """Sliding windows of the padded input: a view of shape (n, out height, out width, kernel height, kernel width, channels)."""
    (stride_y, stride_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
    extent = tuple(dilation * (kernel - 1) + 1 for kernel, dilation in zip(geometry.kernel, geometry.dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(activations, extent, axis=(1, 2))  # (n, y, x, channels, extent, extent)
    return windows[:, ::stride_y, ::stride_x, :, ::dilation_y, ::dilation_x].transpose(0, 1, 2, 4, 5, 3)


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
    if per_group % _POSITIONS == 0:
        y, x = np.arange(out_height) * stride_y, np.arange(out_width) * stride_x
        base = (np.arange(count)[:, None, None] * height + y[:, None]) * width + x
        window = np.arange(kernel_y)[:, None] * dilation_y * width + np.arange(kernel_x) * dilation_x
        first = np.arange(geometry.groups)[:, None, None, None] * per_group + np.arange(0, per_group, _POSITIONS)
        offsets = window[:, :, None] * channels + first
        return np.ascontiguousarray(activations).reshape(-1), base.reshape(-1) * channels, offsets.reshape(geometry.groups, octets)
    # Positions that fill up an octet get a code that occurs: its row is zero, others may not have been laid out.
    copied = np.full((pixels, geometry.groups, octets * _POSITIONS), activations.min(), np.uint8)
    windows = patches(activations, geometry).reshape(pixels, kernel_y, kernel_x, geometry.groups, per_group)
    for group in range(geometry.groups):
        copied[:, group, : weights.positions] = windows[:, :, :, group].reshape(pixels, -1)
    stride = geometry.groups * octets * _POSITIONS
    offsets = np.arange(geometry.groups * octets).reshape(geometry.groups, octets) * _POSITIONS
    return copied.reshape(-1), np.arange(pixels) * stride, offsets


def _aligned(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Uninitialized int32 array on a cache line."""
    size = math.prod(shape) * _BYTES_I32
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(np.int32).reshape(shape)


def _at(builder: ir.IRBuilder, address: Any, kind: ir.Type) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _byte(builder: ir.IRBuilder, address: Any, offset: int) -> Any:
    """The byte at address + offset, as a 64-bit integer."""
    return builder.zext(builder.load(_at(builder, builder.add(address, _I64(offset)), _I8)), _I64)


def _row_adder(block: int) -> Any:
    """Intrinsic (total, rows, codes): total[:] += sum over k < 8 of rows[k, codes[k], :]; arguments are addresses."""
    vector = ir.VectorType(_I32, block)
    row_bytes = block * _BYTES_I32

    @intrinsic
    def add_rows(_: Any, total: Any, rows: Any, codes: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            total, rows, codes = args
            target = _at(builder, total, vector)
            value = builder.load(target, align=64)
            for position in range(_POSITIONS):
                row = builder.mul(builder.add(_byte(builder, codes, position), _I64(position * _CODES)), _I64(row_bytes))
                value = builder.add(value, builder.load(_at(builder, builder.add(rows, row), vector), align=64))
            builder.store(value, target, align=64)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return add_rows


def _tile_transposer() -> Any:
    """Intrinsic (columns, weights, rows, row_bytes): rows[a, o] = columns[weights[o], a] for a, o < 16.

    Arguments are addresses; rows are `row_bytes` apart.
    """
    vector = ir.VectorType(_I32, _LANES)
    half = _LANES // 2

    def interleaving(first: int) -> Any:
        return ir.Constant(ir.VectorType(_I32, _LANES), [lane for i in range(first, first + half) for lane in (i, _LANES + i)])

    @intrinsic
    def transpose_tile(_: Any, columns: Any, weights: Any, rows: Any, row_bytes: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            columns, weights, rows, row_bytes = args
            tile = []
            for channel in range(_LANES):
                column = builder.mul(_byte(builder, weights, channel), _I64(_CODES * _BYTES_I32))
                tile.append(builder.load(_at(builder, builder.add(columns, column), vector), align=64))
            # Interleaving row i with row i + 8, log2(16) times, is a transposition (a perfect shuffle).
            low, high = interleaving(0), interleaving(half)
            for _ in range(_LANES.bit_length() - 1):
                pairs = list(zip(tile[:half], tile[half:], strict=True))
                tile = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in (low, high)]
            for code, row in enumerate(tile):
                builder.store(row, _at(builder, builder.add(rows, builder.mul(row_bytes, _I64(code))), vector), align=64)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp), generate

    return transpose_tile


_transpose_tile = _tile_transposer()
_add_rows_16 = _row_adder(16)
_add_rows_32 = _row_adder(32)


@njit(cache=True, nogil=True)
def _accumulate(
    total: NDArray[np.int32],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    weights: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    base: NDArray[np.int64],
    offsets: NDArray[np.int64],
    low: int,
    high: int,
) -> None:
    """total (pixels, block) = sums over all octets. `rows` is scratch; codes are in low .. high - 1, low a multiple of 16."""
    total[:] = 0
    block = total.shape[1]
    row_bytes = block * _BYTES_I32
    total_at, rows_at, columns_at = total.ctypes.data, rows.ctypes.data, columns.ctypes.data
    weights_at, codes_at = weights.ctypes.data, codes.ctypes.data
    for octet in range(len(offsets)):
        for position in range(_POSITIONS):
            channels_at = weights_at + (octet * _POSITIONS + position) * block
            for code in range(low, high, _LANES):
                row_at = rows_at + (position * _CODES + code) * row_bytes
                for channel in range(0, block, _LANES):
                    _transpose_tile(columns_at + code * _BYTES_I32, channels_at + channel, row_at + channel * _BYTES_I32, row_bytes)
        start = codes_at + offsets[octet]
        if block == 16:
            for pixel in range(len(base)):
                _add_rows_16(total_at + pixel * row_bytes, rows_at, start + base[pixel])
        else:
            for pixel in range(len(base)):
                _add_rows_32(total_at + pixel * row_bytes, rows_at, start + base[pixel])
