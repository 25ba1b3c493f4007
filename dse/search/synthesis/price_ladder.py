"""Walks down a ladder of prices, from a design to ever simpler ones.

A step takes, of all changes of a design, that of the largest worth: the share of area and energy
that it saves less the price of the accuracy that it costs. All changes are screened by estimates;
the best few are checked whole. Repairs, which cost area and win accuracy, are changes like others.
Where nothing is worth its price, the price falls. Now and then the design is mapped to cells, and
what mapping confirms is kept: that is Lagrangian relaxation as in constrained optimization.

What a design is and how it changes is the affair of a :class:`Position`: gates (:mod:`.gate_walk`)
or terms (:mod:`.term_walk`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from cnn_eval.prediction import LossModel, WorstLoss
from hdl.cells import CellLibrary
from hdl.cost import MappedDesign, OperationEnergy, map_design, operation_energy
from hdl.multipliers import Multiplier, MultiplierSpec, NetlistDesign
from hdl.operands import OperandDistribution

from .pairs import Pairs

__all__ = [
    "Changes",
    "MadeDesign",
    "Position",
    "Workplace",
    "break_even",
    "descend",
    "most_worth",
]

#: Operand pairs that changes are screened on.
_SCREENED_PAIRS = 2048
#: Changes that are checked whole in every step.
_CHECKED = 24
#: A design is mapped sooner where so many points were lost since it was; what a step has to be
#: worth when it is.
_MAPPED_PP, _LEAST_WORTH = 0.3, 0.002
#: Mapping finds another structure, which may cost a little more than estimated: so many times in a
#: row a walk goes on all the same.
_IN_VAIN = 3
#: The price of a percentage point as a share of the cost, and by what it falls.
_FIRST_PRICE, _LAST_PRICE, _FALL = 2.0, 0.01, 0.85
#: Smaller losses are none.
_LEAST_LOSS_PP = 1e-3


@dataclass(frozen=True, eq=False)
class Workplace:
    """What a walk works with.

    Attributes:
        operands: that energy is measured under.
        delay_target_ps: as :func:`hdl.cost.map_design` takes it.
        seed: of the operand samples that energy is estimated from.
        cautious: walks end where the loss is not known from emulations nearby.
    """

    loss: LossModel | WorstLoss
    library: CellLibrary
    operands: OperandDistribution
    delay_target_ps: float | None = None
    seed: int = 0
    cautious: bool = False

    @cached_property
    def every_pair(self) -> Pairs:
        """All operand pairs: what is kept is judged on them."""
        return Pairs.all_of(self.operands)

    @cached_property
    def screened_pairs(self) -> Pairs:
        """The operand pairs that changes are screened on: those whose errors, of a typical size,
        count most in the network.
        """
        return Pairs.important(self.operands, self.loss.importance, _SCREENED_PAIRS)

    @cached_property
    def drawn_pairs(self) -> Pairs:
        """Operand pairs as they come, drawn at random."""
        rng = np.random.default_rng(self.seed)
        joint = self.operands.joint().ravel()
        drawn = rng.choice(len(joint), _SCREENED_PAIRS, p=joint / joint.sum())
        return Pairs.of(self.operands, drawn)

    def mapped(self, design: Multiplier) -> tuple[MappedDesign, OperationEnergy]:
        """A design mapped to cells with little effort, and its energy under the operands.

        Raises:
            hdl.yosys.YosysError, hdl.cost.MappedNetlistError: it cannot be mapped.
        """
        made = map_design(design, self.library, delay_target_ps=self.delay_target_ps)
        energy = operation_energy(
            made.netlist, made.timing, self.operands, seed=self.seed, relative_error=0.02
        )
        return made, energy


@dataclass(frozen=True, eq=False)
class MadeDesign:
    """A design that a walk came by.

    Attributes:
        drop_pp: predicted loss of accuracy against exact products of the widest operands.
        area_um2, energy_fj: of its mapping with little effort.
        candidates: changes that the walk had judged until then.
    """

    design: NetlistDesign | MultiplierSpec
    drop_pp: float
    area_um2: float
    energy_fj: float
    candidates: int


class Position(Protocol):
    """Where a walk is: a design, its error matrix (2^width_a, 2^width_b), its predicted loss, and
    what it costs, by its mapping or an estimate since.
    """

    #: Steps between mappings.
    steps_per_mapping: ClassVar[int]

    @property
    def design(self) -> NetlistDesign | MultiplierSpec: ...
    @property
    def errors(self) -> NDArray[np.int32]: ...
    @property
    def drop_pp(self) -> float: ...
    @property
    def area_um2(self) -> float: ...
    @property
    def energy_fj(self) -> float: ...

    def changes(self, workplace: Workplace, rng: np.random.Generator) -> Changes:
        """All changes, screened."""

    def mapped(self, workplace: Workplace) -> Position:
        """The same design with the costs that mapping finds."""


class Changes(Protocol):
    """Changes of a design that were screened."""

    @property
    def candidates(self) -> int:
        """How many were judged."""

    def break_even(self) -> float:
        """The highest price of a percentage point that a change which costs accuracy is worth."""

    def best(self, price_per_pp: float, most: int) -> Sequence[Position]:
        """What the changes of the largest worth lead to, checked whole."""


def descend(
    start: Position, workplace: Workplace, *, max_drop_pp: float, seed: int
) -> Iterator[MadeDesign]:
    """Designs on the way from `start` to those that are predicted to lose `max_drop_pp`.

    The same arguments give the same designs.

    Raises:
        hdl.yosys.YosysError, hdl.cost.MappedNetlistError: a design cannot be mapped.
    """
    rng = np.random.default_rng(seed)
    loss = workplace.loss
    price, candidates = _FIRST_PRICE * rng.uniform(0.7, 1.4), 0
    mapped = state = start
    steps = in_vain = 0
    while price > _LAST_PRICE:
        changes = state.changes(workplace, rng)
        candidates += changes.candidates
        taken = None
        while taken is None and price > _LAST_PRICE:
            taken = _best(state, changes.best(price, _CHECKED), price)
            if taken is None:
                price = min(price * _FALL, changes.break_even())
        if taken is None or taken.drop_pp > max_drop_pp or taken.area_um2 <= 0:
            break
        if workplace.cautious and not loss.knows(taken.errors):
            break
        state, steps = taken, steps + 1
        if steps < state.steps_per_mapping and state.drop_pp < mapped.drop_pp + _MAPPED_PP:
            continue
        found = state.mapped(workplace)
        if _worth(mapped, found, price) > _LEAST_WORTH * steps:
            mapped = state = found
            in_vain = 0
            yield MadeDesign(
                found.design, found.drop_pp, found.area_um2, found.energy_fj, candidates
            )
        elif (in_vain := in_vain + 1) == _IN_VAIN:
            # Estimates say more than mapping holds.
            state, price, in_vain = mapped, price * _FALL, 0
        steps = 0


def _best(state: Position, found: Sequence[Position], price_per_pp: float) -> Position | None:
    """The best of what changes lead to; None where none is worth its price."""
    best = max(found, key=lambda one: _worth(state, one, price_per_pp), default=None)
    return best if best is not None and _worth(state, best, price_per_pp) > 0 else None


def _worth(before: Position, after: Position, price_per_pp: float) -> float:
    """The share of area and energy that is saved, half each, less the price of the accuracy."""
    area = after.area_um2 / max(before.area_um2, 1e-9)
    energy = after.energy_fj / max(before.energy_fj, 1e-9)
    return 1 - (area + energy) / 2 - price_per_pp * (after.drop_pp - before.drop_pp)


def break_even(saved: NDArray[np.float32], lost_pp: NDArray[np.float32]) -> float:
    """The highest price of a percentage point that a change which costs accuracy is worth.

    Args:
        saved: half the share of area and half the share of energy that each change saves.
        lost_pp: accuracy that it costs, of the same shape.
    """
    costly = (lost_pp > _LEAST_LOSS_PP) & (saved > 0)
    return float((saved[costly] / lost_pp[costly]).max()) if costly.any() else 0.0


def most_worth(
    saved: NDArray[np.float32], lost_pp: NDArray[np.float32], price_per_pp: float, most: int
) -> NDArray[np.intp]:
    """Flat places of the changes of the largest worth, what is saved less the price of what is
    lost; those worth something, the best first.

    Args:
        saved, lost_pp: as :func:`break_even` takes them.
        price_per_pp: share of the cost that is worth a percentage point.
    """
    flat = (saved - np.float32(price_per_pp) * lost_pp).ravel()
    found = np.flatnonzero(flat > 0)
    worth = flat[found]
    if len(found) > most:
        best = worth >= np.partition(worth, len(worth) - most)[len(worth) - most]
        found, worth = found[best], worth[best]
    # Of equal ones the first, whichever the machine's way to sort.
    return found[np.argsort(-worth, kind="stable")][:most]
