"""`dse explore` and `dse report`: the main job and its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdl.errors import InputError

from .applicable import CheckedCommand
from .console import progress_bars, say
from .options import Cluster, Labels, MemoryEnergy, Weights
from .synth import DelayTarget

if TYPE_CHECKING:
    from ..api.runs import Run


def register(app: typer.Typer) -> None:
    app.command("explore", cls=CheckedCommand)(explore_command)
    app.command("report")(report_command)


def explore_command(
    network: Annotated[
        str,
        typer.Option(
            help=(
                "Network of the zoo, e.g. resnet20, or another one with a profile in --zoo: "
                "efficientnet-lite0, torchvision:resnet50 or your own, net.py:make. Several, "
                "comma-separated: designs are for all of them."
            )
        ),
    ] = "",
    weights: Weights = None,
    labels: Labels = None,
    budget: Annotated[
        str,
        typer.Option(
            help=(
                "Cost that matters: area, power or delay; with a limit relative to exact: area=0.6."
            )
        ),
    ] = "area",
    max_drop: Annotated[
        float,
        typer.Option(min=0, help="Accuracy the recommended design may lose, in percentage points."),
    ] = 1.0,
    objectives: Annotated[
        str,
        typer.Option(
            help=(
                "What to trade, of area, power, delay, accuracy; by default area, power, accuracy "
                "and the budget's cost."
            ),
        ),
    ] = "",
    encoding: Annotated[
        str,
        typer.Option(
            help=(
                "Number format: sign_magnitude or twos_complement; both, comma-separated, are "
                "searched as one."
            )
        ),
    ] = "sign_magnitude",
    swap: Annotated[
        bool | None,
        typer.Option(
            "--swap/--no-swap",
            help=(
                "Search both orders of operands: activation on port a, or b. [default: in two's "
                "complement]"
            ),
        ),
    ] = None,
    correction: Annotated[
        bool | None,
        typer.Option(
            "--correction/--no-correction",
            help=(
                "Estimate the scale and bias of layers anew for every multiplier. [default: "
                "where there are such profiles]"
            ),
        ),
    ] = None,
    activation_bits: Annotated[
        int,
        typer.Option(
            min=0,
            max=8,
            help="Bits of activations, 2 to 8. [default: all that are profiled]",
            show_default=False,
        ),
    ] = 0,
    weight_bits: Annotated[
        int,
        typer.Option(
            min=0,
            max=8,
            help="Bits of weights, 2 to 8. [default: all that are profiled]",
            show_default=False,
        ),
    ] = 0,
    families: Annotated[
        str, typer.Option(help="Families to search, comma-separated. [default: all]")
    ] = "",
    seed_design: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC", help="A design to start from, mul.v:top included; may be given again."
        ),
    ] = None,
    evaluations: Annotated[
        int,
        typer.Option(
            min=1, help="Different designs to evaluate; exact ones and seeds are in any case."
        ),
    ] = 480,
    walks: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=(
                "Walks that make multipliers for the network, over gates and over partial "
                "products. [default: one for 12 evaluations]"
            ),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same front.")] = 1,
    workers: Annotated[
        int,
        typer.Option(min=0, help="Worker processes. [default: one a core]", show_default=False),
    ] = 0,
    cluster: Cluster = "",
    liberty: Annotated[
        Path | None,
        typer.Option(help="Cell library, .lib or .lib.gz. [default: the one that ships]"),
    ] = None,
    delay_target_ps: DelayTarget = None,
    level: Annotated[
        str,
        typer.Option(
            help=(
                "What costs are those of: multiplier; element, a multiply-accumulate of what an "
                "accelerator repeats; or array, the network in a systolic array of elements."
            )
        ),
    ] = "multiplier",
    element: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORM",
            help=(
                "A form of element to choose from, dot:lanes=8,gate=zero; may be given again. "
                "[default: a handful]"
            ),
        ),
    ] = None,
    array: Annotated[
        str,
        typer.Option(
            metavar="ROWSxCOLUMNS",
            help="Elements of the array at --level array. [default: 8x8]",
            show_default=False,
        ),
    ] = "",
    memory_energy: MemoryEnergy = 0.0,
    zoo: Annotated[
        Path | None,
        typer.Option(help="Folder with profiles, predictors and weights of your own networks."),
    ] = None,
    verify: Annotated[
        int,
        typer.Option(
            min=0,
            help=(
                "Emulate this many designs of the front, and then whatever may be the pick instead "
                "(needs --data)."
            ),
        ),
    ] = 0,
    recalibrate: Annotated[
        int,
        typer.Option(
            min=0,
            help=(
                "Emulate this many designs during the search; the predictor learns from them "
                "(needs --data)."
            ),
        ),
    ] = 0,
    data: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Images to emulate: packed JPEG, CIFAR or IDX files, an image folder, or "
                "fashion-mnist or digits."
            )
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Images to verify each design on.")] = 2000,
    skip: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=(
                "Images of --data not to verify with. [default: those that profile and predictor "
                "know]"
            ),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Folder for the results. [default: runs/NETWORK-BUDGET-seedSEED, with a number "
                "behind it where that holds another search]"
            )
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, with its own arguments.")
    ] = False,
) -> None:
    """Search for the multipliers on the Pareto front of cost and a network's accuracy."""
    from ..api.exploring import explore, namesakes
    from ..api.exploring import resume as go_on

    emulation: dict[str, Any] = {
        "weights": weights,
        "labels": labels,
        "data": data,
        "verify": verify,
        "images": images,
        "skip": skip,
        "workers": workers,
        "cluster": cluster,
    }
    for line in namesakes(network, zoo=zoo):
        say(line)
    with progress_bars() as on_progress:
        if resume:
            if out is None:
                raise InputError("--resume needs the run's folder; give it with --out DIR")
            run = go_on(out, network=network, **emulation, on_progress=on_progress)
        else:
            run = explore(
                network,
                budget=budget,
                out=out,
                max_drop=max_drop,
                objectives=objectives,
                encoding=encoding,
                swap=swap,
                corrected=correction,
                activation_bits=activation_bits,
                weight_bits=weight_bits,
                families=families,
                seed_designs=seed_design or (),
                evaluations=evaluations,
                walks=walks,
                seed=seed,
                liberty=liberty,
                delay_target_ps=delay_target_ps,
                level=level,
                elements=element or (),
                array=array,
                memory_energy=memory_energy,
                recalibrate=recalibrate,
                zoo=zoo,
                **emulation,
                on_progress=on_progress,
            )
    _summarize(run)
    if run.exploration.interrupted:
        say(
            f"interrupted: {len(run.exploration.points)} designs are kept; go on with dse explore "
            f"--resume --out {run.folder}"
        )
        raise typer.Exit(130)


