"""What an accelerator's element costs by its form, and where its savings come from.

    python -m bench.elements [--network resnet20] [--effort best] [--lanes 8] [SPEC ...]
    python -m bench.elements --ablation [--network resnet18] [--width 4x2] [--made SPEC ...]
    python -m bench.elements --array 8x8 [--array 16x16 ...] [--network resnet18]
    python -m bench.elements --zeros [--network resnet18] [SPEC ...]

The first prints, for exact multipliers, elements of several forms beside the `mac`. --ablation goes
from the exact 8x7 `mac` step by step to fewer bits, to a dot element, to registers that hold for
zeros or keep their weights, and to approximate multipliers; each as a ratio to the first, with the
predicted loss of accuracy. Areas and energies are of one multiply-accumulate. --array runs the
network in arrays of some of these elements. --zeros prints how often activations are zero, and
are so after one that is, at the widths of the multipliers.
"""

from __future__ import annotations

import argparse
import functools

import dse
from bench.markdown_cell import cell
from cnn_eval import zoo
from cnn_eval.prediction import dot_products, layer_shapes
from hdl.cells import CellLibrary
from hdl.elements import (
    Element,
    ElementReport,
    InferenceReport,
    array_inference,
    parse_sides,
    synthesize_element,
)
from hdl.multipliers import Multiplier, parse_multiplier
from hdl.operands import OperandEncoding

