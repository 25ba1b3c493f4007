"""Emulated against predicted drop in accuracy: how far the predictor may be trusted."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dse.ground_truth import mean_deviation_pp, verified
from dse.search import Exploration

from .captions import basis, count
from .labels import LabelPlacer
from .style import (
    DASHES,
    INK,
    MUTED,
    PAPER,
    drop_scale,
    elided,
    family_marks,
    new_figure,
    styled,
    titles,
)

__all__ = ["verification_figure"]

# Bars that reach farther below zero say little: a drop is hardly negative.
_LOWEST_DROP_PP = -1.5


@styled
def verification_figure(exploration: Exploration) -> Figure:
    """The emulated designs beside the line on which prediction and emulation agree; bars are one
    standard deviation of the predictor.

    Raises:
        ValueError: nothing was emulated.
    """
    points = verified(exploration)
    deviation = mean_deviation_pp(exploration)
    if deviation is None:
        raise ValueError("no design was emulated; nothing to draw")
    predicted = [point.predicted_drop_pp for point in points]
    emulated = [point.drop_pp for point in points]
    spread = [point.spread_pp for point in points]
    figure, axes = new_figure(right_in=3.05, height_in=6.4)
    least = min(p - s for p, s in zip(predicted, spread, strict=True))
    low = min(*predicted, *emulated, max(_LOWEST_DROP_PP, least), 0.0) - 0.2
    high = max(*(p + s for p, s in zip(predicted, spread, strict=True)), *emulated, 1.0) * 1.06
    drop_scale(axes, "x", low, high)
    drop_scale(axes, "y", low, high)
    axes.plot([low, high], [low, high], color=MUTED, linewidth=0.9, linestyle=DASHES, zorder=1)
    marks = family_marks(point.family for point in points)
    handles = [
        Line2D([], [], color=MUTED, linewidth=0.9, linestyle=DASHES, label="Prediction = emulation")
    ]
    for number, (point, x, y) in enumerate(zip(points, predicted, emulated, strict=True), 1):
        mark = marks[point.family]
        axes.errorbar(
            x,
            y,
            xerr=point.spread_pp,
            ecolor=mark.color,
            elinewidth=1.0,
            alpha=0.5,
            fmt="none",
            zorder=2,
        )
        picked = exploration.pick is not None and exploration.pick.name == point.name
        size = 8 if mark.marker == "*" else 6.5
        edge, width = (INK, 1.2) if picked else (PAPER, 0.6)
        axes.plot(
            [x],
            [y],
            mark.marker,
            color=mark.color,
            markersize=size,
            markeredgecolor=edge,
            markeredgewidth=width,
            zorder=3,
        )
        label = f"{number}  {elided(point.name, 36)}{' (pick)' if picked else ''}"
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker=mark.marker,
                color=mark.color,
                markersize=size,
                markeredgewidth=0,
                label=label,
            )
        )
    placer = LabelPlacer(axes)
    placer.avoid(predicted, emulated, 8)
    placer.avoid_path([low, high], [low, high], 1)
    for x, y, reach in zip(predicted, emulated, spread, strict=True):
        placer.avoid_path([x - reach, x + reach], [y, y], 0.5)
    for number, (x, y) in enumerate(zip(predicted, emulated, strict=True), 1):
        placer.label(str(number), x, y, nearest_pt=7)
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.03, 1.02),
        borderaxespad=0,
        fontsize=7.5,
    )
    unit = "percentage points, asinh scale" if axes.get_xscale() == "asinh" else "percentage points"
    axes.set_xlabel(f"Predicted drop in top-1 accuracy ({unit})")
    axes.set_ylabel(f"Emulated drop in top-1 accuracy ({unit})")
    images = sorted({point.emulated_images or 0 for point in points})
    sample = f"{images[0]:,}" if len(images) == 1 else f"{images[0]:,} to {images[-1]:,}"
    title = (
        f"Verification: mean absolute deviation {deviation:.2f} points over "
        f"{count(len(points), 'design')}"
    )
    about = f"Emulated on {sample} images each; bars: ± one standard deviation of the predictor"
    titles(figure, title, [about, basis(exploration)[1]])
    return figure
