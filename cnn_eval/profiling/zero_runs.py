"""How often an activation code is zero after one that is: rectifiers make groups of zeros."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..emulation.kernels.code_windows import window_addresses
from ..quantization.coding import OperandCoding
from ..quantization.geometry import Geometry

__all__ = ["ZeroRuns"]


class ZeroRuns:
    """Running counts of one layer over images; padding is included.

    Sequences go along the terms of an output, kernel positions in order and at each of them the
    channels of a group, and along output pixels in raster order, at the same term. No pair is of
    two outputs or two images.
    """

    def __init__(self) -> None:
        self._codes = self._zeros = 0
        # Along terms and along pixels: codes that are 0 with one after them, and those of them
        # where that is 0 as well.
        self._before = np.zeros(2, dtype=np.int64)
        self._pairs = np.zeros(2, dtype=np.int64)

    def add(self, indices: NDArray[np.uint8], coding: OperandCoding, geometry: Geometry) -> None:
        """Padded activation indices (n, height, width, channels): values counted from the least."""
        count, height, width, channels = indices.shape
        zero = int(np.argmin(coding.activation_codes()[0]))
        zeros = (indices == zero).reshape(count, height * width, channels)
        times, along_window, along_pixels = _neighbours(height, width, geometry)
        by_pixel = zeros.sum(2, dtype=np.int32).sum(0)
        self._codes += count * int(times.sum()) * channels
        self._zeros += int(times @ by_pixel)
        # Within a pixel, channel after channel of a group, and from its last to the next one's
        # first.
        by_group = zeros.reshape(count, -1, geometry.groups, channels // geometry.groups)
        first, last = by_group[..., 0], by_group[..., -1]
        before = by_pixel - last.sum(2, dtype=np.int32).sum(0)
        both = (by_group[..., :-1] & by_group[..., 1:]).reshape(count, len(times), -1)
        self._before[0] += times @ before
        self._pairs[0] += times @ both.sum(2, dtype=np.int32).sum(0)
        self._add(0, last, first, along_window)
        self._add(1, zeros, zeros, along_pixels)

    def _add(
        self,
        axis: int,
        before: NDArray[np.bool_],
        after: NDArray[np.bool_],
        pairs: tuple[NDArray[np.int64], ...],
    ) -> None:
        """Zeros (n, pixels, channels) of pairs of pixels, each of which there is so many times."""
        one, other, times = pairs
        # Eight channels a byte.
        first, second = (
            np.packbits(zeros, axis=2).transpose(1, 0, 2).reshape(zeros.shape[1], -1)
            for zeros in (before, after)
        )
        self._before[axis] += times @ _bits(first)[one]
        self._pairs[axis] += times @ _bits(first[one] & second[other])

    @property
    def probabilities(self) -> tuple[float, float]:
        """Of a code 0 after a code 0, along terms and along pixels; the share of zeros where there
        is no such pair.
        """
        share = self._zeros / max(self._codes, 1)
        along_terms, along_pixels = (
            float(pairs / before) if before else share
            for pairs, before in zip(self._pairs, self._before, strict=True)
        )
        return along_terms, along_pixels


def _bits(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many bits are set in each row."""
    found: NDArray[np.int64] = np.bitwise_count(rows).sum(1, dtype=np.int64)
    return found


@lru_cache(maxsize=64)
def _neighbours(
    height: int, width: int, geometry: Geometry
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], ...], tuple[NDArray[np.int64], ...]]:
    """Of the pixels of a padded input: how many windows see each; and the pairs (one, other, how
    many times) that follow each other in a window, and at the same place of windows that follow
    each other.
    """
    first, window = window_addresses((1, height, width), geometry)
    seen, size = np.add.outer(first, window), height * width
    return (
        np.bincount(seen.ravel(), minlength=size),
        _counted(seen[:, :-1], seen[:, 1:], size),
        _counted(seen[:-1], seen[1:], size),
    )


def _counted(
    one: NDArray[np.int64], other: NDArray[np.int64], pixels: int
) -> tuple[NDArray[np.int64], ...]:
    """Each pair of pixels once, and how many times it is there."""
    pairs, times = np.unique(one.ravel() * pixels + other.ravel(), return_counts=True)
    return pairs // pixels, pairs % pixels, times
