"""A cost against the predicted drop in accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dse.evaluation import DesignPoint
from dse.ground_truth import verified
from dse.search import COSTS, Exploration, exact_line

from ..captions import basis, count
from ..labels import LabelPlacer
from ..style import (
    DASHES,
    FAINT,
    HEIGHT_IN,
    INK,
    MUTED,
    PAPER,
    TINT,
    Mark,
    drop_scale,
    elided,
    family_marks,
    new_figure,
    styled,
    titles,
)
from .marks import (
    EXACT_LINE,
    exact_key,
    key,
    label_marked,
    legends,
    mark_off_scale,
    marker_area,
    ratio_label,
    ratio_limits,
    scatter_linked,
    with_marked,
)

__all__ = ["drop_figure", "staircase"]

#: A cost of a design.
Cost = Callable[[DesignPoint], float]

# Error bars below zero say little: a drop is hardly negative.
_LOWEST_DROP_PP = -1.0
# More bars than these would merge.
_MOST_BARS = 60


def staircase(points: Sequence[DesignPoint], cost: str) -> list[DesignPoint]:
    """The points that no other beats in both predicted drop and `cost` (of
    :data:`dse.search.COSTS`), by ascending drop.
    """
    value = attrgetter(COSTS[cost])
    steps: list[DesignPoint] = []
    for point in sorted(
        points, key=lambda point: (point.predicted_drop_pp, value(point), point.name)
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
    steps = staircase(exploration.comparable, cost)
    emulated = verified(exploration)
    marks = family_marks(point.family for point in front)
    figure, axes = new_figure(height_in=_height(len(marks)))
    drop_scale(axes, "x", *_drop_limits(exploration, steps))
    ratio_limits(axes, "y", exploration, cost)
    exact = [
        point
        for point in exact_line(exploration.comparable, value)
        if value(point) <= axes.get_ylim()[1]
    ]
    exact = exact if len(exact) > 1 else []

    _draw_limits(axes, exploration, cost)
    axes.scatter(
        [p.predicted_drop_pp for p in points],
        [value(p) for p in points],
        s=9,
        color=FAINT,
        alpha=0.65,
        linewidths=0,
        zorder=2,
    )
    keys: list[Artist] = [key("Evaluated design", ".", FAINT, size=7)]
    if steps:
        keys += [_draw_staircase(axes, steps, value), _draw_spread(axes, steps, value, marks)]
    if exact:
        keys.append(_draw_exact_line(axes, exact, value))
    _scatter_families(axes, exploration, marks, "predicted_drop_pp", COSTS[cost])
    off_scale = mark_off_scale(
        axes,
        exploration,
        ("predicted_drop_pp", COSTS[cost]),
        lambda point: marks[point.family].color,
    )
    for shown, marker, label in (
        (emulated, "x", "Emulated drop"),
        (exploration.retrained, "P", "Emulated, retrained"),
    ):
        if shown:
            keys.append(_draw_emulated(axes, shown, value, marker, label))
    keys += off_scale

    placer = LabelPlacer(axes)
    _limit_labels(axes, placer, exploration, cost)
    _keep_clear(axes, placer, exploration, steps, emulated, value)
    label_marked(axes, placer, exploration, "predicted_drop_pp", COSTS[cost])
    _label_exact_line(placer, exploration, exact, value)
    axes.set_xlabel(
        "Predicted drop in top-1 accuracy (percentage "
        f"points{', asinh scale' if axes.get_xscale() == 'asinh' else ''})"
    )
    axes.set_ylabel(ratio_label(exploration.baseline, cost, axes.get_yscale()))
    families = [
        key(elided(name, 18), mark.marker, mark.color, size=marker_area(mark.marker) ** 0.5)
        for name, mark in sorted(marks.items())
    ]
    legends(axes, keys, "Families on the front", families)
    titles(
        figure,
        f"{cost.capitalize()} against accuracy: {count(len(points), 'design')}, {len(front)} on "
        "the front",
        basis(exploration),
    )
    return figure


def _drop_limits(exploration: Exploration, steps: Sequence[DesignPoint]) -> tuple[float, float]:
    """The least and the largest drop that is shown."""
    shown = [*with_marked(exploration), *exploration.retrained]
    drops = [point.predicted_drop_pp for point in shown] + [
        drop for point in shown if (drop := point.emulated_drop_pp) is not None
    ]
    reached = [
        point.predicted_drop_pp + point.spread_pp for point in steps if point.predicted_drop_pp < 10
    ]
    lowest = min(
        point.predicted_drop_pp - point.spread_pp for point in [*steps, exploration.baseline]
    )
    return (
        min(max(_LOWEST_DROP_PP, lowest), *drops) - 0.15,
        max(1.1 * max(drops + reached), 2 * exploration.max_drop_pp, 1.0),
    )


def _draw_limits(axes: Axes, exploration: Exploration, cost: str) -> None:
    """Lines at the limits of the search; what keeps both is tinted."""
    low, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
    within = axes.axvspan(low, exploration.max_drop_pp, color=TINT, linewidth=0, zorder=0)
    limit = exploration.budget.limit if exploration.budget.cost == cost else None
    if limit is not None:
        within.set_height(limit - bottom)
        within.set_y(bottom)
        within.set_transform(axes.transData)
        axes.axhline(limit, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)
    axes.axvline(exploration.max_drop_pp, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)


def _draw_staircase(axes: Axes, steps: Sequence[DesignPoint], value: Cost) -> Artist:
    """The front in these two. Returns the legend's key."""
    axes.plot(
        [*(point.predicted_drop_pp for point in steps), axes.get_xlim()[1]],
        [*map(value, steps), value(steps[-1])],
        color=INK,
        linewidth=1.1,
        drawstyle="steps-post",
        zorder=4,
    )
    return Line2D([], [], color=INK, linewidth=1.1, label="Front in these two")


