"""The cheapest emulated designs of a run at each loss of accuracy, and what they save beyond exact
multipliers of fewer bits.

    python -m bench.marks RUN [--drops 0.5 1 2 5]
    python -m bench.marks RUN --data cifar10-jpeg-test.npz [--images N] [--assignments OUT]

Counts the designs of the front that the run emulated. With --data, the others that are predicted to
lose little more than the largest drop are emulated, too, and the exact multipliers of which none is
cheaper and as accurate, on images that neither made the run's predictors nor correct.

Prints Markdown tables. The first: for each drop, of the designs whose emulated drop is no larger,
those of least area, of least energy, and of the least product of the two; ratios are to the exact
8x8 multiplier in the same flow, its operands those of the run's network, and to the run's baseline.
The second: for each drop the exact multipliers of least area and of least energy, and the
approximate design that saves most beyond both, by the smaller one of its two savings. With
--assignments, the folder of `dse assign --verify` with the same images, a third: each assignment
beside the design that uses least energy alone in all layers and loses no more. The last lines hold
predicted beside emulated drops, for all and for designs that walks made.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import dse
from bench.markdown_cell import cell
from cnn_eval import zoo
from dse.engine import recorded_search
from dse.evaluation import DesignPoint
from dse.ground_truth import Emulator
from dse.search import Assignment, exact_line, is_exact
from hdl.cells import CellLibrary
from hdl.cost import SynthesisReport, synthesize
from hdl.errors import InputError
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths

#: Designs are emulated that are predicted to lose so much more than the largest drop.
MARGIN_PP = 1.5
MADE = ("terms", "net")
#: Deviations count below this emulated drop, in percentage points.
COUNTED_PP = 5.0

Cost = Callable[[DesignPoint], float]


def area(point: DesignPoint) -> float:
    return point.area_um2


def energy(point: DesignPoint) -> float:
    return point.energy_fj


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="folder of a run with --verify or --recalibrate, or of any")
    parser.add_argument("--drops", type=float, nargs="+", default=[0.5, 1.0, 2.0, 5.0])
    parser.add_argument("--data", help="images with labels, to emulate the rest of the front on")
    parser.add_argument(
        "--images", type=int, default=sys.maxsize, help="so many; all that are left"
    )
    parser.add_argument("--assignments", type=Path, help="folder of dse assign RUN --verify N")
    arguments = parser.parse_args()
    try:
        print_run(arguments)
    except InputError as error:
        sys.exit(str(error))


def print_run(arguments: argparse.Namespace) -> None:
    run = dse.load_run(arguments.run)
    points = run.front
    if arguments.data:
        emulator = run.emulator(arguments.data, images=arguments.images)
        exact = {point.spec for cost in (area, energy) for point in exact_line(run.points, cost)}
        wanted = {point.spec: point for point in points} | {
            point.spec: point for point in run.points if point.spec in exact
        }
        limit_pp = max(arguments.drops) + MARGIN_PP
        points = [
            emulated(point, run, emulator)
            for point in wanted.values()
            if point.predicted_drop_pp <= limit_pp
        ]
        print(f"{emulator.images:,} images. ", end="")
    points = [point for point in points if point.emulated_drop_pp is not None]
    print_marks(run, points, arguments.drops)
    print_beyond(points, arguments.drops)
    if arguments.assignments:
        print_assignments(points, arguments.assignments)
    print_deviations(points)


def emulated(point: dse.FoundDesign, run: dse.Run, emulator: Emulator) -> dse.FoundDesign:
    """The design with what it loses on the emulator's images."""
    print(f"emulating {point.spec}", file=sys.stderr, flush=True)
    encodings = [OperandEncoding(one) for one in run.exploration.encodings]
    exact_pct = max(emulator.measure_exact(one).top1_pct for one in encodings)
    encoding = OperandEncoding(point.encoding)
    top1_pct = emulator.measure(run.exploration.multiplier(point.spec), encoding).top1_pct
    return replace(
        point,
        emulated_top1_pct=top1_pct,
        emulated_drop_pp=exact_pct - top1_pct,
        emulated_images=emulator.images,
    )


def exact_square(run: dse.Run) -> SynthesisReport:
    """Of the exact 8x8 multiplier under the network's operands; no operand bit is tied off."""
    search, baseline = recorded_search(run.folder), run.exploration.baseline
    encoding, widths = OperandEncoding(baseline.encoding), Widths(8, 8)
    profile = zoo.load_profile(
        search.network, encoding, corrected=search.corrected, folder=search.zoo_folder
    )
    return synthesize(
        MultiplierSpec.make("exact", width=widths, signed=encoding.signed),
        CellLibrary.load(search.liberty),
        profile.operand_distribution().on(widths, signed=encoding.signed),
        effort=baseline.effort,
        delay_target_ps=search.budget.delay_target_ps,
    )


