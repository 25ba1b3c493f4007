"""Derivatives with respect to the product table: which operand pairs an output depends on, and how
much.

A network's output y depends on the table through every product it looks up. With dy/dsum of every
sum of products of a layer given, ``dy/dtable[a, b]`` is the total of dy/dsum over all places where
the pair (a, b) is multiplied: the adjoint of row accumulation (`row_accumulation.py`). An input
position pairs the activations of all pixels with the weights of all channels. Along one of the two
sides, gradients are added as vectors over the other one into the row of the code; only the rows
that occur are then scattered by the codes of the other side. Either side may come first: that which
leaves less to scatter does. Where a vector would be all but empty, as in a depthwise layer,
products are taken one by one. The total is over pairs of values at first: codes and signs come in
once an image, not once a multiplication.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...parallel import run_threads, scratch
from ...quantization.coding import OperandCoding
from ...quantization.geometry import Geometry
from .code_windows import window_addresses
from .vector_instructions import CODES

__all__ = [
    "add_channel_gradients",
    "add_folded",
    "add_table_gradients",
    "windows",
]

# Gradients that are added as a vector, and less that are not worth one.
_BLOCK, _FEWEST = 32, 8
# Vectors that are added before rows are scattered: they stay in the second-level cache.
_TILE = 2048
# Positions that tell which side comes first.
_SAMPLED = 16
# Rows that are scattered side by side, so that no addition waits for another one.
_ABREAST = 4


def add_table_gradients(
    total: NDArray[np.float32],
    activations: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    geometry: Geometry,
    gradients: NDArray[np.float32],
    coding: OperandCoding,
    *,
    threads: int = 1,
) -> None:
    """Adds one layer's share of d output / d table, image by image.

    Args:
        total: (n, 2^width_a, 2^width_b), [image, activation code, weight code]; added to in place.
        activations: activation indices, padded, (n, height, width, channels).
        weights: weight indices, (1 or n, output channels, positions of a group); positions are
            ordered (channel of the group, kernel row, kernel column).
        gradients: d output / d sum of products, (n, output height, output width, output channels).
    """

    def work(image: int) -> None:
        one = slice(image, image + 1)
        _add_image(
            total[image],
            activations[one],
            weights[image % len(weights)],
            geometry,
            gradients[image].reshape(-1, gradients.shape[-1]),
            coding,
        )

    run_threads(work, len(activations), threads)


def _add_image(
    total: NDArray[np.float32],
    activations: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    geometry: Geometry,
    gradients: NDArray[np.float32],
    coding: OperandCoding,
) -> None:
    """Gradients (pixels, output channels) -> total (2^width_a, 2^width_b)."""
    pixels, channels = len(gradients), len(weights) // geometry.groups
    # One row more takes what rows that fill up would add.
    by_value = scratch("by_value", (CODES + 1, CODES), np.float32)
    by_value[:] = 0
    if min(pixels, channels) < _FEWEST:
        _add_singly(by_value[:CODES, None], activations, weights, geometry, gradients)
        add_folded(total, by_value[:CODES].T, coding)
        return
    x = windows(activations, geometry)
    w = np.ascontiguousarray(weights.reshape(geometry.groups, channels, -1).transpose(0, 2, 1))
    by_group = gradients.reshape(pixels, geometry.groups, channels)
    weights_first = _codes_at_a_position(w) * pixels < _codes_at_a_position(x) * channels
    for group in range(geometry.groups):
        of_group = by_group[:, group]
        if weights_first:
            _scatter(by_value, _in_blocks(of_group.T), w[group], _filled(x[group]))
        else:
            _scatter(by_value, _in_blocks(of_group), x[group], _filled(w[group]))
    add_folded(total, by_value[:CODES].T if weights_first else by_value[:CODES], coding)


def _codes_at_a_position(codes: NDArray[np.uint8]) -> float:
    """How many codes occur at a position, in the mean over some of them; codes are (groups,
    positions, n).
    """
    by_position = codes.reshape(-1, codes.shape[-1])
    some = by_position[:: -(-len(by_position) // _SAMPLED)]
    found, occurs = np.zeros(CODES, np.uint64), np.zeros(CODES, np.bool_)
    return sum(_occurring(found, occurs, row) for row in some) / len(some)


def add_folded(
    total: NDArray[np.float32], by_value: NDArray[np.float32], coding: OperandCoding
) -> None:
    """Adds what is over pairs of values, (256, 256) or less [activation index, weight index], to
    what is over pairs of codes, (2^width_a, 2^width_b): as
    :meth:`~cnn_eval.quantization.coding.OperandCoding.fold`.
    """
    (a, a_sign), (b, b_sign) = _operands(coding)
    if by_value.flags.c_contiguous:
        _fold(total, by_value, (a, b), (a_sign, b_sign))
    else:
        _fold(total.T, np.ascontiguousarray(by_value.T), (b, a), (b_sign, a_sign))


@lru_cache(maxsize=16)
def _operands(coding: OperandCoding) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Code and sign of every activation index, and of every weight index."""
    sides = coding.activation_codes(), coding.weight_codes()
    return [(codes, signs.astype(np.float32)) for codes, signs in sides]


