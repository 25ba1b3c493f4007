"""A design for every layer, chosen from those that a search has found."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError
from hdl.files import check_writable, writable_folder, write_whole

from ..evaluation.point import drop_between_pp
from .emulation_plan import EmulationPlan, recorded_path
from .progress import OnProgress, Stage, silent
from .runs import STORE_FILE, load_run

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset

    from ..ground_truth import Emulator
    from ..search import Assignment

__all__ = ["Assigned", "assign"]

_FOLDER = "assignments"
_TABLE = "assignments.csv"
#: Single designs are shown up to so many times what may be lost.
_BEYOND = 1.5
#: So many further assignments are emulated for one that keeps the limit.
_MOST_PICKS = 8


@dataclass(frozen=True)
class Assigned:
    """Assignments of a run's designs, and the folder that holds them.

    Attributes:
        front: by ascending predicted drop.
        singles: the designs that are the best alone in all layers, likewise.
        files: of the front, in its order.
        limit_pp: what may be lost.
        objective: what is the least, of :data:`dse.engine.ASSIGNMENT_OBJECTIVES`.
        pick: the cheapest that keeps the limit; where some were emulated, the cheapest of all that
            keep it as emulated, which may be a single design, or else the one that loses least.
    """

    folder: Path
    front: tuple[Assignment, ...]
    singles: tuple[Assignment, ...]
    files: tuple[Path, ...]
    limit_pp: float
    objective: str
    pick: Assignment

    @property
    def keeps_limit(self) -> bool:
        """Whether the pick does, as emulated, or else as predicted."""
        emulated = self.pick.emulated_drop_pp
        return (self.pick.predicted_drop_pp if emulated is None else emulated) <= self.limit_pp

    @property
    def single(self) -> Assignment | None:
        """The best single design that loses no more than the pick: as emulated, where both were;
        else as predicted within the limit. None where there is none.
        """
        if (drop_pp := self.pick.emulated_drop_pp) is not None:
            measured = [
                one
                for one in self.singles
                if one.emulated_drop_pp is not None and one.emulated_drop_pp <= drop_pp
            ]
            if measured:
                return min(measured, key=partial(_cost, self.objective))
        within = [one for one in self.singles if one.predicted_drop_pp <= self.limit_pp]
        return min(within, key=partial(_cost, self.objective), default=None)

    @property
    def deviation_pp(self) -> float | None:
        """Mean absolute deviation of the predicted from the emulated drops of the front; None where
        nothing was emulated.
        """
        deviations = [
            abs(one.predicted_drop_pp - one.emulated_drop_pp)
            for one in self.front
            if one.emulated_drop_pp is not None
        ]
        return sum(deviations) / len(deviations) if deviations else None


def assign(
    run: Path | str,
    *,
    kinds: int,
    out: Path | str,
    max_drop: float | None = None,
    objective: str = "energy",
    data: Path | str | None = None,
    recalibrate: int = 0,
    verify: int = 0,
    images: int = 2000,
    skip: int | None = None,
    network: str = "",
    weights: Path | str | None = None,
    cluster: str = "",
    on_progress: OnProgress = silent,
) -> Assigned:
    """Chooses a design for every layer of a run's network, at most `kinds` different ones, and
    writes the assignments into the folder `out`.

    Args:
        run: folder of a finished search. Accuracies that are measured are kept there.
        max_drop: accuracy that may be lost, in percentage points, by prediction, or with `verify`
            as emulated; None: what the run was allowed.
        objective: what is the least, of :data:`dse.engine.ASSIGNMENT_OBJECTIVES`.
        data: images, as :func:`dse.resume` takes them: how sensitive the network is to noise in
            each layer is then measured on those that calibrate, without labels; else all layers
            count alike.
        recalibrate: assignments to emulate for the predicted losses to learn from, on the images
            that searches learn from; needs `data`.
        verify: assignments of the front to emulate, and as many single designs, those that lose
            about `max_drop` by prediction, on other images; needs `data`.
        cluster: address of a scheduler of dask.distributed, whose workers emulate instead.
        images, skip, network, weights, on_progress: as for :func:`dse.resume`.

    Raises:
        InputError: no run there, one for several networks, more kinds than its front has designs,
            or a limit that no assignment keeps.
    """
    from ..engine import (
        YOSYS_CACHE,
        check_objective,
        layer_choices,
        recalibrated,
        recorded_search,
    )
    from ..evaluation import Workbench, open_executor, resumable
    from ..ground_truth import Emulator

    folder = Path(run)
    exploration, search = load_run(folder).exploration, recorded_search(folder)
    limit = exploration.max_drop_pp if max_drop is None else max_drop
    if not 0 <= limit <= 100:
        raise InputError(f"a drop of at most {limit:g} points; give 0 to 100 with --max-drop")
    check_objective(objective)
    check_writable(out, "--out")
    plan = EmulationPlan.prepared(
        # Images are good for the layers' sensitivities, whatever else is asked.
        replace(
            search,
            recalibrate=max(recalibrate, int(data is not None)),
            data=search.data if data is None else recorded_path(data),
        ),
        network or search.network,
        None if weights is None else Path(weights),
        None if data is None else Path(data),
        verify,
        images,
        skip,
        run=folder,
    )
    bench = Workbench(
        search.networks,
        search.encodings,
        search.liberty,
        search.zoo_folder,
        search.corrected,
        delay_target_ps=search.budget.delay_target_ps,
        yosys_cache=folder / YOSYS_CACHE,
    ).with_designs((*exploration.imported, *exploration.made))

    def tell(stage: str) -> Callable[[int, int, str], None]:
        return lambda done, total, doing: on_progress(Stage(stage, done, total, doing))

    with resumable(), open_executor(cluster=cluster) as executor:

        def emulator(sample: Dataset) -> Emulator:
            assert plan.trained is not None
            assert plan.roles is not None
            return Emulator(
                plan.trained,
                plan.roles,
                sample,
                folder / STORE_FILE,
                corrected=search.corrected,
                zoo_folder=search.zoo_folder,
                executor=executor,
            )

        learner = None if (found := plan.to_learn_from) is None else emulator(found[1])
        choices = layer_choices(
            exploration,
            search,
            bench,
            kinds=kinds,
            sensitivities=None if learner is None else learner.layer_sensitivities,
            on_progress=tell("energies of layers"),
        )
        if recalibrate and learner is not None:
            choices = recalibrated(
                choices,
                learner,
                kinds,
                limit,
                objective,
                recalibrate,
                on_progress=tell("recalibrate"),
            )
        front = choices.front(kinds, limit, objective)
        singles = choices.singles(_BEYOND * limit)
        pick = front[-1]
        if verify and plan.roles is not None:
            judge = emulator(plan.sample(plan.roles))
            front = _verified(front, judge, verify, limit, tell("verify"))
            singles = _verified(singles, judge, verify, limit, tell("verify single designs"))
            front, pick = _held(front, singles, judge, limit, objective, tell("verify the pick"))
    return _written(front, singles, limit, objective, pick, Path(out))


def _cost(objective: str, one: Assignment) -> float:
    return one.energy_nj if objective == "energy" else one.latency_us


def _verified(
    found: Sequence[Assignment],
    judge: Emulator,
    count: int,
    limit_pp: float,
    on_progress: Callable[[int, int, str], None],
) -> list[Assignment]:
    """The assignments, `count` of them emulated: those that are predicted to lose about what may be
    lost.
    """
    distances = [abs(one.predicted_drop_pp - limit_pp) for one in found]
    chosen = sorted(range(len(found)), key=lambda index: distances[index])[:count]
    emulated = _emulated([found[index] for index in chosen], judge, on_progress)
    verified = list(found)
    for index, one in zip(chosen, emulated, strict=True):
        verified[index] = one
    return verified


def _emulated(
    found: Sequence[Assignment], judge: Emulator, on_progress: Callable[[int, int, str], None]
) -> list[Assignment]:
    if not found:
        return []
    encoding = found[0].encoding
    exact, *accuracies = judge.measure_all(
        [(None, encoding), *((one, encoding) for one in found)],
        on_progress=lambda done, name: on_progress(max(done - 1, 0), len(found), name),
    )
    return [
        replace(
            one,
            emulated_top1_pct=measured.top1_pct,
            emulated_drop_pp=drop_between_pp(exact.top1_pct, measured.top1_pct),
            emulated_images=judge.images,
        )
        for one, measured in zip(found, accuracies, strict=True)
    ]


def _held(
    front: Sequence[Assignment],
    singles: Sequence[Assignment],
    judge: Emulator,
    limit_pp: float,
    objective: str,
    on_progress: Callable[[int, int, str], None],
) -> tuple[list[Assignment], Assignment]:
    """The cheapest assignment, or single design, that keeps the limit as emulated; what comes
    before it on the front is emulated for that. Where none keeps it, the one that loses least.
    """

    cost = partial(_cost, objective)

    def keeping(found: Sequence[Assignment]) -> list[Assignment]:
        return [
            one
            for one in found
            if one.emulated_drop_pp is not None and one.emulated_drop_pp <= limit_pp
        ]

    found = list(front)
    for tried in range(_MOST_PICKS):
        cheapest = min(map(cost, keeping([*found, *singles])), default=float("inf"))
        unknown = [
            index
            for index, one in enumerate(found)
            if one.emulated_drop_pp is None and cost(one) < cheapest
        ]
        if not unknown:
            break
        on_progress(tried, _MOST_PICKS, "the next one")
        following = min(unknown, key=lambda index: cost(found[index]))
        (found[following],) = _emulated([found[following]], judge, lambda *state: None)
    held = keeping([*found, *singles])
    if held:
        return found, min(held, key=cost)
    known = [one for one in (*found, *singles) if one.emulated_drop_pp is not None]
    return found, min(known, key=lambda one: (one.emulated_drop_pp or 0.0, cost(one)))


def _written(
    front: Sequence[Assignment],
    singles: Sequence[Assignment],
    limit_pp: float,
    objective: str,
    pick: Assignment,
    out: Path,
) -> Assigned:
    from reports.figures import assignment_figure, write_figure

    from ..search import ASSIGNMENT_FILE

    folder = writable_folder(out, "--out")
    files = tuple(
        writable_folder(folder / _FOLDER, "--out") / f"{number:02}.json"
        for number in range(1, len(front) + 1)
    )
    for path, one in zip(files, front, strict=True):
        one.save(path)
    pick.save(folder / ASSIGNMENT_FILE)
    write_whole(folder / _TABLE, _csv(front, files))
    write_figure(assignment_figure(front, singles), folder, "assignments")
    return Assigned(folder, tuple(front), tuple(singles), files, limit_pp, objective, pick)


def _csv(front: Sequence[Assignment], files: Sequence[Path]) -> str:
    """A row an assignment, the designs of the layers in its last columns."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    layers = [row.layer for row in front[0].layers]
    rows.writerow(
        [
            *("file", "predicted_drop_pp", "emulated_drop_pp", "emulated_images"),
            *("energy_nj", "latency_us", "area_um2", "kinds", "gap"),
            *layers,
        ]
    )
    for one, path in zip(front, files, strict=True):
        emulated = "" if one.emulated_drop_pp is None else f"{one.emulated_drop_pp:.3f}"
        rows.writerow(
            [
                *(path.name, f"{one.predicted_drop_pp:.3f}", emulated, one.emulated_images or ""),
                *(f"{one.energy_nj:.3f}", f"{one.latency_us:.3f}", f"{one.area_um2:.3f}"),
                *(len(one.kinds), f"{one.gap:.6f}"),
                *(row.design for row in one.layers),
            ]
        )
    return text.getvalue()