def print_marks(run: dse.Run, points: Sequence[dse.FoundDesign], drops: Sequence[float]) -> None:
    baseline, exact = run.exploration.baseline, exact_square(run)
    print(
        f"Exact 8x8: {exact.area_um2:,.0f} um2, {exact.energy_fj:.1f} fJ; baseline {baseline.spec}:"
        f" {baseline.area_um2:,.0f} um2, {baseline.energy_fj:.1f} fJ. {len(points)} designs are "
        "emulated.\n"
    )
    print(
        "| up to, points | design | area of 8x8 | energy | area of the baseline | energy "
        "| lost, predicted | emulated |"
    )
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    for drop_pp in drops:
        for point in marked(points, drop_pp):
            print(
                f"| {drop_pp:g} | {cell(point.spec)} | {area(point) / exact.area_um2:.3f} "
                f"| {energy(point) / exact.energy_fj:.3f} "
                f"| {point.area_ratio:.3f} | {point.power_ratio:.3f} "
                f"| {point.predicted_drop_pp:.2f} | {point.emulated_drop_pp:.2f} |"
            )


def within(points: Iterable[dse.FoundDesign], drop_pp: float) -> list[dse.FoundDesign]:
    return [point for point in points if (point.emulated_drop_pp or 0.0) <= drop_pp]


def marked(points: Iterable[dse.FoundDesign], drop_pp: float) -> Iterator[dse.FoundDesign]:
    """The designs that count at this drop, each once."""
    kept = within(points, drop_pp)
    costs: tuple[Cost, ...] = (lambda point: area(point) * energy(point), area, energy)
    best = {point.spec: point for cost in costs for point in sorted(kept, key=cost)[:1]}
    yield from sorted(best.values(), key=area)


def print_beyond(points: Sequence[dse.FoundDesign], drops: Sequence[float]) -> None:
    print(
        "\n| up to, points | exact, least area, um2 | exact, least energy, fJ | approximate "
        "| emulated | saves area, % | energy, % |"
    )
    print("|---:|---|---|---|---:|---:|---:|")
    for drop_pp in drops:
        kept = within(points, drop_pp)
        exact = [point for point in kept if is_exact(point)]
        others = [point for point in kept if not is_exact(point)]
        if not exact or not others:
            continue
        small, frugal = min(exact, key=area), min(exact, key=energy)
        best, area_pct, energy_pct = max(
            ((one, saving(one, small, area), saving(one, frugal, energy)) for one in others),
            key=lambda found: (min(found[1:]), found[0].spec),
        )
        print(
            f"| {drop_pp:g} | {cell(small.spec)} {small.area_um2:,.0f} | {cell(frugal.spec)} "
            f"{frugal.energy_fj:.1f} | {cell(best.spec)} | {best.emulated_drop_pp:.2f} "
            f"| {area_pct:.0f} | {energy_pct:.0f} |"
        )


def print_assignments(points: Sequence[dse.FoundDesign], folder: Path) -> None:
    print(
        "\n| predicted | emulated | assignment, nJ an image | best single design | its drop | nJ "
        "| less, % |\n|---:|---:|---:|---|---:|---:|---:|"
    )
    for path in sorted(folder.glob("assignments/*.json")):
        one = Assignment.load(path)
        if one.emulated_drop_pp is None or not (kept := within(points, one.emulated_drop_pp)):
            continue
        single = min(kept, key=energy)
        alone_nj = 1e-6 * single.energy_fj * sum(row.macs for row in one.layers)
        print(
            f"| {one.predicted_drop_pp:.2f} | {one.emulated_drop_pp:.2f} | {one.energy_nj:,.0f} "
            f"| {cell(single.spec)} | {single.emulated_drop_pp:.2f} | {alone_nj:,.0f} "
            f"| {100 * (1 - one.energy_nj / alone_nj):.0f} |"
        )


def saving(point: DesignPoint, than: DesignPoint, cost: Cost) -> float:
    """What a design saves of another one's cost, in per cent."""
    return 100 * (1 - cost(point) / cost(than))


def print_deviations(points: Sequence[dse.FoundDesign]) -> None:
    counted = within(points, COUNTED_PP)
    made = [point for point in counted if point.family in MADE and not is_exact(point)]
    print()
    for name, some in (("all", counted), ("made by walks", made)):
        off = [abs(one.predicted_drop_pp - (one.emulated_drop_pp or 0.0)) for one in some]
        if off:
            print(
                f"{len(off)} designs below {COUNTED_PP:g} points, {name}: predictions are off by "
                f"{statistics.fmean(off):.2f} points on average, {max(off):.2f} at most"
            )


if __name__ == "__main__":
    main()
