"""Careful data sizing, the competitor of every approximate multiplier: exact multipliers of fewer
operand bits.

B. Barrois, O. Sentieys, D. Menard, "The Hidden Cost of Functional Approximation Against Careful
Data Sizing", DATE 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..evaluation.point import DesignPoint
from .budget import COSTS, Budget

__all__ = [
    "Recommendation",
    "as_accurate",
    "exact_line",
    "is_exact",
    "preferred",
    "recommended",
    "with_savings_beyond_exact",
    "worse_in",
]

# Predictions do not tell smaller differences apart, in percentage points.
_SAME_DROP_PP = 1e-9


def is_exact(point: DesignPoint) -> bool:
    """Whether the multiplier has no errors: what it loses is due to the number of operand bits
    alone.
    """
    return point.er_pct == 0


def with_savings_beyond_exact(points: Iterable[DesignPoint], budget: Budget) -> list[DesignPoint]:
    """The points, each approximate one with what it saves beyond the cheapest exact multiplier that
    is at least as accurate (:func:`as_accurate`) and not too slow for the budget.

    Area and energy have a cheapest exact one each, among all operand widths. Savings are negative
    where the design costs more.
    """
    points = list(points)
    exact = [point for point in points if is_exact(point) and budget.on_time(point)]
    found = []
    for point in points:
        rivals = [one for one in exact if as_accurate(one, point)]
        if is_exact(point) or not rivals:
            found.append(replace(point, beyond_area_pct=None, beyond_energy_pct=None))
            continue
        area_um2, energy_fj = (
            min(one.area_um2 for one in rivals),
            min(one.energy_fj for one in rivals),
        )
        found.append(
            replace(
                point,
                beyond_area_pct=100 * (1 - point.area_um2 / area_um2),
                beyond_energy_pct=100 * (1 - point.energy_fj / energy_fj),
            )
        )
    return found


def as_accurate(one: DesignPoint, other: DesignPoint) -> bool:
    """Whether a design loses no more than another, as predicted or, where both were emulated, as
    emulated: one that may be as good counts.
    """
    if one.predicted_drop_pp <= other.predicted_drop_pp + _SAME_DROP_PP:
        return True
    return (
        one.emulated_drop_pp is not None
        and other.emulated_drop_pp is not None
        and one.emulated_drop_pp <= other.emulated_drop_pp
    )


def exact_line(
    points: Iterable[DesignPoint], cost: Callable[[DesignPoint], float]
) -> list[DesignPoint]:
    """The exact multipliers that no other exact one beats in a cost and in predicted accuracy, by
    ascending cost.
    """
    line: list[DesignPoint] = []
    for point in sorted(
        filter(is_exact, points),
        key=lambda one: (cost(one), one.predicted_drop_pp, one.precedence),
    ):
        if not line or point.predicted_drop_pp < line[-1].predicted_drop_pp:
            line.append(point)
    return line


@dataclass(frozen=True)
class Recommendation:
    """The design to build, or None where none keeps the budget and the accuracy.

    Attributes:
        warning: what the user has to know of it, in one line; empty where there is nothing.
    """

    point: DesignPoint | None
    warning: str = ""


def preferred(points: Iterable[DesignPoint], budget: Budget) -> list[DesignPoint]:
    """The points that keep the budget's limit, the cheapest first: whatever drop is allowed, the
    first of them within it is the one to build.

    Designs that are worse than the exact multiplier of the widest operands in something else
    (:func:`worse_in`) come last: such a design is built only where nothing else keeps the budget.
    Of two designs of the same cost the exact one comes first, and then the one that takes less of
    the other costs.
    """
    return sorted(
        (point for point in points if budget.excess(point) <= 0),
        key=lambda one: (
            bool(worse_in(one, budget)),
            budget.value(one),
            not is_exact(one),
            one.predicted_drop_pp,
            one.area_ratio * one.power_ratio * one.delay_ratio,
            one.name,
        ),
    )


def recommended(
    points: Sequence[DesignPoint], budget: Budget, max_drop_pp: float
) -> Recommendation:
    """The cheapest of `points` whose drop, emulated or else predicted, is at most `max_drop_pp` and
    which keeps the budget's limit: the first of :func:`preferred` within the drop.
    """
    chosen = next((one for one in preferred(points, budget) if one.drop_pp <= max_drop_pp), None)
    worse = [] if chosen is None else worse_in(chosen, budget)
    if chosen is None or not worse:
        return Recommendation(chosen)
    costs = " and ".join(f"{cost} x{getattr(chosen, COSTS[cost]):.2f}" for cost in worse)
    return Recommendation(
        chosen,
        (
            f"{chosen.name} takes more than the exact multiplier elsewhere ({costs}); nothing else "
            f"keeps {budget.words} at this accuracy"
        ),
    )


def worse_in(point: DesignPoint, budget: Budget) -> list[str]:
    """The costs of which the design takes more than the exact multiplier of the widest operands;
    not the delay where the budget says which is soon enough.
    """
    return [
        cost
        for cost, field in COSTS.items()
        if getattr(point, field) > 1 and (cost != "delay" or budget.delay_target_ps is None)
    ]
