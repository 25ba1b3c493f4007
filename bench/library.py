"""A library of published circuits against the front of a run: who beats whom.

    python -m bench.library FOLDER --run RUN --data cifar10-jpeg-test.npz [--images N]
    python -m bench.library --tables FILE.npz --costs FILE.csv --exact NAME --run RUN --data ...
        [--area COLUMN] [--energy COLUMN] [--only COLUMN=VALUE ...]

FOLDER has a multiplier in each Verilog file. All are synthesized in the run's flow, with the best
effort, under the network's operands; operand bits that the network leaves unused are tied off.
Tables have no circuit to synthesize: their area and energy come from a table of costs, the least of
each among a circuit's rows, and are carried over in proportion to the exact multiplier of that
table, called NAME, and the best exact tree here. Nothing is tied off in either.

Circuits and designs of the front are corrected alike, and emulated on images that neither made the
run's predictors nor correct. A design beats another with less area, less energy and no larger
emulated drop. Prints two Markdown tables, the circuits and the front, each with what beats it (of
several, the design with the least product of area and energy) and how that compares. Predicted
drops of the front are those of the run; circuits are predicted as `dse predict` does. The last
lines count; circuits that lose --max-drop points or more do not. Designs of the front that are
predicted to lose 10 points more than that are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dse
from bench.cost_table import Cost, read_costs
from bench.markdown_cell import cell
from dse.engine import YOSYS_CACHE, Search, recorded_search
from dse.evaluation import DesignPoint, Evaluation, Failure, Workbench, WorkerPool
from dse.ground_truth import Emulator, choose
from hdl.cells import CellLibrary
from hdl.cost import synthesize
from hdl.errors import InputError
from hdl.multipliers import Multiplier, MultiplierSpec, import_folder, narrowed
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

TREES = ("array", "wallace", "dadda", "serial")
#: Designs of the front are left out that are predicted to lose so much more than what counts.
MARGIN_PP = 10.0
#: Costs of the run are those of the flow that circuits are synthesized in, up to rounding.
SAME = 1e-6


@dataclass(frozen=True)
class Design:
    """A circuit or a design of the front."""

    name: str
    area_um2: float
    energy_fj: float
    predicted_drop_pp: float
    emulated_drop_pp: float

    def beats(self, other: Design) -> bool:
        return (
            self.area_um2 < other.area_um2
            and self.energy_fj < other.energy_fj
            and self.emulated_drop_pp <= other.emulated_drop_pp
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="Verilog, one multiplier a file")
    parser.add_argument("--tables", type=Path, help="instead: product tables in an .npz")
    parser.add_argument("--costs", type=Path, help="what the tables' circuits cost, a .csv")
    parser.add_argument("--exact", help="the circuit of --costs that multiplies exactly")
    parser.add_argument("--area", default="area_um2", help="column of --costs")
    parser.add_argument("--energy", default="energy_fj", help="column of --costs")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="COLUMN=VALUE", help="rows of --costs to take"
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--network", help="the run's network, to make sure")
    parser.add_argument("--encoding", help="the run's number format, to make sure")
    parser.add_argument("--data", required=True, help="images with labels")
    parser.add_argument(
        "--images", type=int, default=sys.maxsize, help="emulate on so many; all that are left"
    )
    parser.add_argument(
        "--front", type=int, help="designs to emulate beside those that the run verified; all"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--max-drop", type=float, default=20.0, help="circuits that count lose less"
    )
    arguments = parser.parse_args()
    if (arguments.folder is None) == (arguments.tables is None):
        sys.exit("give a folder of Verilog, or product tables with --tables FILE.npz; one of them")
    if arguments.tables and not (arguments.costs and arguments.exact):
        sys.exit("--tables needs what its circuits cost: --costs FILE.csv and --exact NAME")
    try:
        print_comparison(arguments)
    except InputError as error:
        sys.exit(str(error))


def print_comparison(arguments: argparse.Namespace) -> None:
    flow = Flow.of(arguments.run, arguments.network, arguments.encoding)
    if arguments.folder:
        designs = import_folder(arguments.folder, signed=flow.encoding.signed)
        known = flow.synthesized(designs, arguments.workers)
    else:
        tables = ProductTable.load_collection(arguments.tables, signed=flow.encoding.signed)
        costs = read_costs(arguments.costs, arguments.area, arguments.energy, arguments.only)
        known = flow.carried_over(tables, costs, arguments.exact, str(arguments.costs))
    measured = Measured(flow, arguments.data, arguments.images)
    circuits = [measured.circuit(*one) for one in known]
    front = [measured.found(point) for point in flow.front(arguments.front, arguments.max_drop)]
    measured.print_head()
    print_table("circuit", circuits, front, flow.baseline)
    print()
    print_table("design of the front", front, circuits, flow.baseline)
    print()
    print_counts(circuits, front, arguments.max_drop)


@dataclass(frozen=True)
class Flow:
    """How a run's designs were synthesized and predicted, for others to be treated alike.

    Attributes:
        baseline: area in um2 and energy in fJ of the run's exact multiplier.
    """

    run: dse.Run
    search: Search
    bench: Workbench

    @classmethod
    def of(cls, folder: Path, network: str | None, encoding: str | None) -> Flow:
        """The flow of a run of that network and number format; None: of any.

        Raises InputError: no run, or another one.
        """
        run, search = dse.load_run(folder), recorded_search(folder)
        networks, formats = ",".join(search.networks), ",".join(search.encodings)
        for wanted, found in ((network, networks), (encoding, formats)):
            if wanted not in (None, found):
                raise InputError(f"the run in {str(folder)!r} is of {found}, not of {wanted}")
        if len(search.networks) > 1 or len(search.encodings) > 1:
            raise InputError(
                f"the run in {str(folder)!r} is of {networks} in {formats}; give a run of one "
                "network in one number format"
            )
        bench = Workbench(
            search.networks,
            search.encodings,
            search.liberty,
            search.zoo_folder,
            search.corrected,
            effort=run.exploration.baseline.effort,
            delay_target_ps=search.budget.delay_target_ps,
            yosys_cache=folder / YOSYS_CACHE,
        )
        return cls(run, search, bench)

    @property
    def encoding(self) -> OperandEncoding:
        return self.search.encodings[0]

    @property
    def baseline(self) -> Cost:
        point = self.run.exploration.baseline
        return Cost(point.area_um2, point.energy_fj)

    def front(self, others: int | None, max_drop_pp: float) -> list[DesignPoint]:
        """Designs of the front that are not predicted to lose far more: those that the run
        verified, and `others`, evenly spaced in the order of predicted drops; None: all.
        """
        exploration = self.run.exploration
        found = [
            point
            for point in exploration.front.points
            if point.predicted_drop_pp < max_drop_pp + MARGIN_PP
        ]
        if others is None:
            return found
        verified = [point for point in found if point.emulated_images]
        return verified + choose([point for point in found if point not in verified], others)

    def _widest_of(self, widths: Widths, name: str) -> Widths:
        """The network's widest operands that a multiplier of these widths can take."""
        there = self.bench.widths(self.encoding)
        fitting = [one for one in there if one.a <= widths.a and one.b <= widths.b]
        if not fitting:
            raise InputError(
                f"{name} multiplies {widths.a}x{widths.b} bits, and {self.search.network} needs "
                f"{there[-1].a}x{there[-1].b} at least"
            )
        return fitting[0]

    def synthesized(
        self, designs: Sequence[Multiplier], workers: int
    ) -> list[tuple[Multiplier, Cost]]:
        """The circuits for the network's operands, with area in um2 and energy in fJ.

        Raises InputError: one cannot be synthesized, or the run's costs are of another flow.
        """
        fitted = [narrowed(one, self._widest_of(one.widths, one.name)) for one in designs]
        exact = self.run.exploration.baseline.spec
        bench = self.bench.with_designs(designs)
        with WorkerPool(workers, bench.evaluator) as pool:
            found = dict(pool.run([exact, *(design.name for design in fitted)]))
        costs = {name: _cost(name, result) for name, result in found.items()}
        for here, there in zip(costs[exact], self.baseline, strict=True):
            if abs(here - there) > SAME * there:
                raise InputError(
                    f"{exact} costs {here:.6g} here and {there:.6g} in the run in "
                    f"{str(self.run.folder)!r}, which is of another version; make it again"
                )
        return [(design, costs[design.name]) for design in fitted]

    def carried_over(
        self, tables: Sequence[ProductTable], costs: dict[str, Cost], exact: str, source: str
    ) -> list[tuple[Multiplier, Cost]]:
        """The tables for the network's operands, with area in um2 and energy in fJ by their `costs`
        relative to the one called `exact`. Raises InputError: a table or the exact one has no cost.
        """
        for name in (exact, *(table.name for table in tables)):
            if name not in costs:
                raise InputError(f"{source}: no cost of {name}; give every circuit a row")
        here: dict[Widths, Cost] = {}
        known: list[tuple[Multiplier, Cost]] = []
        for table in tables:
            if table.widths not in here:
                here[table.widths] = self._exact_tree(table.widths)
            area, energy = (
                reference * given / of
                for reference, given, of in zip(
                    here[table.widths], costs[table.name], costs[exact], strict=True
                )
            )
            fitted = table.for_operands([self._widest_of(table.widths, table.name)])
            known.append((fitted, Cost(area, energy)))
        return known

    def _exact_tree(self, widths: Widths) -> Cost:
        """Of the exact tree with the least product of area and energy; no operand bit is tied."""
        signed = self.encoding.signed
        profile = self.bench.profile(self.encoding, self._widest_of(widths, "the exact tree"))
        reports = [
            synthesize(
                MultiplierSpec.make("exact", width=widths, signed=signed, tree=tree),
                CellLibrary.load(self.search.liberty),
                profile.operand_distribution().on(widths, signed=signed),
                effort=self.bench.effort,
                delay_target_ps=self.search.budget.delay_target_ps,
            )
            for tree in TREES
        ]
        best = min(reports, key=lambda one: one.area_um2 * one.energy_fj)
        return Cost(best.area_um2, best.energy_fj)


