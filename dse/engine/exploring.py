"""The search: designs are asked for, evaluated by worker processes, kept at once, and the front is
what remains.

A search synthesizes with little effort. What it leaves as the front, and the exact multipliers, are
then synthesized once more with the best effort, and the front that is reported is the one among
these: every ratio is one of two figures at the same effort.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_eval import zoo
from cnn_eval.prediction import dot_products, layer_shapes
from hdl.cells import CellLibrary
from hdl.errors import InputError
from hdl.files import writable_folder
from hdl.multipliers import ImportedDesign, MultiplierSpec, as_made, within

from ..evaluation.executor import Executor
from ..evaluation.point import DesignPoint
from ..evaluation.workbench import Workbench
from ..ground_truth.emulator import emulators_of
from ..ground_truth.recalibration import ROUNDS, Recalibrator
from ..search.exploration import Exploration
from ..search.problem import DesignSearch
from ..search.space import Design, DesignSpace, SpaceError
from .confirming import confirm
from .ledger import Ledger, Progress
from .making import Maker
from .request import Search, record_search, settings
from .starting import check_forms, exact_specs, operands_of, seed_of

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset, ImageRoles
    from cnn_eval.networks import TrainedNetwork

__all__ = ["YOSYS_CACHE", "explore"]

#: Name of the file beside the point store that keeps what Yosys made; it may be deleted at any
#: time.
YOSYS_CACHE = "yosys.sqlite"

#: Share of the evaluations that multipliers of families get where others are made.
_CATALOGUE_SHARE = 0.7


def explore(
    search: Search,
    store_path: Path,
    *,
    executor: Executor,
    images: tuple[ImageRoles, Dataset] | None = None,
    trained: TrainedNetwork | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Exploration:
    """Runs a search; what `store_path` already knows is not evaluated again.

    The result depends on the search and the installed versions, not on how many workers the
    executor has, where they are and how often they fail, nor on what the store and the file
    `YOSYS_CACHE` beside it knew. What was asked is written beside the store, to `SEARCH_FILE`, when
    all that is needed has been opened. An interrupt (Ctrl-C) ends the search early: what was
    evaluated until then is returned, and marked.

    Args:
        executor: where designs are evaluated and emulated, and walks are done; the store stays
            here.
        images: which images correct, and what designs are emulated on, where `search.recalibrate`
            asks for that.
        trained: the network `search.network` itself, where neither `search.zoo_folder` nor the zoo
            that ships has its weights.

    Raises:
        cnn_eval.zoo.ZooError: no profile or predictor for this network and encoding.
        hdl.errors.InputError: cell library, designs, space or store cannot be used, by the errors
            of their rooms.
        dse.evaluation.WorkerError: worker processes cannot work.
    """
    predictors = {
        network: {
            str(encoding): zoo.load_predictor(
                network, encoding, corrected=search.corrected, folder=search.zoo_folder
            )
            for encoding in search.encodings
        }
        for network in search.networks
    }
    bench = Workbench(
        search.networks,
        search.encodings,
        search.liberty,
        search.zoo_folder,
        search.corrected,
        delay_target_ps=search.budget.delay_target_ps,
        yosys_cache=store_path.with_name(YOSYS_CACHE),
    )
    operands = {
        encoding: operands_of(search, encoding, bench.widths(encoding))
        for encoding in search.encodings
    }
    profiles = [bench.profile(encoding, bench.widths(encoding)[0]) for encoding in search.encodings]
    profile = max(profiles, key=lambda profile: profile.exact_top1_pct)
    if {one.data for one in profiles} != {profile.data}:
        raise SpaceError(
            f"profiles of {search.network!r} differ in data between the encodings; make them "
            "again with dse profile"
        )
    space = DesignSpace.of(
        search.families,
        operands={encoding.signed: several for encoding, several in operands.items()},
        swap=search.swap,
    )
    widest = {encoding.signed: bench.widths(encoding)[0] for encoding in search.encodings}
    exact = exact_specs(space, widest, search.objectives)
    given = [seed_of(text, space) for text in search.seeds]
    imported = tuple(
        {one.name: one for one in map(as_made, given) if isinstance(one, ImportedDesign)}.values()
    )
    # Operand bits that the widest operands of the space leave unused are tied off.
    seeds: list[Design] = [within(seed, space.widths(seed.signed)) for seed in given]

    ledger_of = partial(
        Ledger,
        store_path=store_path,
        executor=executor,
        objectives=search.objectives,
        worst_drop_pp=profile.exact_top1_pct - profile.chance_pct,
    )
    recalibrator = None
    if search.recalibrate:
        if images is None:
            raise InputError(
                f"recalibrating with {search.recalibrate} designs needs images; give them with "
                "--data PATH"
            )
        emulators = emulators_of(
            search.networks,
            *images,
            store_path,
            corrected=search.corrected,
            zoo_folder=search.zoo_folder,
            trained=trained,
            executor=executor,
        )
        recalibrator = Recalibrator(emulators, predictors, designs=search.recalibrate)
    if search.level != "multiplier":
        check_forms(search, operands, dot_products(profile))
    if search.level == "array":
        layer_shapes(profile)  # or there are no cycles
    if search.level != "multiplier":
        _ = CellLibrary.load(search.liberty).flip_flop  # or there are no registers
    writable_folder(store_path.parent, "--out")
    known = replace(bench, designs=imported)
    with ledger_of(known, predictors=predictors, on_progress=on_progress) as found:
        record_search(search, store_path.parent)
        maker = Maker(found, store_path, executor=executor, search=search, space=space)
        interrupted = not _search(search, found, space, exact, seeds, maker, recalibrator)
    if found.baseline is None:
        raise KeyboardInterrupt
    told, placed = found, None
    if not interrupted:
        evaluations = len(found.done)

        def on_finished(state: Progress) -> None:
            on_progress(replace(state, evaluations=evaluations, finished=state.evaluations))

        def on_placed(state: Progress) -> None:
            on_progress(replace(state, evaluations=evaluations, placed=state.evaluations))

        finishing = replace(found.bench, effort="best")
        placing = replace(
            found.bench,
            level=search.level,
            array=search.array,
            memory_pj_per_byte=search.memory_pj_per_byte,
        )
        with ledger_of(finishing, predictors=found.predictors, on_progress=on_finished) as best:
            try:
                best.set_baseline(exact)
                best.evaluate([point.spec for point in found.front().points])
                told = best
                if search.level != "multiplier":
                    with ledger_of(
                        placing, predictors=found.predictors, on_progress=on_placed
                    ) as placed:
                        confirm(placed, best, found.points, search)
            except KeyboardInterrupt:
                # The front stays as the search left it: half of it at another effort could not be
                # compared.
                interrupted = True
    points, front = found.points | told.points, told.front()
    assert told.baseline is not None
    baseline, level = points[told.baseline], "multiplier"
    failures, screened = found.failures | told.failures, dict[str, DesignPoint]()
    # An interrupt may have come before the first element.
    if placed is not None and placed.baseline is not None:
        level, failures = search.level, failures | placed.failures
        screened = points
        points, front = placed.points, placed.front()
        baseline = points[placed.baseline]
    exploration = Exploration(
        network=search.network,
        others=search.others,
        encodings=tuple(map(str, search.encodings)),
        data=profile.data,
        exact_top1_pct=profile.exact_top1_pct,
        chance_pct=profile.chance_pct,
        budget=search.budget,
        max_drop_pp=search.max_drop_pp,
        baseline=baseline,
        points=tuple(points[text] for text in sorted(points)),
        front=front,
        pick=None,
        history=tuple(found.history),
        settings=settings(search),
        failures=failures | maker.failures,
        interrupted=interrupted,
        imported=imported,
        made=tuple(design for design in maker.designs if design.name in (screened or points)),
        level=level,
        screened=tuple(screened[text] for text in sorted(screened)),
        recalibrations=() if recalibrator is None else tuple(recalibrator.history),
    )
    return exploration.with_savings().picked()


def _search(
    search: Search,
    ledger: Ledger,
    space: DesignSpace,
    exact: list[MultiplierSpec],
    seeds: Sequence[Design],
    maker: Maker,
    recalibrator: Recalibrator | None,
) -> bool:
    """Evaluates designs until there are as many as wanted, or no others; False where it was
    interrupted.
    """
    first = [spec for spec in exact if spec.widths in space.widths(spec.signed)]
    of_families = (
        search.evaluations if not search.walks else round(_CATALOGUE_SHARE * search.evaluations)
    )
    rounds = 1 if search.walks else ROUNDS
    try:
        ledger.set_baseline(exact)
        # What the user names is looked at, however few evaluations there are.
        ledger.evaluate([str(seed) for seed in seeds if str(seed) not in ledger.done])
        _search_families(search, ledger, space, [*first, *seeds], recalibrator, of_families, rounds)
        for number in range(ROUNDS - rounds):
            done = len(ledger.done)
            room = (search.evaluations - done) // (ROUNDS - rounds - number)
            maker.make(number, room)
            ledger.close_generation()
            if recalibrator is not None:
                ledger.recalibrate(recalibrator)
        # Walks may come by fewer designs than there is room for: neighbours of the front are next.
        if search.walks:
            best = [
                ledger.bench.multiplier(point.spec)
                for point in ledger.front().points
                if space.holds(point.encoding, point.widths)
            ]
            _search_families(search, ledger, space, best, None, search.evaluations, 0)
    except KeyboardInterrupt:
        return False
    return True


def _search_families(
    search: Search,
    ledger: Ledger,
    space: DesignSpace,
    first: Sequence[Design],
    recalibrator: Recalibrator | None,
    evaluations: int,
    rounds: int,
) -> None:
    """Evaluates multipliers of families until so many designs are known; the predictor learns
    `rounds` times, after equal numbers of them."""
    engine = DesignSearch(
        space,
        search.objectives,
        search.budget,
        population=search.population,
        seed=search.seed,
        first=first,
    )
    learned = 0
    while len(ledger.done) < evaluations and (asked := engine.ask()):
        texts = [str(spec) for spec in asked]
        new = [text for text in texts if text not in ledger.done]
        room = evaluations - len(ledger.done)
        ledger.evaluate(new[:room])
        ledger.close_generation()
        whole = room >= len(new)
        if whole:
            engine.tell([ledger.points.get(text) for text in texts])
        due = learned < rounds and len(ledger.done) * rounds >= evaluations * (learned + 1)
        if recalibrator is not None and due:
            learned += 1
            ledger.recalibrate(recalibrator)
            engine.revise(ledger.points.get)
        if not whole:
            break
