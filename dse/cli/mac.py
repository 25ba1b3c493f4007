"""`dse synth` and `dse export` with --mac or --array: the unit that an accelerator repeats, in
place of the bare multiplier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdl.errors import InputError

from ..api.formats import fitting_encoding, profiled_operands
from ..api.reading import Multiplier
from .console import print_json, print_rows, print_table, say

if TYPE_CHECKING:
    from cnn_eval.prediction import NetworkProfile
    from hdl.elements import ArrayReport, DotProducts, MacReport, MacSpec

    from ..evaluation.savings import Level, Report

__all__ = ["export_unit", "in_network", "operands_of", "print_savings", "synth_unit"]


def synth_unit(
    subject: Multiplier,
    *,
    array: str,
    accumulator_bits: int | None,
    pipelined: bool,
    liberty: Path | None,
    effort: str,
    network: str,
    encoding: str,
    zoo: Path | None,
    as_json: bool,
) -> None:
    """Prints the cost of an element, or of an array where one is named, beside that of the exact
    multiplier in its place.
    """
    from hdl.elements import MacSpec
    from hdl.multipliers import MultiplierSpec

    number_format = fitting_encoding(encoding, signed=subject.signed)
    spec = MacSpec.make(subject.design, number_format, accumulator_bits, pipelined=pipelined)
    profile, work = operands_of(spec, network, zoo)
    exact = replace(
        spec,
        multiplier=MultiplierSpec.make(
            "exact", width=spec.multiplier.widths, signed=spec.multiplier.signed
        ),
    )
    own, baseline = (_report(each, array, liberty, effort, work) for each in (spec, exact))
    title = f"{spec}{f', {array} array' if array else ''}"
    against = exact.multiplier.name
    print_savings(title, own, baseline, against, network, profile, as_json=as_json)


def in_network(
    subject: Multiplier, network: str, encoding: str, zoo: Path | None, *, quiet: bool = False
) -> Multiplier:
    """The multiplier as the network uses it (:meth:`dse.api.reading.Multiplier.in_network`); says
    so where operand bits are tied off.
    """
    used = subject.in_network(network, encoding=encoding, zoo=zoo)
    if used.name != subject.name and not quiet:
        widths = used.design.widths
        say(
            f"{subject.name}: operand bits that {network} leaves unused are tied off, {widths.a}x"
            f"{widths.b} are left"
        )
    return used


def operands_of(
    spec: MacSpec, network: str, folder: Path | None
) -> tuple[NetworkProfile | None, DotProducts | None]:
    """The profile of a network, looked for in `folder` before the zoo that ships, and its dot
    products as the element gets them; None of either without a network. Raises InputError where it
    multiplies operands of other widths.
    """
    from cnn_eval import zoo
    from cnn_eval.prediction import dot_products

    if not network:
        return None, None
    widths = spec.multiplier.widths
    there = profiled_operands(network, spec.encoding, spec.multiplier.signed, folder)
    if widths not in there:
        raise InputError(
            f"{spec.multiplier} multiplies operands of {widths} bits; {network} has operands of "
            f"{', '.join(map(str, there))}: take a multiplier that is as wide as one of them"
        )
    corrected = zoo.is_corrected(network, spec.encoding, folder=folder)
    profile = zoo.load_profile(network, spec.encoding, widths, corrected=corrected, folder=folder)
    return profile, dot_products(profile)


def print_savings(
    title: str,
    own: Report,
    baseline: Report,
    against: str,
    network: str,
    profile: NetworkProfile | None,
    *,
    as_json: bool,
) -> None:
    """Prints a cost, and what it saves `against` the exact multiplier of that name in the same
    place: at each level, and where a network is named for one image of it.
    """
    from cnn_eval.prediction import macs_per_image

    from ..evaluation.savings import levels

    compared = levels(own, baseline)
    macs = 0 if profile is None else macs_per_image(profile)
    if as_json:
        print_json(own.to_json() | {"exact": against} | _savings_json(compared, macs))
        return
    values = own.to_json()
    layers = values.pop("layers", [])
    print_table(f"{title}: cost", values)
    if layers:
        print_rows("layers", layers)
    _say_savings(compared, against, network, macs)


def _savings_json(compared: Sequence[Level], macs: int) -> dict[str, Any]:
    """What is saved at each level against the exact multiplier, and where a network is named the
    energy of one image.
    """
    savings = {
        level.name: {
            "area_um2_saving_pct": level.area_um2_saving_pct,
            "energy_fj_saving_pct": level.energy_fj_saving_pct,
        }
        for level in compared
    }
    inference = {
        level.name: {
            "macs": macs,
            "energy_nj": level.image_energy_nj(macs),
            "exact_energy_nj": level.exact_image_energy_nj(macs),
        }
        for level in compared
    }
    return {"savings": savings} | ({"inference": inference} if macs else {})


def _say_savings(compared: Sequence[Level], exact: str, network: str, macs: int) -> None:
    """The same in lines."""
    say(f"saved against {exact}, %")
    for level in compared:
        say(
            f"  {level.name:<10}  area_um2 {level.area_um2_saving_pct:6.1f}  energy_fj "
            f"{level.energy_fj_saving_pct:6.1f}"
        )
    if macs:
        say(f"energy of one image through {network}, {macs:,} multiply-accumulates, nJ")
        for level in compared:
            say(
                f"  {level.name:<10}  {level.image_energy_nj(macs):10.1f}  exact "
                f"{level.exact_image_energy_nj(macs):10.1f}"
            )


def export_unit(
    subject: Multiplier,
    output: Path,
    *,
    array: str,
    accumulator_bits: int | None,
    pipelined: bool,
    encoding: str,
) -> list[Path]:
    """Writes the project of an element, or of an array where one is named; returns the paths of its
    files.
    """
    from hdl.elements import Element, MacSpec, parse_sides
    from hdl.export import export_array, export_mac

    spec = MacSpec.make(
        subject.design,
        fitting_encoding(encoding, signed=subject.signed),
        accumulator_bits,
        pipelined=pipelined,
    )
    if array:
        return export_array(Element.of_mac(spec), *parse_sides(array), output)
    return export_mac(spec, output)


def _report(
    spec: MacSpec, array: str, liberty: Path | None, effort: str, work: DotProducts | None
) -> MacReport | ArrayReport:
    from hdl.cells import CellLibrary
    from hdl.elements import parse_sides, synthesize_array, synthesize_mac

    library = CellLibrary.load(liberty)
    if array:
        return synthesize_array(spec, *parse_sides(array), library, work, effort=effort)
    return synthesize_mac(spec, library, work, effort=effort)
