"""Labels beside points of a figure, put where they cover the least."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from numpy.typing import NDArray

from .style import INK, MUTED, PAPER

__all__ = ["LabelPlacer"]

_DISTANCES_PT = (14, 24, 36, 52, 72, 96, 124)
_DIRECTIONS = np.deg2rad(np.arange(0, 360, 15))
_PADDING_PT = 3.0
# A shorter line would end inside the mark.
_LEAST_LINE_PT = 10
_LINE = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 5}
# Costs of a label's place: covering another label or leaving the axes is next to forbidden; a mark
# weighs what it was added with.
_COLLISION, _PER_POINT_OF_DISTANCE = 1000.0, 0.02


class LabelPlacer:
    """Remembers what is drawn in an axes. Scale, limits and position of the axes must be final."""

    def __init__(self, axes: Axes) -> None:
        figure = axes.get_figure(root=True)
        assert figure is not None
        self._axes = axes
        self._px_per_pt = figure.dpi / 72
        self._frame = np.asarray(axes.get_window_extent().extents)  # x0, y0, x1, y1 in pixels
        self._marks: NDArray[np.float64] = np.empty((0, 2))
        self._weights: NDArray[np.float64] = np.empty(0)
        self._boxes: list[NDArray[np.float64]] = []

    def avoid(self, x: Sequence[float], y: Sequence[float], weight: float) -> None:
        """Marks at data coordinates that labels had better not cover; a higher weight is avoided
        more.
        """
        pixels = self._axes.transData.transform(np.column_stack([x, y]).reshape(-1, 2))
        self._marks = np.concatenate([self._marks, pixels])
        self._weights = np.concatenate([self._weights, np.full(len(pixels), weight)])

    def avoid_path(self, x: Sequence[float], y: Sequence[float], weight: float) -> None:
        """A line through data coordinates that labels had better not cover."""
        corners = self._axes.transData.transform(np.column_stack([x, y]).reshape(-1, 2))
        steps = [np.linspace(start, end, 25) for start, end in pairwise(corners)]
        pixels = np.concatenate([corners, *steps])
        self._marks = np.concatenate([self._marks, pixels])
        self._weights = np.concatenate([self._weights, np.full(len(pixels), weight)])

    def reserve(self, text: Text) -> None:
        """A text that is already there, which labels must not cover."""
        self._boxes.append(np.asarray(text.get_window_extent().extents))

    def label(
        self, text: str, x: float, y: float, *, bold: bool = False, nearest_pt: float = 14
    ) -> None:
        """Writes `text` near a point, `nearest_pt` points away or farther, with a line to it unless
        it is very near.
        """
        weight = "bold" if bold else "normal"
        size = self._measure(text, weight)
        anchor = self._axes.transData.transform((x, y))
        places = [
            (
                distance,
                anchor
                + distance * self._px_per_pt * np.array([np.cos(angle), np.sin(angle)])
                + _outward(angle) * size / 2,
            )
            for distance, angle in product((nearest_pt, *_DISTANCES_PT), _DIRECTIONS)
        ]
        gap_pt, centre = min(places, key=lambda place: self._cost(place[1], size, anchor))
        self._boxes.append(_box(centre, size + 2 * _PADDING_PT * self._px_per_pt))
        self._axes.annotate(
            text,
            (x, y),
            tuple((centre - anchor) / self._px_per_pt),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
            fontweight=weight,
            color=INK,
            zorder=9,
            bbox={
                "boxstyle": "round,pad=0.25",
                "facecolor": PAPER,
                "edgecolor": "none",
                "alpha": 0.85,
            },
            arrowprops=_LINE if gap_pt >= _LEAST_LINE_PT else None,
        )

    def _measure(self, text: str, weight: str) -> NDArray[np.float64]:
        """Width and height of a text in pixels."""
        probe = self._axes.text(
            0.5, 0.5, text, fontsize=8, fontweight=weight, transform=self._axes.transAxes
        )
        extent = probe.get_window_extent()
        probe.remove()
        return np.array([extent.width, extent.height])

    def _cost(
        self, centre: NDArray[np.float64], size: NDArray[np.float64], anchor: NDArray[np.float64]
    ) -> float:
        box = _box(centre, size + 2 * _PADDING_PT * self._px_per_pt)
        covered = ((self._marks >= box[:2]) & (self._marks <= box[2:])).all(axis=1)
        outside = (
            np.maximum(self._frame[:2] - box[:2], 0).sum()
            + np.maximum(box[2:] - self._frame[2:], 0).sum()
        )
        collides = any(
            (box[:2] < other[2:]).all() and (other[:2] < box[2:]).all() for other in self._boxes
        )
        distance_pt = float(np.hypot(*(centre - anchor))) / self._px_per_pt
        hard = _COLLISION * (bool(outside > 0) + collides) + float(outside)
        return hard + float(self._weights[covered].sum()) + _PER_POINT_OF_DISTANCE * distance_pt


def _outward(angle: float) -> NDArray[np.float64]:
    """Where the centre of a box lies as seen from its point nearest to the anchor, in half
    sizes.
    """
    direction = np.array([np.cos(angle), np.sin(angle)])
    return np.asarray(np.clip(direction * 1.6, -1, 1))


def _box(centre: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([centre - size / 2, centre + size / 2])
