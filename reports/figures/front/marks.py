"""What the Pareto plots share: limits of their axes, marks, names and legends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.markers import CARETRIGHT, CARETUP, MarkerStyle

from dse.evaluation import DesignPoint
from dse.search import COSTS, Exploration

from ..captions import COST_FIELDS
from ..labels import LabelPlacer
from ..rendering import LINK
from ..style import (
    FAINT,
    INK,
    MUTED,
    PAPER,
    elided,
    ratio_scale,
)

__all__ = [
    "EXACT_LINE",
    "HIGHEST_RATIO",
    "exact_key",
    "key",
    "label_marked",
    "legends",
    "mark_off_scale",
    "marker_area",
    "ratio_label",
    "ratio_limits",
    "scatter_linked",
    "with_marked",
]

#: Ratios above this would press the interesting ones into a corner; their designs are marked at the
#: edge.
HIGHEST_RATIO = 1.3
#: How the line of exact multipliers is drawn.
EXACT_LINE: dict[str, Any] = {
    "color": MUTED,
    "linewidth": 1.3,
    "linestyle": (0, (1, 1)),
    "marker": "o",
    "markersize": 4,
    "markerfacecolor": PAPER,
    "markeredgewidth": 1.0,
    "zorder": 4.5,
}
# More marks of one kind than these would merge.
_MOST_MARKS = 150
_SPEC_CHARACTERS = 44


def exact_key() -> Line2D:
    """The legend's key of the line of exact multipliers."""
    return Line2D([], [], **EXACT_LINE, label="Exact, of all widths")


def with_marked(exploration: Exploration) -> list[DesignPoint]:
    """Every point of the search, the baseline and the pick, each once, with what was emulated."""
    known = {
        point.name: point
        for point in (exploration.baseline, *exploration.points, *exploration.front.points)
    }
    if exploration.pick is not None:
        known[exploration.pick.name] = exploration.pick
    return list(known.values())


def ratio_limits(axes: Axes, which: Literal["x", "y"], exploration: Exploration, cost: str) -> None:
    """Limits that show the exact multiplier, the pick, the budget, and every ratio up to
    `HIGHEST_RATIO`.
    """
    ratios = [float(getattr(point, COSTS[cost])) for point in with_marked(exploration)]
    highest = HIGHEST_RATIO
    if exploration.pick is not None:
        highest = max(
            highest, math.ceil(10 * float(getattr(exploration.pick, COSTS[cost])) + 0.5) / 10
        )
    limit = exploration.budget.limit if exploration.budget.cost == cost else None
    seen = (
        [ratio for ratio in ratios if ratio <= highest]
        + [0.9, 1.0]
        + ([limit] if limit is not None and limit <= highest else [])
    )
    margin = 0.05 * max(max(seen) - min(seen), 0.2)
    ratio_scale(axes, which, min(seen), highest if max(ratios) > highest else max(seen) + margin)


def mark_off_scale(
    axes: Axes,
    exploration: Exploration,
    fields: tuple[str, str],
    front_color: Callable[[DesignPoint], str],
) -> list[Artist]:
    """Carets at the upper and right edges for the designs beyond them, those of the front in color.
    Returns the legend's keys.
    """
    numbers = {point.name: number for number, point in enumerate(exploration.front.points)}
    edges = (axes.get_xlim()[1], axes.get_ylim()[1])
    keys: list[Artist] = []
    for axis, caret, sense in (
        (0, MarkerStyle(CARETRIGHT), "right of"),
        (1, MarkerStyle(CARETUP), "above"),
    ):
        beyond = [
            point for point in exploration.points if getattr(point, fields[axis]) > edges[axis]
        ]
        if not beyond:
            continue
        beyond.sort(key=lambda point: (point.name in numbers, point.name))
        places = [
            [
                min(float(getattr(point, field)), edge)
                for field, edge in zip(fields, edges, strict=True)
            ]
            for point in beyond
        ]
        on_front = [point.name in numbers for point in beyond]
        colors = [
            front_color(point) if kept else FAINT
            for point, kept in zip(beyond, on_front, strict=True)
        ]
        sizes = [34.0 if kept else 14.0 for kept in on_front]
        across, upward = zip(*places, strict=True)
        marks = axes.scatter(
            across, upward, s=sizes, c=colors, marker=caret, linewidths=0, zorder=5, clip_on=False
        )
        marks.set_urls(
            [f"{LINK}{numbers[point.name]}" if point.name in numbers else "" for point in beyond]
        )
        label = f"{len(beyond):,} {sense} {edges[axis]:g}" + (
            f",\n{sum(on_front):,} of them on the front" if any(on_front) else ""
        )
        keys.append(key(label, caret, FAINT, size=6))
    return keys


