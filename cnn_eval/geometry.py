"""Shapes of convolutions, and where their windows lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Geometry", "patches"]


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


def patches(activations: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """Sliding windows of the padded input: a view of shape (n, out height, out width, kernel height, kernel width, channels)."""
    (stride_y, stride_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
    extent = tuple(dilation * (kernel - 1) + 1 for kernel, dilation in zip(geometry.kernel, geometry.dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(activations, extent, axis=(1, 2))  # (n, y, x, channels, extent, extent)
    return windows[:, ::stride_y, ::stride_x, :, ::dilation_y, ::dilation_x].transpose(0, 1, 2, 4, 5, 3)
