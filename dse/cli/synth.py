"""`dse synth`: what one multiplier costs in a cell library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..api.reading import Multiplier, multiplier
from .applicable import CheckedCommand
from .console import print_json, print_table, say
from .element import synth_element
from .mac import in_network, synth_unit
from .options import (
    AccumulatorBits,
    Array,
    AsJson,
    Clock,
    ElementText,
    Encoding,
    Liberty,
    Mac,
    MemoryEnergy,
    Network,
    Pipeline,
    Signed,
    Spec,
    Zoo,
)

if TYPE_CHECKING:
    from hdl.cost import PathStep

Target = Annotated[
    str,
    typer.Option(
        "--target",
        help="FPGA in place of a cell library: ice40, ecp5 or xilinx; LUTs, carry cells, delay.",
    ),
]
DelayTarget = Annotated[
    float | None,
    typer.Option(
        "--delay-target",
        metavar="PS",
        min=1,
        max=1_000_000,
        help="Take the smallest netlist that is at most so slow, or the fastest.",
    ),
]


def register(app: typer.Typer) -> None:
    app.command("synth", cls=CheckedCommand)(synth_command)


def synth_command(
    spec: Spec,
    signed: Signed = False,
    liberty: Liberty = None,
    effort: Annotated[
        str,
        typer.Option(
            help="fast, as a search takes first, or best: more recipes, the smallest netlist."
        ),
    ] = "fast",
    delay_target_ps: DelayTarget = None,
    network: Network = "",
    encoding: Encoding = "",
    zoo: Zoo = None,
    operand_order: Annotated[
        str,
        typer.Option(
            help=(
                "output-stationary: both operands change every operation; weight-stationary[=N]: "
                "weights stay for N."
            )
        ),
    ] = "output-stationary",
    mac: Mac = False,
    array: Array = "",
    element: ElementText = "",
    clock_ps: Clock = None,
    memory_pj_per_byte: MemoryEnergy = 0.0,
    accumulator_bits: AccumulatorBits = None,
    pipeline: Pipeline = False,
    target: Target = "",
    path: Annotated[bool, typer.Option("--path", help="Show the critical path, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Synthesize: area, delay, energy per operation and leakage."""
    from hdl.operands import OperandOrder

    subject = in_network(multiplier(spec, signed=signed), network, encoding, zoo, quiet=as_json)
    if target:
        _synth_fpga(subject, target, as_json=as_json)
        return
    if element:
        synth_element(
            subject,
            element,
            array=array,
            clock_ps=clock_ps,
            memory_pj_per_byte=memory_pj_per_byte,
            liberty=liberty,
            effort=effort,
            network=network,
            encoding=encoding,
            zoo=zoo,
            as_json=as_json,
        )
        return
    if mac or array:
        synth_unit(
            subject,
            array=array,
            accumulator_bits=accumulator_bits,
            pipelined=pipeline,
            liberty=liberty,
            effort=effort,
            network=network,
            encoding=encoding,
            zoo=zoo,
            as_json=as_json,
        )
        return
    report = subject.cost(
        network,
        encoding=encoding,
        zoo=zoo,
        liberty=liberty,
        effort=effort,
        delay_target_ps=delay_target_ps,
        order=OperandOrder.parse(operand_order),
    )
    if as_json:
        print_json(
            report.to_json()
            | ({"critical_path": [asdict(step) for step in report.critical_path]} if path else {})
        )
        return
    print_table(f"{subject.name}: cost", report.to_json())
    if path:
        _print_path(report.critical_path)


def _synth_fpga(subject: Multiplier, target: str, *, as_json: bool) -> None:
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


def _print_path(steps: Sequence[PathStep]) -> None:
    """One line a net, from the input on: the cell and pin that the edge comes through, and when and
    how it arrives.
    """
    heads = ("cell", "pin", "net", "edge", "arrival_ps", "slew_ps", "load_ff")
    rows = [
        (
            step.cell or "input",
            step.pin,
            step.net,
            step.edge,
            f"{step.arrival_ps:.1f}",
            f"{step.slew_ps:.1f}",
            f"{step.load_ff:.2f}",
        )
        for step in steps
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    say("critical path")
    for row in (heads, *rows):
        words = [
            text.ljust(width) if index < 4 else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        say(f"  {'  '.join(words)}".rstrip())