class Measured:
    """Emulates designs in a run's network."""

    def __init__(self, flow: Flow, data: str, images: int) -> None:
        self.flow = flow
        self.emulator: Emulator = flow.run.emulator(data, images=images)
        self.exact_top1_pct = self.emulator.measure_exact(flow.encoding).top1_pct

    def circuit(self, multiplier: Multiplier, cost: Cost) -> Design:
        search = self.flow.search
        predicted = dse.predict(
            dse.Multiplier(multiplier),
            network=search.network,
            encoding=str(self.flow.encoding),
            corrected=search.corrected,
            zoo=search.zoo_folder,
        )
        return self._design(_shown(multiplier), multiplier, cost, predicted.drop_pp)

    def found(self, point: DesignPoint) -> Design:
        multiplier = self.flow.run.exploration.multiplier(point.spec)
        cost = Cost(point.area_um2, point.energy_fj)
        return self._design(point.spec, multiplier, cost, point.predicted_drop_pp)

    def _design(
        self, name: str, multiplier: Multiplier, cost: Cost, predicted_drop_pp: float
    ) -> Design:
        print(f"emulating {name}", file=sys.stderr, flush=True)
        top1_pct = self.emulator.measure(multiplier, self.flow.encoding).top1_pct
        return Design(name, *cost, predicted_drop_pp, self.exact_top1_pct - top1_pct)

    def print_head(self) -> None:
        search, baseline = self.flow.search, self.flow.baseline
        print(
            f"{search.network}, {self.flow.encoding}, "
            f"{'' if search.corrected else 'not '}corrected; {self.emulator.images:,} images; "
            f"{self.flow.run.exploration.baseline.spec}: {self.exact_top1_pct:.2f} %, "
            f"{baseline.area:,.0f} um2, {baseline.energy:,.0f} fJ\n"
        )