def add_channel_gradients(
    total: NDArray[np.float32],
    activations: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    geometry: Geometry,
    gradients: NDArray[np.float32],
) -> None:
    """The same, over all images together, with a matrix for every output channel.

    Args:
        total: (256, output channels, 256), [weight index, channel, activation index]; added to in
            place.
        weights: (output channels, positions of a group).
    """
    channels = len(weights) // geometry.groups
    gradients = gradients.reshape(-1, gradients.shape[-1])
    if channels < _FEWEST:
        _add_singly(total, activations, weights, geometry, gradients)
        return
    codes = windows(activations, geometry)
    for group, part in enumerate(weights.reshape(geometry.groups, channels, -1)):
        there = slice(group * channels, (group + 1) * channels)
        _scatter_channels(
            total[:, there],
            _in_blocks(gradients[:, there]),
            codes[group],
            np.ascontiguousarray(part.T),
        )


def _planes(activations: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, height, width, channels) -> (channels, n, height, width)."""
    return np.ascontiguousarray(activations.transpose(3, 0, 1, 2))


def windows(activations: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """The code of every position and output pixel, (groups, positions of a group, pixels of all
    images); positions are ordered (channel of the group, kernel row, kernel column).
    """
    planes = _planes(activations)
    height, width = geometry.output_size(*planes.shape[2:])
    if geometry.kernel == geometry.stride == (1, 1):
        return planes.reshape(geometry.groups, -1, planes[0].size)
    (kernel_y, kernel_x), (stride_y, stride_x) = geometry.kernel, geometry.stride
    found = np.empty((len(planes), kernel_y, kernel_x, planes.shape[1], height, width), np.uint8)
    for row in range(kernel_y):
        for column in range(kernel_x):
            y, x = row * geometry.dilation[0], column * geometry.dilation[1]
            found[:, row, column] = planes[:, :, y::stride_y, x::stride_x][..., :height, :width]
    return found.reshape(geometry.groups, -1, planes.shape[1] * height * width)


def _add_singly(
    total: NDArray[np.float32],
    activations: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    geometry: Geometry,
    gradients: NDArray[np.float32],
) -> None:
    """Adds products one by one to total (256, 1 or channels, 256), [weight index, channel,
    activation index]; gradients are (pixels of all images, channels).
    """
    planes = _planes(activations)
    per_group, size = len(planes) // geometry.groups, planes[0].size
    base, window = window_addresses(activations.shape[:3], geometry)
    group = np.arange(len(weights)) * geometry.groups // len(weights)
    channels = np.arange(per_group)[:, None]
    # Unsigned addresses: numba looks whether others count from an array's end.
    _scatter_singly(
        total,
        planes.reshape(-1),
        (group * per_group * size).astype(np.uint64),
        base.astype(np.uint64),
        (channels * size + window).ravel().astype(np.uint64),
        np.ascontiguousarray(weights),
        np.ascontiguousarray(gradients.T),
    )


def _in_blocks(gradients: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) -> (blocks, n, block): vectors along the second axis, filled up with zeros."""
    size, across = gradients.shape
    blocks = math.ceil(across / _BLOCK)
    found = scratch("blocks", (blocks, size, _BLOCK), np.float32)
    for index in range(blocks):
        part = gradients[:, index * _BLOCK : (index + 1) * _BLOCK]
        found[index, :, : part.shape[1]] = part
        found[index, :, part.shape[1] :] = 0
    return found


