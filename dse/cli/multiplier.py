"""Commands about one multiplier: families, show, table, metrics, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdl.errors import InputError, MissingError

from .console import print_json, print_table, say
from .mac import export_unit
from .multiplier_argument import Subject, read_subject
from .options import AccumulatorBits, Array, AsJson, Encoding, Liberty, Mac, Network, Pipeline, Signed, Spec, operand_distribution

if TYPE_CHECKING:
    from hdl.operands import OperandDistribution
    from hdl.tables import ProductTable

# Past 12 bits; the mean of relative errors is then known to a thousandth of itself.
_SAMPLES = 1 << 22


def register(app: typer.Typer) -> None:
    app.command("families")(families_command)
    app.command("show")(show_command)
    app.command("table")(table_command)
    app.command("metrics")(metrics_command)
    app.command("export")(export_command)


def families_command(name: Annotated[str, typer.Argument(metavar="[NAME]", help="One family. [default: all]")] = "") -> None:
    """List the multiplier families, their parameters and sources."""
    from hdl.multipliers import FAMILIES
    from hdl.operands import Widths

    if name and name not in FAMILIES:
        raise InputError(f"no multiplier family is called {name!r}; there are {', '.join(FAMILIES)}")
    for family in [FAMILIES[name]] if name else FAMILIES.values():
        say(f"{family.name}: {family.title}")
        for parameter in family.parameters:
            default = "required" if parameter.default is None else f"default {parameter.default}"
            say(f"    {parameter.name}={parameter.spelling(Widths.of(8))}  ({default})  {parameter.doc}")
        say(f"    operands of {family.widths[0]} to {family.widths[-1]} bits; signed by {family.signed_form.replace('_', ' ')}")
        say(f"    source: {family.source}")


def show_command(
    spec: Spec,
    signed: Signed = False,
    liberty: Liberty = None,
    network: Network = "",
    encoding: Encoding = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for pictures: partial products or operand bits, error map, histogram.")
    ] = None,
) -> None:
    """Show one multiplier: error metrics, cost and, with -o, pictures."""
    subject = read_subject(spec, signed=signed)
    operands = operand_distribution(network, encoding, subject.signed)
    print_table(f"{subject.name}: error metrics", _with_intervals(_error_metrics(subject, operands, _SAMPLES)))
    if subject.circuit is not None:
        print_table(f"{subject.name}: cost", _cost(subject, liberty, operands))
    if output is not None:
        _draw(subject, subject.table(), operands, output)


def _draw(subject: Subject, table: ProductTable, operands: OperandDistribution | None, folder: Path) -> None:
    """Writes the pictures of a multiplier as PNG and SVG, and says where they are."""
    from hdl.multipliers import dots
    from reports.figures import multiplier_figures, write_figure

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingError(f"cannot write to the output folder {str(folder)!r} ({error.strerror}); choose another with -o") from error
    diagram = None if subject.spec is None else dots(subject.spec)
    for name, figure in multiplier_figures(table, diagram, operands).items():
        write_figure(figure, folder, name)
        say(f"{folder / name}.png, .svg")


def table_command(
    spec: Spec,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: .npy (products) or .npz (with spec and versions).")],
    signed: Signed = False,
) -> None:
    """Save the product table, indexed [a, b] by operand code."""
    subject = read_subject(spec, signed=signed)
    table = subject.table()
    table.save(output)
    say(f"{output}: {1 << table.width_a} x {1 << table.width_b} products of {subject.name}")


def metrics_command(
    spec: Spec,
    signed: Signed = False,
    network: Network = "",
    encoding: Encoding = "",
    samples: Annotated[int, typer.Option(min=1, help="Random operand pairs to take past 12 bits, where trying all is out of reach.")] = 1
    << 22,
    as_json: AsJson = False,
) -> None:
    """Print the error metrics, under uniform operands or a network's own; past 12 bits with confidence intervals."""
    subject = read_subject(spec, signed=signed)
    metrics = _error_metrics(subject, operand_distribution(network, encoding, subject.signed), samples)
    if as_json:
        print_json(metrics)
    else:
        print_table(f"{subject.name}: error metrics", _with_intervals(metrics))


def export_command(
    spec: Spec,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write Verilog, test bench and constraints to.")],
    mac: Mac = False,
    array: Array = "",
    accumulator_bits: AccumulatorBits = None,
    pipeline: Pipeline = False,
    encoding: Encoding = "",
    signed: Signed = False,
    prove: Annotated[bool, typer.Option("--prove", help="Prove that the netlist mapped to the cell library computes the same.")] = False,
    liberty: Liberty = None,
) -> None:
    """Export plain Verilog-2001 with a self-checking test bench and timing constraints."""
    from hdl.export import export

    subject = read_subject(spec, signed=signed)
    if mac or array:
        if prove:
            raise InputError("--prove is of the bare multiplier; leave --mac and --array away")
        export_unit(subject, output, array=array, accumulator_bits=accumulator_bits, pipelined=pipeline, encoding=encoding)
        return
    if pipeline:
        raise InputError("--pipeline is of the multiply-accumulate element; give --mac or --array, too")
    for path in export(subject.need_spec("export"), output):
        say(str(path))
    if prove:
        _prove(subject, liberty)


def _prove(subject: Subject, liberty: Path | None) -> None:
    from hdl.cells import CellLibrary
    from hdl.cost import counterexample, map_design

    library, circuit = CellLibrary.load(liberty), subject.need_circuit("a proof")
    mapped = map_design(circuit, library, subject=subject.name)
    found = counterexample(circuit, mapped.netlist, subject=subject.name)
    if found is not None:
        raise RuntimeError(f"{subject.name}: the mapped netlist is wrong, {found}; please report this")
    cells = f"{len(mapped.netlist.instances)} cells of {library.name}, recipe {mapped.recipe}"
    say(f"proven: the mapped netlist ({cells}) computes what the RTL does, for all operands")


def _cost(subject: Subject, liberty: Path | None, operands: OperandDistribution | None) -> dict[str, Any]:
    from hdl.cells import CellLibrary
    from hdl.cost import synthesize

    return synthesize(subject.need_circuit("synthesis"), CellLibrary.load(liberty), operands, subject=subject.name).to_json()


def _error_metrics(subject: Subject, operands: OperandDistribution | None, samples: int) -> dict[str, Any]:
    """Of all operand pairs where they can be tried, else of a sample."""
    from hdl.tables import MAX_BITS, error_metrics, sampled_error_metrics
    from hdl.yosys import gates

    if subject.circuit is not None:
        circuit = gates(subject.circuit, subject=subject.name)
        if circuit.widths.product > MAX_BITS:
            if operands is not None:
                raise InputError(
                    f"{subject.name} multiplies operands of {circuit.widths} bits, and {operands.name!r} is of {operands.widths}; "
                    "drop --network"
                )
            return dict(sampled_error_metrics(circuit, signed=subject.signed, samples=samples).to_json())
    return dict(error_metrics(subject.table(), operands).to_json())


def _with_intervals(metrics: dict[str, Any]) -> dict[str, Any]:
    """Estimates with their 95 % confidence intervals behind them, for the eye."""
    intervals = metrics.get("confidence", {})
    shown = {name: value for name, value in metrics.items() if name != "confidence"}
    return shown | {name: f"{metrics[name]:.6g}  (95 %: {low:.6g} to {high:.6g})" for name, (low, high) in intervals.items()}


def _print(title: str, values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(values)
    else:
        print_table(title, values)
