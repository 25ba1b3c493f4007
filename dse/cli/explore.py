"""`dse explore` and `dse report`: the main job and its results."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdl.errors import InputError, MissingError

from .console import progress_bar, say
from .network import Weights, read_network
from .options import parse_encodings
from .synth import DelayTarget

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset
    from cnn_eval.networks import TrainedNetwork

    from ..engine import Progress, Search
    from ..search.exploration import Exploration

STORE_FILE = "points.sqlite"

#: The first images of --data, those that calibrations take too, are what a search learns from: so many, or half of a smaller data set.
RECALIBRATION_IMAGES = 1000


def register(app: typer.Typer) -> None:
    app.command("explore")(explore_command)
    app.command("report")(report_command)


def explore_command(
    network: Annotated[str, typer.Option(help="Network of the zoo, e.g. resnet20, or your own with a profile in --zoo, net.py:make.")] = "",
    weights: Weights = None,
    budget: Annotated[
        str, typer.Option(help="Cost that matters: area, power or delay; with a limit relative to exact: area=0.6.")
    ] = "area",
    max_drop: Annotated[float, typer.Option(min=0, help="Accuracy the recommended design may lose, in percentage points.")] = 1.0,
    objectives: Annotated[str, typer.Option(help="What to trade: two or more of area, power, delay, accuracy.")] = "area,power,accuracy",
    encoding: Annotated[
        str, typer.Option(help="Number format: sign_magnitude or twos_complement; both, comma-separated, are searched as one.")
    ] = "sign_magnitude",
    swap: Annotated[
        bool | None,
        typer.Option("--swap/--no-swap", help="Search both orders of operands: activation on port a, or b. [default: with both formats]"),
    ] = None,
    families: Annotated[str, typer.Option(help="Families to search, comma-separated. [default: all]")] = "",
    seed_design: Annotated[
        list[str] | None, typer.Option(metavar="SPEC", help="A design to start from, mul.v:top included; may be given again.")
    ] = None,
    evaluations: Annotated[int, typer.Option(min=1, help="Different designs to evaluate.")] = 480,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same front.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes. [default: one a core]")] = 0,
    liberty: Annotated[Path | None, typer.Option(help="Cell library, .lib or .lib.gz. [default: the one that ships]")] = None,
    delay_target_ps: DelayTarget = None,
    zoo: Annotated[Path | None, typer.Option(help="Folder with profiles, predictors and weights of your own networks.")] = None,
    verify: Annotated[int, typer.Option(min=0, help="Emulate this many designs of the front (needs --data).")] = 0,
    recalibrate: Annotated[
        int, typer.Option(min=0, help="Emulate this many designs during the search; the predictor learns from them (needs --data).")
    ] = 0,
    data: Annotated[Path | None, typer.Option(help="Images to emulate: packed JPEG, CIFAR-10 batches or an image folder.")] = None,
    images: Annotated[int, typer.Option(min=1, help="Images to verify each design on.")] = 2000,
    skip: Annotated[
        int | None, typer.Option(min=0, help="Images of --data not to verify with. [default: those that profile and predictor know]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results. [default: runs/NETWORK-BUDGET-seedSEED]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, with its own arguments.")] = False,
) -> None:
    """Search for the multipliers on the Pareto front of cost and a network's accuracy."""
    from cnn_eval.datasets import load_dataset
    from cnn_eval.networks import network_name

    from ..engine import Search, explore, with_accelerator
    from ..search.budget import Budget, parse_objectives

    if resume:
        if out is None:
            raise InputError("--resume needs the run's folder; give it with --out DIR")
        search = _recorded_search(out)
    elif not network:
        raise InputError("no network; choose one with --network, e.g. --network resnet20")
    else:
        encodings = parse_encodings(encoding)
        search = Search(
            network=network_name(network),
            encodings=encodings,
            budget=Budget.parse(budget),
            max_drop_pp=max_drop,
            objectives=parse_objectives(objectives),
            evaluations=evaluations,
            seed=seed,
            liberty=liberty,
            zoo_folder=zoo,
            families=tuple(name.strip() for name in families.split(",") if name.strip()),
            seeds=tuple(seed_design or ()),
            delay_target_ps=delay_target_ps,
            swap=len(encodings) > 1 if swap is None else swap,
            recalibrate=recalibrate,
            data=data.absolute() if recalibrate and data is not None else None,
        )
    images_path = _images_path(data, verify, search)
    # Not recorded with the run: a file runs only when it is named on the command line.
    needed = images_path is not None or weights is not None
    trained = read_network(network or search.network, weights, search.zoo_folder) if needed else None
    if trained is not None and trained.name != search.network:
        raise InputError(f"--network {network} is not the network {search.network!r} of the run in {str(out)!r}; give that one's file")
    known = None if images_path is None or trained is None else load_dataset(images_path, image_px=trained.image_px)
    sample = _verification_sample(known, verify, skip, search)
    folder = out or Path("runs") / f"{search.network}-{search.budget.cost}-seed{search.seed}"
    _record(search, folder)
    with progress_bar("search", search.evaluations) as bar:
        exploration = explore(
            search,
            folder / STORE_FILE,
            workers=workers or os.cpu_count() or 1,
            images=None if known is None else known.head(_recalibration_images(known)),
            trained=trained,
            on_progress=lambda state: bar(state.evaluations, _words(state)),
        )
    exploration.save(folder)  # should the verification fail, the search is there for dse report
    if sample is not None and not exploration.interrupted:
        exploration = _verify(exploration, sample, folder, verify, images, search.zoo_folder, trained)
    if not exploration.interrupted:
        with progress_bar("accelerator", 2) as bar:
            exploration = with_accelerator(exploration, search, folder / STORE_FILE, on_progress=bar)
    exploration.save(folder)
    report = deliver(exploration, folder)
    _summarize(exploration, folder, report)
    if exploration.interrupted:
        say(f"interrupted: {len(exploration.points)} designs are kept; go on with dse explore --resume --out {folder}")
        raise typer.Exit(130)


