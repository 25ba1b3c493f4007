"""Pareto plots: a cost against the predicted drop in accuracy, and area against power."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.markers import CARETRIGHT, CARETUP, MarkerStyle
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from dse.evaluation import DesignPoint
from dse.search import COSTS, Exploration, exact_line

from .captions import COST_FIELDS, basis, count
from .labels import LabelPlacer
from .rendering import LINK
from .style import (
    CLASSES,
    DASHES,
    FAINT,
    HEIGHT_IN,
    INK,
    MUTED,
    PAPER,
    TINT,
    Mark,
    drop_class,
    drop_scale,
    elided,
    family_marks,
    new_figure,
    styled,
    titles,
)

__all__ = ["HIGHEST_RATIO", "area_power_figure", "drop_figure", "front_figures", "staircase"]

#: Ratios above this would press the interesting ones into a corner; their designs are marked at the
#: edge.
HIGHEST_RATIO = 1.3
# Error bars below zero say little: a drop is hardly negative.
_LOWEST_DROP_PP = -1.0
_SPEC_CHARACTERS = 44
# More bars, and marks of one kind, than these would merge.
_MOST_BARS, _MOST_MARKS = 60, 150
_EXACT_LINE: dict[str, Any] = {
    "color": MUTED,
    "linewidth": 1.3,
    "linestyle": (0, (1, 1)),
    "marker": "o",
    "markersize": 4,
    "markerfacecolor": PAPER,
    "markeredgewidth": 1.0,
    "zorder": 4.5,
}


def front_figures(exploration: Exploration) -> dict[str, Figure]:
    """Every Pareto plot that fits the search's objectives, by file name without ending."""
    costs = ["area", "power"] + (["delay"] if "delay" in exploration.front.objectives else [])
    figures = {f"front_{cost}_drop": drop_figure(exploration, cost) for cost in costs}
    return figures | {"front_area_power": area_power_figure(exploration)}


def staircase(points: Sequence[DesignPoint], cost: str) -> list[DesignPoint]:
    """The points that no other beats in both predicted drop and `cost` (of
    :data:`dse.search.COSTS`), by ascending drop.
    """
    value = attrgetter(COSTS[cost])
    steps: list[DesignPoint] = []
    for point in sorted(
        points, key=lambda point: (point.predicted_drop_pp, value(point), point.spec)
    ):
        if not steps or value(point) < value(steps[-1]):
            steps.append(point)
    return steps


