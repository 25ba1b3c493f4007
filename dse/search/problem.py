"""NSGA-II over multiplier specs: the pymoo adapter, and nothing else.

pymoo sees one variable per individual, the spec itself; the moves are
:class:`dse.search.DesignSpace`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.evaluator import Evaluator
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.problems.static import StaticProblem

from ..evaluation.point import DesignPoint
from .budget import Budget
from .front import objective_values
from .space import Design, DesignSpace

__all__ = ["DesignSearch"]

# A design that could not be evaluated: dominated by every design that could.
_HOPELESS = 1e9


class DesignSearch:
    """NSGA-II (Deb et al., IEEE Trans. Evol. Comput. 2002), asked and told one generation at a
    time.

    Every spec it asks for is new to it, so that no evaluation is spent twice. The same seed and the
    same answers give the same questions.

    Args:
        first: designs of the first generation, in front of random ones.
    """

    def __init__(
        self,
        space: DesignSpace,
        objectives: Sequence[str],
        budget: Budget,
        *,
        population: int,
        seed: int,
        first: Sequence[Design] = (),
    ) -> None:
        rng = np.random.default_rng(seed)
        self._objectives, self._budget = tuple(objectives), budget
        drawn: dict[str, Design] = {
            str(spec): spec for spec in (*first, *space.sample(population + len(first), rng))
        }
        start = list(drawn.values())[: max(population, len(first))]
        self._problem = Problem(
            n_var=1, n_obj=len(self._objectives), n_ieq_constr=int(budget.limited)
        )
        self._asked: Population | None = None
        self._new_only = _NewSpecsOnly()
        self._algorithm = NSGA2(
            pop_size=population,
            sampling=Population.new("X", _column(start)),
            crossover=_Recombination(space),
            mutation=_Move(space),
            eliminate_duplicates=self._new_only,
        )
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=seed)

    def ask(self) -> list[Design]:
        """The next generation; empty when the moves find nothing new."""
        self._asked = self._algorithm.ask()
        specs: list[Design] = (
            [] if self._asked is None else [individual.X[0] for individual in self._asked]
        )
        self._new_only.asked.update(map(str, specs))
        return specs

    def tell(self, points: Sequence[DesignPoint | None]) -> None:
        """Answers the last question, in its order; None for designs that could not be evaluated."""
        Evaluator().eval(StaticProblem(self._problem, **self._answer(points)), self._asked)
        self._algorithm.tell(infills=self._asked)

    def revise(self, point_of: Callable[[str], DesignPoint | None]) -> None:
        """Gives the designs that survived their new values, by spec, after a predictor learned
        something; ranks them anew.
        """
        survivors = self._algorithm.pop
        answer = self._answer([point_of(str(individual.X[0])) for individual in survivors])
        survivors.set(**answer)
        self._algorithm.pop = self._algorithm.survival.do(
            self._problem,
            survivors,
            n_survive=len(survivors),
            algorithm=self._algorithm,
            random_state=self._algorithm.random_state,
        )

    def _answer(self, points: Sequence[DesignPoint | None]) -> dict[str, NDArray[np.float64]]:
        answered = [point for point in points if point is not None]
        values = np.full((len(points), len(self._objectives)), _HOPELESS)
        excess = np.full((len(points), 1), _HOPELESS)
        known = np.array([point is not None for point in points])
        if answered:
            values[known] = objective_values(answered, self._objectives)
            excess[known, 0] = [self._budget.excess(point) for point in answered]
        if "accuracy" in self._objectives:
            # Same order, but crowding then spreads the front over small drops, where designs are
            # chosen, as much as over large ones.
            column = self._objectives.index("accuracy")
            values[:, column] = np.log1p(values[:, column])
        return {"F": values, "G": excess} if self._budget.limited else {"F": values}


def _column(specs: Sequence[Design]) -> NDArray[np.object_]:
    """Shape (specs, 1), one spec an element (numpy would otherwise unpack what has a length)."""
    column = np.empty((len(specs), 1), dtype=object)
    column[:, 0] = specs
    return column


class _Recombination(Crossover):
    def __init__(self, space: DesignSpace) -> None:
        super().__init__(n_parents=2, n_offsprings=2)
        self._space = space

    def _do(
        self,
        problem: Problem,
        X: NDArray[np.object_],  # noqa: N803
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> Any:
        children = [self._space.recombine(one, other, random_state) for one, other in X[:, :, 0].T]
        return np.stack([_column([pair[child] for pair in children]) for child in range(2)])


class _Move(Mutation):
    def __init__(self, space: DesignSpace) -> None:
        super().__init__()
        self._space = space

    def _do(
        self,
        problem: Problem,
        X: NDArray[np.object_],  # noqa: N803
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> Any:
        return _column([self._space.mutate(spec, random_state) for spec in X[:, 0]])


class _NewSpecsOnly(DuplicateElimination):
    """Drops specs that come twice in a generation, or that were asked for in an earlier one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def do(
        self, pop: Population, *others: Any, return_indices: bool = False, to_itself: bool = True
    ) -> Any:
        taken = self.asked | {str(individual.X[0]) for other in others for individual in other}
        kept: list[int] = []
        dropped: list[int] = []
        for index, individual in enumerate(pop):
            text = str(individual.X[0])
            (dropped if text in taken else kept).append(index)
            taken.add(text)
        return (pop[kept], kept, dropped) if return_indices else pop[kept]
