"""One look for every figure: colors, markers of the families, scales, sizes.

Figures are `matplotlib.figure.Figure` objects; pyplot and its global state are not used. What
matplotlib reads from its process-wide settings is set by :func:`styled` under a lock, so that
figures may be drawn in threads and do not depend on the user's own settings.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, ParamSpec, TypeVar, cast

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

__all__ = [
    "CLASSES",
    "DARK",
    "DASHES",
    "FAINT",
    "GRID",
    "HEIGHT_IN",
    "INK",
    "MUTED",
    "PAPER",
    "TINT",
    "Mark",
    "drop_class",
    "drop_scale",
    "elided",
    "family_marks",
    "new_figure",
    "ratio_scale",
    "styled",
    "titles",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")

PAPER, INK, MUTED, GRID, FAINT, TINT = (
    "#ffffff",
    "#1b1f24",
    "#5a6570",
    "#e3e7eb",
    "#aeb7c1",
    "#e9f3ec",
)

# Hues of Okabe and Ito (https://jfly.uni-koeln.de/color/) without the yellow, which white paper
# swallows, and a brown for it.
_HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f4f24")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
# Appended to, never reordered: the place of a family decides its color and marker. Seven hues and
# eight markers give 56 pairs.
_FAMILIES = (
    *(
        "bam",
        "drum",
        "tm",
        "mitchell",
        "compressor",
        "udm",
        "mask",
        "perforate",
        "roba",
        "ssm",
        "tosam",
        "essm",
        "lodtrunc",
        "mbm",
    ),
    *("mitchw", "dralm", "ilm", "etm", "am1", "am2", "sdlc", "booth_r4", "scaletrim", "recursive"),
    "terms",
)

#: Classes of predicted drop: upper limit in percentage points, color (viridis, from good to bad).
CLASSES = (
    (0.5, "#440154"),
    (1.0, "#443983"),
    (2.0, "#31688e"),
    (5.0, "#21918c"),
    (10.0, "#35b779"),
    (30.0, "#90d743"),
    (float("inf"), "#e3d41e"),
)

# Of the multipliers that the search made, and of no family.
_MADE_HUE, _DARK_MADE_HUE = "#6f2dbd", "#b58cf0"
_DARK_HUES = ("#3d9bd9", "#ee7733", "#2bbf94", "#dc8fba", "#f0ab1c", "#7cc8f2", "#b98a5e")
_DARK_CLASSES = ("#f7e95a", "#bfdf4a", "#6ccd6b", "#2fae8c", "#2f8f9e", "#4f6fb8", "#7d58a8")
#: Color -> what stands for it on a dark background.
DARK = MappingProxyType(
    {
        PAPER: "#14181d",
        INK: "#e8ebef",
        MUTED: "#9ea9b5",
        GRID: "#2b323a",
        FAINT: "#56616d",
        TINT: "#1a2b23",
    }
    | dict(zip(_HUES, _DARK_HUES, strict=True))
    | {_MADE_HUE: _DARK_MADE_HUE}
    | dict(zip((color for _, color in CLASSES), _DARK_CLASSES, strict=True))
)
#: Line style of limits and of lines that guide the eye.
DASHES = (0, (4, 3))

_SETTINGS = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelspacing": 0.35,
    "legend.handletextpad": 0.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "ameliorate",
}
_LOCK = threading.RLock()

WIDTH_IN, HEIGHT_IN = 8.6, 5.3
# Linear within about one point of zero, logarithmic beyond: both a half point and a lost network
# are readable.
_LINEAR_WIDTH_PP = 1.0
_LINEAR_LIMIT_PP = 8.0
_DROP_TICKS_PP = (-20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100)
_MINOR_DROP_TICKS_PP = (-0.5, 0.5, 1.5, 3, 4, 6, 7, 8, 9, 15, 30, 40, 60, 70, 80, 90)
# The same for costs, where some are less than a tenth of the exact multiplier's.
_LINEAR_WIDTH_RATIO = 0.05
_LINEAR_FROM_RATIO = 0.1
_RATIO_TICKS = (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_MINOR_RATIO_TICKS = (0.01, 0.03, 0.04, 0.06, 0.07, 0.08, 0.09, 0.15, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Mark:
    """How a family looks in every figure: an RGB hex color and a matplotlib marker."""

    color: str
    marker: str


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Runs a drawing or saving function with the common settings, one at a time in the process."""

    @functools.wraps(draw)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with _LOCK, matplotlib.style.context(cast("dict[str, Any]", _SETTINGS), after_reset=True):
            return draw(*args, **kwargs)

    return wrapped