def _draw_exact_line(axes: Axes, exact: Sequence[DesignPoint], value: Cost) -> Artist:
    """Exact multipliers of all widths. Returns the legend's key."""
    # Towards greater drops the cheapest exact multiplier stays the best one.
    axes.plot(
        [axes.get_xlim()[1], *(point.predicted_drop_pp for point in exact)],
        [value(exact[0]), *map(value, exact)],
        drawstyle="steps-pre",
        **EXACT_LINE,
        markevery=slice(1, None),
    )
    return exact_key()


def _draw_emulated(
    axes: Axes, emulated: Sequence[DesignPoint], value: Cost, marker: str, label: str
) -> Artist:
    """Marks where the emulated drop is, tied to the predicted one. Returns the legend's key."""
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
            marker=marker,
            color=INK,
            markersize=6,
            markeredgewidth=1.5 if marker == "x" else 0,
            zorder=7,
        )
    return key(label, marker, INK, size=6)


def _keep_clear(
    axes: Axes,
    placer: LabelPlacer,
    exploration: Exploration,
    steps: Sequence[DesignPoint],
    emulated: Sequence[DesignPoint],
    value: Cost,
) -> None:
    """Tells where names would hide something."""
    points, front = exploration.points, exploration.front.points
    placer.avoid([p.predicted_drop_pp for p in points], [value(p) for p in points], 0.25)
    placer.avoid([p.predicted_drop_pp for p in front], [value(p) for p in front], 4)
    placer.avoid(
        [float(p.emulated_drop_pp or 0) for p in emulated], [value(p) for p in emulated], 4
    )
    for point in steps[:_MOST_BARS]:
        x, reach = point.predicted_drop_pp, point.spread_pp
        placer.avoid_path([x - reach, x + reach], [value(point)] * 2, 0.1)
    if steps:
        across = [*(point.predicted_drop_pp for point in steps), axes.get_xlim()[1]]
        upward = [*map(value, steps), value(steps[-1])]
        placer.avoid_path(
            [x for x in across for _ in range(2)][1:], [y for y in upward for _ in range(2)][:-1], 1
        )


def _label_exact_line(
    placer: LabelPlacer, exploration: Exploration, exact: Sequence[DesignPoint], value: Cost
) -> None:
    """Names the line at its middle; pick and baseline have names of their own."""
    marked = (exploration.baseline, exploration.pick)
    named = {point.name for point in marked if point is not None}
    if free := [point for point in exact if point.name not in named]:
        middle = free[(len(free) - 1) // 2]
        placer.label("exact, fewer bits", middle.predicted_drop_pp, value(middle))


def _height(families: int) -> float:
    """Height of a figure in inches, so that the legend has room for so many families."""
    return HEIGHT_IN + 0.163 * max(0, families - 17)


def _draw_spread(
    axes: Axes,
    steps: Sequence[DesignPoint],
    value: Cost,
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
        scatter_linked(
            axes,
            [getattr(point, x) for _, point in members],
            [getattr(point, y) for _, point in members],
            [number for number, _ in members],
            colors=[mark.color] * len(members),
            marker=mark.marker,
        )


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
