"""What approximation buys beyond exact multipliers of fewer operand bits, in words and rows of the
report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dse.evaluation import DesignPoint
from dse.search import COSTS, Exploration, is_exact, worse_in

from ..figures.captions import saving

__all__ = ["SizingRow", "sizing_rows", "sizing_verdict"]

#: Drops that the rows allow, in percentage points.
_DROPS_PP = (0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class SizingRow:
    """The cheapest exact and the cheapest approximate design within a drop, emulated or else
    predicted; None where there is none.

    Attributes:
        drop_pp: the most that may be lost, in percentage points.
        ratio: cost of the approximate one relative to the exact one; None where either is missing.
        words: what approximation buys here.
    """

    drop_pp: float
    exact: DesignPoint | None
    approximate: DesignPoint | None
    ratio: float | None
    words: str


def sizing_rows(exploration: Exploration) -> list[SizingRow]:
    """One row for each drop, in the cost of the budget, among the designs that synthesis tried as
    hard for as for the baseline.
    """
    points = list(filter(exploration.budget.on_time, exploration.comparable))
    cost = exploration.budget.cost
    rows = []
    for drop_pp in _DROPS_PP:
        exact = _cheapest([one for one in points if is_exact(one) and _may_be(one, drop_pp)], cost)
        # As designs are picked: one that takes more elsewhere is no saving.
        approximate = _cheapest(
            [
                one
                for one in points
                if not is_exact(one)
                and one.drop_pp <= drop_pp
                and not worse_in(one, exploration.budget)
            ],
            cost,
        )
        ratio = None
        if exact is None:
            words = "no exact multiplier is as accurate"
        elif approximate is None:
            words = "nothing: no approximate design is as accurate and takes no more elsewhere"
        else:
            ratio = getattr(approximate, COSTS[cost]) / getattr(exact, COSTS[cost])
            words = saving(ratio, cost) if ratio < 1 else "nothing"
        rows.append(SizingRow(drop_pp, exact, approximate, ratio, words))
    return rows


def sizing_verdict(exploration: Exploration, rows: Sequence[SizingRow]) -> str:
    """What the rows come to, and what follows for the recommendation."""
    cost = exploration.budget.cost
    compared = [row for row in rows if row.exact is not None]
    gains = [row for row in compared if row.ratio is not None and row.ratio < 1]
    if lone := exploration.lone_exact_widths:
        only = " and ".join(f"{widths.a}x{widths.b}" for widths in lone)
        return (
            f"No exact multiplier but {only} takes part, so that nothing tells what fewer bits "
            "alone would save: search all operand widths, or profile the network for fewer bits "
            "(dse profile)."
        )
    if not compared:
        return (
            "No exact multiplier was evaluated that loses so little: there is nothing to "
            "compare with."
        )
    if not gains:
        verdict = (
            f"Approximation buys no {cost} beyond exact multipliers of fewer bits at any of "
            "these drops."
        )
    else:
        told = ", ".join(f"{row.words} at {row.drop_pp:g}" for row in gains)
        verdict = (
            f"Beyond exact multipliers of fewer bits approximation buys, by drop in points: {told}."
        )
        if none := [f"{row.drop_pp:g}" for row in compared if row not in gains]:
            verdict += f" It buys nothing at {', '.join(none)}."
    if exploration.pick is not None and is_exact(exploration.pick):
        verdict += " The exact multiplier is recommended."
    return verdict


def _may_be(exact: DesignPoint, drop_pp: float) -> bool:
    """Whether an exact multiplier is within a drop as predicted or as emulated: where these
    disagree, approximation has to be better than it.
    """
    return min(exact.predicted_drop_pp, exact.drop_pp) <= drop_pp


def _cheapest(points: Sequence[DesignPoint], cost: str) -> DesignPoint | None:
    return min(
        points,
        key=lambda point: (getattr(point, COSTS[cost]), point.predicted_drop_pp, point.name),
        default=None,
    )
