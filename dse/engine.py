"""The search: designs are asked for, evaluated by worker processes, kept at once, and the front is
what remains.

A search synthesizes with little effort. What it leaves as the front, and the exact multipliers, are
then synthesized once more with the best effort, and the front that is reported is the one among
these: every ratio is one of two figures at the same effort.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_eval import zoo
from cnn_eval.prediction import AccuracyPredictor
from hdl import yosys
from hdl.cells import CellLibrary, LibertyError
from hdl.errors import InputError
from hdl.files import (
    Count,
    FileError,
    Name,
    Size,
    encode_json,
    read_json,
    writable_folder,
    write_whole,
)
from hdl.multipliers import (
    FAMILIES,
    ImportedDesign,
    MultiplierSpec,
    named_multiplier,
    narrowed,
    parse_multiplier,
)
from hdl.operands import OperandEncoding, Widths, operand_widths

from .evaluation.evaluation_store import EvaluationStore
from .evaluation.point import DesignPoint
from .evaluation.savings import accelerator, compared_designs, operand_energy
from .evaluation.workbench import Evaluation, Workbench, design_point
from .evaluation.workers import Failure, WorkerPool
from .ground_truth.emulator import Emulator
from .ground_truth.recalibration import Recalibrator
from .search.budget import Budget, parse_objectives
from .search.data_sizing import recommended, with_savings_beyond_exact
from .search.exploration import Exploration, Generation, RunError
from .search.front import ParetoFront
from .search.problem import DesignSearch
from .search.space import Design, DesignSpace, SpaceError

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset, ImageRoles
    from cnn_eval.networks import TrainedNetwork

__all__ = [
    "SEARCH_FILE",
    "YOSYS_CACHE",
    "Progress",
    "Search",
    "explore",
    "record_search",
    "recorded_search",
    "with_accelerator",
]

#: Name of the file beside the point store that says what the run was asked; what came of it is in
#: `dse.search.RUN_FILE`.
SEARCH_FILE = "search.json"

#: Name of the file beside the point store that keeps what Yosys made; it may be deleted at any
#: time.
YOSYS_CACHE = "yosys.sqlite"


@dataclass(frozen=True)
class Search:
    """What is searched for and how.

    Attributes:
        encodings: number formats to choose from: one, or sign_magnitude and twos_complement.
            Multipliers of one are compared by themselves, those of two with their sign logic
            (:class:`dse.evaluation.Workbench`).
        recalibrate: designs to emulate during the search, for the predictor to learn from
            (:mod:`dse.ground_truth.recalibration`).
        data: the user's images for that, as given; kept so that a run can go on.
        swap: whether the activation may also come to port b of a family's circuit.
        max_drop_pp: accuracy that the recommended design may lose, by prediction, in percentage
            points.
        objectives: of :data:`dse.search.OBJECTIVES`, all minimized.
        evaluations: different designs to evaluate.
        families: to choose from; empty for all.
        seeds: designs of the first generation, as specs or as the user's own Verilog (`mul.v:top`).
        corrected: whether the network is corrected for every multiplier
            (:mod:`cnn_eval.quantization.correction`).
        activation_bits, weight_bits: of the quantized network; 0: any that there are profiles for.
        delay_target_ps: each design is the smallest netlist that is at most so slow, as far as it
            can be; None: the smallest netlist.
    """

    network: Name
    encodings: tuple[OperandEncoding, ...]
    budget: Budget
    max_drop_pp: Size = 1.0
    objectives: tuple[str, ...] = ("area", "power", "accuracy")
    evaluations: Count = 480
    population: Count = 48
    seed: Count = 1
    liberty: Path | None = None
    zoo_folder: Path | None = None
    families: tuple[Name, ...] = ()
    seeds: tuple[Name, ...] = ()
    delay_target_ps: Size | None = None
    swap: bool = False
    recalibrate: Count = 0
    data: Path | None = None
    corrected: bool = True
    activation_bits: Count = 0
    weight_bits: Count = 0

    def __post_init__(self) -> None:
        if not self.encodings or (
            len(self.encodings) > 1
            and sorted(self.encodings) != ["sign_magnitude", "twos_complement"]
        ):
            given = ",".join(self.encodings) or "none"
            raise SpaceError(
                f"encodings {given}: a search is among designs of one, or of "
                "sign_magnitude,twos_complement"
            )
        parse_objectives(",".join(self.objectives))
        if not 0 < self.evaluations <= 10_000_000 or not 2 <= self.population <= 100_000:
            raise SpaceError(
                f"{self.evaluations} evaluations in populations of {self.population}: give 1 to 10 "
                "million, and 2 to 100,000"
            )


@dataclass(frozen=True)
class Progress:
    """State of a running search, for a progress display; `finished` counts the designs that were
    synthesized with the best effort, `emulating` names the one that is being emulated."""

    evaluations: int
    front_size: int
    hypervolume: float
    finished: int = 0
    emulating: str = ""


def explore(
    search: Search,
    store_path: Path,
    *,
    workers: int,
    images: tuple[ImageRoles, Dataset] | None = None,
    trained: TrainedNetwork | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Exploration:
    """Runs a search; what `store_path` already knows is not evaluated again.

    The result depends on the search and the installed versions, not on the number of workers or on
    what the store and the file `YOSYS_CACHE` beside it knew. What was asked is written beside the
    store, to `SEARCH_FILE`, when all that is needed has been opened. An interrupt (Ctrl-C) ends the
    search early: what was evaluated until then is returned, and marked.

    Args:
        images: which images correct, and what designs are emulated on, where `search.recalibrate`
            asks for that.
        trained: the network itself, where neither `search.zoo_folder` nor the zoo that ships has
            its weights.

    Raises:
        cnn_eval.zoo.ZooError: no profile or predictor for this network and encoding.
        hdl.cells.LibertyError, hdl.multipliers.SpecError, hdl.multipliers.ImportedDesignError,
        dse.search.SpaceError,
            dse.evaluation.StoreError: the input they name.
        dse.evaluation.WorkerError: worker processes cannot work.
    """
    predictors = {
        str(encoding): zoo.load_predictor(
            search.network, encoding, corrected=search.corrected, folder=search.zoo_folder
        )
        for encoding in search.encodings
    }
    bench = Workbench(
        search.network,
        search.encodings,
        search.liberty,
        search.zoo_folder,
        search.corrected,
        delay_target_ps=search.delay_target_ps,
        yosys_cache=store_path.with_name(YOSYS_CACHE),
    )
    operands = {
        encoding: _operands(search, encoding, bench.widths(encoding))
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
    given = [_seed(text, space) for text in search.seeds]
    imported = tuple(seed for seed in given if isinstance(seed, ImportedDesign))
    seeds = [_fitted(seed, space) for seed in given]
    worst_drop_pp = profile.exact_top1_pct - profile.chance_pct

    @contextmanager
    def ledger_at(effort: str, on_progress: Callable[[Progress], None]) -> Iterator[_Ledger]:
        asked = replace(bench, effort=effort, imported=imported)
        with (
            EvaluationStore(store_path, asked) as store,
            WorkerPool(workers, asked.evaluator) as pool,
        ):
            yield _Ledger(
                asked, store, pool, predictors, search.objectives, worst_drop_pp, on_progress
            )

    recalibrator = None
    if search.recalibrate:
        if images is None:
            raise InputError(
                f"recalibrating with {search.recalibrate} designs needs images; give them with "
                "--data PATH"
            )
        from cnn_eval.zoo import zoo_network

        network = trained or zoo_network(search.network, folder=search.zoo_folder)
        roles, sample = images
        emulator = Emulator(
            network,
            roles,
            sample,
            store_path,
            corrected=search.corrected,
            zoo_folder=search.zoo_folder,
            imported=imported,
        )
        recalibrator = Recalibrator(
            emulator, predictors, designs=search.recalibrate, evaluations=search.evaluations
        )
    writable_folder(store_path.parent, "--out")
    with ledger_at("fast", on_progress) as found:
        record_search(search, store_path.parent)
        interrupted = not _search(search, found, space, seeds, recalibrator)
    if found.baseline is None:
        raise KeyboardInterrupt
    told = found
    if not interrupted:
        evaluations = len(found.done)
        with ledger_at(
            "best",
            lambda state: on_progress(
                replace(state, evaluations=evaluations, finished=state.evaluations)
            ),
        ) as best:
            try:
                best.predictors = found.predictors
                best.set_baseline(exact_specs(space))
                best.evaluate([point.spec for point in found.front().points])
                told = best
            except KeyboardInterrupt:
                # the front stays as the search left it: half of it at another effort could not be
                # compared
                interrupted = True
    points, front = told.with_savings(found.points | told.points)
    assert told.baseline is not None
    return Exploration(
        network=search.network,
        encodings=tuple(map(str, search.encodings)),
        data=profile.data,
        exact_top1_pct=profile.exact_top1_pct,
        chance_pct=profile.chance_pct,
        budget=search.budget,
        max_drop_pp=search.max_drop_pp,
        baseline=points[told.baseline],
        points=tuple(points[text] for text in sorted(points)),
        front=front,
        pick=recommended(front.points, search.budget, search.max_drop_pp).point,
        history=tuple(found.history),
        settings=settings(search),
        failures=found.failures | told.failures,
        interrupted=interrupted,
        imported=imported,
        recalibrations=() if recalibrator is None else tuple(recalibrator.history),
    )


def with_accelerator(
    exploration: Exploration,
    search: Search,
    store_path: Path,
    *,
    on_progress: Callable[[int, str], None] = lambda done, doing: None,
) -> Exploration:
    """The exploration with what its pick saves in an accelerator, and with what operands do to the
    energy of multipliers.

    `on_progress` is told which of these two is done and what is worked on. An interrupt (Ctrl-C)
    leaves out what was not done yet, a library without flip-flops, or a failure of the mapping, the
    accelerator. Raises what `hdl.cost.synthesize` raises.
    """
    library = CellLibrary.load(search.liberty)
    baseline = MultiplierSpec.parse(exploration.baseline.spec)
    pick = (
        None
        if exploration.pick is None
        else named_multiplier(exploration.pick.spec, exploration.imported)
    )
    unsigned = OperandEncoding.UNSIGNED
    unsigned_encoding = (
        unsigned if unsigned in exploration.encodings else OperandEncoding.SIGN_MAGNITUDE
    )
    yosys.keep_results(store_path.with_name(YOSYS_CACHE))
    try:
        for design, roles in compared_designs(baseline, pick).items():
            on_progress(0, f"energy of {design}")
            energy = operand_energy(
                design,
                roles,
                search.network,
                library,
                unsigned_encoding=unsigned_encoding,
                delay_target_ps=search.delay_target_ps,
                corrected=search.corrected,
                zoo_folder=search.zoo_folder,
            )
            exploration = replace(
                exploration, operand_energies=(*exploration.operand_energies, energy)
            )
        if pick is not None:
            on_progress(1, f"{pick} in a systolic array")
            with suppress(LibertyError, yosys.YosysError):
                whole = accelerator(
                    pick,
                    baseline,
                    search.network,
                    library,
                    unsigned_encoding=unsigned_encoding,
                    corrected=search.corrected,
                    zoo_folder=search.zoo_folder,
                )
                exploration = replace(exploration, accelerator=whole)
        on_progress(2, "")
    except KeyboardInterrupt:
        pass
    finally:
        yosys.keep_results(None)
    return exploration


def _seed(text: str, space: DesignSpace) -> Design:
    """A design to start from. Raises SpaceError where the space's operands do not fit it."""
    design = parse_multiplier(text, signed=space.signed[0])
    if design.family == ImportedDesign.family and len(space.signed) > 1:
        raise SpaceError(
            f"design {text!r}: own Verilog does not tell its number format; name one with "
            "--encoding"
        )
    design.rtlil()  # which a table does not have
    there = [form.widths for form in space.forms if form.signed == design.signed]
    if not any(design.width_a >= widths.a and design.width_b >= widths.b for widths in there):
        known = ", ".join(dict.fromkeys(f"{form.widths.a}x{form.widths.b}" for form in space.forms))
        kind = f"{_kind(design.signed)} {design.widths.a}x{design.widths.b}"
        raise SpaceError(
            f"design {text!r} multiplies {kind}, and this search is among {_kind(*space.signed)} "
            f"multipliers of {known}; change it or --encoding"
        )
    return design