def _filled(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(positions, m), filled up to whole blocks."""
    found = np.zeros((len(codes), -(-codes.shape[1] // _BLOCK) * _BLOCK), np.uint8)
    found[:, : codes.shape[1]] = codes
    return found


def _row_adder(block: int) -> Any:
    """Intrinsic (row, addend): row[:] += addend[:], float32; arguments are addresses."""
    vector = ir.VectorType(ir.FloatType(), block)

    @intrinsic
    def add_row(_: Any, row: Any, addend: Any) -> Any:
        def generate(
            context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]
        ) -> Any:
            row, addend = (builder.inttoptr(address, vector.as_pointer()) for address in args)
            builder.store(
                builder.fadd(builder.load(row, align=4), builder.load(addend, align=4)),
                row,
                align=4,
            )
            return context.get_dummy_value()

        return types.void(types.intp, types.intp), generate

    return add_row


_add_row = _row_adder(_BLOCK)


@njit(cache=True, nogil=True)
def _occurring(
    found: NDArray[np.uint64], occurs: NDArray[np.bool_], codes: NDArray[np.uint8]
) -> int:
    """Writes the codes that occur to `found`; how many."""
    for code in codes:
        occurs[code] = True
    count = 0
    for code in range(CODES):
        if occurs[code]:
            found[count] = code
            count += 1
            occurs[code] = False
    return count


@njit(cache=True, nogil=True)
def _add_rows(rows_at: int, codes: NDArray[np.uint8], addend_at: int) -> None:
    """Adds the vectors from an address on into the rows of their codes."""
    for item in range(len(codes)):
        _add_row(rows_at + np.int64(codes[item]) * (_BLOCK * 4), addend_at + item * (_BLOCK * 4))


@njit(cache=True, nogil=True)
def _scatter(
    total: NDArray[np.float32],
    gradients: NDArray[np.float32],
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
) -> None:
    """Adds to total (257, 256), [code of the first side, code of the second side]; gradients are
    (blocks, n, block), codes (positions, n) and (positions, blocks * block).
    """
    blocks, size, _ = gradients.shape
    rows = np.zeros((CODES + 1, _BLOCK), np.float32)
    occurs = np.zeros(CODES, np.bool_)
    found = np.zeros(CODES + _ABREAST, np.uint64)
    for start in range(0, size, _TILE):
        stop = min(start + _TILE, size)
        for position in range(len(first)):
            codes = first[position, start:stop]
            count = _occurring(found, occurs, codes)
            found[count : count + _ABREAST] = CODES  # the row of nothing
            for index in range(blocks):
                at = gradients.ctypes.data + (index * size + start) * (_BLOCK * 4)
                _add_rows(rows.ctypes.data, codes, at)
                columns = second[position, index * _BLOCK : (index + 1) * _BLOCK]
                for four in range(0, count, _ABREAST):
                    a, b, c, d = found[four], found[four + 1], found[four + 2], found[four + 3]
                    for place in range(_BLOCK):
                        column = np.uint64(columns[place])
                        total[a, column] += rows[a, place]
                        total[b, column] += rows[b, place]
                        total[c, column] += rows[c, place]
                        total[d, column] += rows[d, place]
                    rows[a, :] = 0
                    rows[b, :] = 0
                    rows[c, :] = 0
                    rows[d, :] = 0


@njit(cache=True, nogil=True)
def _scatter_channels(
    total: NDArray[np.float32],
    gradients: NDArray[np.float32],
    codes: NDArray[np.uint8],
    weights: NDArray[np.uint8],
) -> None:
    """Adds to total (256, channels, 256), [weight index, channel, activation index]; gradients are
    (blocks, pixels, block), codes (positions, pixels) and weights (positions, channels).
    """
    blocks, pixels, _ = gradients.shape
    rows = np.zeros((CODES, _BLOCK), np.float32)
    occurs = np.zeros(CODES, np.bool_)
    found = np.zeros(CODES, np.uint64)
    for start in range(0, pixels, _TILE):
        stop = min(start + _TILE, pixels)
        for position in range(len(codes)):
            of_tile = codes[position, start:stop]
            count = _occurring(found, occurs, of_tile)
            for index in range(blocks):
                at = gradients.ctypes.data + (index * pixels + start) * (_BLOCK * 4)
                _add_rows(rows.ctypes.data, of_tile, at)
                first = index * _BLOCK
                for place in range(min(_BLOCK, weights.shape[1] - first)):
                    target = total[weights[position, first + place], first + place]
                    for item in range(count):
                        target[found[item]] += rows[found[item], place]
                for item in range(count):
                    rows[found[item], :] = 0


@njit(cache=True, nogil=True)
def _scatter_singly(
    total: NDArray[np.float32],
    codes: NDArray[np.uint8],
    starts: NDArray[np.uint64],
    base: NDArray[np.uint64],
    offsets: NDArray[np.uint64],
    weights: NDArray[np.uint8],
    gradients: NDArray[np.float32],
) -> None:
    """Adds to total (256, 1 or channels, 256), [weight index, channel, activation index]; the code
    of channel c at position k of pixel p is codes[starts[c] + base[p] + offsets[k]], and gradients
    are (channels, pixels).
    """
    each = total.shape[1] > 1
    for channel in range(len(starts)):
        matrix, of_channel = total[:, channel if each else 0], weights[channel]
        for pixel in range(len(base)):
            gradient, first = gradients[channel, pixel], starts[channel] + base[pixel]
            if gradient != 0:  # as behind a rectifier
                for position in range(len(offsets)):
                    matrix[of_channel[position], codes[first + offsets[position]]] += gradient


@njit(cache=True, nogil=True)
def _fold(
    total: NDArray[np.float32],
    by_value: NDArray[np.float32],
    codes: tuple[NDArray[np.int64], NDArray[np.int64]],
    signs: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    for row in range(len(codes[0])):
        for column in range(len(codes[1])):
            total[codes[0][row], codes[1][column]] += (
                signs[0][row] * signs[1][column] * by_value[row, column]
            )
