"""What approximate multipliers save by themselves, in a multiply-accumulate element, in a systolic
array, and on FPGAs.

    python -m bench.accelerator [--network resnet20] [--array 8x8] [--fpga] [SPEC ...]

Prints a Markdown table. Operand bits that the network leaves unused are tied off; savings are
against the exact multiplier of the same signedness in the same place. --fpga prints cells and
delays on FPGAs instead.
"""

from __future__ import annotations

import argparse
import functools

from cnn_eval import zoo
from cnn_eval.prediction import dot_products, macs_per_image
from hdl.cells import CellLibrary
from hdl.cost import TARGETS, synthesize_fpga
from hdl.elements import MacSpec, synthesize_array, synthesize_mac
from hdl.multipliers import MultiplierSpec, narrowed

SPECS = (
    "exact",
    "drum:k=4",
    "mitchell",
    "bam:h=0,v=6",
    "compressor:kind=momeni2,cols=8",
    "tm:k=4",
    "exact:signed=1",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("specs", nargs="*", default=SPECS, metavar="SPEC")
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--array", default="8x8")
    parser.add_argument("--fpga", action="store_true")
    arguments = parser.parse_args()
    specs = [MultiplierSpec.parse(text) for text in arguments.specs]
    if arguments.fpga:
        print_fpga(specs)
    else:
        rows, columns = map(int, arguments.array.split("x"))
        print_levels(specs, arguments.network, rows, columns)


def print_levels(specs: list[MultiplierSpec], network: str, rows: int, columns: int) -> None:
    """Area, energy and their savings at each level; energy of an image."""
    levels = "bare | element | array"
    print(
        f"| multiplier | area um2: {levels} | energy fJ: {levels} | least period ps | one image "
        f"uJ: {levels} |"
    )
    print("|---|" + "---|" * 10)
    for spec in specs:
        mac = MacSpec.make(spec)
        profile = zoo.load_profile(network, mac.encoding)
        figures, period_ps = figures_of(spec, network, rows, columns)
        baseline, _ = figures_of(
            MultiplierSpec.make("exact", width=spec.widths, signed=spec.signed),
            network,
            rows,
            columns,
        )
        saved = [
            "" if figures == baseline else f" ({100 * (figure / of - 1):+.0f} %)"
            for figure, of in zip(figures, baseline, strict=True)
        ]
        shown = [f"{figure:.0f}{saving}" for figure, saving in zip(figures, saved, strict=True)]
        images = [f"{1e-9 * macs_per_image(profile) * energy_fj:.1f}" for energy_fj in figures[3:]]
        print(
            f"| `{spec}` | " + " | ".join([*shown, f"{period_ps:.0f}", *images]) + " |", flush=True
        )


@functools.cache
def figures_of(
    spec: MultiplierSpec, network: str, rows: int, columns: int
) -> tuple[tuple[float, ...], float]:
    """Area in um2 of multiplier, element and array per element, energy in fJ per operation of the
    same, and the element's period in ps.
    """
    library, encoding = CellLibrary.load(), MacSpec.make(spec).encoding
    profile = zoo.load_profile(network, encoding)
    mac, work = MacSpec.make(narrowed(spec, profile.widths), encoding), dot_products(profile)
    element, array = (
        synthesize_mac(mac, library, work),
        synthesize_array(mac, rows, columns, library, work),
    )
    areas = element.multiplier.area_um2, element.area_um2, array.area_um2 / array.elements
    return (
        *areas,
        element.multiplier.energy_fj,
        element.energy_fj,
        array.energy_fj,
    ), element.period_ps


def print_fpga(specs: list[MultiplierSpec]) -> None:
    """Lookup tables + carry cells, and the median of the least clock periods in ps with the
    smallest and largest.
    """
    print("| multiplier | " + " | ".join(TARGETS) + " |")
    print("|---|" + "---|" * len(TARGETS))
    for spec in specs:
        cells = []
        for target in TARGETS:
            report = synthesize_fpga(spec, target)
            delay = (
                ""
                if report.delay_ps is None
                else (
                    f", {report.delay_ps:.0f} "
                    f"({report.delay_min_ps:.0f}-{report.delay_max_ps:.0f}) ps"
                )
            )
            cells.append(f"{report.luts} + {report.carry_cells}{delay}")
        print(f"| `{spec}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
