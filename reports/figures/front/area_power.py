"""Area against power."""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dse.search import Exploration, exact_line

from ..captions import basis, count
from ..labels import LabelPlacer
from ..style import (
    CLASSES,
    DASHES,
    FAINT,
    MUTED,
    drop_class,
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
    ratio_label,
    ratio_limits,
    scatter_linked,
)

__all__ = ["area_power_figure"]


@styled
def area_power_figure(exploration: Exploration) -> Figure:
    """Area against power, both relative to the exact multiplier, colored by the predicted drop in
    top-1 accuracy.
    """
    points, front = exploration.points, exploration.front.points
    figure, axes = new_figure()
    ratio_limits(axes, "x", exploration, "area")
    ratio_limits(axes, "y", exploration, "power")
    equal = np.geomspace(1e-3, max(axes.get_xlim()[1], axes.get_ylim()[1]), 200)
    axes.plot(equal, equal, color=MUTED, linewidth=0.8, linestyle=DASHES, zorder=1)

    worst_first = sorted(points, key=lambda point: (-point.predicted_drop_pp, point.name))
    colors = [CLASSES[drop_class(point.predicted_drop_pp)][1] for point in worst_first]
    across, upward = (
        [point.area_ratio for point in worst_first],
        [point.power_ratio for point in worst_first],
    )
    axes.scatter(across, upward, s=9, c=colors, alpha=0.55, linewidths=0, zorder=2)
    numbered = sorted(enumerate(front), key=lambda item: (-item[1].predicted_drop_pp, item[1].name))
    scatter_linked(
        axes,
        [point.area_ratio for _, point in numbered],
        [point.power_ratio for _, point in numbered],
        [number for number, _ in numbered],
        colors=[CLASSES[drop_class(point.predicted_drop_pp)][1] for _, point in numbered],
        marker="o",
    )
    # The best exact ones at some drop, in area and power together.
    exact = exact_line(exploration.comparable, lambda one: one.area_ratio * one.power_ratio)
    exact = [
        point
        for point in exact
        if point.area_ratio <= axes.get_xlim()[1] and point.power_ratio <= axes.get_ylim()[1]
    ]
    if len(exact) > 1:
        axes.plot(
            [point.area_ratio for point in exact],
            [point.power_ratio for point in exact],
            **EXACT_LINE,
        )
    off_scale = mark_off_scale(
        axes,
        exploration,
        ("area_ratio", "power_ratio"),
        lambda point: CLASSES[drop_class(point.predicted_drop_pp)][1],
    )
    placer = LabelPlacer(axes)
    placer.avoid([p.area_ratio for p in points], [p.power_ratio for p in points], 0.25)
    placer.avoid([p.area_ratio for p in front], [p.power_ratio for p in front], 4)
    label_marked(axes, placer, exploration, "area_ratio", "power_ratio")

    axes.set_xlabel(ratio_label(exploration.baseline, "area", axes.get_xscale()))
    axes.set_ylabel(ratio_label(exploration.baseline, "power", axes.get_yscale()))
    keys: list[Artist] = [
        key("On the front", "o", FAINT),
        key("Evaluated design", ".", FAINT, size=7),
    ]
    keys.append(Line2D([], [], color=MUTED, linewidth=0.8, linestyle=DASHES, label="Equal savings"))
    if len(exact) > 1:
        keys.append(exact_key())
    keys += off_scale
    present = {drop_class(point.predicted_drop_pp) for point in points}
    classes = [
        key(_class_label(index), "o", color)
        for index, (_, color) in enumerate(CLASSES)
        if index in present
    ]
    legends(axes, keys, "Predicted drop (points)", classes)
    titles(
        figure,
        f"Area against power: {count(len(points), 'design')}, {len(front)} on the front",
        basis(exploration),
    )
    return figure


def _class_label(index: int) -> str:
    if index == 0:
        return f"up to {CLASSES[0][0]:g}"
    if index == len(CLASSES) - 1:
        return f"above {CLASSES[-2][0]:g}"
    return f"{CLASSES[index - 1][0]:g} to {CLASSES[index][0]:g}"