def ratio_label(baseline: DesignPoint, cost: str, scale: str) -> str:
    """What an axis of a cost says; `scale` is its scale's name."""
    absolute, _, unit, digits = COST_FIELDS[cost]
    of = "" if baseline.level == "multiplier" else f" of the {baseline.level}"
    return (
        f"{cost.capitalize()}{of} relative to exact (1 = {getattr(baseline, absolute):,.{digits}f} "
        f"{unit}{', asinh scale' if scale == 'asinh' else ''})"
    )


def scatter_linked(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    numbers: Sequence[int],
    *,
    colors: Sequence[str],
    marker: str,
) -> None:
    """Marks of front points; in SVG each is a link to its row in the report's table."""
    if x:
        # The white edges of many marks in a row would wipe out their neighbours.
        size, edge = (
            (marker_area(marker), 0.6)
            if len(x) <= _MOST_MARKS
            else (0.5 * marker_area(marker), 0.0)
        )
        marks = axes.scatter(
            x, y, s=size, c=colors, marker=marker, edgecolors=PAPER, linewidths=edge, zorder=5
        )
        marks.set_urls([f"{LINK}{number}" for number in numbers])


def marker_area(marker: str) -> float:
    """Marker area in square points at which the shapes look equally large."""
    return {"s": 28.0, "D": 25.0, "*": 85.0, "X": 40.0, "P": 40.0}.get(marker, 36.0)


def label_marked(axes: Axes, placer: LabelPlacer, exploration: Exploration, x: str, y: str) -> None:
    """Rings and names the pick, stars and names the exact multiplier."""
    pick, baseline = exploration.pick, exploration.baseline
    if pick is not None:
        at = getattr(pick, x), getattr(pick, y)
        axes.plot(
            *at,
            marker="o",
            markersize=13,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=1.4,
            zorder=8,
        )
        placer.label(elided(pick.name, _SPEC_CHARACTERS), *at, bold=True)
    at = getattr(baseline, x), getattr(baseline, y)
    axes.plot(
        *at,
        marker="*",
        markersize=12,
        color=INK,
        markeredgecolor=PAPER,
        markeredgewidth=0.6,
        zorder=8,
    )
    if pick is None or pick.name != baseline.name:
        placer.label("exact", *at)


def key(label: str, marker: str | MarkerStyle, color: str, *, size: float = 6) -> Line2D:
    """An entry of a legend."""
    edge = 1.5 if marker == "x" else 0.0
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        color=color,
        markersize=size,
        markeredgewidth=edge,
        label=label,
    )


def legends(axes: Axes, keys: Sequence[Artist], heading: str, items: Sequence[Line2D]) -> None:
    """Legends to the right of the axes: what the signs mean, and below it the `items` under their
    heading.
    """
    top = 1.02
    for title, handles in (("", keys), (heading, items)):
        if not handles:
            continue
        legend = Legend(
            axes,
            handles,
            [str(handle.get_label()) for handle in handles],
            title=title or None,
            alignment="left",
            loc="upper left",
            bbox_to_anchor=(1.03, top),
            bbox_transform=axes.transAxes,
            borderaxespad=0,
            title_fontproperties={"size": 8, "weight": "bold"},
        )
        axes.add_artist(legend)
        extent = legend.get_window_extent()
        top = float(axes.transAxes.inverted().transform((0, extent.y0))[1]) - 0.02
