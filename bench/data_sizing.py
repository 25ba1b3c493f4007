"""Exact multipliers of few operand bits in a network: what they lose, corrected and not, and what
they cost.

    python -m bench.data_sizing --network resnet20 --data cifar10-jpeg-test.npz [--encoding E]
        [--images N] [--skip K] [--zoo DIR]

Prints a Markdown table, one row for each operand widths that the network is profiled for. Accuracy
is measured on images that neither calibrate nor correct nor make profiles; `--skip` leaves out
those that the predictor is calibrated on. The multiplier is the exact one, of all trees and a*b as
Yosys has it, with the least product of area and energy, under the network's operands of its widths,
with the best effort; the element is its multiply-accumulate. In brackets: relative to the exact 8x8
and to the widest multiplier of the network. The energy of the 8x8 is under the operands of the
widest.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cnn_eval import zoo
from cnn_eval.datasets import ImageRoles, load_dataset
from cnn_eval.prediction import dot_products
from hdl.cells import CellLibrary
from hdl.cost import SynthesisReport, synthesize
from hdl.elements import MacSpec, synthesize_mac
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandDistribution, OperandEncoding, Widths

KINDS = (
    {"tree": "array"},
    {"tree": "wallace"},
    {"tree": "dadda"},
    {"tree": "serial"},
    {"kind": "behavioural"},
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="resnet20", help="network of the zoo")
    parser.add_argument("--data", required=True, help="images with labels")
    parser.add_argument("--encoding", type=OperandEncoding, default=OperandEncoding.SIGN_MAGNITUDE)
    parser.add_argument(
        "--images", type=int, help="judge on so many images; all that are left by default"
    )
    parser.add_argument(
        "--skip", type=int, default=1200, help="judging images to leave out at the start"
    )
    parser.add_argument("--zoo", type=Path, help="folder of the network's files")
    arguments = parser.parse_args()

    trained = zoo.zoo_network(arguments.network, folder=arguments.zoo)
    roles = ImageRoles.of(load_dataset(arguments.data, image_px=trained.image_px))
    judging = roles.judging.part(arguments.skip, len(roles.judging))
    judging = judging if arguments.images is None else judging.head(arguments.images)
    if not len(judging):
        sys.exit(
            f"--skip {arguments.skip} leaves none of the {len(roles.judging)} images that judge; "
            "skip fewer"
        )
    plain, corrected = (
        zoo.ground_truth(
            trained, arguments.encoding, roles, corrected=correcting, folder=arguments.zoo
        )
        for correcting in (False, True)
    )
    library = CellLibrary.load()
    widths = zoo.profile_widths(arguments.network, arguments.encoding, folder=arguments.zoo)
    profiles = [
        zoo.load_profile(arguments.network, arguments.encoding, each, folder=arguments.zoo)
        for each in widths
    ]
    _, square = best_exact(
        Widths(8, 8), arguments.encoding, library, profiles[0].operand_distribution()
    )
    widest, reference = (
        None,
        [truth.measure(widths[0], judging).top1_pct for truth in (plain, corrected)],
    )

    tops = " and ".join(
        f"{top1:.2f} % {how}"
        for top1, how in zip(reference, ("as it is", "corrected"), strict=True)
    )
    print(
        f"{arguments.network}, {arguments.encoding.value}, {len(judging)} images; top-1 of "
        f"{widths[0]}: {tops}; cells: {library.name};"
    )
    print(f"exact 8x8: {square.area_um2:,.0f} um2, {square.energy_fj:,.0f} fJ")
    print()
    print(
        "| operands | drop, points | corrected | multiplier | area, um2 | energy, fJ | element, "
        "um2 | element, fJ |"
    )
    print("|---|---:|---:|---|---:|---:|---:|---:|")
    for each, profile in zip(widths, profiles, strict=True):
        spec, report = best_exact(each, arguments.encoding, library, profile.operand_distribution())
        widest = widest or report
        element = synthesize_mac(
            MacSpec.make(spec, arguments.encoding), library, dot_products(profile), effort="best"
        )
        drops = [
            top1_pct - truth.measure(each, judging).top1_pct
            for truth, top1_pct in zip((plain, corrected), reference, strict=True)
        ]
        print(
            f"| {each.a}x{each.b} | {drops[0]:.2f} | {drops[1]:.2f} | `{spec}` "
            f"| {report.area_um2:,.0f} ({report.area_um2 / square.area_um2:.3f}, "
            f"{report.area_um2 / widest.area_um2:.3f}) "
            f"| {report.energy_fj:,.1f} ({report.energy_fj / square.energy_fj:.3f}, "
            f"{report.energy_fj / widest.energy_fj:.3f}) "
            f"| {element.area_um2:,.0f} | {element.energy_fj:,.0f} |",
            flush=True,
        )


def best_exact(
    widths: Widths, encoding: OperandEncoding, library: CellLibrary, operands: OperandDistribution
) -> tuple[MultiplierSpec, SynthesisReport]:
    """The exact multiplier whose area times energy is least, under operands of these or of fewer
    bits.
    """
    specs = [
        MultiplierSpec.make("exact", width=widths, signed=encoding.signed, swapped=False, **kind)
        for kind in KINDS
    ]
    operands = operands.on(widths, signed=encoding.signed)
    reports = [(spec, synthesize(spec, library, operands, effort="best")) for spec in specs]
    return min(reports, key=lambda found: found[1].area_um2 * found[1].energy_fj)


if __name__ == "__main__":
    main()
