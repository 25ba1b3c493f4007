"""Bookkeeping of a running search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from hdl.multipliers import MultiplierSpec, NetlistDesign

from ..evaluation.comparison import design_point
from ..evaluation.evaluation_store import EvaluationStore
from ..evaluation.executor import Executor
from ..evaluation.point import DesignPoint
from ..evaluation.workbench import Evaluation, Predictors, Workbench
from ..evaluation.workers import Failure
from ..ground_truth.recalibration import Recalibrator
from ..search.exploration import Generation
from ..search.front import ParetoFront

__all__ = ["Ledger", "Progress"]


@dataclass(frozen=True)
class Progress:
    """State of a running search, for a progress display; `finished` counts the designs that were
    synthesized with the best effort, `placed` those that were costed at another level than the
    multiplier, `emulating` names the one that is being emulated, and `walks` how many of so many
    walks are done.
    """

    evaluations: int
    front_size: int
    hypervolume: float
    finished: int = 0
    placed: int = 0
    emulating: str = ""
    walks: tuple[int, int] = (0, 0)


class Ledger:
    """What is known by now, in which store, and how good the front is. Used as a context manager.

    Args:
        bench: what evaluations depend on.
        executor: where designs are evaluated.
        predictors: by network and encoding.
    """

    def __init__(
        self,
        bench: Workbench,
        store_path: Path,
        *,
        executor: Executor,
        predictors: Predictors,
        objectives: Sequence[str],
        worst_drop_pp: float,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.bench, self.predictors, self.on_progress = bench, predictors, on_progress
        self.baseline: str | None = None
        self.evaluations: dict[str, Evaluation] = {}
        self.points: dict[str, DesignPoint] = {}
        self.failures: dict[str, str] = {}
        self.history: list[Generation] = []
        self._objectives, self._worst_drop_pp = objectives, worst_drop_pp
        self._started = time.monotonic()
        self._store = EvaluationStore(store_path, bench)
        self._executor, self._pool = executor, executor.pool(bench, Workbench.evaluator)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.__exit__()
        self._store.__exit__()

    def introduce(self, designs: Sequence[NetlistDesign]) -> None:
        """Makes designs known by their names. New workers take over: the old ones do not know
        them.
        """
        self.bench = self.bench.with_designs(designs)
        self._store.bench = self.bench
        self._pool.__exit__()
        self._pool = self._executor.pool(self.bench, Workbench.evaluator)

    @property
    def done(self) -> set[str]:
        return self.evaluations.keys() | self.failures.keys()

    def set_baseline(self, exact: list[MultiplierSpec]) -> None:
        """Evaluates the exact multipliers; all ratios refer to one of those with the widest
        operands (:meth:`refer_to_best`).
        """
        widest = {
            signed: max(spec.widths.product for spec in exact if spec.signed == signed)
            for signed in {spec.signed for spec in exact}
        }
        texts = [str(spec) for spec in exact if spec.widths.product == widest[spec.signed]]
        self.refer_to_best(texts)
        self.evaluate([str(spec) for spec in exact])

    def refer_to_best(self, texts: list[str]) -> None:
        """Evaluates designs; the one with the smallest product of area and energy, and of delay
        where that is an objective, is what all ratios refer to.
        """
        self.evaluate(texts)
        candidates = [text for text in texts if text in self.evaluations]
        if not candidates:
            raise RuntimeError(
                f"no exact multiplier could be evaluated: {next(iter(self.failures.values()))}"
            )
        self.baseline = min(
            candidates,
            key=lambda text: (self._reference_cost(self.evaluations[text]), text),
        )
        for text in self.evaluations:
            self._add_point(text)

    def _reference_cost(self, evaluation: Evaluation) -> float:
        delay = evaluation.delay_ps if "delay" in self._objectives else 1.0
        return evaluation.area_um2 * evaluation.energy_fj * delay

    def evaluate(self, texts: list[str]) -> None:
        """Makes each of `texts` known: from the store where it has it, else by the workers, and
        then in the store at once.
        """
        new = [text for text in texts if text not in self.done]
        for text, evaluation in self._store.get(new).items():
            self._record(text, evaluation)
        for text, result in self._pool.run([text for text in new if text not in self.done]):
            if isinstance(result, Failure):
                self.failures[text] = result.reason
                continue
            self._store.put(text, result)
            made = Evaluation.from_dict(result)
            assert made is not None
            self._record(text, made)

    def _record(self, text: str, evaluation: Evaluation) -> None:
        self.evaluations[text] = evaluation
        if self.baseline is not None:
            self._add_point(text)
        front = self.front()
        self.on_progress(Progress(len(self.done), len(front.points), front.hypervolume()))

    def _add_point(self, text: str) -> None:
        assert self.baseline is not None
        design = self.bench.multiplier(text)
        self.points[text] = design_point(
            design,
            self.evaluations[text],
            self.evaluations[self.baseline],
            self.predictors,
            level=self.bench.level,
            element=self.bench.placed(text)[1],
            array=self.bench.array,
        )

    def recalibrate(self, recalibrator: Recalibrator) -> None:
        """Lets the predictors learn from designs of the front; all designs are predicted anew."""
        front = self.front()
        state = Progress(len(self.done), len(front.points), front.hypervolume())
        self.predictors = recalibrator.recalibrated(
            self.predictors,
            front.points,
            lambda text: self.evaluations[text].readings,
            self.bench.multiplier,
            len(self.done),
            lambda text: self.on_progress(replace(state, emulating=text)),
        )
        for text in self.evaluations:
            self._add_point(text)

    def front(self) -> ParetoFront:
        return ParetoFront.of(
            self.points.values(), self._objectives, worst_drop_pp=self._worst_drop_pp
        )

    def close_generation(self) -> None:
        front = self.front()
        seconds = time.monotonic() - self._started
        self.history.append(
            Generation(len(self.done), len(front.points), front.hypervolume(), seconds)
        )