def _fitted(design: Design, space: DesignSpace) -> Design:
    """The design with the operand bits tied off that the widest operands of the space that it can
    take leave unused.
    """
    there = [form.widths for form in space.forms if form.signed == design.signed]
    if design.widths in there:
        return design
    return narrowed(
        design,
        next(
            widths for widths in there if design.width_a >= widths.a and design.width_b >= widths.b
        ),
    )


def _kind(*signed: bool) -> str:
    return " and ".join("signed" if one else "unsigned" for one in signed)


def _search(
    search: Search,
    ledger: _Ledger,
    space: DesignSpace,
    seeds: Sequence[Design],
    recalibrator: Recalibrator | None,
) -> bool:
    """Evaluates designs until there are as many as wanted; False where it was interrupted."""
    exact = exact_specs(space)
    first = [*exact, *seeds]
    engine = DesignSearch(
        space,
        search.objectives,
        search.budget,
        population=search.population,
        seed=search.seed,
        first=first,
    )
    try:
        ledger.set_baseline(exact)
        while len(ledger.done) < search.evaluations and (asked := engine.ask()):
            texts = [str(spec) for spec in asked]
            room = (
                search.evaluations - len(ledger.done) + sum(text in ledger.done for text in texts)
            )
            ledger.evaluate(texts[:room])
            ledger.close_generation()
            whole = room >= len(texts)
            if whole:
                engine.tell([ledger.points.get(text) for text in texts])
            if recalibrator is not None and recalibrator.due(len(ledger.done)):
                ledger.recalibrate(recalibrator)
                engine.revise(ledger.points.get)
            if not whole:
                break
    except KeyboardInterrupt:
        return False
    return True


