"""How the search went: hypervolume and size of the front against evaluations."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dse.search import Exploration

from .captions import count
from .style import FAINT, INK, MUTED, new_figure, styled, titles

__all__ = ["convergence_figure"]


@styled
def convergence_figure(exploration: Exploration) -> Figure:
    """Two panels over the number of evaluated designs, one mark a generation."""
    history = exploration.history
    figure, upper = new_figure(right_in=0.25, height_in=4.4)
    box = upper.get_position()
    gap = 0.05
    upper.set_position((box.x0, box.y0 + 0.42 * box.height, box.width, 0.58 * box.height))
    lower = figure.add_axes((box.x0, box.y0, box.width, 0.42 * box.height - gap), sharex=upper)
    evaluations = [generation.evaluations for generation in history]
    for axes, values, label in (
        (upper, [generation.hypervolume for generation in history], "Hypervolume"),
        (lower, [float(generation.front_size) for generation in history], "Front size"),
    ):
        axes.plot(
            evaluations,
            values,
            color=INK,
            linewidth=1.2,
            marker="o",
            markersize=3.5,
            markeredgewidth=0,
        )
        axes.set_ylabel(label)
        if not history:
            axes.text(
                0.5,
                0.5,
                "no generation was finished",
                transform=axes.transAxes,
                ha="center",
                va="center",
                color=MUTED,
            )
    upper.tick_params(labelbottom=False)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    lower.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    lower.set_ylim(bottom=0)
    if not history:
        upper.set_yticks([])
        lower.set_yticks([])
    lower.set_xlim(0, max(evaluations, default=1) * 1.02)
    lower.set_xlabel("Different designs evaluated")
    if history:
        final = history[-1].hypervolume
        upper.axhline(final, color=FAINT, linewidth=0.8, zorder=1)
        edge = upper.get_yaxis_transform()
        upper.annotate(
            f"{final:.4f}",
            (1, final),
            (-2, -4),
            xycoords=edge,
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
        )
    figure.align_ylabels([upper, lower])
    objectives = ", ".join(exploration.front.objectives)
    lines = [
        (
            f"Objectives: {objectives}. Hypervolume: share of the box between the ideal point and "
            "exact multiplier, guessing network"
        )
    ]
    if history:
        seconds = history[-1].seconds
        lines.append(
            f"{count(len(history), 'generation')}, {count(evaluations[-1], 'design')} in "
            f"{seconds:,.0f} s"
        )
    of = "" if exploration.level == "multiplier" else " among multipliers by themselves"
    titles(figure, f"Convergence of the search{of}", lines)
    return figure
