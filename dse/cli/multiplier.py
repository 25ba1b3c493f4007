"""Commands about one multiplier: families, show, table, metrics, synth, export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .console import print_json, say

Spec = Annotated[str, typer.Argument(metavar="SPEC", help="A multiplier, e.g. drum:k=4 or bam:h=0,v=6,comp=80.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Liberty = Annotated[Path | None, typer.Option(help="Cell library, .lib or .lib.gz. [default: the one that ships]")]


def register(app: typer.Typer) -> None:
    app.command("families")(families_command)
    app.command("show")(show_command)
    app.command("table")(table_command)
    app.command("metrics")(metrics_command)
    app.command("synth")(synth_command)
    app.command("export")(export_command)


def families_command() -> None:
    """List the multiplier families, their parameters and sources."""
    from hdl.families import FAMILIES

    for family in FAMILIES.values():
        say(f"{family.name}: {family.title}")
        for parameter in family.parameters:
            default = "required" if parameter.default is None else f"default {parameter.default}"
            say(f"    {parameter.name}={parameter.spelling(8)}  ({default})  {parameter.doc}")
        say(f"    widths {family.widths[0]}..{family.widths[-1]}; signed: {family.signed_form}; source: {family.source}")
