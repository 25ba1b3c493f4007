"""Which design each layer gets: the mixed-integer program behind an assignment, solved by HiGHS.

With x[l, d] = 1 where layer l has design d, and y[d] = 1 where design d is built at all:

    minimize    sum of cost[l, d] x[l, d]
    subject to  sum over d of x[l, d] = 1           for every layer
                x[l, d] <= y[d]                     for every layer and design
                sum of y[d] <= kinds
                sum of loss[l, d] x[l, d] <= limit

Q. Huangfu, J. A. J. Hall, "Parallelizing the Dual Revised Simplex Method", Mathematical Programming
Computation 10 (2018), is HiGHS.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from hdl.errors import InputError

__all__ = ["InfeasibleError", "LayerProgram", "Solution"]

#: A gap below which a solution counts as the best there is.
_PROVEN_GAP = 1e-6
#: HiGHS holds constraints to so much; what rounding makes of a limit is no reason to refuse it.
_TOLERANCE = 1e-9


class InfeasibleError(InputError):
    """No assignment keeps the limit."""


@dataclass(frozen=True)
class Solution:
    """What the program found.

    Attributes:
        choice: index of the design in each layer.
        cost, loss: sums over the layers.
        gap: how far the cost may be above the least there is, relative to it; 0 where it is proven
            to be the least.
    """

    choice: tuple[int, ...]
    cost: float
    loss: float
    gap: float

    @property
    def proven(self) -> bool:
        """Whether nothing better exists."""
        return self.gap == 0


@dataclass(frozen=True, eq=False)
class LayerProgram:
    """Layers that each need one of some designs.

    Attributes:
        costs: of each design in each layer, (layers, designs), added up over layers.
        losses: likewise what is lost, not negative.
        kinds: so many different designs at most.

    Raises:
        InputError: more kinds than designs, or none.
    """

    costs: NDArray[np.float64]
    losses: NDArray[np.float64]
    kinds: int

    def __post_init__(self) -> None:
        if self.costs.shape != self.losses.shape or self.costs.ndim != 2 or not self.costs.size:
            raise ValueError(f"costs {self.costs.shape} and losses {self.losses.shape} do not fit")
        if not 1 <= self.kinds <= self.costs.shape[1]:
            raise InputError(
                f"{self.kinds} kinds of {self.costs.shape[1]} designs: give 1 to "
                f"{self.costs.shape[1]}"
            )

    @property
    def least_loss(self) -> float:
        """No assignment loses less."""
        return float(self.losses.min(axis=1).sum())

    def solve(self, limit: float, *, time_limit_s: float = 60.0) -> Solution:
        """The cheapest assignment that loses at most `limit`, or the cheapest that was found in
        time.

        Raises:
            InfeasibleError: there is none, or none was found in time.
        """
        useful = self._useful()
        costs, losses = self.costs[:, useful], self.losses[:, useful]
        layers, designs = costs.shape
        # HiGHS works with absolute tolerances; figures of the order of 1 suit them.
        cost_unit = max(float(costs.max()), np.finfo(np.float64).tiny)
        loss_unit = max(abs(limit), float(losses.max()), np.finfo(np.float64).tiny)
        choices = layers * designs
        one_each = sparse.kron(sparse.eye(layers), np.ones((1, designs)))
        built = sparse.hstack(
            [sparse.eye(choices), -sparse.kron(np.ones((layers, 1)), sparse.eye(designs))]
        )
        # A row for each layer and design, not one for each design: their relaxation is tight, and a
        # few branches are enough.
        with _silent():
            found = milp(
                np.concatenate([costs.ravel() / cost_unit, np.zeros(designs)]),
                integrality=np.ones(choices + designs),
                bounds=Bounds(0, 1),
                constraints=[
                    LinearConstraint(
                        sparse.hstack([one_each, sparse.csr_matrix((layers, designs))]), 1, 1
                    ),
                    LinearConstraint(built, -np.inf, 0),
                    LinearConstraint(
                        np.concatenate([np.zeros(choices), np.ones(designs)])[None], 0, self.kinds
                    ),
                    LinearConstraint(
                        np.concatenate([losses.ravel() / loss_unit, np.zeros(designs)])[None],
                        -np.inf,
                        limit / loss_unit + _TOLERANCE,
                    ),
                ],
                options={"time_limit": time_limit_s, "mip_rel_gap": 0.0},
            )
        if found.x is None:
            raise InfeasibleError(self._complaint(limit, timed_out=found.status == 1))
        choice = useful[found.x[:choices].reshape(layers, designs).argmax(axis=1)]
        gap = float(found.mip_gap or 0.0)
        return Solution(
            tuple(choice.tolist()),
            self._sum(self.costs, choice),
            self._sum(self.losses, choice),
            gap if gap > _PROVEN_GAP else 0.0,
        )

    def _useful(self) -> NDArray[np.intp]:
        """The designs that no other one beats in every layer; of equal ones the first."""
        both = np.concatenate([self.costs, self.losses])
        kept: list[int] = []
        # By total cost: what beats a design comes before it.
        for index in np.lexsort((both.sum(axis=0), self.costs.sum(axis=0))):
            if not any((both[:, one] <= both[:, index]).all() for one in kept):
                kept.append(int(index))
        return np.sort(np.array(kept, dtype=np.intp))

    def _complaint(self, limit: float, *, timed_out: bool) -> str:
        if timed_out and limit >= self.least_loss:
            return (
                f"no assignment that loses at most {limit:g} was found in time; allow more loss or "
                "more kinds"
            )
        kinds = "1 kind" if self.kinds == 1 else f"{self.kinds} kinds"
        return (
            f"no assignment of {kinds} loses at most {limit:g}; with as many kinds as layers it "
            f"would be {self.least_loss:.3g} or more: allow more"
        )

    @staticmethod
    def _sum(values: NDArray[np.float64], choice: NDArray[np.intp]) -> float:
        return float(values[np.arange(len(values)), choice].sum())


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing gets to standard output: HiGHS prints lines of its own there, whatever it is told,
    in between what a command prints.
    """
    _flush()
    try:
        kept = os.dup(1)
    except OSError:  # there is none
        yield
        return
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(kept)


def _flush() -> None:
    """What Python and C have not yet written."""
    sys.stdout.flush()
    with contextlib.suppress(OSError, TypeError, AttributeError):  # as on Windows
        ctypes.CDLL(None).fflush(None)
