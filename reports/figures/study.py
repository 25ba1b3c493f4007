"""Figures of a study: what each metric says of accuracy, network by network, and which metrics say
most.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from cnn_eval.prediction import METRICS, Correlation, StudiedNetwork, quadratic_fit

from .captions import count
from .style import (
    DASHES,
    FAINT,
    GRID,
    INK,
    MUTED,
    PAPER,
    drop_scale,
    family_marks,
    new_figure,
    styled,
    titles,
)

__all__ = ["correlation_figure", "scatter_figure"]

_NETWORK_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", "*", ">", "h")
_ENCODINGS = {
    "sign_magnitude": "sign-magnitude",
    "twos_complement": "two's complement",
    "unsigned": "unsigned",
}
_OURS = (
    "ame",
    "variance",
    "fluctuation",
    "margin_rms",
    "margin_noise",
    "failures",
    "gain",
    "predicted_drop",
)


@styled
def scatter_figure(network: StudiedNetwork) -> Figure:
    """Emulated top-1 over |AME| with the quadratic regression, and emulated over predicted drop,
    families left out of the prediction.
    """
    figure, left = new_figure(right_in=1.75, height_in=4.6)
    box = left.get_position()
    width = 0.45 * box.width
    left.set_position((box.x0, box.y0, width, box.height))
    right = figure.add_axes((box.x1 - width, box.y0, width, box.height))
    marks = family_marks(one.family for one in network.multipliers)
    top1 = network.top1_pct
    drop = network.exact_top1_pct - top1
    ame = np.array([one.metrics["ame"] for one in network.multipliers])
    predicted = np.array([one.metrics["predicted_drop"] for one in network.multipliers])
    _scatter(left, network, np.maximum(ame, ame[ame > 0].min()), top1)
    left.set_xscale("log")
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.xaxis.set_minor_formatter(NullFormatter())
    across = np.geomspace(ame[ame > 0].min(), ame.max(), 200)
    left.plot(across, quadratic_fit(network, "ame")(across), color=INK, linewidth=1.1, zorder=1)
    left.axhline(network.chance_pct, color=FAINT, linewidth=0.8, linestyle=DASHES, zorder=1)
    left.set_xlabel("|AME| (log scale)")
    left.set_ylabel("Emulated top-1 accuracy (%)")
    low, high = min(drop.min(), predicted.min(), 0.0) - 0.3, max(drop.max(), predicted.max()) * 1.06
    drop_scale(right, "x", low, high)
    drop_scale(right, "y", low, high)
    right.plot([low, high], [low, high], color=MUTED, linewidth=0.9, linestyle=DASHES, zorder=1)
    _scatter(right, network, predicted, drop)
    right.set_xlabel("Predicted drop, family left out (points)")
    right.set_ylabel("Emulated drop (points)")
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=mark.marker,
            color=mark.color,
            markersize=5,
            markeredgewidth=0,
            label=family,
        )
        for family, mark in sorted(marks.items())
    ]
    right.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.04, 1.02),
        borderaxespad=0,
        fontsize=7,
        ncols=1 + (len(handles) > 24),
    )
    lines = [
        (
            f"{count(len(top1), 'multiplier')}, {count(network.images, 'image')} of "
            f"{network.data}, exact {network.exact_top1_pct:.2f} %"
        ),
        (
            "Left: quadratic regression. Right: mean absolute deviation "
            f"{network.deviation_pp:.2f} "
            "points over those that lose some, not all"
        ),
    ]
    titles(
        figure,
        (
            f"{network.network}, {_ENCODINGS[network.encoding]}: accuracy against AME and against "
            "its prediction"
        ),
        lines,
    )
    return figure


@styled
def correlation_figure(correlations: Sequence[Correlation]) -> Figure:
    """|Spearman| of every metric with emulated accuracy: a bar to the mean over networks, a mark
    for each network.
    """
    networks = list(dict.fromkeys((one.network, one.encoding) for one in correlations))
    values = {
        metric: {
            (one.network, one.encoding): one.spearman
            for one in correlations
            if one.metric == metric
        }
        for metric in METRICS
    }
    values = {metric: found for metric, found in values.items() if found}
    ordered = sorted(values, key=lambda metric: float(np.mean(list(values[metric].values()))))
    figure, axes = new_figure(right_in=2.3, height_in=5.4)
    box = axes.get_position()
    axes.set_position((box.x0 + 0.23, box.y0, box.width - 0.23, box.height))
    for row, metric in enumerate(ordered):
        ours = metric in _OURS
        axes.barh(
            row,
            float(np.mean(list(values[metric].values()))),
            height=0.66,
            color=FAINT if ours else GRID,
            zorder=1,
        )
        for number, network in enumerate(networks):
            if network not in values[metric]:
                continue
            marker = _NETWORK_MARKERS[number % len(_NETWORK_MARKERS)]
            axes.plot(
                values[metric][network],
                row,
                marker,
                color=INK if ours else MUTED,
                markersize=4.5,
                markeredgecolor=PAPER,
                markeredgewidth=0.4,
            )
    axes.set_yticks(range(len(ordered)), [METRICS[metric] for metric in ordered])
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xlim(0, 1.02)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("|Spearman| with emulated top-1")
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=_NETWORK_MARKERS[number % len(_NETWORK_MARKERS)],
            color=INK,
            markersize=5,
            markeredgewidth=0,
            label=f"{network}, {_ENCODINGS[encoding]}",
        )
        for number, (network, encoding) in enumerate(networks)
    ]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.03, 1.02),
        borderaxespad=0,
        fontsize=7.5,
    )
    about = [
        (
            "Bars: mean over the networks; dark bars: metrics that know the network. Multipliers "
            "that lose some accuracy, but not all of it"
        )
    ]
    titles(figure, "Which error metric tells what a network makes of a multiplier", about)
    return figure


def _scatter(axes: Axes, network: StudiedNetwork, x: np.ndarray, y: np.ndarray) -> None:
    marks = family_marks(one.family for one in network.multipliers)
    for one, across, up in zip(network.multipliers, x, y, strict=True):
        mark = marks[one.family]
        axes.plot(
            [across],
            [up],
            mark.marker,
            color=mark.color,
            markersize=5,
            markeredgecolor=PAPER,
            markeredgewidth=0.4,
            zorder=2,
        )