@styled
def drop_figure(exploration: Exploration, cost: str) -> Figure:
    """`cost` (of :data:`dse.search.COSTS`), relative to the exact multiplier, against the predicted
    drop in top-1 accuracy.
    """
    value = attrgetter(COSTS[cost])
    points, front = exploration.points, exploration.front.points
    shown = _with_marked(exploration)
    steps = staircase(
        [point for point in points if point.effort == exploration.baseline.effort], cost
    )
    emulated = [point for point in shown if point.emulated_drop_pp is not None]

    marks = family_marks(point.family for point in front)
    figure, axes = new_figure(height_in=_height(len(marks)))
    drops = [point.predicted_drop_pp for point in shown] + [
        drop for point in emulated if (drop := point.emulated_drop_pp) is not None
    ]
    highest = max(
        drops
        + [
            point.predicted_drop_pp + point.spread_pp
            for point in steps
            if point.predicted_drop_pp < 10
        ]
    )
    lowest = max(
        _LOWEST_DROP_PP,
        min(point.predicted_drop_pp - point.spread_pp for point in [*steps, exploration.baseline]),
    )
    low, high = min(lowest, *drops) - 0.15, max(highest * 1.1, 2 * exploration.max_drop_pp, 1.0)
    drop_scale(axes, "x", low, high)
    _ratio_limits(axes, "y", exploration, cost)

    within = axes.axvspan(low, exploration.max_drop_pp, color=TINT, linewidth=0, zorder=0)
    limit = exploration.budget.limit if exploration.budget.cost == cost else None
    if limit is not None:
        within.set_height(limit - axes.get_ylim()[0])
        within.set_y(axes.get_ylim()[0])
        within.set_transform(axes.transData)
        axes.axhline(limit, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)
    axes.axvline(exploration.max_drop_pp, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)

    axes.scatter(
        [p.predicted_drop_pp for p in points],
        [value(p) for p in points],
        s=9,
        color=FAINT,
        alpha=0.65,
        linewidths=0,
        zorder=2,
    )
    spread_key = _draw_spread(axes, steps, value, marks)
    line_x = [point.predicted_drop_pp for point in steps] + [high]
    line_y = [value(point) for point in steps] + [value(steps[-1])] if steps else []
    if steps:
        axes.plot(line_x, line_y, color=INK, linewidth=1.1, drawstyle="steps-post", zorder=4)
    exact = [
        point
        for point in exact_line(_same_effort(exploration), value)
        if value(point) <= axes.get_ylim()[1]
    ]
    if len(exact) > 1:
        exact_x, exact_y = (
            [point.predicted_drop_pp for point in exact],
            [value(point) for point in exact],
        )
        # Towards greater drops the cheapest exact multiplier stays the best one.
        axes.plot(
            [high, *exact_x],
            [exact_y[0], *exact_y],
            drawstyle="steps-pre",
            **_EXACT_LINE,
            markevery=slice(1, None),
        )
    _scatter_families(axes, exploration, marks, "predicted_drop_pp", COSTS[cost])
    off_scale = _mark_off_scale(
        axes,
        exploration,
        ("predicted_drop_pp", COSTS[cost]),
        lambda point: marks[point.family].color,
    )
    for point in emulated:
        assert point.emulated_drop_pp is not None
        axes.plot(
            [point.predicted_drop_pp, point.emulated_drop_pp],
            [value(point)] * 2,
            color=INK,
            linewidth=1.2,
            linestyle=":",
            zorder=6,
        )
        axes.plot(
            point.emulated_drop_pp,
            value(point),
            marker="x",
            color=INK,
            markersize=6,
            markeredgewidth=1.5,
            zorder=7,
        )
    placer = LabelPlacer(axes)
    _limit_labels(axes, placer, exploration, cost)
    placer.avoid([p.predicted_drop_pp for p in points], [value(p) for p in points], 0.25)
    placer.avoid([p.predicted_drop_pp for p in front], [value(p) for p in front], 4)
    placer.avoid(
        [float(p.emulated_drop_pp or 0) for p in emulated], [value(p) for p in emulated], 4
    )
    for point in steps[:_MOST_BARS]:
        x, reach = point.predicted_drop_pp, point.spread_pp
        placer.avoid_path([x - reach, x + reach], [value(point)] * 2, 0.1)
    if steps:
        placer.avoid_path(
            [x for x in line_x for _ in range(2)][1:], [y for y in line_y for _ in range(2)][:-1], 1
        )
    _label_marked(axes, placer, exploration, "predicted_drop_pp", COSTS[cost])
    if len(exact) > 1:
        # The pick and the baseline have labels of their own.
        named = {exploration.baseline.spec} | (
            {exploration.pick.spec} if exploration.pick is not None else set()
        )
        if free := [point for point in exact if point.spec not in named]:
            middle = free[(len(free) - 1) // 2]
            placer.label("exact, fewer bits", middle.predicted_drop_pp, value(middle))

    axes.set_xlabel(
        "Predicted drop in top-1 accuracy (percentage "
        f"points{', asinh scale' if axes.get_xscale() == 'asinh' else ''})"
    )
    axes.set_ylabel(_ratio_label(exploration.baseline, cost))
    keys: list[Artist] = [_key("Evaluated design", ".", FAINT, size=7)]
    if steps:
        keys.append(Line2D([], [], color=INK, linewidth=1.1, label="Front in these two"))
        keys.append(spread_key)
    if len(exact) > 1:
        keys.append(Line2D([], [], **_EXACT_LINE, label="Exact, of all widths"))
    if emulated:
        keys.append(_key("Emulated drop", "x", INK, size=6))
    keys += off_scale
    families = [
        _key(elided(name, 18), mark.marker, mark.color, size=_area(mark.marker) ** 0.5)
        for name, mark in sorted(marks.items())
    ]
    _legend(axes, keys, "Families on the front", families)
    name = cost.capitalize()
    titles(
        figure,
        f"{name} against accuracy: {count(len(points), 'design')}, {len(front)} on the front",
        basis(exploration),
    )
    return figure


@styled
def area_power_figure(exploration: Exploration) -> Figure:
    """Area against power, both relative to the exact multiplier, colored by the predicted drop in
    top-1 accuracy.
    """
    points, front = exploration.points, exploration.front.points
    figure, axes = new_figure()
    _ratio_limits(axes, "x", exploration, "area")
    _ratio_limits(axes, "y", exploration, "power")
    axes.axline((0, 0), slope=1, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)

    worst_first = sorted(points, key=lambda point: (-point.predicted_drop_pp, point.spec))
    colors = [CLASSES[drop_class(point.predicted_drop_pp)][1] for point in worst_first]
    across, upward = (
        [point.area_ratio for point in worst_first],
        [point.power_ratio for point in worst_first],
    )
    axes.scatter(across, upward, s=9, c=colors, alpha=0.55, linewidths=0, zorder=2)
    numbered = sorted(enumerate(front), key=lambda item: (-item[1].predicted_drop_pp, item[1].spec))
    _scatter_linked(
        axes,
        [point.area_ratio for _, point in numbered],
        [point.power_ratio for _, point in numbered],
        [number for number, _ in numbered],
        colors=[CLASSES[drop_class(point.predicted_drop_pp)][1] for _, point in numbered],
        marker="o",
    )
    off_scale = _mark_off_scale(
        axes,
        exploration,
        ("area_ratio", "power_ratio"),
        lambda point: CLASSES[drop_class(point.predicted_drop_pp)][1],
    )
    placer = LabelPlacer(axes)
    placer.avoid([p.area_ratio for p in points], [p.power_ratio for p in points], 0.25)
    placer.avoid([p.area_ratio for p in front], [p.power_ratio for p in front], 4)
    _label_marked(axes, placer, exploration, "area_ratio", "power_ratio")

    axes.set_xlabel(_ratio_label(exploration.baseline, "area"))
    axes.set_ylabel(_ratio_label(exploration.baseline, "power"))
    keys: list[Artist] = [
        _key("On the front", "o", FAINT),
        _key("Evaluated design", ".", FAINT, size=7),
    ]
    keys.append(Line2D([], [], color=MUTED, linewidth=0.8, linestyle=DASHES, label="Equal savings"))
    keys += off_scale
    present = {drop_class(point.predicted_drop_pp) for point in points}
    classes = [
        _key(_class_label(index), "o", color)
        for index, (_, color) in enumerate(CLASSES)
        if index in present
    ]
    _legend(axes, keys, "Predicted drop (points)", classes)
    titles(
        figure,
        f"Area against power: {count(len(points), 'design')}, {len(front)} on the front",
        basis(exploration),
    )
    return figure


def _with_marked(exploration: Exploration) -> list[DesignPoint]:
    """Every point of the search, the baseline and the pick, each once, with what was emulated."""
    known = {
        point.spec: point
        for point in (exploration.baseline, *exploration.points, *exploration.front.points)
    }
    if exploration.pick is not None:
        known[exploration.pick.spec] = exploration.pick
    return list(known.values())


def _same_effort(exploration: Exploration) -> list[DesignPoint]:
    """The points that synthesis tried as hard for as for the baseline, and the baseline."""
    known = {point.spec: point for point in (exploration.baseline, *exploration.points)}
    return [point for point in known.values() if point.effort == exploration.baseline.effort]


def _ratio_limits(axes: Axes, which: str, exploration: Exploration, cost: str) -> None:
    """Limits that show the exact multiplier, the pick, the budget, and every ratio up to
    `HIGHEST_RATIO`.
    """
    ratios = [float(getattr(point, COSTS[cost])) for point in _with_marked(exploration)]
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
    top = highest if max(ratios) > highest else max(seen) + margin
    formatter = FuncFormatter(
        lambda value, _: (
            "" if value < -1e-9 else f"{value:.2f}".removesuffix("0") if value > 1e-9 else "0"
        )
    )
    (axes.set_xlim if which == "x" else axes.set_ylim)(min(seen) - margin, top)
    (axes.xaxis if which == "x" else axes.yaxis).set_major_formatter(formatter)


def _mark_off_scale(
    axes: Axes,
    exploration: Exploration,
    fields: tuple[str, str],
    front_color: Callable[[DesignPoint], str],
) -> list[Artist]:
    """Carets at the upper and right edges for the designs beyond them, those of the front in color.
    Returns the legend's keys.
    """
    numbers = {point.spec: number for number, point in enumerate(exploration.front.points)}
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
        beyond.sort(key=lambda point: (point.spec in numbers, point.spec))
        places = [
            [
                min(float(getattr(point, field)), edge)
                for field, edge in zip(fields, edges, strict=True)
            ]
            for point in beyond
        ]
        on_front = [point.spec in numbers for point in beyond]
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
            [f"{LINK}{numbers[point.spec]}" if point.spec in numbers else "" for point in beyond]
        )
        label = f"{len(beyond):,} {sense} {edges[axis]:g}" + (
            f",\n{sum(on_front):,} of them on the front" if any(on_front) else ""
        )
        keys.append(_key(label, caret, FAINT, size=6))
    return keys