EXACT = ("exact:width=8x7", "exact:width=5x3", "exact:width=5x4,signed=1")
APPROXIMATE = ("bam:h=0,v=1,width=5x3", "udm:width=5x3")
#: Multipliers and forms that networks are put into arrays with.
IN_ARRAYS = (
    ("exact:width=8x7", "mac"),
    ("exact:width=8x7", "mac:stationary=weight"),
    ("exact:width=8x7", "dot:lanes=8,stationary=weight"),
    ("exact:width=5x3", "mac"),
    ("exact:width=5x3", "dot:lanes=8"),
    ("exact:width=5x3", "dot:lanes=8,gate=zero"),
    ("exact:width=5x3", "dot:lanes=8,stationary=weight"),
    ("exact:width=5x3", "dot:lanes=8,gate=zero,stationary=weight"),
    ("udm:width=5x3", "dot:lanes=8,stationary=weight"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("specs", nargs="*", default=EXACT, metavar="SPEC")
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--width", default="5x3", help="the fewer bits of --ablation")
    parser.add_argument("--made", nargs="*", default=APPROXIMATE, metavar="SPEC")
    parser.add_argument("--array", action="append", default=[], metavar="ROWSxCOLUMNS")
    parser.add_argument("--zeros", action="store_true")
    arguments = parser.parse_args()
    if arguments.zeros:
        print_zeros(arguments.specs, arguments.network)
    elif arguments.array:
        for sides in arguments.array:
            print_arrays(arguments.network, arguments.effort, sides)
    elif arguments.ablation:
        print_ablation(
            arguments.network, arguments.effort, arguments.lanes, arguments.width, arguments.made
        )
    else:
        print_forms(arguments.specs, arguments.network, arguments.effort, arguments.lanes)


@functools.cache
def report_of(multiplier: Multiplier, form: str, network: str, effort: str) -> ElementReport:
    """The cost of an element under the network's operands, its sum wide enough for them."""
    encoding = OperandEncoding.fitting(signed=multiplier.signed)
    corrected = zoo.is_corrected(network, encoding)
    profile = zoo.load_profile(network, encoding, multiplier.widths, corrected=corrected)
    work = dot_products(profile)
    element = Element.make(form, multiplier, encoding, terms=int(work.terms.max()))
    return synthesize_element(element, CellLibrary.load(), work, effort=effort)


@functools.cache
def inference_of(
    multiplier: Multiplier, form: str, network: str, effort: str, sides: str
) -> InferenceReport:
    """The cost of the network in an array of such elements."""
    encoding = OperandEncoding.fitting(signed=multiplier.signed)
    corrected = zoo.is_corrected(network, encoding)
    profile = zoo.load_profile(network, encoding, multiplier.widths, corrected=corrected)
    work = dot_products(profile)
    return array_inference(
        Element.make(form, multiplier, encoding, terms=int(work.terms.max())),
        *parse_sides(sides),
        CellLibrary.load(),
        work,
        layer_shapes(profile),
        effort=effort,
    )


def print_zeros(specs: list[str], network: str) -> None:
    """Probability that an activation is zero, and that it is so after one that is: means over the
    multiply-accumulates, and the least and the largest of a layer.
    """
    print("| multiplier | zeros | after a zero, along terms | after a zero, along pixels |")
    print("|---|" + "---:|" * 3)
    for text in specs:
        multiplier = parse_multiplier(text)
        encoding = OperandEncoding.fitting(signed=multiplier.signed)
        corrected = zoo.is_corrected(network, encoding)
        work = dot_products(
            zoo.load_profile(network, encoding, multiplier.widths, corrected=corrected)
        )
        assert work.zero_after_zero is not None
        columns = [
            f"{work.operands.weights @ shares:.2f} ({shares.min():.2f} to {shares.max():.2f})"
            for shares in (work.operands.a[:, 0], *work.zero_after_zero)
        ]
        print(f"| {cell(text)} | {' | '.join(columns)} |", flush=True)


def forms(lanes: int) -> list[str]:
    """A `mac`, a `dot` of so many lanes, and their options one by one."""
    dot = f"dot:lanes={lanes}"
    return [
        "mac",
        "mac:gate=zero",
        "mac:adder=prefix",
        "mac:adder=carry_save",
        dot,
        f"{dot},gate=zero",
        f"{dot},adder=prefix",
        f"{dot},adder=carry_save",
        f"{dot},pipeline=1",
        f"{dot},stationary=weight",
        f"{dot},stationary=weight,gate=zero",
        f"{dot},rows=dots",
        f"{dot},rows=products",
    ]


def print_forms(specs: list[str], network: str, effort: str, lanes: int) -> None:
    """Area and energy of each form, and its ratio to the `mac` of the same multiplier."""
    print(
        "| multiplier | element | sum bits | area um2 | of mac | energy fJ (logic, registers, "
        "clock gates) | of mac | least period ps | TOPS/mm2 | TOPS/W |"
    )
    print("|---|---|" + "---:|" * 8)
    for text in specs:
        multiplier = parse_multiplier(text)
        base = report_of(multiplier, "mac", network, effort)
        for form in forms(lanes):
            one = report_of(multiplier, form, network, effort)
            parts = one.logic_energy_fj, one.register_energy_fj, one.gating_energy_fj
            print(
                f"| {cell(text)} | `{form}` | {one.sum_bits} | {one.area_per_lane_um2:,.0f} | "
                f"{one.area_per_lane_um2 / base.area_per_lane_um2:.3f} | {one.energy_fj:,.0f} "
                f"({', '.join(f'{part:,.0f}' for part in parts)}) | "
                f"{one.energy_fj / base.energy_fj:.3f} | {one.period_ps:,.0f} | "
                f"{one.tops_per_mm2:.3f} | {one.tops_per_w:.2f} |",
                flush=True,
            )


def print_ablation(network: str, effort: str, lanes: int, width: str, made: list[str]) -> None:
    """From the exact 8x7 `mac` step by step: ratios of area and energy, predicted drop."""
    dot, narrow = f"dot:lanes={lanes}", f"exact:width={width}"
    stays = f"{dot},stationary=weight"
    steps = [
        ("", "exact:width=8x7", "mac"),
        ("fewer bits", narrow, "mac"),
        ("one tree", narrow, dot),
        ("hold for zeros", narrow, f"{dot},gate=zero"),
        ("or: weights stay", narrow, stays),
        ("without one tree", narrow, "mac:stationary=weight"),
        ("without fewer bits", "exact:width=8x7", stays),
        *(("approximate", text, stays) for text in made),
    ]
    base = report_of(parse_multiplier(steps[0][1]), steps[0][2], network, effort)
    print("| step | multiplier | element | area um2 | ratio | energy fJ | ratio | predicted drop |")
    print("|---|---|---|" + "---:|" * 5)
    for step, text, form in steps:
        multiplier = parse_multiplier(text)
        one = report_of(multiplier, form, network, effort)
        drop = dse.predict(text, network=network).drop_pp
        print(
            f"| {step} | {cell(str(multiplier))} | `{form}` | {one.area_per_lane_um2:,.0f} | "
            f"{one.area_per_lane_um2 / base.area_per_lane_um2:.3f} | {one.energy_fj:,.0f} | "
            f"{one.energy_fj / base.energy_fj:.3f} | {drop:.2f} |",
            flush=True,
        )


def print_arrays(network: str, effort: str, sides: str) -> None:
    """Area, time and energy of an image in arrays of a size; what a multiply-accumulate of an image
    takes of both, relative to the first; predicted drop.
    """
    print(
        f"| {network}, {sides} of | multiplier | mm2 | cycles | used % | us an image | uJ an image "
        "(adding, waiting, skew) | area of a MAC, ratio | fJ a MAC | ratio | predicted drop |"
    )
    print("|---|---|" + "---:|" * 9)
    base = inference_of(parse_multiplier(IN_ARRAYS[0][0]), IN_ARRAYS[0][1], network, effort, sides)
    for text, form in IN_ARRAYS:
        one = inference_of(parse_multiplier(text), form, network, effort, sides)
        parts = [
            1e-3 * sum(getattr(layer, part) for layer in one.layers)
            for part in ("adding_nj", "waiting_nj", "edge_nj")
        ]
        drop = dse.predict(text, network=network).drop_pp
        print(
            f"| `{form}` | {cell(text)} | {1e-6 * one.area_um2:.3f} | {one.cycles:,} | "
            f"{100 * one.utilization:.0f} | {one.latency_us:,.0f} | "
            f"{1e-3 * one.image_energy_nj:,.1f} ({', '.join(f'{part:,.1f}' for part in parts)}) | "
            f"{one.mac_area_um2 / base.mac_area_um2:.3f} | {one.energy_fj:,.0f} | "
            f"{one.energy_fj / base.energy_fj:.3f} | {drop:.2f} |",
            flush=True,
        )
    print()


if __name__ == "__main__":
    main()