def _cost(name: str, result: dict[str, object] | Failure) -> Cost:
    evaluation = None if isinstance(result, Failure) else Evaluation.from_dict(result)
    if evaluation is None:
        reason = result.reason if isinstance(result, Failure) else "it has no figures"
        raise InputError(f"{name} cannot be synthesized: {reason}")
    return Cost(evaluation.area_um2, evaluation.energy_fj)


def _shown(multiplier: Multiplier) -> str:
    """The module of a file's Verilog, the name of a table."""
    module, _, widths = multiplier.name.rpartition("@")
    return (module or widths).rpartition(":")[2].partition("#")[0]


def best_of(designs: Sequence[Design], beaten: Design) -> Design | None:
    """Of the designs that beat another, the one with the least product of area and energy."""
    beating = [one for one in designs if one.beats(beaten)]
    return min(beating, key=lambda one: one.area_um2 * one.energy_fj, default=None)


def print_table(
    title: str, designs: Sequence[Design], others: Sequence[Design], baseline: Cost
) -> None:
    """Each design with the best of the others that beat it. In brackets: relative to the run's
    exact multiplier.
    """
    print(
        f"| {title} | area, um2 | energy, fJ | predicted drop | emulated | beaten by | its drop "
        "| area of it | energy of it |"
    )
    print("|---|---:|---:|---:|---:|---|---:|---:|---:|")
    for one in sorted(designs, key=lambda one: one.emulated_drop_pp):
        best = best_of(others, one)
        beaten = (
            "none | | |"
            if best is None
            else f"{cell(best.name)} | {best.emulated_drop_pp:.2f} | "
            f"{best.area_um2 / one.area_um2:.3f} | {best.energy_fj / one.energy_fj:.3f}"
        )
        print(
            f"| {cell(one.name)} | {one.area_um2:,.0f} ({one.area_um2 / baseline.area:.3f}) "
            f"| {one.energy_fj:,.1f} ({one.energy_fj / baseline.energy:.3f}) "
            f"| {one.predicted_drop_pp:.2f} | {one.emulated_drop_pp:.2f} | {beaten} |"
        )


def print_counts(circuits: Sequence[Design], front: Sequence[Design], max_drop_pp: float) -> None:
    counted = [one for one in circuits if one.emulated_drop_pp < max_drop_pp]
    pairs = [(one, best) for one in counted if (best := best_of(front, one)) is not None]
    print(
        f"{len(circuits)} circuits; {len(counted)} lose less than {max_drop_pp:g} points, "
        f"{len(pairs)} of them are beaten by a design of the front"
    )
    if pairs:
        areas, energies = (
            [getattr(best, figure) / getattr(one, figure) for one, best in pairs]
            for figure in ("area_um2", "energy_fj")
        )
        print(
            f"relative to the circuit, that design takes {statistics.median(areas):.3f} of the "
            f"area and {statistics.median(energies):.3f} of the energy in the median, at most "
            f"{max(areas):.3f} and {max(energies):.3f}"
        )
    beaten = sum(best_of(counted, one) is not None for one in front)
    print(f"{len(front)} designs of the front; {beaten} are beaten by one of these circuits")


if __name__ == "__main__":
    main()
