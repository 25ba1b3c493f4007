"""Copying activation codes to where row accumulation reads them, as vector code (see
`vector_instructions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from .vector_instructions import OCTET, POSITIONS, at, lanes_of

__all__ = ["copy_windows", "encode_octets"]

_I8, _I32 = ir.IntType(8), ir.IntType(32)
_FLOAT_BYTES = 4


def _copier(size: int) -> Any:
    """Intrinsic (target, source): copies `size` bytes; arguments are addresses."""
    vector = ir.VectorType(_I8, size)

    @intrinsic
    def copy(_: Any, target: Any, source: Any) -> Any:
        def generate(
            context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]
        ) -> Any:
            target, source = (at(builder, address, vector) for address in args)
            builder.store(builder.load(source, align=1), target, align=1)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp), generate

    return copy


def _octet_encoder() -> Any:
    """Intrinsic (target, source, low, least, largest): target[i] = source[i] - low for i < 8,
    float32 to uint8.

    Arguments but `low` are addresses. `least` and `largest` (uint8) keep the extremes of what
    passed.
    """
    floats, integers, codes = (ir.VectorType(kind, OCTET) for kind in (ir.FloatType(), _I32, _I8))

    @intrinsic
    def encode(_: Any, target: Any, source: Any, low: Any, least: Any, largest: Any) -> Any:
        def generate(
            context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]
        ) -> Any:
            target, source, low, least, largest = args
            first = builder.insert_element(
                ir.Constant(integers, ir.Undefined), builder.trunc(low, _I32), _I32(0)
            )
            values = builder.fptosi(builder.load(at(builder, source, floats), align=4), integers)
            code = builder.trunc(builder.sub(values, lanes_of(builder, first, [0] * OCTET)), codes)
            builder.store(code, at(builder, target, codes), align=1)
            for extreme, beyond in ((least, "<"), (largest, ">")):
                place = at(builder, extreme, codes)
                known = builder.load(place, align=1)
                builder.store(
                    builder.select(builder.icmp_unsigned(beyond, code, known), code, known),
                    place,
                    align=1,
                )
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp, types.intp), generate

    return encode


_copy_1, _copy_16 = _copier(1), _copier(16)
_encode_octet = _octet_encoder()


@njit(cache=True, nogil=True)
def encode_octets(
    planes: NDArray[np.uint8],
    values: NDArray[np.float32],
    top: int,
    left: int,
    low: int,
    least: NDArray[np.uint8],
    largest: NDArray[np.uint8],
) -> None:
    """planes[octet, n, top + y, left + x, :] = values[n, y, x, 8 channels] - low; both are
    contiguous.

    `least` and `largest` (channels,) become those of the codes, if they were not beyond already.
    """
    octets, _, padded_height, padded_width, _ = planes.shape
    count, height, width, channels = values.shape
    plane_bytes = planes.strides[0]
    source = values.ctypes.data
    for image in range(count):
        for y in range(height):
            target = (
                planes.ctypes.data
                + ((image * padded_height + top + y) * padded_width + left) * OCTET
            )
            for _ in range(width):
                for octet in range(octets):
                    first = octet * OCTET
                    ranges = least.ctypes.data + first, largest.ctypes.data + first
                    _encode_octet(
                        target + octet * plane_bytes, source + first * _FLOAT_BYTES, low, *ranges
                    )
                target += OCTET
                source += channels * _FLOAT_BYTES


@njit(cache=True, nogil=True)
def copy_windows(
    copied: NDArray[np.uint8],
    images: NDArray[np.uint8],
    corners: NDArray[np.int64],
    runs: NDArray[np.int64],
    run: int,
    groups: int,
    filling: int,
) -> None:
    """copied[image, pixel, group, :] = the window of each output pixel, filled up to steps with
    codes of the same channels.

    A window is the `run` bytes at each of images[image, corners[pixel] + group * run + runs].
    `images` and `copied` are (n, bytes). They are copied 16 at a time, in order, so that what is
    written too much is written over by what follows: both have 16 bytes to spare at their ends, and
    those of an image repeat its first ones.
    """
    for image in range(len(images)):
        at, first = copied[image].ctypes.data, images[image].ctypes.data
        for pixel in range(len(corners)):
            corner = first + corners[pixel]
            for group in range(groups):
                window = at
                for index in range(len(runs)):
                    start, byte = corner + group * run + runs[index], 0
                    while byte < run:
                        _copy_16(at + byte, start + byte)
                        byte += POSITIONS
                    at += run
                if groups == 1:
                    _copy_16(at, corner)
                else:
                    for byte in range(filling):
                        _copy_1(at + byte, window + byte)
                at += filling
