"""How often an activation code is zero after one that is: rectifiers make groups of zeros."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..quantization.coding import OperandCoding
from ..quantization.geometry import Geometry, patches

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
        zero = int(np.argmin(coding.activation_codes()[0]))
        for image in indices:
            windows = patches((image == zero).view(np.uint8)[None], geometry)[0].view(np.bool_)
            pixels, channels = windows.shape[0] * windows.shape[1], windows.shape[-1]
            zeros = windows.reshape(pixels, -1, geometry.groups, channels // geometry.groups)
            # (pixels, groups, terms)
            zeros = zeros.swapaxes(1, 2).reshape(pixels, geometry.groups, -1)
            self._codes += zeros.size
            self._zeros += int(zeros.sum())
            for axis, (before, after) in enumerate(
                ((zeros[..., :-1], zeros[..., 1:]), (zeros[:-1], zeros[1:]))
            ):
                self._before[axis] += before.sum()
                self._pairs[axis] += (before & after).sum()

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
