"""The Pareto front: which points no other point beats, how good the front is, and which point to
build.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import moocore
import numpy as np
from numpy.typing import NDArray

from hdl.files import Figure

from ..evaluation.point import DesignPoint
from .budget import OBJECTIVES, BudgetError

__all__ = ["ParetoFront"]


@dataclass(frozen=True)
class ParetoFront:
    """Mutually non-dominated points by what is predicted, by ascending first objective.

    Attributes:
        points: no two of them equal in all objectives: of such twins the first by
            :attr:`DesignPoint.precedence` stands for both.
        objectives: names of :data:`dse.search.OBJECTIVES`, all minimized.
        reference: worst value of each objective that still counts for the hypervolume, shape
            (objectives,).
    """

    points: tuple[DesignPoint, ...]
    objectives: tuple[str, ...]
    reference: tuple[Figure, ...]

    def __post_init__(self) -> None:
        if len(self.objectives) != len(self.reference) or not set(self.objectives) <= set(
            OBJECTIVES
        ):
            raise BudgetError(
                f"a front of {', '.join(self.objectives)}: objectives are of "
                f"{', '.join(OBJECTIVES)}, a reference for each"
            )

    @classmethod
    def of(
        cls, points: Iterable[DesignPoint], objectives: Sequence[str], *, worst_drop_pp: float
    ) -> ParetoFront:
        """The front of `points`.

        Args:
            worst_drop_pp: drop of a network that only guesses; with 1 (the exact multiplier) for
                every cost it is the reference point.
        """
        ordered = sorted(points, key=attrgetter("precedence"))
        reference = tuple(worst_drop_pp if name == "accuracy" else 1.0 for name in objectives)
        if not ordered:
            return cls((), tuple(objectives), reference)
        keep = moocore.is_nondominated(objective_values(ordered, objectives), keep_weakly=False)
        front = [point for point, kept in zip(ordered, keep, strict=True) if kept]
        return cls(_ascending(front, objectives), tuple(objectives), reference)

    def with_point(self, point: DesignPoint) -> ParetoFront:
        """The front with a design of which more is known than was predicted, so that it belongs
        there although its predicted drop is dominated; itself where the design is on it.
        """
        if point.name in {one.name for one in self.points}:
            return self
        return replace(self, points=_ascending([*self.points, point], self.objectives))

    def hypervolume(self) -> float:
        """Share (0 to 1) of the box between the ideal point (0, ..., 0) and the reference point
        that the front dominates.
        """
        if not self.points:
            return 0.0
        scaled = objective_values(self.points, self.objectives) / np.asarray(self.reference)
        return float(moocore.hypervolume(scaled, ref=np.ones(len(self.objectives))))


def _ascending(points: Iterable[DesignPoint], objectives: Sequence[str]) -> tuple[DesignPoint, ...]:
    return tuple(sorted(points, key=lambda point: tuple(objective_values([point], objectives)[0])))


def objective_values(
    points: Sequence[DesignPoint], objectives: Sequence[str]
) -> NDArray[np.float64]:
    """Objective values, shape (points, objectives); all are minimized."""
    names = [OBJECTIVES[name] for name in objectives]
    return np.array(
        [[getattr(point, name) for name in names] for point in points], dtype=np.float64
    ).reshape(len(points), len(names))
