"""`dse assign`: a design for every layer, of those that a run has found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..api.assigning import assign
from .applicable import CheckedCommand
from .console import print_json, print_rows, progress_bars, say
from .options import AsJson, Cluster, Weights

if TYPE_CHECKING:
    from ..api.assigning import Assigned
    from ..search import Assignment


def register(app: typer.Typer) -> None:
    app.command("assign", cls=CheckedCommand)(assign_command)


def assign_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished dse explore.")],
    kinds: Annotated[int, typer.Option(min=1, help="How many different designs at most.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the assignments.")],
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Accuracy that may be lost, in percentage points. [default: as the run has it]"
        ),
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            help="What is to be the least of an image's multiplications: energy or latency."
        ),
    ] = "energy",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Images: to measure how sensitive each layer is, and to emulate assignments on."
        ),
    ] = None,
    recalibrate: Annotated[
        int,
        typer.Option(
            min=0, help="Emulate so many assignments, for the layers' losses to learn from."
        ),
    ] = 0,
    verify: Annotated[
        int,
        typer.Option(
            min=0,
            help="Emulate so many of the found assignments, and as many single designs.",
        ),
    ] = 0,
    images: Annotated[int, typer.Option(min=1, help="How many images to verify on.")] = 2000,
    skip: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Images to leave out. [default: those that profile and predictor know]",
        ),
    ] = None,
    network: Annotated[
        str, typer.Option(help="The run's own network, module.py:factory, to be emulated.")
    ] = "",
    weights: Weights = None,
    cluster: Cluster = "",
    as_json: AsJson = False,
) -> None:
    """Choose a design for every layer: the least energy that keeps the accuracy, with at most so
    many different designs.

    A mixed-integer program over the designs on the run's front chooses, under ten limits of the
    predicted drop up to --max-drop. Writes assignment.json, and the whole front as
    assignments.csv, assignments.svg and assignments/*.json.
    """
    with progress_bars() as bars:
        found = assign(
            run,
            kinds=kinds,
            out=out,
            max_drop=max_drop,
            objective=objective,
            data=data,
            recalibrate=recalibrate,
            verify=verify,
            images=images,
            skip=skip,
            network=network,
            weights=weights,
            cluster=cluster,
            on_progress=bars,
        )
    print_json(_plain(found)) if as_json else _say(found)


def _plain(found: Assigned) -> dict[str, Any]:
    return {
        "front": [
            {"file": str(path), **_figures(one)}
            for path, one in zip(found.files, found.front, strict=True)
        ],
        "singles": [_figures(one) for one in found.singles],
        "pick": {**_figures(found.pick), "keeps_limit": found.keeps_limit},
        "deviation_pp": found.deviation_pp,
        "layers": [
            {
                "layer": row.layer,
                "design": row.design,
                "macs": row.macs,
                "energy_nj": 1e-6 * row.macs * row.energy_fj,
                "loss_pp": row.loss_pp,
            }
            for row in found.pick.layers
        ],
    }


def _figures(one: Assignment) -> dict[str, Any]:
    return {
        "predicted_drop_pp": one.predicted_drop_pp,
        "emulated_drop_pp": one.emulated_drop_pp,
        "energy_nj": one.energy_nj,
        "latency_us": one.latency_us,
        "area_um2": one.area_um2,
        "kinds": [kind.design for kind in one.kinds],
        "gap": one.gap,
    }


def _say(found: Assigned) -> None:
    from reports.figures import saving

    shown = _plain(found)
    print_rows(
        f"{found.folder}: assignments by predicted drop",
        [
            {
                "file": path.name,
                **{
                    name: "" if value is None else value
                    for name, value in _figures(one).items()
                    if name not in ("kinds", "gap")
                },
                "kinds": len(one.kinds),
                "optimal": "proven" if one.gap == 0 else f"within {100 * one.gap:.2g} %",
            }
            for path, one in zip(found.files, found.front, strict=True)
        ],
    )
    pick, single = found.pick, found.single
    of_front = zip(found.files, found.front, strict=True)
    name = next((path.name for path, one in of_front if one == pick), "a single design")
    print_rows(f"assignment.json, {name}: layers", shown["layers"])
    if found.deviation_pp is not None:
        say(f"predicted beside emulated drops: {found.deviation_pp:.2f} points apart on average")
    if not found.keeps_limit:
        say(
            f"none that was emulated loses at most {found.limit_pp:g} points, and this one loses "
            f"least, {_drop(pick)}; allow more with --max-drop, or learn from more with "
            "--recalibrate"
        )
    if single is None:
        say("no single design loses as little")
    elif single == pick:
        say(
            f"a single design is best: {single.kinds[0].design} ({single.energy_nj:.6g} nJ, "
            f"{_drop(single)}); different designs for the layers gain nothing here"
        )
    else:
        say(
            f"against the best single design, {single.kinds[0].design} ({single.energy_nj:.6g} nJ, "
            f"{_drop(single)}): {saving(pick.energy_nj / single.energy_nj, 'energy')}, "
            f"{saving(pick.latency_us / single.latency_us, 'latency')}"
        )


def _drop(one: Assignment) -> str:
    return (
        f"{one.predicted_drop_pp:.2f} points predicted"
        if one.emulated_drop_pp is None
        else f"{one.emulated_drop_pp:.2f} points emulated"
    )