def exact_specs(space: DesignSpace) -> list[MultiplierSpec]:
    """The exact multipliers that others have to beat: of every number format all kinds with the
    widest operands, the candidates for the baseline, and one of each other width."""
    choices = [
        [(parameter.name, choice) for choice in parameter.choices]
        for parameter in FAMILIES["exact"].parameters
    ]
    kinds = [dict(values) for values in product(*choices)]
    specs = []
    for signed in space.signed:
        widest, *others = dict.fromkeys(
            form.widths for form in space.forms if form.signed == signed
        )
        specs += [
            MultiplierSpec.nearest("exact", width=widest, signed=signed, swapped=False, **values)
            for values in kinds
        ]
        specs += [MultiplierSpec.make("exact", width=widths, signed=signed) for widths in others]
    return list({str(spec): spec for spec in specs}.values())


def _operands(search: Search, encoding: OperandEncoding, there: Sequence[Widths]) -> list[Widths]:
    """The operand widths to search, the widest first, of those that there are profiles for. Raises
    SpaceError where there are none.
    """
    wanted = operand_widths(encoding, search.activation_bits or 8, search.weight_bits or 8)
    chosen = [
        widths
        for widths in there
        if (not search.activation_bits or widths.a == wanted.a)
        and (not search.weight_bits or widths.b == wanted.b)
    ]
    if not chosen:
        known = ", ".join(f"{widths.a}x{widths.b}" for widths in there)
        raise SpaceError(
            f"no profile of {search.network!r} for {encoding} with such operands "
            f"({wanted.a}x{wanted.b} bits): there are {known}; "
            "make it with dse profile --activation-bits A --weight-bits B"
        )
    # What others are compared with is there in any case.
    return list(dict.fromkeys([there[0], *chosen]))