def _words(state: Progress) -> str:
    again = f"  synthesized with best effort: {state.finished}" if state.finished else ""
    emulating = f"  emulating {state.emulating}" if state.emulating else ""
    return f"front {state.front_size}  hypervolume {state.hypervolume:.4f}{again}{emulating}"


def report_command(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run.")]) -> None:
    """Draw the plots, the table and the report of a run again."""
    from ..search.exploration import Exploration

    exploration = Exploration.load(folder)
    _summarize(exploration, folder, deliver(exploration, folder))


def deliver(exploration: Exploration, folder: Path) -> Path:
    """Writes Verilog, table, plots and report of a run; returns the report's path."""
    from hdl.export import export, export_imported
    from hdl.multipliers import MultiplierSpec
    from reports.page import write_report

    files: dict[str, str] = {}
    points, target = exploration.front.points, folder / "verilog"
    own = {design.name: design for design in exploration.imported}
    with progress_bar("verilog", len(points)) as bar:
        for index, point in enumerate(points):
            design = own.get(point.spec)
            written = export(MultiplierSpec.parse(point.spec), target) if design is None else export_imported(design, target)
            files[point.spec] = str(written[0].relative_to(folder))
            bar(index + 1, "")
    return write_report(exploration, folder, verilog=files)


def _recorded_search(folder: Path) -> Search:
    from hdl.operands import OperandEncoding

    from ..engine import Search
    from ..search.budget import Budget
    from ..search.exploration import RUN_FILE, read_run

    recorded = read_run(folder)["settings"]
    try:
        return Search(
            network=recorded["network"],
            encodings=tuple(OperandEncoding(encoding) for encoding in recorded["encodings"]),
            budget=Budget.parse(recorded["budget"]),
            max_drop_pp=recorded["max_drop_pp"],
            objectives=tuple(recorded["objectives"]),
            evaluations=recorded["evaluations"],
            population=recorded["population"],
            seed=recorded["seed"],
            liberty=None if recorded["liberty"] is None else Path(recorded["liberty"]),
            zoo_folder=None if recorded["zoo_folder"] is None else Path(recorded["zoo_folder"]),
            families=tuple(recorded["families"]),
            seeds=tuple(recorded["seeds"]),
            delay_target_ps=recorded["delay_target_ps"],
            swap=recorded["swap"],
            recalibrate=recorded["recalibrate"],
            data=None if recorded["data"] is None else Path(recorded["data"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(folder / RUN_FILE)!r} does not hold a search's arguments ({error}); start a new run") from error


def _record(search: Search, folder: Path) -> None:
    """Makes the run's folder, with the arguments in it from the first moment on."""
    from ..engine import settings
    from ..search.exploration import RUN_FILE

    content: dict[str, Any] = {"settings": settings(search)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RUN_FILE).write_text(json.dumps(content, indent=1))
    except OSError as error:
        raise MissingError(f"cannot write to the output folder {str(folder)!r} ({error.strerror}); choose another with --out") from error


def _images_path(data: Path | None, verify: int, search: Search) -> Path | None:
    """Where the images to emulate are; None if none are needed."""
    path = data or search.data
    for option, count in (("--verify", verify), ("--recalibrate", search.recalibrate)):
        if count and path is None:
            raise InputError(f"{option} {count} needs images; give them with --data PATH")
    return path if verify or search.recalibrate else None


def _recalibration_images(data: Dataset) -> int:
    return min(RECALIBRATION_IMAGES, len(data) // 2)


def _verification_sample(data: Dataset | None, count: int, skip: int | None, search: Search) -> Dataset | None:
    from ..ground_truth.verification import unseen

    if data is None or not count:
        return None
    start, stop = unseen(data, search.network, search.encodings, zoo_folder=search.zoo_folder)
    if search.recalibrate:
        start = max(start, _recalibration_images(data))
    if skip is not None:
        if skip >= len(data):
            raise InputError(f"--skip {skip} leaves none of the {len(data)} images of {data.name!r}; skip fewer")
        start, stop = skip, len(data)
    if start >= stop:
        raise InputError(
            f"all of the {len(data)} images of {data.name!r} made the predictor or the profile; give others with --data, or use them "
            "all the same with --skip 0"
        )
    if skip is None and (start, stop) != (0, len(data)):
        say(f"verifying on images {start + 1:,} to {stop:,} of {len(data):,}: the others made the predictor, the profile, or both")
    return data.part(start, stop)


def _verify(
    exploration: Exploration, sample: Dataset, folder: Path, count: int, images: int, zoo: Path | None, trained: TrainedNetwork | None
) -> Exploration:
    from ..ground_truth.verification import verify

    with progress_bar("verify", min(count, len(exploration.front.points)) + 1) as bar:
        return verify(
            exploration,
            sample,
            folder / STORE_FILE,
            count=count,
            images=images,
            zoo_folder=zoo,
            trained=trained,
            on_progress=lambda state: bar(state.done, state.spec),
        )


def _summarize(exploration: Exploration, folder: Path, report: Path) -> None:
    from ..ground_truth.verification import mean_deviation_pp

    front, pick, budget = exploration.front.points, exploration.pick, exploration.budget
    families = len({point.family for point in front})
    formats = [f"{sum(point.encoding == encoding for point in front)} {encoding}" for encoding in exploration.encodings]
    mixed = f" ({', '.join(formats)})" if len(formats) > 1 else ""
    say(f"{len(exploration.points)} designs evaluated; {len(front)} of {families} families on the front{mixed}")
    if exploration.failures:
        say(f"{len(exploration.failures)} designs could not be evaluated, the first: {next(iter(exploration.failures.values()))}")
    if pick is None:
        say(f"no design keeps the budget {budget} with a predicted drop of at most {exploration.max_drop_pp:g} points; relax one of them")
    else:
        chosen = f" ({pick.encoding})" if mixed else ""
        emulated = "" if pick.emulated_drop_pp is None else f", emulated {pick.emulated_drop_pp:.2f} on {pick.emulated_images} images"
        say(
            f"pick for {budget}: {pick.spec}{chosen}  "
            f"area x{pick.area_ratio:.3f}  power x{pick.power_ratio:.3f}  delay x{pick.delay_ratio:.3f}  "
            f"predicted drop {pick.predicted_drop_pp:.2f} +- {pick.spread_pp:.2f} points{emulated}"
        )
    learned, asked = sum(len(one.designs) for one in exploration.recalibrations), exploration.settings.get("recalibrate", 0)
    if learned:
        deviations = ", ".join(f"{one.deviation_pp:.2f} (+-{one.spread_pp:.2f})" for one in exploration.recalibrations)
        say(f"{learned} designs emulated during the search; predictions deviated by {deviations} points before it learned from them")
    if learned < asked:
        say(f"--recalibrate {asked}: {learned} were emulated, then the search was over or its front known; more --evaluations give more")
    deviation = mean_deviation_pp(exploration)
    if deviation is None:
        command = f"dse explore --resume --out {folder} --verify 8 --data DATA"
        say(f"accuracies are predicted, none was verified; emulate 8 designs of the front with: {command}")
    else:
        verified = sum(point.emulated_drop_pp is not None for point in front)
        say(f"mean absolute deviation of predicted from emulated drop: {deviation:.2f} points over {verified} designs")
    say(f"report: {report}")
