"""Pareto plots: a cost against the predicted drop in accuracy, and area against power."""

from matplotlib.figure import Figure

from dse.search import Exploration

from .area_power import area_power_figure
from .drop import drop_figure, staircase
from .marks import HIGHEST_RATIO

__all__ = ["HIGHEST_RATIO", "area_power_figure", "drop_figure", "front_figures", "staircase"]


def front_figures(exploration: Exploration) -> dict[str, Figure]:
    """Every Pareto plot that fits the search's objectives, by file name without ending."""
    costs = ["area", "power"] + (["delay"] if "delay" in exploration.front.objectives else [])
    figures = {f"front_{cost}_drop": drop_figure(exploration, cost) for cost in costs}
    return figures | {"front_area_power": area_power_figure(exploration)}