@dataclass(frozen=True)
class _Asked:
    """What SEARCH_FILE says."""

    search: Search
    versions: dict[Name, Name]


def record_search(search: Search, folder: Path) -> None:
    """Writes what a run is asked. Raises hdl.files.MissingFileError."""
    write_whole(folder / SEARCH_FILE, encode_json(_Asked(search, _versions(search))), durable=True)


def recorded_search(folder: Path) -> Search:
    """What the run in a folder was asked.

    Raises:
        dse.search.RunError: no run there, or one that cannot be read.
    """
    path = folder / SEARCH_FILE
    if not path.exists():
        raise RunError(
            f"no run in {str(folder)!r}: {SEARCH_FILE} is missing; start one with dse explore "
            f"--out {folder}"
        )
    try:
        return read_json(path, _Asked, limit_bytes=1 << 20).search
    except FileError as error:
        raise RunError(
            f"{error}; the run in {str(folder)!r} cannot go on, start a new one"
        ) from error


def settings(search: Search) -> dict[str, Any]:
    """The search's arguments and the versions it runs on, as plain values for run.json."""
    arguments = asdict(search) | {
        "encodings": [str(encoding) for encoding in search.encodings],
        "budget": str(search.budget),
        **{
            name: None if (path := getattr(search, name)) is None else str(path)
            for name in ("liberty", "zoo_folder", "data")
        },
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in arguments.items()
    } | _versions(search)


