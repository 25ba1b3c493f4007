"""The range of activations that integers stand for, chosen from a histogram."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hdl.operands import OperandEncoding, Widths

from .coding import OperandCoding

__all__ = ["CALIBRATIONS", "activation_coding", "symmetric_scale"]

_PERCENTILE = 99.99


def activation_coding(
    encoding: OperandEncoding,
    widths: Widths,
    histogram: NDArray[np.float64],
    edges: NDArray[np.float64],
    choose: Callable[[NDArray[np.float64], NDArray[np.float64], int], float],
) -> tuple[OperandCoding, float]:
    """Coding and scale of a layer's input from its histogram."""
    negative = bool(edges[0] < 0)
    centers = (edges[1:] + edges[:-1]) / 2
    levels = (1 << widths[0]) - 1
    if encoding is OperandEncoding.UNSIGNED and negative:
        # The affine range keeps the proportion of its two ends; both shrink together.
        magnitude = np.where(centers < 0, centers / edges[0], centers / max(edges[-1], 1e-12))
        kept = choose(np.abs(magnitude), histogram, levels // 2)
        low, high = edges[0] * kept, edges[-1] * kept
        scale = max((high - low) / levels, 1e-12)
        return OperandCoding(encoding, *widths, negative, zero_point=round(-low / scale)), scale
    coding = OperandCoding(encoding, *widths, negative)
    return coding, symmetric_scale(histogram, edges, coding.activation_range[1], choose)


def symmetric_scale(
    histogram: NDArray[np.float64],
    edges: NDArray[np.float64],
    steps: int,
    choose: Callable[[NDArray[np.float64], NDArray[np.float64], int], float],
) -> float:
    """Real value of the integer 1, so that magnitudes end at `steps`."""
    centers = (edges[1:] + edges[:-1]) / 2
    return max(choose(np.abs(centers), histogram, steps) / steps, 1e-12)


def _min_max(magnitudes: NDArray[np.float64], histogram: NDArray[np.float64], steps: int) -> float:
    return float(magnitudes.max())


def _percentile(
    magnitudes: NDArray[np.float64], histogram: NDArray[np.float64], steps: int
) -> float:
    order = np.argsort(magnitudes)
    share = np.cumsum(histogram[order]) / histogram.sum()
    return float(magnitudes[order][np.searchsorted(share, _PERCENTILE / 100)])


def _mean_square(
    magnitudes: NDArray[np.float64], histogram: NDArray[np.float64], steps: int
) -> float:
    """The clipping point of least mean squared error, among 1 to 100 % of the largest magnitude."""
    candidates = magnitudes.max() * np.arange(1, 101)[:, None] / 100
    scale = np.maximum(candidates, 1e-12) / steps
    rounded = np.minimum(np.round(magnitudes / scale), steps) * scale
    return float(candidates[np.argmin(((rounded - magnitudes) ** 2) @ histogram), 0])


#: How activation ranges are chosen: (magnitudes, their counts, integer steps) -> the magnitude that
#: becomes the largest integer.
CALIBRATIONS: Mapping[str, Callable[[NDArray[np.float64], NDArray[np.float64], int], float]] = {
    "mse": _mean_square,
    "percentile": _percentile,
    "min_max": _min_max,
}
