"""A walk from list of terms to list of terms: partial products are left out, joined by or gates,
and added in other columns, until little is left of the multiplier.

All moves of a list (:mod:`.term_moves`) are judged at once; the best few are checked whole, with
all metrics. Which one is taken is told by :mod:`.price_ladder`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hdl.multipliers import (
    Multiplier,
    MultiplierSpec,
    Term,
    as_terms,
    summed_terms,
    terms_text,
)
from hdl.operands import Widths, code_values

from .price_ladder import MadeDesign, Workplace, break_even, descend, most_worth
from .prices import Prices
from .term_moves import ScreenedMoves, moved, screen_moves

__all__ = ["TermState", "term_walk"]

#: The share of all moves that a step may take, drawn at random: walks of other seeds differ.
_OFFERED = 0.8


def term_walk(
    start: Multiplier, workplace: Workplace, *, max_drop_pp: float, seed: int
) -> Iterator[MadeDesign]:
    """Designs of the family `terms` on the way from `start` to those that are predicted to lose
    `max_drop_pp`; none where the start is no list of terms (:func:`hdl.multipliers.as_terms`).

    The same arguments give the same designs.

    Raises:
        hdl.yosys.YosysError, hdl.cost.MappedNetlistError: the start cannot be mapped.
    """
    terms = as_terms(start)
    if terms is None:
        return iter(())
    state = TermState.of(terms, start.widths, start.signed, workplace)
    return descend(state, workplace, max_drop_pp=max_drop_pp, seed=seed)


@dataclass(frozen=True, eq=False)
class TermState:
    """Where a walk is: a list of terms, its error matrix, its predicted loss and its costs, and
    prices of gates.
    """

    terms: tuple[Term, ...]
    widths: Widths
    signed: bool
    errors: NDArray[np.int32]
    drop_pp: float
    area_um2: float
    energy_fj: float
    prices: Prices

    steps_per_mapping: ClassVar[int] = 1

    @classmethod
    def of(
        cls, terms: tuple[Term, ...], widths: Widths, signed: bool, workplace: Workplace
    ) -> TermState:
        """A list mapped to cells."""
        made, energy = workplace.mapped(_spec(terms, widths, signed))
        errors = _errors(terms, widths, signed)
        return cls(
            terms,
            widths,
            signed,
            errors,
            float(workplace.loss.drops_pp(errors[None])[0]),
            made.netlist.area_um2,
            energy.energy_fj,
            Prices.of(made.netlist, energy, workplace.library),
        )

    @property
    def design(self) -> MultiplierSpec:
        return _spec(self.terms, self.widths, self.signed)

    def mapped(self, workplace: Workplace) -> TermState:
        return TermState.of(self.terms, self.widths, self.signed, workplace)

    def changes(self, workplace: Workplace, rng: np.random.Generator) -> _Moves:
        screened = screen_moves(
            self.terms,
            self.widths,
            self.signed,
            workplace.screened_pairs,
            workplace.drawn_pairs,
            workplace.loss.around(self.errors),
            self.prices,
        )
        offered = rng.random(len(screened.moves)) < _OFFERED
        return _Moves(self, screened, offered, workplace)


@dataclass(frozen=True, eq=False)
class _Moves:
    """Moves of a list of terms; `offered` says which may be taken."""

    state: TermState
    screened: ScreenedMoves
    offered: NDArray[np.bool_]
    workplace: Workplace

    @property
    def candidates(self) -> int:
        return len(self.screened.moves)

    @property
    def _saved(self) -> NDArray[np.float32]:
        saved = 1 - (self.screened.area + self.screened.energy) / 2
        return np.where(self.offered, saved, np.float32(-np.inf))

    def break_even(self) -> float:
        return break_even(self._saved, self.screened.lost_pp)

    def best(self, price_per_pp: float, most: int) -> Sequence[TermState]:
        state, screened = self.state, self.screened
        places = most_worth(self._saved, screened.lost_pp, price_per_pp, most)
        if not len(places):
            return []
        lists = [moved(state.terms, screened.moves[place]) for place in places]
        errors = np.stack([_errors(terms, state.widths, state.signed) for terms in lists])
        drops_pp = self.workplace.loss.drops_pp(errors).tolist()
        return [
            replace(
                state,
                terms=terms,
                errors=error,
                drop_pp=drop_pp,
                area_um2=state.area_um2 * float(screened.area[place]),
                energy_fj=state.energy_fj * float(screened.energy[place]),
            )
            for place, terms, error, drop_pp in zip(places, lists, errors, drops_pp, strict=True)
        ]


def _spec(terms: tuple[Term, ...], widths: Widths, signed: bool) -> MultiplierSpec:
    # Added serially, as the family does by default, which takes the least area and energy under the
    # operands of networks.
    return MultiplierSpec.make("terms", width=widths, signed=signed, sum=terms_text(terms))


def _errors(terms: tuple[Term, ...], widths: Widths, signed: bool) -> NDArray[np.int32]:
    """Error matrix (2^width_a, 2^width_b) of a list."""
    a, b = (code_values(width, signed=signed) for width in widths)
    products = summed_terms(terms, widths, signed=signed)
    return products - np.multiply.outer(a, b).astype(np.int32)