def _ratio_label(baseline: DesignPoint, cost: str) -> str:
    absolute, _, unit, digits = COST_FIELDS[cost]
    return (
        f"{cost.capitalize()} relative to exact (1 = {getattr(baseline, absolute):,.{digits}f} "
        f"{unit})"
    )


def _height(families: int) -> float:
    """Height of a figure in inches, so that the legend has room for so many families."""
    return HEIGHT_IN + 0.163 * max(0, families - 17)


def _draw_spread(
    axes: Axes,
    steps: Sequence[DesignPoint],
    value: Callable[[DesignPoint], float],
    marks: dict[str, Mark],
) -> Artist:
    """The predictor's spread along the staircase, a bar a point or a band where bars would merge.
    Returns the legend's key.
    """
    label = "± 1 std. deviation\nof the predictor"
    if len(steps) > _MOST_BARS:
        left, right = (
            [point.predicted_drop_pp + sign * point.spread_pp for point in steps]
            for sign in (-1, 1)
        )
        axes.fill_betweenx(
            [value(point) for point in steps],
            left,
            right,
            color=MUTED,
            alpha=0.2,
            linewidth=0,
            zorder=1,
        )
        return Patch(color=MUTED, alpha=0.2, linewidth=0, label=label)
    for point in steps:
        color = marks[point.family].color if point.family in marks else MUTED
        x, y = point.predicted_drop_pp, value(point)
        axes.errorbar(
            x,
            y,
            xerr=point.spread_pp,
            ecolor=color,
            elinewidth=0.9,
            alpha=0.45,
            fmt="none",
            zorder=3,
        )
    return Line2D([], [], color=MUTED, linewidth=1.0, label=label)