def family_marks(families: Iterable[str]) -> dict[str, Mark]:
    """A mark for each family, by name. Known families always look the same; others take the free
    marks in alphabetical order. The exact multipliers and those that the search made have marks of
    their own.
    """
    own = {"exact": Mark(INK, "*"), "net": Mark(_MADE_HUE, "H")}
    names = set(families)
    places = {name: index for index, name in enumerate(_FAMILIES)}
    places |= {
        name: len(_FAMILIES) + index
        for index, name in enumerate(sorted(names - {*own, *_FAMILIES}))
    }
    marks = {
        name: Mark(_HUES[places[name] % len(_HUES)], _MARKERS[places[name] % len(_MARKERS)])
        for name in sorted(names - own.keys())
    }
    return marks | {name: mark for name, mark in own.items() if name in names}


def drop_class(drop_pp: float) -> int:
    """Index into :data:`CLASSES` of a drop in percentage points."""
    return next(
        (index for index, (limit, _) in enumerate(CLASSES) if drop_pp <= limit), len(CLASSES) - 1
    )


def elided(text: str, limit: int) -> str:
    """`text` in at most `limit` printable Latin characters; a long one loses its middle."""
    shown = "".join(
        character if character.isprintable() and character <= "\u024f" else "\ufffd"
        for character in text
    )
    if len(shown) <= limit:
        return shown
    tail = (limit - 1) // 3
    return f"{shown[: limit - 1 - tail]}…{shown[len(shown) - tail :]}"


def new_figure(
    *,
    right_in: float = 1.85,
    height_in: float = HEIGHT_IN,
    width_in: float = WIDTH_IN,
    top_in: float = 1.0,
) -> tuple[Figure, Axes]:
    """A figure with one axes; `right_in` inches beside it are left for the legend, `top_in` above
    for the titles.
    """
    figure = Figure(figsize=(width_in, height_in), dpi=100)
    left, bottom = 0.72, 0.62
    box = (
        left / width_in,
        bottom / height_in,
        (width_in - left - right_in) / width_in,
        (height_in - bottom - top_in) / height_in,
    )
    return figure, figure.add_axes(box)


def titles(figure: Figure, title: str, lines: Iterable[str]) -> None:
    """A title and the small print under it, at the figure's upper left."""
    width_in, height_in = figure.get_size_inches()
    left = 0.18 / width_in
    figure.text(left, 1 - 0.15 / height_in, title, fontsize=11.5, fontweight="bold", va="top")
    for index, line in enumerate(lines):
        figure.text(
            left, 1 - (0.42 + 0.165 * index) / height_in, line, fontsize=7.5, color=MUTED, va="top"
        )


def drop_scale(axes: Axes, which: Literal["x", "y"], low_pp: float, high_pp: float) -> None:
    """Scale, limits and ticks of an axis of accuracy drops: linear where that is a few points, else
    inverse hyperbolic sine.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    if high_pp > _LINEAR_LIMIT_PP:
        _bend(axes, which, _LINEAR_WIDTH_PP)
        _ticks(axis, _DROP_TICKS_PP, _MINOR_DROP_TICKS_PP, (low_pp, high_pp))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}"))
    )
    axis.set_minor_formatter(NullFormatter())
    (axes.set_xlim if which == "x" else axes.set_ylim)(low_pp, high_pp)


def ratio_scale(axes: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Scale, limits and ticks of an axis of costs relative to the exact multiplier that shows
    `low` to `high`: linear, or inverse hyperbolic sine where some are a small part of it.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    bent = low < _LINEAR_FROM_RATIO and high > 5 * _LINEAR_FROM_RATIO
    if bent:
        _bend(axes, which, _LINEAR_WIDTH_RATIO)
        margin = 0.05 * np.arcsinh((high - low) / _LINEAR_WIDTH_RATIO)
        bottom = np.sinh(np.arcsinh(low / _LINEAR_WIDTH_RATIO) - margin) * _LINEAR_WIDTH_RATIO
        _ticks(axis, _RATIO_TICKS, _MINOR_RATIO_TICKS, (low, high))
    else:
        bottom = low - 0.05 * max(high - low, 0.2)
    axis.set_major_formatter(
        FuncFormatter(
            lambda value, _: (
                "" if value < -1e-9 else f"{value:.2f}".removesuffix("0") if value > 1e-9 else "0"
            )
        )
    )
    axis.set_minor_formatter(NullFormatter())
    (axes.set_xlim if which == "x" else axes.set_ylim)(bottom, high)


def _bend(axes: Axes, which: Literal["x", "y"], linear_width: float) -> None:
    (axes.set_xscale if which == "x" else axes.set_yscale)("asinh", linear_width=linear_width)


def _ticks(
    axis: Axis, major: Sequence[float], minor: Sequence[float], shown: tuple[float, float]
) -> None:
    low, high = shown
    axis.set_major_locator(FixedLocator([tick for tick in major if low <= tick <= high]))
    axis.set_minor_locator(FixedLocator([tick for tick in minor if low <= tick <= high]))
