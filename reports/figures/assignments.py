"""Assignments against single designs: what a design for every layer gains."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from dse.search import Assignment

from .captions import count
from .style import FAINT, INK, MUTED, drop_scale, new_figure, styled, titles

__all__ = ["assignment_figure"]

_HUE = "#0072b2"


@styled
def assignment_figure(front: Sequence[Assignment], singles: Sequence[Assignment]) -> Figure:
    """Energy of an image against the drop: the assignments of a front, and designs that are alone
    in all layers. Filled marks are predicted, hollow ones emulated.
    """
    figure, axes = new_figure(right_in=2.1)
    for group, color, marker, name in (
        (singles, MUTED, "s", "one design in all layers"),
        (front, _HUE, "o", "a design for every layer"),
    ):
        ordered = sorted(group, key=lambda one: (one.predicted_drop_pp, one.energy_nj))
        axes.plot(
            [one.predicted_drop_pp for one in ordered],
            [one.energy_nj for one in ordered],
            marker=marker,
            markersize=5,
            markeredgewidth=0,
            color=color,
            linewidth=0.9,
            label=name,
        )
        emulated = [
            (one.emulated_drop_pp, one.predicted_drop_pp, one.energy_nj)
            for one in ordered
            if one.emulated_drop_pp is not None
        ]
        for drop, predicted, energy in emulated:
            axes.plot([predicted, drop], [energy, energy], color=FAINT, linewidth=0.8, zorder=1)
        axes.plot(
            [drop for drop, _, _ in emulated],
            [energy for _, _, energy in emulated],
            linestyle="none",
            marker=marker,
            markersize=5.5,
            markerfacecolor="none",
            markeredgecolor=color,
            label=f"{name}, emulated" if emulated else None,
        )
    everything = (*front, *singles)
    drops = [one.predicted_drop_pp for one in everything] + [
        one.emulated_drop_pp for one in everything if one.emulated_drop_pp is not None
    ]
    drop_scale(axes, "x", min(*drops, 0.0) - 0.05, max(drops) * 1.06 + 0.05)
    axes.set_yscale("log")
    axes.set_xlabel("Drop in top-1 accuracy, percentage points")
    axes.set_ylabel("Energy of the multiplications of an image, nJ")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), borderaxespad=0, fontsize=7.5)
    axes.tick_params(colors=INK)
    kinds = max(len(one.kinds) for one in front)
    titles(
        figure,
        f"A design for every layer: {count(len(front), 'assignment')} of at most "
        f"{count(kinds, 'kind')}",
        [f"{front[0].network} on {front[0].data}, {front[0].encoding}"],
    )
    return figure