def _scatter_families(
    axes: Axes, exploration: Exploration, marks: dict[str, Mark], x: str, y: str
) -> None:
    """Front points with their family's mark, the dearest first, so that the cheap ones lie on
    top.
    """
    for family, mark in marks.items():
        members = [
            (number, point)
            for number, point in enumerate(exploration.front.points)
            if point.family == family
        ]
        _scatter_linked(
            axes,
            [getattr(point, x) for _, point in members],
            [getattr(point, y) for _, point in members],
            [number for number, _ in members],
            colors=[mark.color] * len(members),
            marker=mark.marker,
        )


def _scatter_linked(
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
        size, edge = (_area(marker), 0.6) if len(x) <= _MOST_MARKS else (0.5 * _area(marker), 0.0)
        marks = axes.scatter(
            x, y, s=size, c=colors, marker=marker, edgecolors=PAPER, linewidths=edge, zorder=5
        )
        marks.set_urls([f"{LINK}{number}" for number in numbers])


def _area(marker: str) -> float:
    """Marker area in square points at which the shapes look equally large."""
    return {"s": 28.0, "D": 25.0, "*": 85.0, "X": 40.0, "P": 40.0}.get(marker, 36.0)


def _label_marked(
    axes: Axes, placer: LabelPlacer, exploration: Exploration, x: str, y: str
) -> None:
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
        placer.label(elided(pick.spec, _SPEC_CHARACTERS), *at, bold=True)
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
    if pick is None or pick.spec != baseline.spec:
        placer.label("exact", *at)


def _limit_labels(axes: Axes, placer: LabelPlacer, exploration: Exploration, cost: str) -> None:
    """Names the limits of the search: that of the drop above the axes, that of the cost at the
    right end of its line.
    """
    drop, budget = exploration.max_drop_pp, exploration.budget
    axes.text(
        drop,
        1.01,
        f"drop ≤ {drop:g}",
        transform=axes.get_xaxis_transform(),
        ha="center",
        va="bottom",
        fontsize=7.5,
        color=MUTED,
    )
    if budget.cost == cost and budget.limit is not None and budget.limit <= axes.get_ylim()[1]:
        text = axes.annotate(
            f"{cost} ≤ {budget.limit:g}",
            (1, budget.limit),
            (-3, 2),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=7.5,
            color=MUTED,
            zorder=8,
            bbox={
                "boxstyle": "square,pad=0.1",
                "facecolor": PAPER,
                "edgecolor": "none",
                "alpha": 0.8,
            },
        )
        placer.reserve(text)


def _class_label(index: int) -> str:
    if index == 0:
        return f"up to {CLASSES[0][0]:g}"
    if index == len(CLASSES) - 1:
        return f"above {CLASSES[-2][0]:g}"
    return f"{CLASSES[index - 1][0]:g} to {CLASSES[index][0]:g}"


def _key(label: str, marker: str | MarkerStyle, color: str, *, size: float = 6) -> Line2D:
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


def _legend(axes: Axes, keys: Sequence[Artist], heading: str, items: Sequence[Line2D]) -> None:
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
