"""`dse synthesize`: multipliers made for a network, outside of a search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .applicable import CheckedCommand
from .console import print_json, print_rows, progress_bar, say
from .options import AsJson, Cluster, Liberty, Zoo
from .synth import DelayTarget


def register(app: typer.Typer) -> None:
    app.command("synthesize", cls=CheckedCommand)(synthesize_command)


def synthesize_command(
    network: Annotated[
        str, typer.Option(help="Network of the zoo, or your own with a profile in --zoo.")
    ],
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="Start from this multiplier; may be given again. [default: exact ones]",
        ),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0, help="Accuracy a design may lose, in percentage points.")
    ] = 1.0,
    encoding: Annotated[
        str, typer.Option(help="Number format: sign_magnitude, twos_complement or unsigned.")
    ] = "sign_magnitude",
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
    walks: Annotated[
        int,
        typer.Option(min=1, help="How many walks; starts take turns, and so do gates and terms."),
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same designs.")] = 1,
    liberty: Liberty = None,
    delay_target_ps: DelayTarget = None,
    zoo: Zoo = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder for designs.csv and a project of each design."),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=0, help="Worker processes. [default: one a core]", show_default=False),
    ] = 0,
    cluster: Cluster = "",
    as_json: AsJson = False,
) -> None:
    """Make multipliers for a network, partial product by partial product and gate by gate:
    circuits that save area and energy and are predicted to lose little accuracy.
    """
    from ..api.synthesis import synthesize

    with progress_bar("walks", walks) as bar:
        made = synthesize(
            network,
            start=start or (),
            max_drop=max_drop,
            encoding=encoding,
            corrected=correction,
            walks=walks,
            seed=seed,
            liberty=liberty,
            delay_target_ps=delay_target_ps,
            zoo=zoo,
            out=out,
            workers=workers,
            cluster=cluster,
            on_progress=lambda done, total, designs: bar(done, f"{designs} designs"),
        )
    rows = [
        {
            "multiplier": one.name,
            "operands": f"{one.width_a}x{one.width_b}",
            "predicted_drop": one.predicted_drop_pp,
            "area_um2": one.area_um2,
            "energy_fj": one.energy_fj,
        }
        for one in made
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(f"made for {network}", rows)
    else:
        say(f"nothing cheaper loses at most {max_drop:g} points; allow more with --max-drop")
    if out is not None and rows:
        say(f"{out}: designs.csv and projects of {len(rows)} designs")
