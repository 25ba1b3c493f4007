"""Commands about one multiplier: families, show, table, metrics, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdl.errors import InputError
from hdl.files import check_writable, writable_file, writable_folder

from ..api.formats import operand_distribution
from ..api.reading import SAMPLES, Multiplier, multiplier
from .applicable import CheckedCommand
from .console import print_json, print_table, say
from .element import draw_element, export_form
from .mac import export_unit, in_network
from .options import (
    AccumulatorBits,
    Array,
    AsJson,
    ElementText,
    Encoding,
    Liberty,
    Mac,
    Network,
    Pipeline,
    Signed,
    Spec,
    Zoo,
)

if TYPE_CHECKING:
    from hdl.operands import OperandDistribution


def register(app: typer.Typer) -> None:
    app.command("families")(families_command)
    app.command("show", cls=CheckedCommand)(show_command)
    app.command("table", cls=CheckedCommand)(table_command)
    app.command("metrics", cls=CheckedCommand)(metrics_command)
    app.command("export", cls=CheckedCommand)(export_command)


def families_command(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One family. [default: all]")] = "",
) -> None:
    """List the multiplier families, their parameters and sources."""
    from hdl.multipliers import FAMILIES
    from hdl.operands import Widths

    if name and name not in FAMILIES:
        raise InputError(
            f"no multiplier family is called {name!r}; there are {', '.join(FAMILIES)}"
        )
    for family in [FAMILIES[name]] if name else FAMILIES.values():
        say(f"{family.name}: {family.title}")
        *_, widest = family.widths
        for parameter in family.parameters:
            default = "required" if parameter.default is None else f"default {parameter.default}"
            spelling, other = (parameter.spelling(Widths.of(width)) for width in (8, widest))
            of_8_bits = "" if spelling == other else f"; {other} at {widest} bits"
            say(f"    {parameter.name}={spelling}  ({default}{of_8_bits})  {parameter.doc}")
        smallest = next(width for width in family.widths if family.fits(Widths.of(width)))
        narrow = next(width for width in family.widths if family.fits(Widths(widest, width)))
        uneven = f", one of them down to {narrow}" if narrow < smallest else ""
        say(
            f"    operands of {smallest} to {widest} bits{uneven}; signed by "
            f"{family.signed_form.replace('_', ' ')}"
        )
        say(f"    source: {family.source}")


def show_command(
    spec: Spec,
    signed: Signed = False,
    liberty: Liberty = None,
    network: Network = "",
    encoding: Encoding = "",
    zoo: Zoo = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for pictures: partial products or operand bits, error map, histogram.",
        ),
    ] = None,
    element: ElementText = "",
) -> None:
    """Show one multiplier: error metrics, cost and, with -o, pictures; --element draws the columns
    of an element's sum, too.
    """
    if output is not None:
        check_writable(output, "-o")
    subject = in_network(multiplier(spec, signed=signed), network, encoding, zoo)
    print_table(
        f"{subject.name}: error metrics",
        _with_intervals(subject.metrics(network, encoding=encoding, zoo=zoo).to_json()),
    )
    if subject.design.family != "table":
        print_table(
            f"{subject.name}: cost",
            subject.cost(network, encoding=encoding, zoo=zoo, liberty=liberty).to_json(),
        )
    if output is not None:
        _draw(
            subject,
            operand_distribution(network, encoding, subject.signed, subject.design.widths, zoo),
            output,
        )
        if element:
            draw_element(subject, element, output, network=network, encoding=encoding, zoo=zoo)


def _draw(subject: Multiplier, operands: OperandDistribution | None, folder: Path) -> None:
    """Writes the pictures of a multiplier as PNG and SVG, and says where they are; of one that is
    too wide for a table, of its partial products alone.
    """
    from hdl.tables import MAX_BITS
    from reports.figures import dots_figure, multiplier_figures, write_figure

    writable_folder(folder, "-o")
    dots, widths = subject.design.dots(), subject.design.widths
    if widths.product <= MAX_BITS:
        figures = multiplier_figures(subject.table(), dots, operands)
    else:
        figures = {} if dots is None else {"dots": dots_figure(subject.name, dots)}
    for name, figure in figures.items():
        write_figure(figure, folder, name)
        say(f"{folder / name}.png, .svg")
    if widths.product > MAX_BITS:
        say(
            f"{subject.name}: errors are drawn of operands of up to {MAX_BITS} bits together, not "
            f"{widths.a}x{widths.b}; the metrics above are of random ones"
        )


def table_command(
    spec: Spec,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="File to write: .npy (products) or .npz (with spec and versions).",
        ),
    ],
    signed: Signed = False,
) -> None:
    """Save the product table, indexed [a, b] by operand code."""
    writable_file(output, "-o")
    subject = multiplier(spec, signed=signed)
    table = subject.table()
    table.save(output)
    say(f"{output}: {1 << table.width_a} x {1 << table.width_b} products of {subject.name}")


def metrics_command(
    spec: Spec,
    signed: Signed = False,
    network: Network = "",
    encoding: Encoding = "",
    zoo: Zoo = None,
    samples: Annotated[
        int,
        typer.Option(
            min=1000,
            help="Random operand pairs to take past 12 bits, where trying all is out of reach.",
        ),
    ] = SAMPLES,
    as_json: AsJson = False,
) -> None:
    """Print the error metrics, under uniform operands or a network's own; past 12 bits with
    confidence intervals.
    """
    subject = in_network(multiplier(spec, signed=signed), network, encoding, zoo, quiet=as_json)
    metrics = subject.metrics(network, encoding=encoding, zoo=zoo, samples=samples).to_json()
    if as_json:
        print_json(metrics)
    else:
        print_table(f"{subject.name}: error metrics", _with_intervals(metrics))


def export_command(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC|RUN|ASSIGNMENT",
            help=(
                "A multiplier: drum:k=4 or own.v:top; or the folder of a run, for all designs on "
                "its front; or assignment.json, for its kinds and the table of layers."
            ),
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder to write to: a folder in it for each design."),
    ],
    mac: Mac = False,
    array: Array = "",
    element: ElementText = "",
    network: Annotated[
        str, typer.Option(help="Network whose dot products the sums of --element hold.")
    ] = "",
    accumulator_bits: AccumulatorBits = None,
    pipeline: Pipeline = False,
    encoding: Encoding = "",
    zoo: Zoo = None,
    signed: Signed = False,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove", help="Prove that the netlist mapped to the cell library computes the same."
        ),
    ] = False,
    liberty: Liberty = None,
) -> None:
    """Export plain Verilog-2001 with tests that check it, and what FuseSoC, LibreLane and
    OpenROAD-flow-scripts need to build it.
    """
    from ..api.exporting import export_layers, exported_designs
    from ..api.reading import is_assignment

    check_writable(output, "-o")
    designs = exported_designs(spec, signed=signed)
    for design, own_encoding in designs:
        subject = in_network(design, network, encoding or own_encoding, zoo)
        if element:
            export_form(
                subject,
                element,
                output,
                array=array,
                network=network,
                encoding=encoding or own_encoding,
                zoo=zoo,
            )
            continue
        if mac or array:
            paths = export_unit(
                subject,
                output,
                array=array,
                accumulator_bits=accumulator_bits,
                pipelined=pipeline,
                encoding=encoding or own_encoding,
            )
        else:
            paths = subject.export(output)
        for path in paths if len(designs) == 1 else [paths[0].parent]:
            say(str(path))
        if prove:
            _prove(subject, liberty)
    for path in export_layers(spec, output) if is_assignment(spec) else []:
        say(str(path))


def _prove(subject: Multiplier, liberty: Path | None) -> None:
    from hdl.cells import CellLibrary
    from hdl.cost import counterexample, map_design

    library = CellLibrary.load(liberty)
    mapped = map_design(subject.design, library)
    found = counterexample(subject.design.rtlil(), mapped.netlist, subject=subject.name)
    if found is not None:
        raise RuntimeError(
            f"{subject.name}: the mapped netlist is wrong, {found}; please report this"
        )
    cells = f"{len(mapped.netlist.instances)} cells of {library.name}, recipe {mapped.recipe}"
    say(f"proven: the mapped netlist ({cells}) computes what the RTL does, for all operands")


def _with_intervals(metrics: dict[str, Any]) -> dict[str, Any]:
    """Estimates with their 95 % confidence intervals behind them, for the eye."""
    intervals = metrics.get("confidence", {})
    shown = {name: value for name, value in metrics.items() if name != "confidence"}
    return shown | {
        name: f"{metrics[name]:.6g}  (95 %: {low:.6g} to {high:.6g})"
        for name, (low, high) in intervals.items()
    }


def _print(title: str, values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(values)
    else:
        print_table(title, values)
