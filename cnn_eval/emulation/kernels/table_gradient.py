"""Derivatives with respect to the product table: which operand pairs an output depends on, and how
much.

A network's output y depends on the table through every product it looks up. With dy/dsum of every
sum of products of a layer given, ``dy/dtable[a, b]`` is the total of dy/dsum over all places where
the pair (a, b) is multiplied: the adjoint of row accumulation (`row_accumulation.py`). For every
input position, gradients are added as vectors over output channels into the row of the pixel's
activation, and only the rows that occur are then scattered by weight. The total is over pairs of
values at first: codes and signs come in once an image, not once a multiplication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...parallel import run_threads
from ...quantization.coding import OperandCoding
from .code_windows import CodeLayout
from .row_accumulation import PackedWeights
from .vector_instructions import CODES, OCTET, POSITIONS

__all__ = ["add_channel_gradients", "add_table_gradients"]


def add_table_gradients(
    total: NDArray[np.float32],
    activations: NDArray[np.uint8],
    weights: PackedWeights,
    gradients: NDArray[np.float32],
    coding: OperandCoding,
    *,
    threads: int = 1,
) -> None:
    """Adds one layer's share of d output / d table, image by image.

    Args:
        total: (n, 2^width_a, 2^width_b), [image, activation code, weight code]; added to in place.
        activations: activation indices, padded, (n, height, width, channels).
        gradients: d output / d sum of products, (n, output height, output width, output channels).
    """
    scatter = _Scatter.of(activations, weights, gradients)
    (a_code, a_sign), (b_code, b_sign) = coding.activation_codes(), coding.weight_codes()
    cells = np.add.outer(a_code << coding.width_b, b_code).ravel()
    signs = np.multiply.outer(a_sign, b_sign).ravel()

    def work(image: int) -> None:
        by_value = np.zeros((1, CODES, CODES), np.float32)
        scatter.add(by_value, image)
        folded = np.bincount(
            cells, signs * by_value[0, : len(a_code), : len(b_code)].ravel(), total[image].size
        )
        total[image] += folded.reshape(total[image].shape).astype(np.float32)

    run_threads(work, len(activations), threads)


def add_channel_gradients(
    total: NDArray[np.float32],
    activations: NDArray[np.uint8],
    weights: PackedWeights,
    gradients: NDArray[np.float32],
) -> None:
    """The same, over all images together, with a matrix for every output channel.

    Every operand pair that occurs costs a write into the large total, once for all images: with
    small images, many of them are faster than one after the other.

    Args:
        total: (output channels, 256, 256), [channel, activation index, weight index]; added to in
            place.
    """
    scatter = _Scatter.of(activations, weights, gradients)
    # One matrix takes in what fills up a block of channels, too: an index behind all weights.
    added = np.zeros((1, CODES, CODES), np.float32) if len(total) == 1 else total
    scatter.add_all(added)
    if added is not total:
        total += added[:, : total.shape[1], : total.shape[2]]


@dataclass(frozen=True, eq=False)
class _Scatter:
    """A layer's activations, weights and gradients as the kernel reads them.

    Attributes:
        filled: gradients in blocks of output channels, (n, groups, blocks, pixels, block).
        base: of each pixel's window in the layout of the codes, (n, pixels).
    """

    weights: PackedWeights
    filled: NDArray[np.float32]
    layout: CodeLayout
    base: NDArray[np.int64]

    @classmethod
    def of(
        cls, activations: NDArray[np.uint8], weights: PackedWeights, gradients: NDArray[np.float32]
    ) -> _Scatter:
        groups, blocks, _, _, block = weights.indices.shape
        count = len(activations)
        pixels = gradients.shape[1] * gradients.shape[2]
        split = gradients.reshape(count, pixels, groups, weights.channels)
        filled = np.zeros((count, groups, blocks, pixels, block), np.float32)
        for index in range(blocks):
            part = split[
                ..., index * block : (index + 1) * block
            ]  # (n, pixels, groups, channels of the block)
            filled[:, :, index, :, : part.shape[-1]] = part.transpose(0, 2, 1, 3)
        layout = CodeLayout.of(activations, weights.geometry)
        return cls(weights, filled, layout, layout.base.reshape(count, pixels))

    def add(self, total: NDArray[np.float32], image: int) -> None:
        """Adds one image's share to `total`, of one matrix for all output channels, or of one for
        each.
        """
        self._add(total, self.filled[image], self.base[image])

    def add_all(self, total: NDArray[np.float32]) -> None:
        """Adds that of all images: their pixels are those of one."""
        by_block = self.filled.transpose(1, 2, 0, 3, 4)
        pixels = by_block.reshape(*by_block.shape[:2], -1, by_block.shape[-1])
        self._add(total, np.ascontiguousarray(pixels), self.base.ravel())

    def _add(
        self, total: NDArray[np.float32], gradients: NDArray[np.float32], base: NDArray[np.int64]
    ) -> None:
        weights, layout = self.weights, self.layout
        _scatter(
            total,
            gradients,
            weights.indices,
            weights.positions,
            weights.channels,
            layout.codes,
            base,
            layout.offsets,
        )


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


_add_row_16 = _row_adder(16)
_add_row_32 = _row_adder(32)


@njit(cache=True, nogil=True)
def _scatter(
    total: NDArray[np.float32],
    gradients: NDArray[np.float32],
    weights: NDArray[np.uint8],
    positions: int,
    per_group: int,
    codes: NDArray[np.uint8],
    base: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> None:
    """Adds the share of some pixels to total (1 or output channels, 256, 256), [output channel,
    activation index, weight index].

    Channels that only fill up a block have gradients of 0.
    """
    each = len(total) > 1
    groups, blocks, pixels, block = gradients.shape
    rows = np.zeros((CODES, block), np.float32)
    occurs = np.zeros(CODES, np.bool_)
    occurring = np.zeros(CODES, np.int64)
    gradient_at, rows_at, row_bytes = gradients.ctypes.data, rows.ctypes.data, block * 4
    for group in range(groups):
        for index in range(blocks):
            first = gradient_at + (group * blocks + index) * pixels * row_bytes
            for position in range(positions):
                step, place = position // POSITIONS, position % POSITIONS
                start = offsets[group, step, place // OCTET] + place % OCTET
                count = 0
                for pixel in range(pixels):
                    row = np.int64(codes[base[pixel] + start])
                    if not occurs[row]:
                        occurs[row] = True
                        occurring[count] = row
                        count += 1
                    if block == 16:
                        _add_row_16(rows_at + row * row_bytes, first + pixel * row_bytes)
                    elif block == 32:
                        _add_row_32(rows_at + row * row_bytes, first + pixel * row_bytes)
                    else:
                        for channel in range(block):
                            rows[row, channel] += gradients[group, index, pixel, channel]
                channels = weights[group, index, step, place]
                for found_code in range(count):
                    code = occurring[found_code]
                    occurs[code] = False
                    found = rows[code]
                    if each:
                        first_channel = group * per_group + index * block
                        for channel in range(min(block, per_group - index * block)):
                            total[first_channel + channel, code, channels[channel]] += found[
                                channel
                            ]
                    else:
                        target = total[0, code]
                        for channel in range(block):
                            target[channels[channel]] += found[channel]
                    found[:] = 0
