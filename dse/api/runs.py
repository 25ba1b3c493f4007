"""Searches and what they leave in a folder: started, resumed, verified, drawn, and read again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError
from hdl.files import check_writable

from ..evaluation.point import DesignPoint
from .accuracy import parse_networks, read_network
from .formats import parse_encodings
from .reading import Multiplier

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset, ImageRoles
    from cnn_eval.networks import TrainedNetwork

    from ..engine import Progress, Search
    from ..ground_truth.emulator import Emulator
    from ..search.exploration import Exploration

__all__ = ["FoundDesign", "Run", "Stage", "compare", "explore", "load_run", "redraw", "resume"]

STORE_FILE = "points.sqlite"

#: The first images of the data, those that calibrations take too, are what a search learns from: so
#: many, or half of a smaller data set.
RECALIBRATION_IMAGES = 1000

#: Walks of a search, unless the user says how many.
_EVALUATIONS_PER_WALK = 20


@dataclass(frozen=True)
class Stage:
    """How far a run is, for a progress display: `done` of `total` of what the stage `name` does,
    and a few words on its state.
    """

    name: str
    done: int
    total: int
    state: str


OnProgress = Callable[[Stage], None]


def _silent(stage: Stage) -> None:
    """Ignores progress."""


@dataclass(frozen=True, kw_only=True)
class FoundDesign(DesignPoint):
    """A design that a search evaluated: its figures, and the multiplier itself; `exploration` is
    the search.
    """

    exploration: Exploration

    @cached_property
    def multiplier(self) -> Multiplier:
        """The multiplier, for its table, cost and Verilog."""
        return Multiplier(self.exploration.multiplier(self.spec))


@dataclass(frozen=True)
class Run:
    """A search, finished or interrupted, and the folder that holds it.

    Attributes:
        exploration: everything the search found out.
        report: the page report.html.
        note: what there is to say about how it was made, or nothing.
    """

    folder: Path
    exploration: Exploration
    report: Path
    note: str = ""

    @property
    def front(self) -> list[FoundDesign]:
        """The Pareto front."""
        return [self._found(point) for point in self.exploration.front.points]

    @property
    def points(self) -> list[FoundDesign]:
        """Every design that was evaluated."""
        return [self._found(point) for point in self.exploration.points]

    @property
    def pick(self) -> FoundDesign | None:
        """The recommended design; None where none keeps the budget and the accuracy."""
        return None if self.exploration.pick is None else self._found(self.exploration.pick)

    def emulator(
        self,
        data: Path | str,
        *,
        images: int = 2000,
        skip: int | None = None,
        network: str = "",
        weights: Path | str | None = None,
    ) -> Emulator:
        """What measures accuracies as the run verifies its front: on images that neither made its
        predictors nor correct. What it measures is kept in the run's store.

        Arguments are those of :func:`resume`. Raises InputError as it does.
        """
        from ..engine import recorded_search
        from ..ground_truth.emulator import Emulator

        search = recorded_search(self.folder)
        emulation = _Emulation.prepared(
            search,
            network or search.network,
            _path(weights),
            _path(data),
            1,
            images,
            skip,
            run=self.folder,
        )
        assert emulation.trained is not None
        assert emulation.roles is not None
        return Emulator(
            emulation.trained,
            emulation.roles,
            emulation.sample(emulation.roles),
            self.folder / STORE_FILE,
            corrected=search.corrected,
            zoo_folder=search.zoo_folder,
        )

    def _found(self, point: DesignPoint) -> FoundDesign:
        return FoundDesign(
            **{field.name: getattr(point, field.name) for field in fields(DesignPoint)},
            exploration=self.exploration,
        )


def explore(
    network: str,
    *,
    budget: str = "area",
    out: Path | str | None = None,
    max_drop: float = 1.0,
    objectives: str = "area,power,accuracy",
    encoding: str = "sign_magnitude",
    swap: bool | None = None,
    corrected: bool | None = None,
    activation_bits: int = 0,
    weight_bits: int = 0,
    families: Sequence[str] = (),
    seed_designs: Sequence[str] = (),
    evaluations: int = 480,
    walks: int | None = None,
    seed: int = 1,
    liberty: Path | str | None = None,
    delay_target_ps: float | None = None,
    recalibrate: int = 0,
    weights: Path | str | None = None,
    zoo: Path | str | None = None,
    data: Path | str | None = None,
    verify: int = 0,
    images: int = 2000,
    skip: int | None = None,
    workers: int = 0,
    on_progress: OnProgress = _silent,
) -> Run:
    """Searches for the multipliers on the Pareto front of cost and a network's accuracy, and writes
    front, report and Verilog to a folder.

    Args:
        network: of the zoo, or your own with a profile in `zoo`; `module.py:factory` with `weights`
            where it is to be emulated. Several, comma-separated: designs are for all of them, and
            the one that loses the most counts. Operands and energies are those of the first.
        budget: the cost that matters, `area`, `power` or `delay`, with a limit relative to the
            exact multiplier: `area=0.6`.
        out: the folder; None: `runs/NETWORK-COST-seedSEED`.
        max_drop: accuracy that the recommended design may lose, in percentage points.
        objectives: two or more of area, power, delay, accuracy.
        encoding: number format; `sign_magnitude,twos_complement` are searched as one.
        swap: both orders of operands; None: where both formats are searched.
        corrected: layers' scale and bias are estimated anew for every multiplier; None: where the
            zoo has the network so.
        activation_bits, weight_bits: search only multipliers for activations and weights of so many
            bits; 0: of all that there are profiles for.
        families: to choose from; none for all.
        seed_designs: multipliers to start from, `mul.v:top` included.
        evaluations: different designs to evaluate.
        walks: how many walks make multipliers for the network, gate by gate; 0: none; None: one for
            20 evaluations.
        seed: the same seed gives the same front.
        liberty: cell library; None for the one that ships.
        delay_target_ps: each design is the smallest netlist that is at most so slow.
        recalibrate, verify: designs to emulate during the search, and of its front afterwards; both
            need `data`.
        zoo: folder with profiles, predictors and weights of your own networks.
        images, skip: images to verify each design on, and images of `data` to leave out; None:
            those that profile and predictor know.
        workers: processes; 0: one a core.
        on_progress: called as the run goes on.

    Raises:
        InputError: one of the arguments cannot be used: one line with the input, the limit and the
            next step.
    """
    from cnn_eval.networks import network_name
    from cnn_eval.zoo import is_corrected

    from ..engine import Search
    from ..search.budget import Budget, parse_objectives

    if not network:
        raise InputError("no network; choose one with --network, e.g. --network resnet20")
    encodings = parse_encodings(encoding)
    first, *others = parse_networks(network)
    names = (network_name(first), *others)
    search = Search(
        network=names[0],
        others=names[1:],
        encodings=encodings,
        budget=Budget.parse(budget),
        max_drop_pp=max_drop,
        objectives=parse_objectives(objectives),
        evaluations=evaluations,
        walks=evaluations // _EVALUATIONS_PER_WALK if walks is None else walks,
        seed=seed,
        liberty=_path(liberty),
        zoo_folder=_path(zoo),
        families=tuple(stripped for family in families if (stripped := family.strip())),
        seeds=tuple(seed_designs),
        delay_target_ps=delay_target_ps,
        swap=len(encodings) > 1 if swap is None else swap,
        corrected=all(
            is_corrected(name, one, folder=_path(zoo)) for name in names for one in encodings
        )
        if corrected is None
        else corrected,
        activation_bits=activation_bits,
        weight_bits=weight_bits,
        recalibrate=recalibrate,
        data=Path(data).absolute() if recalibrate and data is not None else None,
    )
    name = f"{'+'.join(search.networks)}-{search.budget.cost}-seed{search.seed}"
    folder = Path(out or Path("runs") / name)
    check_writable(folder, "--out")
    emulation = _Emulation.prepared(
        search, first, _path(weights), _path(data), verify, images, skip
    )
    return _run(search, folder, emulation, workers, on_progress)


def resume(
    out: Path | str,
    *,
    network: str = "",
    weights: Path | str | None = None,
    data: Path | str | None = None,
    verify: int = 0,
    images: int = 2000,
    skip: int | None = None,
    workers: int = 0,
    on_progress: OnProgress = _silent,
) -> Run:
    """Goes on with the run in the folder `out`, with its own arguments; what it has evaluated
    already is not evaluated again.

    `network` and `weights` are needed where your own network is to be emulated: a file runs only
    when it is named. The other arguments are those of :func:`explore`.

    Raises:
        InputError: no run there, or one of the arguments cannot be used.
    """
    from ..engine import recorded_search

    search = recorded_search(Path(out))
    check_writable(out, "--out")
    emulation = _Emulation.prepared(
        search,
        parse_networks(network)[0] if network else search.network,
        _path(weights),
        _path(data),
        verify,
        images,
        skip,
        run=Path(out),
    )
    return _run(search, Path(out), emulation, workers, on_progress)


def load_run(folder: Path | str) -> Run:
    """The run that a folder holds.

    Raises:
        dse.search.RunError: there is none, or one that cannot be read.
    """
    from ..search.exploration import Exploration

    return Run(Path(folder), Exploration.load(Path(folder)), Path(folder) / "report.html")


def redraw(folder: Path | str, *, on_progress: OnProgress = _silent) -> Run:
    """Writes Verilog, table, plots and report of a finished run again. Raises as
    :func:`load_run`.
    """
    run = load_run(folder)
    return replace(run, report=_deliver(run.exploration, run.folder, on_progress))


def compare(
    folder: Path | str, other: Path | str, *, on_progress: OnProgress = _silent
) -> tuple[Run, Run]:
    """Writes a page on which the run in `other` is laid over the one in `folder`, into the latter,
    and draws that one again. Nothing is written into `other`. Raises as :func:`load_run`.
    """
    run, second = load_run(folder), load_run(other)
    page = _deliver(run.exploration, run.folder, on_progress, beside=second)
    return replace(run, report=page), second


@dataclass(frozen=True)
class _Emulation:
    """What a run emulates, and on which images.

    Attributes:
        trained: the network; None where nothing is emulated.
        verify: designs of the front to emulate on `images` of the judging images, from number
            `start` on.
        roles: which images judge, correct and calibrate.
    """

    trained: TrainedNetwork | None
    verify: int
    images: int
    start: int = 0
    roles: ImageRoles | None = None

    @classmethod
    def prepared(
        cls,
        search: Search,
        network: str,
        weights: Path | None,
        data: Path | None,
        verify: int,
        images: int,
        skip: int | None,
        *,
        run: Path | None = None,
    ) -> _Emulation:
        """Reads network and images where they are needed. Raises InputError."""
        from cnn_eval.datasets import ImageRoles, load_dataset

        path = data or search.data
        for option, count in (("--verify", verify), ("--recalibrate", search.recalibrate)):
            if count and path is None:
                raise InputError(f"{option} {count} needs images; give them with --data PATH")
        needed = path if verify or search.recalibrate else None
        if needed is not None:
            _check_one_data_set(search)
        # Not recorded with the run: a file runs only when it is named.
        trained = (
            read_network(network, weights, search.zoo_folder)
            if needed is not None or weights is not None
            else None
        )
        if trained is not None and trained.name != search.network:
            raise InputError(
                f"--network {network} is not the network {search.network!r} of the run in "
                f"{str(run)!r}; give that one's file"
            )
        if needed is None or trained is None:
            return cls(trained, 0, images)
        roles = ImageRoles.of(load_dataset(needed, image_px=trained.image_px))
        start = _first_to_verify(roles.judging, skip, search) if verify else 0
        return cls(trained, verify, images, start, roles)

    def sample(self, roles: ImageRoles) -> Dataset:
        """The images to verify on."""
        judging = roles.judging
        return judging.part(self.start, min(self.start + self.images, len(judging)))

    @property
    def to_learn_from(self) -> tuple[ImageRoles, Dataset] | None:
        """The images that a search recalibrates with."""
        return (
            None
            if self.roles is None
            else (self.roles, self.roles.judging.head(_recalibration_images(self.roles.judging)))
        )


def _check_one_data_set(search: Search) -> None:
    """Raises InputError where the networks of a search were trained for different images."""
    from cnn_eval.zoo import load_profile

    data = {
        network: load_profile(
            network,
            search.encodings[0],
            corrected=search.corrected,
            folder=search.zoo_folder,
        ).data
        for network in search.networks
    }
    if len(set(data.values())) > 1:
        known = ", ".join(f"{network} of {name}" for network, name in data.items())
        raise InputError(
            f"the networks were profiled on different data ({known}), and --data is one data set; "
            "leave out --recalibrate and --verify, or name networks for the same data"
        )


def _recalibration_images(data: Dataset) -> int:
    return min(RECALIBRATION_IMAGES, len(data) // 2)


def _first_to_verify(data: Dataset, skip: int | None, search: Search) -> int:
    """Number of the first judging image to verify with: behind those that predictors know, or
    behind the first `skip`.
    """
    from ..ground_truth.verification import unseen

    start = unseen(
        data,
        search.networks,
        search.encodings,
        corrected=search.corrected,
        zoo_folder=search.zoo_folder,
    )
    if search.recalibrate:
        start = max(start, _recalibration_images(data))
    if skip is not None:
        if skip >= len(data):
            raise InputError(
                f"--skip {skip} leaves none of the {len(data)} judging images of {data.name!r}; "
                "skip fewer"
            )
        start = skip
    if start >= len(data):
        raise InputError(
            f"all of the {len(data)} judging images of {data.name!r} made the predictor; give "
            "others with --data, or use them all the same with --skip 0"
        )
    return start


def _run(
    search: Search, folder: Path, emulation: _Emulation, workers: int, on_progress: OnProgress
) -> Run:
    from ..engine import explore as engine
    from ..engine import with_accelerator
    from ..ground_truth.verification import verify

    exploration = engine(
        search,
        folder / STORE_FILE,
        workers=workers or os.cpu_count() or 1,
        images=emulation.to_learn_from,
        trained=emulation.trained,
        on_progress=lambda state: on_progress(
            Stage("search", state.evaluations, search.evaluations, _words(state))
        ),
    )
    exploration.save(folder)  # should the verification fail, the search is there to be drawn
    note = ""
    if emulation.verify and emulation.roles is not None and not exploration.interrupted:
        sample, start = emulation.sample(emulation.roles), emulation.start
        note = (
            f"verified on images {start + 1:,} to {start + len(sample):,}: the others made the "
            "predictor, the profiles and corrections"
        )
        exploration = verify(
            exploration,
            emulation.roles,
            sample,
            folder / STORE_FILE,
            count=emulation.verify,
            corrected=search.corrected,
            zoo_folder=search.zoo_folder,
            trained=emulation.trained,
            on_progress=lambda state: on_progress(
                Stage("verify", state.done, state.total, state.spec)
            ),
        )
    if not exploration.interrupted:
        exploration = with_accelerator(
            exploration,
            search,
            folder / STORE_FILE,
            on_progress=lambda done, doing: on_progress(Stage("accelerator", done, 2, doing)),
        )
    exploration.save(folder)
    return Run(folder, exploration, _deliver(exploration, folder, on_progress), note)


def _words(state: Progress) -> str:
    again = f"  synthesized with best effort: {state.finished}" if state.finished else ""
    emulating = f"  emulating {state.emulating}" if state.emulating else ""
    done, walks = state.walks
    walking = f"  walks {done}/{walks}" if walks else ""
    front = f"front {state.front_size}  hypervolume {state.hypervolume:.4f}"
    return f"{front}{again}{emulating}{walking}"


def _deliver(
    exploration: Exploration, folder: Path, on_progress: OnProgress, *, beside: Run | None = None
) -> Path:
    """Writes Verilog, table, plots and report of a run, another one laid over it if there is one;
    returns the report's path.
    """
    from hdl.export import export
    from reports.page import ShownRun, write_report

    files: dict[str, str] = {}
    points, target = exploration.front.points, folder / "verilog"
    if target.is_symlink():
        raise InputError(
            f"{str(target)!r} leads to somewhere else; remove the link, Verilog is written into "
            "the run's own folder"
        )
    for index, point in enumerate(points):
        written = export(exploration.multiplier(point.spec), target)
        files[point.spec] = str(written[0].relative_to(folder))
        on_progress(Stage("verilog", index + 1, len(points), ""))
    shown = None
    if beside is not None:
        name = os.path.relpath(beside.folder, folder.parent)
        shown = ShownRun(name, beside.exploration, _exported(beside, folder))
    return write_report(exploration, folder, verilog=files, beside=shown)


def _exported(run: Run, page_folder: Path) -> dict[str, str]:
    """Spec -> path, from the folder of a page, of the Verilog that is there of a run's front; what
    is a link may lead to any file of the reader's and is left out.
    """
    files: dict[str, str] = {}
    if (run.folder / "verilog").is_symlink():
        return files
    for point in run.exploration.front.points:
        name = run.exploration.multiplier(point.spec).identifier
        path = run.folder / "verilog" / name / f"{name}.v"
        if path.is_file() and not (path.is_symlink() or path.parent.is_symlink()):
            files[point.spec] = os.path.relpath(path, page_folder)
    return files


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)
