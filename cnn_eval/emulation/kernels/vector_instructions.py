"""The vector code of row accumulation, written as LLVM intermediate representation through numba's
intrinsics.

It is explicit (nothing depends on what an optimizer makes of a loop), and LLVM fits the vectors to
the processor it runs on: on AVX-512 with VNNI pairs of 16-bit rows are added up by `vpdpwssd`, on
AVX2 by `vpmaddwd`. Alignment makes it fast; it is not needed. See
:mod:`cnn_eval.emulation.kernels.row_accumulation` for the algorithm. The loops around it are here
too: numba keeps compiled code by the file of a function, and would not see a change of the
instructions in another file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = [
    "CACHE_LINE_BYTES",
    "CODES",
    "LANES",
    "OCTET",
    "POSITIONS",
    "Columns",
    "Scratch",
    "Weights",
    "Windows",
    "at",
    "convolve_items",
    "interleaved_channels",
    "lanes_of",
    "rows_bytes",
]

POSITIONS = 16
OCTET = 8
LANES = 16
CODES = 256

_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_BYTES_I16, _BYTES_I32, _BYTES_I64 = 2, 4, 8
_LANE_BYTES, CACHE_LINE_BYTES = 16, 64


def _position_bytes(row_bytes: int) -> int:
    """Distance of the rows of neighbouring positions: no power of two, or all rows of a code would
    compete for one set of the cache.
    """
    return CODES * row_bytes + CACHE_LINE_BYTES


def rows_bytes(block: int) -> int:
    """Size of the scratch that rows over `block` channels need."""
    return POSITIONS * _position_bytes(block * _BYTES_I32)


def at(builder: ir.IRBuilder, address: Any, kind: ir.Type) -> Any:
    """The address as a pointer."""
    return builder.inttoptr(address, kind.as_pointer())


def _byte(builder: ir.IRBuilder, address: Any, offset: int) -> Any:
    """The byte at address + offset, as a 64-bit integer."""
    return builder.zext(builder.load(at(builder, builder.add(address, _I64(offset)), _I8)), _I64)


def _shuffle(builder: ir.IRBuilder, first: Any, second: Any, lanes: Sequence[int]) -> Any:
    """The named lanes of two vectors, those of the second counted on."""
    return builder.shuffle_vector(
        first, second, ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes))
    )


def lanes_of(builder: ir.IRBuilder, vector: Any, lanes: Sequence[int]) -> Any:
    """The named lanes of a vector."""
    return _shuffle(builder, vector, ir.Constant(vector.type, ir.Undefined), lanes)


def _frozen(builder: ir.IRBuilder, value: Any) -> Any:
    """The value, in an instruction that LLVM does not move additions across: it would make one long
    chain of two short ones.
    """
    instruction = ir.instructions.Instruction(builder.block, value.type, "freeze", [value])
    builder.block.instructions.append(instruction)
    builder.position_at_end(builder.block)
    return instruction


def _picked_rows(
    builder: ir.IRBuilder, rows: Any, octets: Sequence[Any], element: ir.IntType, block: int
) -> Iterator[Any]:
    """The vectors rows[k, codes[k], :] for k < 16; the codes are the 8 bytes at each of two
    addresses.
    """
    vector, row_bytes = ir.VectorType(element, block), block * element.width // 8
    for position in range(POSITIONS):
        code = builder.mul(
            _byte(builder, octets[position // OCTET], position % OCTET), _I64(row_bytes)
        )
        row = builder.add(builder.add(rows, _I64(position * _position_bytes(row_bytes))), code)
        yield builder.load(at(builder, row, vector), align=1)


def _narrow_adder(block: int) -> Any:
    """Intrinsic (total, rows, octet, octet): total[:] += sum over k < 16 of rows[k, codes[k], :];
    `total` is int32, `rows` are int16.

    Arguments are addresses. Two rows are interleaved, and multiply-add instructions add neighbours
    up as int32. Interleaving stays within 128-bit lanes, which is one instruction: rows have their
    channels in the order of :func:`interleaved_channels`.
    """
    half = ir.VectorType(_I32, block // 2)
    lanes = [position for position in range(block) if position % 8 < 4]
    masks = [
        [lane for position in lanes for lane in (position + upper, position + upper + block)]
        for upper in (0, 4)
    ]

    @intrinsic
    def add_rows(_: Any, total: Any, rows: Any, first_octet: Any, second_octet: Any) -> Any:
        def generate(
            context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]
        ) -> Any:
            total, rows, *octets = args
            targets = [
                at(builder, builder.add(total, _I64(part * block // 2 * _BYTES_I32)), half)
                for part in (0, 1)
            ]
            sums = [builder.load(target, align=1) for target in targets]
            others = [
                ir.Constant(half, None)
            ] * 2  # in turn with `sums`: one addition need not wait for the last one
            picked = _picked_rows(builder, rows, octets, _I16, block)
            for first, second in zip(picked, picked, strict=True):
                for part, mask in enumerate(masks):
                    wide = builder.sext(
                        _shuffle(builder, first, second, mask), ir.VectorType(_I32, block)
                    )
                    even, odd = (lanes_of(builder, wide, range(lane, block, 2)) for lane in (0, 1))
                    sums[part] = builder.add(sums[part], builder.add(even, odd))
                sums, others = others, sums
            for target, value, other in zip(targets, sums, others, strict=True):
                builder.store(builder.add(value, _frozen(builder, other)), target, align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp), generate

    return add_rows


def interleaved_channels(block: int) -> NDArray[np.int64]:
    """Which channel stands at each place of a row, (block,), so that interleaving within 128-bit
    lanes leaves sums in order.
    """
    places = np.arange(block)
    lower = places % 8 < 4
    channels = np.empty(block, np.int64)
    channels[places[lower]], channels[places[~lower]] = places[: block // 2], places[block // 2 :]
    return channels


def _wide_adder(block: int) -> Any:
    """Intrinsic (total, rows, octet, octet): total[:] += sum over k < 16 of rows[k, codes[k], :],
    all int32; arguments are addresses.
    """

    @intrinsic
    def add_rows(_: Any, total: Any, rows: Any, first_octet: Any, second_octet: Any) -> Any:
        def generate(
            context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]
        ) -> Any:
            total, rows, *octets = args
            target = at(builder, total, ir.VectorType(_I32, block))
            value = builder.load(target, align=1)
            for row in _picked_rows(builder, rows, octets, _I32, block):
                value = builder.add(value, row)
            builder.store(value, target, align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp), generate

    return add_rows


def _row_writer(element: ir.IntType, block: int) -> Any:
    """Intrinsic (columns, skip, rows): rows[a, o] = columns[o][a] for a < 16, o < block.

    `columns` is the address of the columns' addresses, each of which is `skip` bytes before what is
    read.

    A transposition: what 128 bits of a column hold is spread over as many rows. It stays within
    128-bit lanes, each of which has its own channels. Vectors have 256 bits: Intel's processors
    shuffle them on two ports, those of 512 bits on one.
    """
    count, channels = 8 * _LANE_BYTES // element.width, 16 * _LANE_BYTES // element.width
    piece, vector = ir.VectorType(element, count), ir.VectorType(element, channels)
    low, high = (
        [
            lane + source
            for start in range(first, channels, count)
            for lane in range(start, start + count // 2)
            for source in (0, channels)
        ]
        for first in (0, count // 2)
    )

    @intrinsic
    def write_rows(_: Any, columns: Any, skip: Any, rows: Any) -> Any:
        def generate(
            context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]
        ) -> Any:
            columns, skip, rows = args
            for start in range(0, block, channels):
                tiles: list[list[Any]] = [[] for _ in range(0, LANES, count)]
                for first in range(start, start + count):
                    pair = [
                        builder.add(columns, _I64(channel * _BYTES_I64))
                        for channel in (first, first + count)
                    ]
                    skipped = [
                        builder.add(builder.load(at(builder, address, _I64)), skip)
                        for address in pair
                    ]
                    for index, tile in enumerate(tiles):
                        lanes = [
                            builder.add(address, _I64(index * _LANE_BYTES)) for address in skipped
                        ]
                        lower, upper = (
                            builder.load(at(builder, lane, piece), align=1) for lane in lanes
                        )
                        tile.append(_shuffle(builder, lower, upper, range(channels)))
                for index, tile in enumerate(tiles):
                    # Interleaving element i with element i + count / 2, log2(count) times, is a
                    # transposition (a perfect shuffle).
                    for _ in range(count.bit_length() - 1):
                        pairs = list(zip(tile[: count // 2], tile[count // 2 :], strict=True))
                        tile = [
                            _shuffle(builder, *pair, mask) for pair in pairs for mask in (low, high)
                        ]
                    for code, row in enumerate(tile, index * count):
                        place = (code * block + start) * element.width // 8
                        builder.store(
                            row, at(builder, builder.add(rows, _I64(place)), vector), align=1
                        )
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return write_rows


_write_narrow_16, _write_narrow_32 = _row_writer(_I16, 16), _row_writer(_I16, 32)
_write_wide_16, _write_wide_32 = _row_writer(_I32, 16), _row_writer(_I32, 32)
_add_narrow_16, _add_narrow_32 = _narrow_adder(16), _narrow_adder(32)
_add_wide_16, _add_wide_32 = _wide_adder(16), _wide_adder(32)


class Columns(NamedTuple):
    """A table's products by weight index, as :class:`ProductColumns` lays them out: int32 of all,
    int16 residuals of narrow ones.
    """

    products: NDArray[np.int32]
    residuals: NDArray[np.int16]


class Weights(NamedTuple):
    """A layer's weight indices, (groups, blocks, steps, 16, block), and the same with the channels
    of a block in the order of narrow rows.

    `narrow` (groups, blocks, steps) are the steps that take residuals, `constants` (groups, blocks,
    block) what that leaves to add.
    """

    indices: NDArray[np.uint8]
    interleaved: NDArray[np.uint8]
    narrow: NDArray[np.bool_]
    constants: NDArray[np.int32]


class Windows(NamedTuple):
    """Where the activation codes of output pixels lie; see :class:`CodeLayout`. `offsets`, `least`
    and `largest` begin with the groups.
    """

    codes: NDArray[np.uint8]
    base: NDArray[np.int64]
    offsets: NDArray[np.int64]
    least: NDArray[np.uint8]
    largest: NDArray[np.uint8]


class Scratch(NamedTuple):
    """Memory of one thread: sums (pixels of a tile, block), and rows of :func:`rows_bytes`."""

    total: NDArray[np.int32]
    rows: NDArray[np.uint8]


@njit(nogil=True)
def _accumulate(
    total: NDArray[np.int32],
    rows: NDArray[np.uint8],
    columns: Columns,
    weights: Weights,
    windows: Windows,
) -> None:
    """Adds the products of all steps of 16 positions to total (pixels, block); weights and windows
    are of one group and block.

    Codes of position k of a step are in least[step, k] .. largest[step, k]. Steps that are `narrow`
    take the residuals of `interleaved` weights, others the products of `indices`.
    """
    products, residuals = columns
    weight_indices, interleaved, narrow, _ = weights
    codes, base, offsets, least, largest = windows
    block = total.shape[1]
    rows_at, total_bytes = rows.ctypes.data, block * _BYTES_I32
    column_at = np.empty(block, np.int64)
    for step in range(len(offsets)):
        products_at = residuals.ctypes.data if narrow[step] else products.ctypes.data
        step_weights = interleaved[step] if narrow[step] else weight_indices[step]
        item_bytes = _BYTES_I16 if narrow[step] else _BYTES_I32
        row_bytes = block * item_bytes
        for position in range(POSITIONS):
            for channel in range(block):
                column_at[channel] = products_at + step_weights[position, channel] * (
                    CODES * item_bytes + CACHE_LINE_BYTES
                )
            columns_at = column_at.ctypes.data
            first_at = rows_at + position * (CODES * row_bytes + CACHE_LINE_BYTES)
            for code in range(
                least[step, position] // LANES * LANES, np.int64(largest[step, position]) + 1, LANES
            ):
                row_at = first_at + code * row_bytes
                if narrow[step]:
                    if block == 16:
                        _write_narrow_16(columns_at, code * item_bytes, row_at)
                    else:
                        _write_narrow_32(columns_at, code * item_bytes, row_at)
                elif block == 16:
                    _write_wide_16(columns_at, code * item_bytes, row_at)
                else:
                    _write_wide_32(columns_at, code * item_bytes, row_at)
        total_at = total.ctypes.data
        first_at, second_at = (
            codes.ctypes.data + offsets[step, 0],
            codes.ctypes.data + offsets[step, 1],
        )
        if narrow[step]:
            if block == 16:
                for pixel in range(len(base)):
                    _add_narrow_16(
                        total_at + pixel * total_bytes,
                        rows_at,
                        first_at + base[pixel],
                        second_at + base[pixel],
                    )
            else:
                for pixel in range(len(base)):
                    _add_narrow_32(
                        total_at + pixel * total_bytes,
                        rows_at,
                        first_at + base[pixel],
                        second_at + base[pixel],
                    )
        elif block == 16:
            for pixel in range(len(base)):
                _add_wide_16(
                    total_at + pixel * total_bytes,
                    rows_at,
                    first_at + base[pixel],
                    second_at + base[pixel],
                )
        else:
            for pixel in range(len(base)):
                _add_wide_32(
                    total_at + pixel * total_bytes,
                    rows_at,
                    first_at + base[pixel],
                    second_at + base[pixel],
                )


@njit(cache=True, nogil=True)
def convolve_items(
    sums: NDArray[np.int32],
    scratch: Scratch,
    columns: Columns,
    weights: Weights,
    windows: Windows,
    bounds: NDArray[np.int64],
    first_item: int,
    last_item: int,
) -> None:
    """Sums (pixels, channels) of the items first_item .. last_item - 1: (group, block of channels,
    tile of pixels), counted in this order.

    Tile t is the pixels bounds[t] .. bounds[t + 1] - 1.
    """
    groups, blocks, _, _, block = weights.indices.shape
    channels, tiles = sums.shape[1] // groups, len(bounds) - 1
    for item in range(first_item, last_item):
        pair, tile = divmod(item, tiles)
        group, index = divmod(pair, blocks)
        start, stop = bounds[tile], bounds[tile + 1]
        first, count = group * channels + index * block, min(block, channels - index * block)
        # In place only where no other block is beside it: two threads that write next to each other
        # wait for each other's cache lines.
        alone = groups == 1 and channels == block
        found = sums[start:stop] if alone else scratch.total[: stop - start]
        for pixel in range(stop - start):
            for channel in range(block):
                found[pixel, channel] = weights.constants[group, index, channel]
        of_block = Weights(
            weights.indices[group, index],
            weights.interleaved[group, index],
            weights.narrow[group, index],
            weights.constants[group, index],
        )
        of_tile = Windows(
            windows.codes,
            windows.base[start:stop],
            windows.offsets[group],
            windows.least[group],
            windows.largest[group],
        )
        _accumulate(found, scratch.rows, columns, of_block, of_tile)
        if not alone:
            for pixel in range(stop - start):
                for channel in range(count):
                    sums[start + pixel, first + channel] = found[pixel, channel]
