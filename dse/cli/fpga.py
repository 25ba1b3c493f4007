"""`dse synth` with --target: what a multiplier costs on an FPGA."""

from __future__ import annotations

from typing import Annotated

import typer

from ..api.reading import Multiplier
from .console import print_json, print_table

__all__ = ["Target", "synth_fpga"]

Target = Annotated[
    str,
    typer.Option(
        "--target",
        help="FPGA in place of a cell library: ice40, ecp5 or xilinx; LUTs, carry cells, delay.",
    ),
]


def synth_fpga(subject: Multiplier, target: str, *, as_json: bool) -> None:
    """Prints cells and delay of a multiplier on an FPGA family."""
    from hdl.cost import synthesize_fpga

    report = synthesize_fpga(subject.design, target)
    if as_json:
        print_json(vars(report))
        return
    print_table(
        f"{subject.name}: cost on {target}",
        {name: value for name, value in vars(report).items() if value not in (None, "")},
    )
