"""What the cost model costs and finds: time of each step, area and delay of each recipe, agreement
of libraries.

    python -m bench.cost [--liberty FILE] [SPEC ...]

Prints Markdown tables. One process; run it on an idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hdl.cells import CellLibrary
from hdl.cost import analyze, map_design, map_with_every_recipe, operation_energy, synthesize
from hdl.multipliers import MultiplierSpec, rtlil
from hdl.operands import OperandDistribution

SPECS = (
    "exact:tree=dadda",
    "exact:tree=array",
    "exact:tree=wallace",
    "exact:tree=dadda,signed=1",
    "bam:h=0,v=6",
    "tm:k=3",
)
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("specs", nargs="*", default=SPECS, metavar="SPEC")
    parser.add_argument(
        "--liberty", type=Path, help="the cell library; the compact one that ships by default"
    )
    arguments = parser.parse_args()
    specs = [MultiplierSpec.parse(text) for text in arguments.specs]
    library = CellLibrary.load(arguments.liberty)
    synthesize(specs[0], library)
    print_steps(specs, library)
    print()
    print_recipes(specs, library)


def print_steps(specs: list[MultiplierSpec], library: CellLibrary) -> None:
    """Median time of each step of a cold evaluation, in ms."""
    print(
        "| design | RTL | mapping | timing | energy | operations | area um2 | delay ps | energy fJ "
        "| glitch share |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for spec in specs:
        text = rtlil(spec)
        mapped = map_design(text, library)
        timing = analyze(mapped.netlist)
        operands = OperandDistribution.uniform(spec.widths)
        energy = operation_energy(mapped.netlist, timing, operands)
        steps: list[Callable[[], object]] = [
            partial(rtlil, spec),
            partial(map_design, text, library),
            partial(analyze, mapped.netlist),
            partial(operation_energy, mapped.netlist, timing, operands),
        ]
        times = " | ".join(f"{median_ms(step):.1f}" for step in steps)
        print(
            f"| `{spec}` | {times} | {energy.activity.operations} | {mapped.netlist.area_um2:.0f} "
            f"| {timing.delay_ps:.0f} | {energy.energy_fj:.0f} | "
            f"{100 * (1 - energy.settled_fj / energy.energy_fj):.0f} % |"
        )


def median_ms(step: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def print_recipes(specs: list[MultiplierSpec], library: CellLibrary) -> None:
    """Area and delay of each recipe by itself, um2 / ps."""
    print("| recipe | " + " | ".join(f"`{spec}`" for spec in specs) + " |")
    print("|---|" + "---|" * len(specs))
    results = [map_with_every_recipe(spec, library) for spec in specs]
    for recipe in results[0]:
        cells = []
        for result in results:
            design = result.get(recipe)
            cells.append(
                f"{design.netlist.area_um2:.0f} / {design.timing.delay_ps:.0f}"
                if design
                else "no adders"
            )
        print(f"| {recipe} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
