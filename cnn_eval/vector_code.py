"""The vector code of row accumulation, written as LLVM intermediate representation through numba's intrinsics.

It is explicit (nothing depends on what an optimizer makes of a loop), and LLVM fits the vectors to the processor it runs on: on AVX-512
with VNNI pairs of 16-bit rows are added up by `vpdpwssd`, on AVX2 by `vpmaddwd`. Alignment makes it fast; it is not needed. See
:mod:`cnn_eval.kernels` for the algorithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["CODES", "LANES", "POSITIONS", "accumulate", "copy_windows", "interleaved_channels"]

POSITIONS = 8
LANES = 16
CODES = 256

_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_BYTES_I16, _BYTES_I32 = 2, 4


def _at(builder: ir.IRBuilder, address: Any, kind: ir.Type) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _byte(builder: ir.IRBuilder, address: Any, offset: int) -> Any:
    """The byte at address + offset, as a 64-bit integer."""
    return builder.zext(builder.load(_at(builder, builder.add(address, _I64(offset)), _I8)), _I64)


def _lanes(builder: ir.IRBuilder, vector: Any, lanes: Sequence[int]) -> Any:
    """The named lanes of a vector."""
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes)))


def _picked_rows(builder: ir.IRBuilder, rows: Any, codes: Any, element: ir.IntType, block: int) -> list[Any]:
    """The vectors rows[k, codes[k], :] for k < 8."""
    vector, row_bytes = ir.VectorType(element, block), block * element.width // 8
    picked = []
    for position in range(POSITIONS):
        row = builder.mul(builder.add(_byte(builder, codes, position), _I64(position * CODES)), _I64(row_bytes))
        picked.append(builder.load(_at(builder, builder.add(rows, row), vector), align=1))
    return picked


def _narrow_adder(block: int) -> Any:
    """Intrinsic (total, rows, codes): total[:] += sum over k < 8 of rows[k, codes[k], :]; `total` is int32, `rows` are int16.

    Arguments are addresses. Two rows are interleaved, and multiply-add instructions add neighbours up as int32. Interleaving stays within
    128-bit lanes, which is one instruction: rows have their channels in the order of :func:`interleaved_channels`.
    """
    half = ir.VectorType(_I32, block // 2)
    lanes = [position for position in range(block) if position % 8 < 4]
    masks = [[lane for position in lanes for lane in (position + upper, position + upper + block)] for upper in (0, 4)]

    @intrinsic
    def add_rows(_: Any, total: Any, rows: Any, codes: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            total, rows, codes = args
            targets = [_at(builder, builder.add(total, _I64(part * block // 2 * _BYTES_I32)), half) for part in (0, 1)]
            sums = [builder.load(target, align=1) for target in targets]
            picked = _picked_rows(builder, rows, codes, _I16, block)
            for first, second in zip(picked[::2], picked[1::2], strict=True):
                for part, mask in enumerate(masks):
                    pairs = builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_I32, block), mask))
                    wide = builder.sext(pairs, ir.VectorType(_I32, block))
                    even, odd = (_lanes(builder, wide, range(lane, block, 2)) for lane in (0, 1))
                    sums[part] = builder.add(sums[part], builder.add(even, odd))
            for target, value in zip(targets, sums, strict=True):
                builder.store(value, target, align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return add_rows


def interleaved_channels(block: int) -> NDArray[np.int64]:
    """Which channel stands at each place of a row, (block,), so that interleaving within 128-bit lanes leaves sums in order."""
    places = np.arange(block)
    lower = places % 8 < 4
    channels = np.empty(block, np.int64)
    channels[places[lower]], channels[places[~lower]] = places[: block // 2], places[block // 2 :]
    return channels


def _wide_adder(block: int) -> Any:
    """Intrinsic (total, rows, codes): total[:] += sum over k < 8 of rows[k, codes[k], :], all int32; arguments are addresses."""

    @intrinsic
    def add_rows(_: Any, total: Any, rows: Any, codes: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            total, rows, codes = args
            target = _at(builder, total, ir.VectorType(_I32, block))
            value = builder.load(target, align=1)
            for row in _picked_rows(builder, rows, codes, _I32, block):
                value = builder.add(value, row)
            builder.store(value, target, align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return add_rows


def _word_copier() -> Any:
    """Intrinsic (target, source): copies 8 bytes; arguments are addresses."""

    @intrinsic
    def copy_word(_: Any, target: Any, source: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            target, source = args
            builder.store(builder.load(_at(builder, source, _I64), align=1), _at(builder, target, _I64), align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp), generate

    return copy_word


def _tile_transposer(element: ir.IntType) -> Any:
    """Intrinsic (columns, weights, rows, row_bytes): rows[a, o] = columns[weights[o], a] for a, o < 16.

    Arguments are addresses; rows are `row_bytes` apart.
    """
    vector = ir.VectorType(element, LANES)
    half = LANES // 2

    def interleaving(first: int) -> Any:
        return ir.Constant(ir.VectorType(_I32, LANES), [lane for i in range(first, first + half) for lane in (i, LANES + i)])

    @intrinsic
    def transpose_tile(_: Any, columns: Any, weights: Any, rows: Any, row_bytes: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            columns, weights, rows, row_bytes = args
            tile = []
            for channel in range(LANES):
                column = builder.mul(_byte(builder, weights, channel), _I64(CODES * element.width // 8))
                tile.append(builder.load(_at(builder, builder.add(columns, column), vector), align=1))
            # Interleaving row i with row i + 8, log2(16) times, is a transposition (a perfect shuffle).
            low, high = interleaving(0), interleaving(half)
            for _ in range(LANES.bit_length() - 1):
                pairs = list(zip(tile[:half], tile[half:], strict=True))
                tile = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in (low, high)]
            for code, row in enumerate(tile):
                builder.store(row, _at(builder, builder.add(rows, builder.mul(row_bytes, _I64(code))), vector), align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp), generate

    return transpose_tile


_copy_word = _word_copier()
_transpose_i16, _transpose_i32 = _tile_transposer(_I16), _tile_transposer(_I32)
_add_narrow_16, _add_narrow_32 = _narrow_adder(16), _narrow_adder(32)
_add_wide_16, _add_wide_32 = _wide_adder(16), _wide_adder(32)


@njit(cache=True, nogil=True)
def accumulate(
    total: NDArray[np.int32],
    rows: NDArray[np.int32],
    products: NDArray[np.int32],
    residuals: NDArray[np.int16],
    weights: NDArray[np.uint8],
    interleaved: NDArray[np.uint8],
    narrow: NDArray[np.bool_],
    codes: NDArray[np.uint8],
    base: NDArray[np.int64],
    offsets: NDArray[np.int64],
    low: int,
    high: int,
) -> None:
    """Adds the products of all octets of positions to total (pixels, block).

    `rows` is scratch for (8, 256, block); codes are in low .. high - 1, low a multiple of 16. Octets that are `narrow` take the residuals
    of `interleaved` weights, others the products of `weights`; both are (octets, 8, block).
    """
    block = total.shape[1]
    total_at, rows_at, codes_at = total.ctypes.data, rows.ctypes.data, codes.ctypes.data
    total_bytes = block * _BYTES_I32
    for octet in range(len(offsets)):
        columns_at = residuals.ctypes.data if narrow[octet] else products.ctypes.data
        weights_at = interleaved.ctypes.data if narrow[octet] else weights.ctypes.data
        item_bytes = _BYTES_I16 if narrow[octet] else _BYTES_I32
        row_bytes = block * item_bytes
        for position in range(POSITIONS):
            channels_at = weights_at + (octet * POSITIONS + position) * block
            for code in range(low, high, LANES):
                row_at = rows_at + (position * CODES + code) * row_bytes
                for channel in range(0, block, LANES):
                    arguments = columns_at + code * item_bytes, channels_at + channel, row_at + channel * item_bytes, row_bytes
                    if narrow[octet]:
                        _transpose_i16(*arguments)
                    else:
                        _transpose_i32(*arguments)
        start = codes_at + offsets[octet]
        if narrow[octet]:
            if block == 16:
                for pixel in range(len(base)):
                    _add_narrow_16(total_at + pixel * total_bytes, rows_at, start + base[pixel])
            else:
                for pixel in range(len(base)):
                    _add_narrow_32(total_at + pixel * total_bytes, rows_at, start + base[pixel])
        elif block == 16:
            for pixel in range(len(base)):
                _add_wide_16(total_at + pixel * total_bytes, rows_at, start + base[pixel])
        else:
            for pixel in range(len(base)):
                _add_wide_32(total_at + pixel * total_bytes, rows_at, start + base[pixel])


@njit(cache=True, nogil=True)
def copy_windows(
    copied: NDArray[np.uint8],
    source: NDArray[np.uint8],
    size: tuple[int, int, int],
    out_size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    filling: NDArray[np.uint8],
) -> None:
    """copied[pixel, group, (row, column, channel)] = the window of each output pixel, then `filling` (8 bytes) to the end of the octet.

    `source` holds images of `size` (height, width, channels). Bytes are copied eight at a time, in order, so that what a word writes too
    much is written over by the next one; `source` and `copied` (pixels, groups, positions filled up to octets) have 8 bytes to spare.
    """
    height, width, channels = size
    pixels, groups, positions = copied.shape
    source_at, filling_at = source.ctypes.data, filling.ctypes.data
    # What lies side by side in both is one run: a channel group's bytes, or a whole row of the window.
    columns, run = kernel[1], channels // groups
    if groups == 1 and dilation[1] == 1:
        columns, run = 1, kernel[1] * channels
    for pixel in range(pixels):
        image, place = divmod(pixel, out_size[0] * out_size[1])
        y, x = divmod(place, out_size[1])
        corner = source_at + ((image * height + y * stride[0]) * width + x * stride[1]) * channels
        for group in range(groups):
            at = copied.ctypes.data + (pixel * groups + group) * positions
            for row in range(kernel[0]):
                for column in range(columns):
                    start = corner + (row * dilation[0] * width + column * dilation[1]) * channels + group * run
                    for byte in range(0, run, 8):
                        _copy_word(at + byte, start + byte)
                    at += run
            _copy_word(at, filling_at)
