"""Where kernels find the activation codes of every output pixel's window."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...parallel import run_threads, scratch
from ...quantization.geometry import Geometry, padded_indices
from .vector_instructions import OCTET, POSITIONS
from .window_copying import copy_windows, encode_octets

__all__ = ["ChannelCodes", "CodeLayout", "window_addresses"]


@dataclass(frozen=True, eq=False)
class CodeLayout:
    """Activation codes, in steps of 16 input positions.

    Octet h of step s of output pixel p is the 8 bytes at codes[base[p] + offsets[group, s, h]].
    Positions are ordered (kernel row, kernel column, channel of the group); those that fill up a
    step have codes of the same channels. A layout is this thread's, until the next one.

    Attributes:
        codes: uint8, flat.
        base: int64, (pixels,).
        offsets: int64, (groups, steps, 2).
        least, largest: uint8, (groups, steps, 16), codes between which those of each position are.
    """

    codes: NDArray[np.uint8]
    base: NDArray[np.int64]
    offsets: NDArray[np.int64]
    least: NDArray[np.uint8]
    largest: NDArray[np.uint8]

    @classmethod
    def of(
        cls,
        values: NDArray[Any],
        geometry: Geometry,
        *,
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        low: int = 0,
        threads: int = 1,
    ) -> CodeLayout:
        """From activation values (n, height, width, channels), whose codes count from `low`;
        `padding` is (left, right, top, bottom).
        """
        (count, height, width, channels), (left, right, top, bottom) = values.shape, padding
        padded = count, top + height + bottom, left + width + right, channels
        per_group = channels // geometry.groups
        steps = math.ceil(math.prod(geometry.kernel) * per_group / POSITIONS)
        if per_group % OCTET == 0:
            planes, least, largest = _planes(values, padding, low)
            found = planes.reshape(-1), *_plane_addresses(padded, geometry, steps)
        else:
            indices = padded_indices(values, padding, low)
            # Over images first: vectors are as long as images then.
            least, largest = (
                over(axis=0).reshape(-1, channels) for over in (indices.min, indices.max)
            )
            least, largest = least.min(0), largest.max(0)
            found = _windows(indices, geometry, steps, threads)
        channel = (
            np.arange(geometry.groups)[:, None, None] * per_group
            + np.arange(steps * POSITIONS).reshape(steps, -1) % per_group
        )
        return cls(*found, least[channel], largest[channel])


@dataclass(frozen=True, eq=False)
class ChannelCodes:
    """Activation codes, channel by channel.

    The code of channel c at position k of the window of output pixel p is
    codes[base[p] + starts[c] + offsets[k]]; positions are ordered (kernel row, kernel column).
    They are this thread's, until the next ones.

    Attributes:
        codes: uint8, flat.
        base: int64, (pixels,).
        starts: int64, (channels,).
        offsets: int64, (positions,).
    """

    codes: NDArray[np.uint8]
    base: NDArray[np.int64]
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        values: NDArray[Any],
        geometry: Geometry,
        *,
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        low: int = 0,
    ) -> ChannelCodes:
        """From what :meth:`CodeLayout.of` takes."""
        (count, height, width, channels), (left, right, top, bottom) = values.shape, padding
        padded = count, top + height + bottom, left + width + right
        base, window = window_addresses(padded, geometry)
        channel = np.arange(channels)
        if channels % OCTET:
            codes = padded_indices(values, padding, low)
            return cls(codes.reshape(-1), base * channels, channel, window * channels)
        codes, *_ = _planes(values, padding, low)
        starts = channel // OCTET * codes[0].size + channel % OCTET
        return cls(codes.reshape(-1), base * OCTET, starts, window * OCTET)


def _planes(
    values: NDArray[Any], padding: tuple[int, int, int, int], low: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Codes (channels / 8, n, padded height, padded width, 8), and the least and the largest of
    each channel. An octet of channels is a plane of its own: what one step reads lies close
    together, and the next step reads other bytes.
    """
    (count, height, width, channels), (left, right, top, bottom) = values.shape, padding
    padded = count, top + height + bottom, left + width + right
    planes = scratch("planes", (channels // OCTET, *padded, OCTET), np.uint8)
    least, largest = np.full(channels, 255, np.uint8), np.zeros(channels, np.uint8)
    if any(padding):
        planes[:], least[:], largest[:] = -low, -low, -low
    encode_octets(planes, np.ascontiguousarray(values, np.float32), top, left, low, least, largest)
    return planes, least, largest


@functools.lru_cache(maxsize=16)
def window_addresses(
    shape: tuple[int, int, int], geometry: Geometry
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """In padded pixels (n, height, width): the first of each output pixel's window, and what is
    added to it for each position of the window.
    """
    count, height, width = shape
    (kernel_y, kernel_x), (stride_y, stride_x), (dilation_y, dilation_x) = (
        geometry.kernel,
        geometry.stride,
        geometry.dilation,
    )
    out_height, out_width = geometry.output_size(height, width)
    y, x = np.arange(out_height) * stride_y, np.arange(out_width) * stride_x
    base = (np.arange(count)[:, None, None] * height + y[:, None]) * width + x
    window = np.arange(kernel_y)[:, None] * dilation_y * width + np.arange(kernel_x) * dilation_x
    return base.reshape(-1), window.reshape(-1)


@functools.lru_cache(maxsize=16)
def _plane_addresses(
    shape: tuple[int, int, int, int], geometry: Geometry, steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Base and offsets in planes (channels / 8, n, height, width, 8)."""
    count, height, width, channels = shape
    base, window = window_addresses(shape[:3], geometry)
    plane = np.arange(channels // OCTET).reshape(geometry.groups, 1, -1) * (count * height * width)
    offsets = (plane + window[:, None]).reshape(geometry.groups, -1)
    filled = offsets.take(np.arange(2 * steps), 1, mode="wrap")
    return base * OCTET, filled.reshape(geometry.groups, steps, 2) * OCTET


def _windows(
    activations: NDArray[np.uint8], geometry: Geometry, steps: int, threads: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Every window copied out, (n, pixel, groups, steps, 16): codes, base and offsets."""
    count, height, width, channels = activations.shape
    (kernel_y, kernel_x), (stride_y, stride_x), (dilation_y, dilation_x) = (
        geometry.kernel,
        geometry.stride,
        geometry.dilation,
    )
    out_height, out_width = geometry.output_size(height, width)
    corners = (
        (np.arange(out_height)[:, None] * stride_y * width + np.arange(out_width) * stride_x)
        * channels
    ).reshape(-1)
    # What lies side by side in images and windows is one run: a channel group's bytes, or a whole
    # row of the window.
    rows, columns, run = (
        np.arange(kernel_y) * dilation_y * width,
        np.arange(kernel_x) * dilation_x,
        channels // geometry.groups,
    )
    if geometry.groups == 1 and dilation_x == 1:
        columns, run = np.zeros(1, np.int64), kernel_x * channels
    runs = (np.add.outer(rows, columns) * channels).reshape(-1)
    pixels, image_bytes, window_bytes = (
        len(corners),
        height * width * channels,
        geometry.groups * steps * POSITIONS,
    )
    source = scratch("source", (count, image_bytes + POSITIONS), np.uint8)
    source[:, :image_bytes] = activations.reshape(count, -1)
    source[:, image_bytes:] = source[:, np.arange(POSITIONS) % image_bytes]
    copied = scratch("windows", (count, pixels * window_bytes + POSITIONS), np.uint8)
    parts = min(count, threads)
    bounds = [round(part * count / parts) for part in range(parts + 1)]

    def copy(part: int) -> None:
        images = slice(bounds[part], bounds[part + 1])
        copy_windows(
            copied[images],
            source[images],
            corners,
            runs,
            run,
            geometry.groups,
            steps * POSITIONS - len(runs) * run,
        )

    run_threads(copy, parts, threads)
    base = np.arange(count)[:, None] * copied.shape[1] + np.arange(pixels) * window_bytes
    return (
        copied.reshape(-1),
        base.reshape(-1),
        np.arange(0, window_bytes, OCTET).reshape(geometry.groups, steps, 2),
    )
