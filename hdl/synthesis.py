"""What a multiplier costs in a cell library: technology mapping by Yosys and ABC, then area, delay and energy of the mapped netlist.

The recipes and the figures behind their choice are in docs/cost-model.md. Every design, exact or approximate, goes through the same
recipes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from . import yosys
from .cells import CellLibrary
from .component import rtlil
from .errors import InputError
from .liberty_writer import mapping_text
from .mapped import MappedNetlist
from .operands import OperandDistribution
from .power import operation_energy
from .spec import MultiplierSpec
from .timing import DEFAULT_INPUT_SLEW_PS, analyze

__all__ = ["EFFORTS", "MappedDesign", "SynthesisReport", "map_design", "synthesize"]

TOP = "multiplier"

# Carry chains of `+` ripple: the look-ahead adders that Yosys builds by default cost area, and ABC does not undo them.
_RIPPLE_CARRY = r"""
(* techmap_celltype = "$lcu" *)
module ripple_carry (P, G, CI, CO);
  parameter WIDTH = 1;
  input [WIDTH-1:0] P, G;
  input CI;
  output [WIDTH-1:0] CO;
  wire [WIDTH:0] carry = {G | (P & carry[WIDTH-1:0]), CI};
  assign CO = carry[WIDTH:1];
endmodule
"""

_TO_GATES = (
    "read_rtlil design.il",
    f"hierarchy -check -top {TOP}",
    "proc",
    "flatten -noscopeinfo",
    "opt",
    "techmap -map ripple.v -map +/techmap.v",
    "opt -fast",
    "setundef -zero -undriven",
    "opt_clean -purge",
    "design -save gates",
)


def _repeated_mapping(times: int, flows: int, area_passes: int) -> str:
    """ABC script: area-oriented mapping, again and again on the structure that the mapping before found."""
    step = f"dch,-f;amap,-F,{flows},-A,{area_passes};"
    return "strash;" + (step + "strash;drwsat;") * times + step


# Name -> ABC script.
_RECIPES: Mapping[str, str] = MappingProxyType(
    {
        "area": _repeated_mapping(2, 5, 10) + "topo",
        "area-long": _repeated_mapping(6, 20, 40) + "topo",
    }
)

EFFORTS: Mapping[str, tuple[str, ...]] = MappingProxyType({"fast": ("area",), "best": tuple(_RECIPES)})
"""Effort -> the recipes it tries; the smallest result is kept."""


@dataclass(frozen=True, eq=False)
class MappedDesign:
    """A mapped netlist and the recipe that made it."""

    netlist: MappedNetlist
    recipe: str


@dataclass(frozen=True)
class SynthesisReport:
    """What a multiplier costs. Energies are per operation.

    `energy_fj` counts glitches, `settled_energy_fj` is what a circuit without them uses. `energy_error_fj` is the standard error of
    `energy_fj` over `operations` simulated operations. `assumptions` says in words what the figures rest on.
    """

    area_um2: float
    delay_ps: float
    energy_fj: float
    leakage_nw: float
    energy_error_fj: float
    settled_energy_fj: float
    operations: int
    cells: int
    cell_library: str
    recipe: str
    yosys_version: str
    assumptions: str


def map_design(
    design: MultiplierSpec | str, library: CellLibrary, *, effort: str = "fast", subject: str = "", time_limit_s: float = 60.0
) -> MappedDesign:
    """Maps a multiplier, given as a spec or as RTLIL text with a top module `multiplier`, to the cells of a library.

    `subject` names a design given as text in messages. Raises InputError for an unknown effort, hdl.yosys.YosysError when mapping fails or
    takes longer than `time_limit_s`, MappedNetlistError when the design is not combinational.
    """
    if effort not in EFFORTS:
        raise InputError(f"unknown effort {effort!r}; use one of {', '.join(EFFORTS)}")
    text = design if isinstance(design, str) else rtlil(design, TOP)
    name = subject or (TOP if isinstance(design, str) else str(design))
    recipes = EFFORTS[effort]
    commands = list(_TO_GATES)
    for recipe in recipes:
        commands += [
            "design -load gates",
            f"abc -liberty cells.lib -script +{_RECIPES[recipe]}",
            "opt_clean -purge",
            f"write_json {recipe}.json",
        ]
    inputs = {"design.il": text, "cells.lib": _mapping_text(library), "ripple.v": _RIPPLE_CARRY}
    outputs = yosys.run(
        commands, inputs=inputs, outputs=[f"{recipe}.json" for recipe in recipes], time_limit_s=time_limit_s, subject=f"synthesis of {name}"
    )
    mapped = [MappedDesign(MappedNetlist.from_json(outputs[f"{recipe}.json"], library, TOP), recipe) for recipe in recipes]
    return min(mapped, key=lambda candidate: candidate.netlist.area_um2)


def synthesize(
    design: MultiplierSpec | str,
    library: CellLibrary,
    operands: OperandDistribution | None = None,
    *,
    effort: str = "fast",
    seed: int = 0,
    input_slew_ps: float = DEFAULT_INPUT_SLEW_PS,
    output_load_ff: float | None = None,
    relative_error: float = 0.01,
    subject: str = "",
    time_limit_s: float = 60.0,
) -> SynthesisReport:
    """Area, delay and energy of a multiplier, given as a spec or as RTLIL text with a top module `multiplier` and ports a, b, p.

    `operands` None means uniform ones. `output_load_ff` None means two inputs of the library's smallest inverter. Deterministic for a seed.
    Raises what `map_design` and `hdl.power.operation_energy` raise.
    """
    mapped = map_design(design, library, effort=effort, subject=subject, time_limit_s=time_limit_s)
    netlist = mapped.netlist
    load = library.default_output_load_ff if output_load_ff is None else output_load_ff
    timing = analyze(netlist, input_slew_ps=input_slew_ps, output_load_ff=load)
    operands = OperandDistribution.uniform(len(netlist.inputs["a"])) if operands is None else operands
    energy = operation_energy(netlist, timing, operands, seed=seed, relative_error=relative_error)
    return SynthesisReport(
        area_um2=netlist.area_um2,
        delay_ps=timing.delay_ps,
        energy_fj=energy.energy_fj,
        leakage_nw=energy.power.leakage_nw,
        energy_error_fj=energy.standard_error_fj,
        settled_energy_fj=energy.settled_fj,
        operations=energy.activity.operations,
        cells=len(netlist.instances),
        cell_library=library.name,
        recipe=mapped.recipe,
        yosys_version=yosys.version(),
        assumptions=(
            f"cells only, no wires; {library.voltage_v:g} V; input slew {input_slew_ps:g} ps; output load {load:.3g} fF a bit; "
            f"operands {operands.name}, one new pair an operation, consecutive pairs independent; inertial delays; effort {effort}"
        ),
    )


@functools.lru_cache(maxsize=4)
def _mapping_text(library: CellLibrary) -> str:
    return mapping_text(library)
