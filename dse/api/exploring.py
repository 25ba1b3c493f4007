"""Searches: started, resumed, verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError
from hdl.files import check_writable

from .accuracy import parse_networks, profiled_name
from .emulation_plan import EmulationPlan, recorded_path
from .formats import parse_encodings
from .progress import OnProgress, Stage, silent
from .run_folder import left, own_folder, search_in
from .runs import STORE_FILE, Run, deliver

if TYPE_CHECKING:
    from ..engine import Progress, Search
    from ..evaluation import DesignPoint
    from ..evaluation.executor import Executor
    from ..search import Exploration

__all__ = ["explore", "namesakes", "resume", "transfers"]

#: Rows and columns of the array of a search at its level, unless the user says them.
_ARRAY = "8x8"
#: Walks of a search, unless the user says how many.
_EVALUATIONS_PER_WALK = 12


def explore(
    network: str,
    *,
    budget: str = "area",
    out: Path | str | None = None,
    max_drop: float = 1.0,
    objectives: str = "",
    encoding: str = "sign_magnitude",
    swap: bool | None = None,
    corrected: bool | None = None,
    activation_bits: int = 0,
    weight_bits: int = 0,
    families: Sequence[str] | str = (),
    seed_designs: Sequence[str] = (),
    evaluations: int = 480,
    walks: int | None = None,
    seed: int = 1,
    liberty: Path | str | None = None,
    delay_target_ps: float | None = None,
    level: str = "multiplier",
    elements: Sequence[str] = (),
    array: str = "",
    memory_energy: float = 0.0,
    recalibrate: int = 0,
    weights: Path | str | None = None,
    labels: Path | str | None = None,
    zoo: Path | str | None = None,
    data: Path | str | None = None,
    verify: int = 0,
    images: int = 2000,
    skip: int | None = None,
    workers: int = 0,
    cluster: str = "",
    on_progress: OnProgress = silent,
) -> Run:
    """Searches for the multipliers on the Pareto front of cost and a network's accuracy, and writes
    front, report and Verilog to a folder.

    Args:
        network: of the zoo, or your own with a profile in `zoo`; `module.py:factory` with `weights`
            where it is to be emulated. Several, comma-separated: designs are for all of them, and
            the one that loses the most counts. Operands and energies are those of the first.
        budget: the cost that matters, `area`, `power` or `delay`, with a limit relative to the
            exact multiplier: `area=0.6`.
        out: the folder; None: `runs/NETWORK-COST-seedSEED`, with the level before the seed where
            it is another than `multiplier`, and a number behind it where that holds another search.
        max_drop: accuracy that the recommended design may lose, in percentage points.
        objectives: of area, power, delay and accuracy, the budget's and accuracy among them; empty:
            area, power, the budget's, and accuracy.
        encoding: number format; `sign_magnitude,twos_complement` are searched as one.
        swap: both orders of operands; None: where two's complement is searched.
        corrected: layers' scale and bias are estimated anew for every multiplier; None: where the
            zoo has the network so.
        activation_bits, weight_bits: search only multipliers for activations and weights of so many
            bits, beside the exact ones of the widest that all are compared with; 0: of all that
            there are profiles for.
        families: to choose from, as a list or comma-separated; none for all.
        seed_designs: multipliers to start from, `mul.v:top` included.
        evaluations: different designs to evaluate; exact multipliers of all operand widths and
            `seed_designs` are evaluated in any case.
        walks: how many walks make multipliers for the network; 0: none; None: one for
            12 evaluations.
        seed: the same seed gives the same front.
        liberty: cell library; None for the one that ships.
        delay_target_ps: each design is the smallest netlist that is at most so slow; one that
            cannot be so fast is not picked.
        level: what costs are those of, `multiplier`, `element` or `array`: objectives, budget,
            front and pick. At the level of the element they are of a multiply-accumulate, at that
            of the array of one of an image, what the array uses by then included, relative to the
            exact multiplier in a `mac`.
        elements: forms of elements to choose from, `dot:lanes=8,gate=zero`; none: a handful.
        array, memory_energy: at the level of the array its rows and columns, empty: `8x8`, and the
            energy of every byte that it reads or writes in pJ; 0: not counted.
        recalibrate, verify: designs to emulate during the search, and of its front afterwards, then
            with whatever may be built before the first that keeps the limits; both need `data`.
        labels: a file with the names of the network's classes, one a line, where they are not those
            of `data` in their order.
        zoo: folder with profiles, predictors and weights of your own networks.
        images, skip: images to verify each design on, and images of `data` to leave out; None:
            those that profile and predictor know.
        workers: processes; 0: one a core.
        cluster: address of a scheduler of dask.distributed, `tcp://HOST:PORT`, whose workers
            evaluate and emulate designs and do walks instead.
        on_progress: called as the run goes on.

    Raises:
        InputError: one of the arguments cannot be used: one line with the input, the limit and the
            next step.
    """
    from cnn_eval.zoo import is_corrected
    from hdl.elements import ElementForm

    from ..engine import Search
    from ..evaluation.opening import open_executor, resumable
    from ..search.budget import Budget, parse_objectives

    if not network:
        raise InputError("no network; choose one with --network, e.g. --network resnet20")
    encodings = parse_encodings(encoding)
    first, *others = parse_networks(network)
    names = (profiled_name(first, _path(zoo)), *others)
    limits = replace(Budget.parse(budget), delay_target_ps=delay_target_ps)
    search = Search(
        network=names[0],
        others=names[1:],
        encodings=encodings,
        budget=limits,
        max_drop_pp=max_drop,
        objectives=parse_objectives(objectives) if objectives else limits.objectives,
        evaluations=evaluations,
        walks=evaluations // _EVALUATIONS_PER_WALK if walks is None else walks,
        seed=seed,
        liberty=_path(liberty),
        zoo_folder=_path(zoo),
        families=tuple(
            stripped
            for family in (families.split(",") if isinstance(families, str) else families)
            if (stripped := family.strip())
        ),
        seeds=tuple(seed_designs),
        swap=any(one.signed for one in encodings) if swap is None else swap,
        corrected=all(
            is_corrected(name, one, folder=_path(zoo)) for name in names for one in encodings
        )
        if corrected is None
        else corrected,
        activation_bits=activation_bits,
        weight_bits=weight_bits,
        level=level,
        forms=tuple(dict.fromkeys(str(ElementForm.parse(text)) for text in elements)),
        array=array or (_ARRAY if level == "array" else ""),
        memory_pj_per_byte=memory_energy,
        recalibrate=recalibrate,
        data=recorded_path(data) if recalibrate and data is not None else None,
    )
    at = "" if level == "multiplier" else f"-{level}{search.array}"
    name = f"{'+'.join(search.networks)}-{search.budget.cost}{at}-seed{search.seed}"
    folder = own_folder(Path("runs") / name, search) if out is None else Path(out)
    check_writable(folder, "--out")
    emulation = EmulationPlan.prepared(
        search, first, _path(weights), _path(data), verify, images, skip, labels=_path(labels)
    )
    there = search_in(folder)
    notes: list[str] = []
    if there is not None and there != search:
        notes.append(
            f"{folder} held another search, whose results are replaced; Verilog of its front stays"
        )
    before = left(folder, notes) if there == search else None
    with resumable(_again(folder)), open_executor(workers, cluster) as executor:
        return _run(search, folder, emulation, executor, on_progress, before, notes)


def resume(
    out: Path | str,
    *,
    network: str = "",
    weights: Path | str | None = None,
    labels: Path | str | None = None,
    data: Path | str | None = None,
    verify: int = 0,
    images: int = 2000,
    skip: int | None = None,
    workers: int = 0,
    cluster: str = "",
    on_progress: OnProgress = silent,
) -> Run:
    """Goes on with the run in the folder `out`, with its own arguments; what it has evaluated
    already is not evaluated again.

    `network`, `weights` and `labels` are needed where your own network is to be emulated: a file
    runs only when it is named. The other arguments are those of :func:`explore`.

    Raises:
        InputError: no run there, or one of the arguments cannot be used.
    """
    from ..engine import recorded_search
    from ..evaluation.opening import open_executor, resumable

    search = recorded_search(Path(out))
    check_writable(out, "--out")
    emulation = EmulationPlan.prepared(
        search,
        parse_networks(network)[0] if network else search.network,
        _path(weights),
        _path(data),
        verify,
        images,
        skip,
        labels=_path(labels),
        run=Path(out),
    )
    notes: list[str] = []
    before = left(Path(out), notes)
    with resumable(_again(Path(out))), open_executor(workers, cluster) as executor:
        return _run(search, Path(out), emulation, executor, on_progress, before, notes)


def _again(folder: Path) -> str:
    return f"what was evaluated is kept, go on with dse explore --resume --out {folder}"


def namesakes(network: str, *, zoo: Path | str | None = None) -> list[str]:
    """For each of the zoo's networks that torchvision has under the same name for ImageNet: a line
    that says which one is meant, and how to get the other.

    Raises:
        InputError: `network` names none.
    """
    if not network:
        return []
    from cnn_eval.networks import TORCHVISION_NAMES
    from cnn_eval.zoo import ZooError, load_card

    lines = []
    for name in parse_networks(network):
        if name in TORCHVISION_NAMES:
            try:
                card = load_card(name, folder=_path(zoo))
            except ZooError:  # its profile alone is there, or nothing: the search says so
                continue
            other = f"--network torchvision:{TORCHVISION_NAMES[name]} --weights F.safetensors"
            lines.append(
                f"{name}: the zoo's, for images of {card.image_px} x {card.image_px} "
                f"({card.data}); ImageNet's is {other}, with profiles in --zoo"
            )
    return lines


def transfers(search: Search) -> list[str]:
    """A line for each network and number format of which nothing was emulated: its predictions come
    from other networks, and how to have some of its own.

    Raises:
        cnn_eval.zoo.ZooError: no profile, or no predictor to transfer.
    """
    from cnn_eval.zoo import load_predictor

    lines = []
    for network, encoding in product(search.networks, search.encodings):
        predictor = load_predictor(
            network, encoding, corrected=search.corrected, folder=search.zoo_folder
        )
        if others := predictor.transferred_from:
            lines.append(
                f"{network} in {encoding} is predicted from {', '.join(others)} alone; it may lose "
                "more or less than they do; `dse calibrate` measures it, --recalibrate some designs"
            )
    return lines


def _run(
    search: Search,
    folder: Path,
    emulation: EmulationPlan,
    executor: Executor,
    on_progress: OnProgress,
    before: Exploration | None,
    notes: list[str],
) -> Run:
    """A search, or what is left of it: `before` is the run as it was left, and `notes` what there
    is to say of it.
    """
    from ..engine import explore as engine
    from ..engine import with_accelerator
    from ..ground_truth.verification import recalled, verify

    found = engine(
        search,
        folder / STORE_FILE,
        executor=executor,
        images=emulation.to_learn_from,
        trained=emulation.trained,
        on_progress=lambda state: on_progress(
            Stage(
                "search",
                state.evaluations,
                # Exact multipliers are evaluated in any case, however few are asked for.
                max(state.evaluations, search.evaluations),
                _words(state),
            )
        ),
    )
    if before is not None:
        found = found.with_retrained(before.retrained)
    exploration = found if before is None else recalled(found, before)
    # Should the verification fail, the search is there to be drawn.
    exploration.save(folder)
    notes = [*notes, *transfers(search)]
    if emulation.verify and emulation.roles is not None and not found.interrupted:
        sample, start = emulation.sample(emulation.roles), emulation.start
        notes.append(
            f"verified on images {start + 1:,} to {start + len(sample):,}, "
            + (
                "which predictor, profiles and corrections do not know"
                if emulation.unseen
                else "some of which made the predictor or the profiles: accuracies may flatter"
            )
        )
        verified = verify(
            found,
            emulation.roles,
            sample,
            folder / STORE_FILE,
            count=emulation.verify,
            corrected=search.corrected,
            zoo_folder=search.zoo_folder,
            trained=emulation.trained,
            executor=executor,
            on_progress=lambda state: on_progress(
                Stage("verify", state.done, state.total, state.spec)
            ),
        )
        exploration = verified if before is None else recalled(verified, before)
    notes += _contradicted(exploration, found.pick)
    exact = sum(point.family == "exact" for point in exploration.multipliers)
    if search.evaluations <= exact == len(exploration.multipliers) and not exploration.interrupted:
        notes.append(
            f"the {exact} exact multipliers that take part in any case are all that was evaluated: "
            "give more --evaluations"
        )
    if lone := exploration.lone_exact_widths:
        only = " and ".join(f"{widths.a}x{widths.b}" for widths in lone)
        notes.append(
            f"no exact multiplier but {only} takes part: what fewer bits alone would save is not "
            "known; "
            + (
                "search without --activation-bits and --weight-bits"
                if search.activation_bits or search.weight_bits
                else "dse profile adds widths"
            )
        )
    if not exploration.interrupted:
        exploration = with_accelerator(
            exploration,
            search,
            folder / STORE_FILE,
            on_progress=lambda done, doing: on_progress(Stage("accelerator", done, 2, doing)),
        )
    exploration.save(folder)
    return Run(folder, exploration, deliver(exploration, folder, on_progress), tuple(notes))


def _contradicted(exploration: Exploration, predicted: DesignPoint | None) -> list[str]:
    """What to say where emulation has another pick than prediction had."""
    pick, limit_pp = exploration.pick, exploration.max_drop_pp
    notes = []
    if predicted is not None and (pick is None or pick.name != predicted.name):
        found = next(one for one in exploration.front.points if one.name == predicted.name)
        if found.drop_pp > limit_pp:
            notes.append(
                f"predicted to lose {found.predicted_drop_pp:.2f} points, {found.name} loses "
                f"{found.drop_pp:.2f}, more than {limit_pp:g}: "
                + ("no design keeps the limits" if pick is None else "another one is the pick")
            )
    if pick is not None and pick.predicted_drop_pp > limit_pp:
        notes.append(
            f"predicted to lose {pick.predicted_drop_pp:.2f} points, {pick.name} loses "
            f"{pick.drop_pp:.2f} and is the pick"
        )
    return notes


def _words(state: Progress) -> str:
    again = f"  synthesized with best effort: {state.finished}" if state.finished else ""
    placed = f"  in elements: {state.placed}" if state.placed else ""
    emulating = f"  emulating {state.emulating}" if state.emulating else ""
    done, walks = state.walks
    walking = f"  walks {done}/{walks}" if walks else ""
    front = f"front {state.front_size}  hypervolume {state.hypervolume:.4f}"
    return f"{front}{again}{placed}{emulating}{walking}"


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)