def _versions(search: Search) -> dict[str, str]:
    versions = {name: version(name) for name in ("amaranth", "numpy", "pymoo")}
    return {
        "cell_library": CellLibrary.load(search.liberty).name,
        "yosys": yosys.version(),
        **versions,
    }


@dataclass
class _Ledger:
    """Bookkeeping of a running search: what is known, in which store, and how good the front is by
    now.
    """

    bench: Workbench
    store: EvaluationStore
    pool: WorkerPool
    predictors: Mapping[str, AccuracyPredictor]
    objectives: Sequence[str]
    worst_drop_pp: float
    on_progress: Callable[[Progress], None]
    started: float = field(default_factory=time.monotonic)
    baseline: str | None = None
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    points: dict[str, DesignPoint] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    history: list[Generation] = field(default_factory=list)

    @property
    def done(self) -> set[str]:
        return self.evaluations.keys() | self.failures.keys()

    def set_baseline(self, exact: list[MultiplierSpec]) -> None:
        """Evaluates the exact multipliers; of those with the widest operands, the one with the
        smallest product of area and energy is what all ratios refer to."""
        widest = {
            signed: max(spec.widths.product for spec in exact if spec.signed == signed)
            for signed in {spec.signed for spec in exact}
        }
        texts = [str(spec) for spec in exact if spec.widths.product == widest[spec.signed]]
        self.evaluate(texts)
        candidates = [text for text in texts if text in self.evaluations]
        if not candidates:
            raise RuntimeError(
                f"no exact multiplier could be evaluated: {next(iter(self.failures.values()))}"
            )
        self.baseline = min(
            candidates,
            key=lambda text: (
                self.evaluations[text].area_um2 * self.evaluations[text].energy_fj,
                text,
            ),
        )
        for text in self.evaluations:
            self._add_point(text)
        self.evaluate([str(spec) for spec in exact])

    def evaluate(self, texts: list[str]) -> None:
        """Makes each of `texts` known: from the store where it has it, else by the workers, and
        then in the store at once.
        """
        new = [text for text in texts if text not in self.done]
        for text, evaluation in self.store.get(new).items():
            self._record(text, evaluation)
        for text, result in self.pool.run([text for text in new if text not in self.done]):
            if isinstance(result, Failure):
                self.failures[text] = result.reason
                continue
            self.store.put(text, result)
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
            design, self.evaluations[text], self.evaluations[self.baseline], self.predictors
        )

    def recalibrate(self, recalibrator: Recalibrator) -> None:
        """Lets the predictors learn from designs of the front; all designs are predicted anew."""
        front = self.front()
        state = Progress(len(self.done), len(front.points), front.hypervolume())
        self.predictors = recalibrator.recalibrated(
            self.predictors,
            front.points,
            lambda text: self.evaluations[text].features,
            len(self.done),
            lambda text: self.on_progress(replace(state, emulating=text)),
        )
        for text in self.evaluations:
            self._add_point(text)

    def with_savings(
        self, points: Mapping[str, DesignPoint]
    ) -> tuple[dict[str, DesignPoint], ParetoFront]:
        """All points, and the front of this ledger's own, with what they save beyond exact
        multipliers at the same effort.
        """
        own = {
            point.spec: point for point in with_savings_beyond_exact(tuple(self.points.values()))
        }
        return {**points, **own}, ParetoFront.of(
            own.values(), self.objectives, worst_drop_pp=self.worst_drop_pp
        )

    def front(self) -> ParetoFront:
        return ParetoFront.of(
            self.points.values(), self.objectives, worst_drop_pp=self.worst_drop_pp
        )

    def close_generation(self) -> None:
        front = self.front()
        seconds = time.monotonic() - self.started
        self.history.append(
            Generation(len(self.done), len(front.points), front.hypervolume(), seconds)
        )
