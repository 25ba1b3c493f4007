"""Which of the designs that a search has found are worth a look at the level of the element."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from ..evaluation.point import DesignPoint, placed_name
from .budget import COSTS
from .data_sizing import is_exact
from .front import objective_values

__all__ = ["DEFAULT_FORMS", "REFERENCE_FORM", "exact_of_each_width", "worth_placing"]

#: What ratios are to an exact multiplier in.
REFERENCE_FORM = "mac"
#: Forms to choose from where the user names none.
DEFAULT_FORMS = (
    "dot:lanes=8",
    "dot:lanes=8,gate=zero",
    "dot:lanes=8,stationary=weight",
    "dot:lanes=8,gate=zero,stationary=weight",
    "mac",
)

#: Shares of a cost: estimates closer than the first are alike, and who is alike in a cost and saves
#: the second of another is the better one.
_ALIKE, _MUCH = 0.02, 0.1


def exact_of_each_width(points: Iterable[DesignPoint]) -> list[DesignPoint]:
    """Of the exact multipliers of each number format and operand widths, the one with the smallest
    product of area and energy.
    """
    found: dict[tuple[str, int, int], DesignPoint] = {}
    for point in _ordered(filter(is_exact, points)):
        kind = point.encoding, point.width_a, point.width_b
        if kind not in found or _product(point) < _product(found[kind]):
            found[kind] = point
    return list(found.values())


def worth_placing(
    alone: Iterable[DesignPoint], placed: Iterable[DesignPoint], objectives: Sequence[str]
) -> list[str]:
    """Names of the designs that may be on the front in elements, by estimates of their costs. One
    is left out where another, placed or estimated, loses no more accuracy and is cheaper by a
    little in every cost, or by much in one and hardly dearer in the others.

    What a multiplier costs in an element of a form goes nearly as its own cost and its operand
    bits, for which there are registers and cells of an adder: both are fitted, with a constant, to
    those that were placed in that form. Of multipliers that are alike the first stands for all, an
    exact one where there is one.

    Args:
        alone: multipliers by themselves.
        placed: some of them in every form that is to be chosen from; of other forms nothing is
            known.
    """
    alone, placed = _ordered(alone), list(placed)
    if not placed:
        return []
    by_spec = {point.spec: point for point in alone}
    same = np.column_stack([objective_values(alone, objectives), [_bits(one) for one in alone]])
    _, first = np.unique(same, axis=0, return_index=True)
    unlike = [alone[index] for index in sorted(first)]
    known = objective_values(placed, objectives)
    names, estimates = [], []
    for form in dict.fromkeys(point.element for point in placed):
        there = [point for point in placed if point.element == form]
        names += [placed_name(point.spec, form) for point in unlike]
        estimates.append(
            _estimates(unlike, [by_spec[one.spec] for one in there], there, objectives)
        )
    values = np.concatenate(estimates)
    rivals = np.concatenate([known, values])
    costs = np.array([name in COSTS for name in objectives])
    return [
        name for name, value in zip(names, values, strict=True) if not _beaten(value, rivals, costs)
    ]


def _estimates(
    points: Sequence[DesignPoint],
    alone: Sequence[DesignPoint],
    placed: Sequence[DesignPoint],
    objectives: Sequence[str],
) -> NDArray[np.float64]:
    """Objectives of the points in the element in which those of `alone` are `placed`, (points,
    objectives).
    """
    found = objective_values(points, objectives)
    before, after = objective_values(alone, objectives), objective_values(placed, objectives)
    for index, name in enumerate(objectives):
        if name in COSTS:
            terms = _terms(alone, before[:, index])
            factors = np.linalg.lstsq(terms, after[:, index])[0]
            found[:, index] = _terms(points, found[:, index]) @ factors
    return found


def _terms(points: Sequence[DesignPoint], costs: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(points)), [_bits(point) for point in points], costs])


def _beaten(
    value: NDArray[np.float64], rivals: NDArray[np.float64], costs: NDArray[np.bool_]
) -> bool:
    rivals = rivals[(rivals[:, ~costs] <= value[~costs]).all(axis=1)][:, costs]
    cost = value[costs]
    cheaper = (rivals < (1 - _ALIKE) * cost).all(axis=1)
    better = (rivals < (1 + _ALIKE) * cost).all(axis=1) & (rivals < (1 - _MUCH) * cost).any(axis=1)
    return bool((cheaper | better).any())


def _ordered(points: Iterable[DesignPoint]) -> list[DesignPoint]:
    return sorted(points, key=attrgetter("precedence"))


def _bits(point: DesignPoint) -> int:
    return point.width_a + point.width_b


def _product(point: DesignPoint) -> float:
    return point.area_um2 * point.energy_fj
