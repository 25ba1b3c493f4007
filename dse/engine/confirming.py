"""The second half of a search at the level of the element or the array: what the first half has
found among multipliers is costed in elements, by themselves or in an array of them.

An element takes several times as long as a multiplier, and most multipliers are out of the question
in every element. So exact multipliers of all operand widths are costed in elements first, and from
these it is estimated which others are worth it, and in which form.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..evaluation.point import DesignPoint, placed_name
from ..search.confirmation import (
    DEFAULT_FORMS,
    REFERENCE_FORM,
    exact_of_each_width,
    worth_placing,
)
from .ledger import Ledger
from .request import Search

__all__ = ["confirm"]


def confirm(
    elements: Ledger, multipliers: Ledger, screened: Mapping[str, DesignPoint], search: Search
) -> None:
    """Costs the designs that are worth it in elements of the search's forms, relative to the
    baseline of `multipliers` in a :data:`dse.search.REFERENCE_FORM`.

    Args:
        multipliers: the front and the exact multipliers by themselves; multipliers that are on the
            front of elements join them.
        screened: what is known of all multipliers, by spec.
    """
    assert multipliers.baseline is not None
    forms = search.forms or DEFAULT_FORMS
    alone = {**screened, **multipliers.points}
    exact = exact_of_each_width(alone.values())
    elements.refer_to_best([placed_name(multipliers.baseline, REFERENCE_FORM)])
    elements.evaluate([placed_name(point.spec, form) for form in forms for point in exact])
    placed = [point for point in elements.points.values() if point.element in forms]
    elements.evaluate(worth_placing(alone.values(), placed, search.objectives))
    multipliers.evaluate([point.spec for point in elements.front().points])