def report_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run.")],
    other: Annotated[
        Path | None,
        typer.Argument(metavar="DIR2", help="Another run, laid over the first: DIR/compared.html."),
    ] = None,
) -> None:
    """Draw the plots, the table and the report of a run again, or lay another run over it."""
    from ..api.runs import compare, redraw

    with progress_bars() as on_progress:
        if other is None:
            run = redraw(folder, on_progress=on_progress)
        else:
            run, _ = compare(folder, other, on_progress=on_progress)
    _summarize(run)


def _summarize(run: Run) -> None:
    from ..ground_truth.verification import mean_deviation_pp, verified
    from ..search import recommended

    for note in run.notes:
        say(note)
    exploration = run.exploration
    front, pick, budget = exploration.front.points, exploration.pick, exploration.budget
    families = len({point.family for point in front})
    formats = [
        f"{sum(point.encoding == encoding for point in front)} {encoding}"
        for encoding in exploration.encodings
    ]
    mixed = f" ({', '.join(formats)})" if len(formats) > 1 else ""
    say(
        f"{len(exploration.points)} designs evaluated; {len(front)} of {families} families on the "
        f"front{mixed}"
    )
    if exploration.failures:
        say(
            f"{len(exploration.failures)} designs or walks failed, the first: "
            f"{next(iter(exploration.failures.values()))}"
        )
    if pick is None:
        say(
            f"no design keeps the budget {budget.words} with a drop of at most "
            f"{exploration.max_drop_pp:g} points; relax one of them"
        )
    else:
        chosen = f" ({pick.encoding})" if mixed else ""
        emulated = (
            ""
            if pick.emulated_drop_pp is None
            else f", emulated {pick.emulated_drop_pp:.2f} +- {pick.emulated_error_pp:.2f} on "
            f"{pick.emulated_images} images"
        )
        say(
            f"pick for {budget.words}: {pick.name}{chosen}  area x{pick.area_ratio:.3f}  power "
            f"x{pick.power_ratio:.3f}  delay x{pick.delay_ratio:.3f}  predicted drop "
            f"{pick.predicted_drop_pp:.2f} +- {pick.spread_pp:.2f} points{emulated}"
        )
        if warning := recommended([pick], budget, exploration.max_drop_pp).warning:
            say(warning)
    if pick is not None and pick.array:
        say(
            f"its {pick.array} array: {1e-6 * (pick.array_area_um2 or 0):.3f} mm2  an image in "
            f"{pick.image_latency_us:.1f} us with {1e-3 * (pick.image_energy_nj or 0):.2f} uJ  "
            f"{pick.utilization_pct:.0f} % utilized"
        )
    for one in () if pick is None else pick.networks:
        emulated = "" if one.emulated_drop_pp is None else f", emulated {one.emulated_drop_pp:.2f}"
        say(
            f"in {one.network}: predicted drop {one.predicted_drop_pp:.2f} +- {one.spread_pp:.2f} "
            f"points{emulated}"
        )
    learned, asked = (
        sum(len(one.designs) for one in exploration.recalibrations),
        exploration.settings.get("recalibrate", 0),
    )
    if learned:
        deviations = ", ".join(
            f"{one.deviation_pp:.2f} (+-{one.spread_pp:.2f})" for one in exploration.recalibrations
        )
        say(
            f"{learned} designs emulated during the search; predictions deviated by {deviations} "
            "points before it learned from them"
        )
    if learned < asked:
        say(
            f"--recalibrate {asked}: {learned} were emulated, then the search was over or its "
            "front known; more --evaluations give more"
        )
    deviation = mean_deviation_pp(exploration)
    if deviation is None:
        command = f"dse explore --resume --out {run.folder} --verify 8 --data DATA"
        say(
            "accuracies are predicted, none was verified; emulate 8 designs of the front with: "
            f"{command}"
        )
    else:
        say(
            f"mean absolute deviation of predicted from emulated drop: {deviation:.2f} points "
            f"over {len(verified(exploration))} designs"
        )
    say(f"report: {run.report}")
