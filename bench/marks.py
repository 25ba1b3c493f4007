"""The cheapest emulated designs of a run at each loss of accuracy.

    python bench/marks.py RUN [--drops 0.5 1 2 5]

Prints a Markdown table: for each drop, of the designs whose emulated drop is no larger, those of
least area, of least energy, and of the least product of the two. Ratios are to the exact 8x8
multiplier in the same flow, its operands those of the run's network, and to the run's baseline.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

import dse


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="folder of a run with --verify or --recalibrate")
    parser.add_argument("--drops", type=float, nargs="+", default=[0.5, 1.0, 2.0, 5.0])
    arguments = parser.parse_args()
    run = dse.load_run(arguments.run)
    baseline, network = run.exploration.baseline, run.exploration.networks[0]
    exact = dse.multiplier("exact").cost(network, effort=baseline.effort)
    emulated = [point for point in run.front if point.emulated_drop_pp is not None]
    print(
        f"Exact 8x8: {exact.area_um2:,.0f} um2, {exact.energy_fj:.1f} fJ; baseline {baseline.spec}:"
        f" {baseline.area_um2:,.0f} um2, {baseline.energy_fj:.1f} fJ. {len(emulated)} designs of "
        "the front are emulated.\n"
    )
    print(
        "| up to, points | design | area of 8x8 | energy | area of the baseline | energy "
        "| lost, predicted | emulated | beyond exact: area, energy |"
    )
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    for drop_pp in arguments.drops:
        for point in marked(emulated, drop_pp):
            area, energy = point.area_um2 / exact.area_um2, point.energy_fj / exact.energy_fj
            print(
                f"| {drop_pp:g} | {cell(point.spec)} | {area:.3f} | {energy:.3f} "
                f"| {point.area_ratio:.3f} | {point.power_ratio:.3f} "
                f"| {point.predicted_drop_pp:.2f} | {point.emulated_drop_pp:.2f} "
                f"| {beyond(point)} |"
            )


def marked(points: Iterable[dse.FoundDesign], drop_pp: float) -> Iterator[dse.FoundDesign]:
    """The designs that count at this drop, each once."""
    kept = [point for point in points if (point.emulated_drop_pp or 0.0) <= drop_pp]
    best = {
        point.spec: point
        for cost in (
            lambda point: point.area_um2 * point.energy_fj,
            lambda point: point.area_um2,
            lambda point: point.energy_fj,
        )
        for point in sorted(kept, key=cost)[:1]
    }
    yield from sorted(best.values(), key=lambda point: point.area_um2)


def cell(name: str) -> str:
    """A name as a cell of a Markdown table has it: bars would end the cell."""
    return f"`{name}`".replace("|", r"\|")


def beyond(point: dse.FoundDesign) -> str:
    if point.beyond_area_pct is None or point.beyond_energy_pct is None:
        return ""
    return f"{point.beyond_area_pct:.0f} %, {point.beyond_energy_pct:.0f} %"


if __name__ == "__main__":
    main()
