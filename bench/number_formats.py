"""Energy per operation of exact and logarithmic multipliers in each number format, under a
network's own operands.

    python -m bench.number_formats [--network NETWORK] [--liberty FILE ...]

Prints two Markdown tables a library, the one that ships first:

* Mitchell's multiplier against the exact Dadda tree, under uniform operands and under those of the
  network.
* Exact multipliers by number format: magnitudes with the signs beside them (the multiplier by
  itself; with the sign logic, from sign and magnitude to a two's complement product; with
  conversion, from two's complement operands), Baugh-Wooley, Booth. Each with the activation on port
  a and on port b, in an output-stationary and in a weight-stationary array.

Every design is synthesized with the best effort.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cnn_eval import zoo
from cnn_eval.prediction import NetworkProfile, dot_products
from hdl.cells import CellLibrary
from hdl.circuits import magnitude, with_sign
from hdl.cost import MappedDesign, map_design, operation_energy
from hdl.multipliers import MultiplierComponent, MultiplierSpec, SignLogic, component_rtlil
from hdl.operands import OUTPUT_STATIONARY, OperandDistribution, OperandEncoding, OperandOrder

EXACT = MultiplierSpec.parse("exact:tree=dadda")
WEIGHT_STATIONARY = OperandOrder.parse("weight-stationary")
WIDTH = 8


class Conversion(wiring.Component):
    """Two's complement in and out: magnitudes are made of the operands, multiplied, and the product
    gets its sign.
    """

    def __init__(self) -> None:
        super().__init__({"a": In(WIDTH), "b": In(WIDTH), "p": Out(2 * WIDTH)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = MultiplierComponent(EXACT)
        m.d.comb += [
            multiplier.a.eq(magnitude(m, self.a, "a_magnitude")),
            multiplier.b.eq(magnitude(m, self.b, "b_magnitude")),
        ]
        m.d.comb += self.p.eq(with_sign(m, multiplier.p, self.a[-1] ^ self.b[-1]))
        return m


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--network", default="resnet20", help="network of the zoo that the operands come from"
    )
    parser.add_argument(
        "--liberty",
        type=Path,
        action="append",
        default=[],
        help="a further cell library; may be repeated",
    )
    arguments = parser.parse_args()
    magnitudes = zoo.load_profile(arguments.network, OperandEncoding.SIGN_MAGNITUDE)
    complements = zoo.load_profile(arguments.network, OperandEncoding.TWOS_COMPLEMENT)
    for path in (None, *arguments.liberty):
        library = CellLibrary.load(path)
        print_mitchell(library, magnitudes)
        print()
        print_formats(library, magnitudes, complements)
        print()


def print_mitchell(library: CellLibrary, profile: NetworkProfile) -> None:
    columns = (OperandDistribution.uniform(WIDTH), profile.operand_distribution())
    print(
        f"| {library.name} | area um2 | delay ps | fJ, uniform | fJ, {profile.network} | fJ, "
        f"{profile.network}, {WEIGHT_STATIONARY} |"
    )
    print("|---|---|---|---|---|---|")
    for spec in (EXACT, MultiplierSpec.parse("mitchell")):
        mapped = map_design(spec, library, effort="best")
        energies = [energy_fj(mapped, operands, OUTPUT_STATIONARY) for operands in columns]
        energies.append(energy_fj(mapped, columns[-1], WEIGHT_STATIONARY))
        print(f"| `{spec}` | {_cost(mapped)} | " + " | ".join(energies) + " |")


def print_formats(
    library: CellLibrary, magnitudes: NetworkProfile, complements: NetworkProfile
) -> None:
    of_magnitudes, of_complements = (
        magnitudes.operand_distribution(),
        complements.operand_distribution(),
    )
    designs: list[tuple[str, MultiplierSpec | wiring.Component, OperandDistribution]] = [
        ("magnitudes, multiplier by itself", EXACT, of_magnitudes),
        ("magnitudes, Booth, by itself", MultiplierSpec.parse("exact:kind=booth"), of_magnitudes),
        (
            "sign and magnitude, with sign logic",
            SignLogic(EXACT),
            dot_products(magnitudes).operands,
        ),
        ("magnitudes made of two's complement", Conversion(), of_complements),
        (
            "two's complement, Baugh-Wooley",
            MultiplierSpec.parse("exact:tree=dadda,signed=1"),
            of_complements,
        ),
        (
            "two's complement, Booth",
            MultiplierSpec.parse("exact:kind=booth,signed=1"),
            of_complements,
        ),
    ]
    heads = (
        "area um2",
        "delay ps",
        "activation on a",
        "on b",
        f"{WEIGHT_STATIONARY}, on a",
        "on b",
    )
    print(f"| {library.name}, fJ under {magnitudes.network} | {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|")
    for title, design, operands in designs:
        circuit = (
            design if isinstance(design, MultiplierSpec) else component_rtlil(design, "multiplier")
        )
        mapped = map_design(circuit, library, effort="best", subject=title)
        energies = [
            energy_fj(one, operands, order)
            for order in (OUTPUT_STATIONARY, WEIGHT_STATIONARY)
            for one in (mapped, exchanged(mapped))
        ]
        print(f"| {title} | {_cost(mapped)} | " + " | ".join(energies) + " |")


def exchanged(mapped: MappedDesign) -> MappedDesign:
    """The same circuit with the operands on the other port."""
    ports = mapped.netlist.inputs
    return replace(
        mapped, netlist=replace(mapped.netlist, inputs={"a": ports["b"], "b": ports["a"]})
    )


def energy_fj(mapped: MappedDesign, operands: OperandDistribution, order: OperandOrder) -> str:
    return f"{operation_energy(mapped.netlist, mapped.timing, operands, order=order).energy_fj:.0f}"


def _cost(mapped: MappedDesign) -> str:
    return f"{mapped.netlist.area_um2:.0f} | {mapped.timing.delay_ps:.0f}"


if __name__ == "__main__":
    main()
