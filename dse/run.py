"""What a search leaves behind: the values that the report is drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .budget import Budget
from .front import ParetoFront
from .point import DesignPoint

__all__ = ["Exploration", "Generation"]


@dataclass(frozen=True)
class Generation:
    """One line of the convergence history: state of the search after a generation.

    Attributes:
        evaluations: different designs evaluated so far.
        hypervolume: of the front so far, 0 to 1 (:meth:`dse.front.ParetoFront.hypervolume`).
        seconds: wall-clock time since the search began.
    """

    evaluations: int
    front_size: int
    hypervolume: float
    seconds: float


@dataclass(frozen=True)
class Exploration:
    """A search and its result.

    Attributes:
        network, encoding, data: what the accuracy refers to.
        exact_top1_pct: top-1 of the quantized network with the exact multiplier; chance_pct: of guessing.
        baseline: the exact multiplier that every ratio refers to.
        points: every evaluated design, the front's included.
        front: the Pareto front; its points carry emulated accuracies where they were verified.
        pick: the design recommended under the budget, or None if no design keeps it.
        history: one entry a generation.
        settings: the run's arguments and versions, as written to run.json.
        failures: spec -> one-line reason, for designs that could not be evaluated.
    """

    network: str
    encoding: str
    data: str
    exact_top1_pct: float
    chance_pct: float
    budget: Budget
    max_drop_pp: float
    baseline: DesignPoint
    points: tuple[DesignPoint, ...]
    front: ParetoFront
    pick: DesignPoint | None
    history: tuple[Generation, ...]
    settings: Mapping[str, Any]
    failures: Mapping[str, str]
    interrupted: bool = False
