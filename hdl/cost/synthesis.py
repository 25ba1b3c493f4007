"""What a multiplier costs in a cell library: technology mapping by Yosys and ABC, then area, delay
and energy of the mapped netlist.

The recipes and the figures behind their choice are in docs/cost-model.md. Every design, exact or
approximate, goes through the same recipes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .. import yosys
from ..cells.liberty_writer import mapping_text
from ..cells.library import CellLibrary
from ..errors import InputError
from ..multipliers.multiplier import Multiplier
from ..operands import OUTPUT_STATIONARY, OperandDistribution, OperandOrder
from .adder_placement import FIND_ADDERS, FIND_FULL_ADDERS, adder_cells, placed_verilog
from .mapped_netlist import MappedNetlist
from .power import operation_energy
from .timing import DEFAULT_INPUT_SLEW_PS, PathStep, Timing, analyze

__all__ = [
    "COST_VERSION",
    "EFFORTS",
    "MappedDesign",
    "SynthesisReport",
    "map_design",
    "map_with_every_recipe",
    "synthesize",
]

#: Of area, delay and energy as this room finds them; raised where the same circuit and cell library
#: may come to other figures.
COST_VERSION = 1

TOP = "multiplier"
MAX_DELAY_TARGET_PS = 1_000_000

# Carry chains of `+` ripple: the look-ahead adders that Yosys builds by default cost area, and ABC
# does not undo them.
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
    """ABC script: area-oriented mapping, again and again on the structure that the mapping before
    found.
    """
    step = f"dch,-f;amap,-F,{flows},-A,{area_passes};"
    return "strash;" + (step + "strash;drwsat;") * times + step


@dataclass(frozen=True)
class _Recipe:
    """An ABC script, and the Yosys commands that find the adders to place as cells first (none: ABC
    gets everything).
    """

    script: str
    find_adders: tuple[str, ...] = ()


_AREA = _repeated_mapping(2, 5, 10) + "topo"
_AREA_LONG = _repeated_mapping(6, 20, 40) + "topo"
_FLOW = "strash;&get,-n;&nf,-R,10,-F,10;&put;topo"
_SIZED = "dch;map,-B,0.9,-D,{target};topo;buffer,-c;topo;upsize,-D,{target};dnsize,-D,{target}"

_RECIPES: Mapping[str, _Recipe] = MappingProxyType(
    {
        "area": _Recipe(_AREA),
        "adders-area": _Recipe(_AREA, FIND_FULL_ADDERS),
        "adders-flow": _Recipe(_FLOW, FIND_FULL_ADDERS),
        "area-long": _Recipe(_AREA_LONG),
        "adders-long": _Recipe(_AREA_LONG, FIND_FULL_ADDERS),
        "all-adders-flow": _Recipe(_FLOW, FIND_ADDERS),
        "all-adders-area": _Recipe(_AREA, FIND_ADDERS),
        "speed": _Recipe("strash;" + _SIZED),
        "speed-balanced": _Recipe("strash;dch;if,-g;strash;dch;if,-g;strash;" + _SIZED),
        "speed-most": _Recipe("strash;if,-g,-K,6;strash;" + _SIZED),
    }
)
_SPEED_RECIPES = ("speed", "speed-balanced", "speed-most")

EFFORTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "fast": ("area", "adders-area", "adders-flow"),
        "best": tuple(recipe for recipe in _RECIPES if recipe not in _SPEED_RECIPES),
    }
)
"""Effort -> the recipes it tries; the smallest result is kept."""


@dataclass(frozen=True, eq=False)
class MappedDesign:
    """A mapped netlist, its timing, and the recipe that made it."""

    netlist: MappedNetlist
    timing: Timing
    recipe: str


@dataclass(frozen=True)
class SynthesisReport:
    """What a multiplier costs. Energies are per operation.

    `energy_fj` counts glitches, `settled_energy_fj` is what a circuit without them uses.
    `energy_error_fj` is the standard error of `energy_fj` over `operations` simulated operations.
    `assumptions` says in words what the figures rest on. `critical_path` leads from an input to the
    output that settles last.
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
    critical_path: tuple[PathStep, ...]

    def to_json(self) -> dict[str, Any]:
        """The figures as an object for `json.dump`, keys being the names above; without the
        critical path.
        """
        return {name: value for name, value in vars(self).items() if name != "critical_path"}


def map_design(
    design: Multiplier | str,
    library: CellLibrary,
    *,
    effort: str = "fast",
    delay_target_ps: float | None = None,
    input_slew_ps: float = DEFAULT_INPUT_SLEW_PS,
    output_load_ff: float | None = None,
    subject: str = "",
    time_limit_s: float = 60.0,
) -> MappedDesign:
    """Maps a multiplier, given itself or as RTLIL text with a top module `multiplier`, to the cells
    of a library.

    The smallest result of the effort's recipes is kept. With a delay target, the recipes for speed
    are tried as well, and the smallest result that meets the target is kept, or the fastest where
    none does. `subject` names a design given as text in messages. Raises InputError for an unknown
    effort or a target out of range, hdl.yosys.YosysError when mapping fails or takes longer than
    `time_limit_s`, MappedNetlistError when the design is not combinational.
    """
    if effort not in EFFORTS:
        raise InputError(f"unknown effort {effort!r}; use one of {', '.join(EFFORTS)}")
    if delay_target_ps is not None and not 1 <= delay_target_ps <= MAX_DELAY_TARGET_PS:
        raise InputError(
            f"delay target {delay_target_ps:g} ps is outside 1..{MAX_DELAY_TARGET_PS}; give a "
            "target in ps"
        )
    recipes = EFFORTS[effort] if delay_target_ps is None else (*EFFORTS[effort], *_SPEED_RECIPES)
    target_ps = 1 if delay_target_ps is None else round(delay_target_ps)
    candidates = list(
        _candidates(
            design,
            library,
            recipes,
            target_ps,
            input_slew_ps,
            output_load_ff,
            subject,
            time_limit_s,
        ).values()
    )
    if delay_target_ps is not None:
        fastest = min(candidate.timing.delay_ps for candidate in candidates)
        limit = max(delay_target_ps, fastest)
        candidates = [candidate for candidate in candidates if candidate.timing.delay_ps <= limit]
    return _smallest(candidates)


def _smallest(candidates: list[MappedDesign]) -> MappedDesign:
    return min(
        candidates, key=lambda candidate: (candidate.netlist.area_um2, candidate.timing.delay_ps)
    )


def map_with_every_recipe(
    design: Multiplier | str, library: CellLibrary, *, time_limit_s: float = 60.0
) -> dict[str, MappedDesign]:
    """What each recipe makes of a design, the recipes for speed going for the least delay; for
    comparing recipes.
    """
    return _candidates(
        design, library, tuple(_RECIPES), 1, DEFAULT_INPUT_SLEW_PS, None, "", time_limit_s
    )


def _candidates(
    design: Multiplier | str,
    library: CellLibrary,
    recipes: Sequence[str],
    target_ps: int,
    input_slew_ps: float,
    output_load_ff: float | None,
    subject: str,
    time_limit_s: float,
) -> dict[str, MappedDesign]:
    text = design if isinstance(design, str) else design.rtlil()
    name = subject or (TOP if isinstance(design, str) else str(design))
    candidates = {}
    for recipe, netlist_text in _mapped(
        text, library, recipes, target_ps, f"synthesis of {name}", time_limit_s
    ).items():
        netlist = MappedNetlist.from_json(netlist_text, library, TOP)
        timing = analyze(netlist, input_slew_ps=input_slew_ps, output_load_ff=output_load_ff)
        candidates[recipe] = MappedDesign(netlist, timing, recipe)
    return candidates


def _mapped(
    text: str,
    library: CellLibrary,
    recipes: Sequence[str],
    target_ps: int,
    subject: str,
    time_limit_s: float,
) -> dict[str, str]:
    """Yosys JSON of the netlist by each recipe; recipes that place adders are left out where there
    are none.
    """
    cells = adder_cells(library)
    plain = [recipe for recipe in recipes if not _RECIPES[recipe].find_adders]
    placing = {
        recipe: _RECIPES[recipe].find_adders
        for recipe in recipes
        if _RECIPES[recipe].find_adders and cells is not None
    }
    finds = {
        find: f"found{number}.json" for number, find in enumerate(dict.fromkeys(placing.values()))
    }
    mapping = _mapping_text(library)

    commands = list(_TO_GATES)
    for recipe in plain:
        commands += ["design -load gates", *_map_commands(recipe, target_ps)]
    for find, file in finds.items():
        commands += ["design -load gates", *find, f"write_json {file}"]
    # Only the recipes that size cells look at the load; 2 inverters stand for whatever load the
    # caller times with.
    load = f"set_load {library.default_output_load_ff:.4f}\n"
    inputs = {
        "design.il": text,
        "cells.lib": mapping,
        "ripple.v": _RIPPLE_CARRY,
        "load.constr": load,
    }
    outputs = [*(f"{recipe}.json" for recipe in plain), *finds.values()]
    results = yosys.run(
        commands, inputs=inputs, outputs=outputs, time_limit_s=time_limit_s, subject=subject
    )

    netlists = {recipe: results[f"{recipe}.json"] for recipe in plain}
    if cells is None:
        return netlists
    placed = {find: placed_verilog(results[file], TOP, cells) for find, file in finds.items()}
    inputs = {"cells.lib": mapping}
    commands = []
    for recipe, find in placing.items():
        verilog = placed[find]
        if verilog is not None:
            inputs[f"{recipe}.v"] = verilog
            commands += [
                "design -reset",
                f"read_verilog -nodpi {recipe}.v",
                "simplemap",
                *_map_commands(recipe, target_ps),
            ]
            netlists[recipe] = ""
    if commands:
        outputs = [f"{recipe}.json" for recipe in placing if recipe in netlists]
        results = yosys.run(
            commands, inputs=inputs, outputs=outputs, time_limit_s=time_limit_s, subject=subject
        )
        netlists |= {recipe: results[f"{recipe}.json"] for recipe in placing if recipe in netlists}
    return netlists


def _map_commands(recipe: str, target_ps: int) -> list[str]:
    script = _RECIPES[recipe].script.format(target=target_ps)
    constraints = " -constr load.constr" if recipe in _SPEED_RECIPES else ""
    return [
        f"abc -liberty cells.lib{constraints} -script +{script}",
        "opt_clean -purge",
        f"write_json {recipe}.json",
    ]


def synthesize(
    design: Multiplier | str,
    library: CellLibrary,
    operands: OperandDistribution | None = None,
    *,
    effort: str = "fast",
    delay_target_ps: float | None = None,
    order: OperandOrder = OUTPUT_STATIONARY,
    seed: int = 0,
    input_slew_ps: float = DEFAULT_INPUT_SLEW_PS,
    output_load_ff: float | None = None,
    relative_error: float = 0.01,
    subject: str = "",
    time_limit_s: float = 60.0,
) -> SynthesisReport:
    """Area, delay and energy of a multiplier, given itself or as RTLIL text with a top module
    `multiplier` and ports a, b, p.

    `operands` None means uniform ones, `order` says how they follow each other. `output_load_ff`
    None means two inputs of the library's smallest inverter. Deterministic for a seed. Raises what
    `map_design` and `hdl.cost.operation_energy` raise.
    """
    load = library.default_output_load_ff if output_load_ff is None else output_load_ff
    mapped = map_design(
        design,
        library,
        effort=effort,
        delay_target_ps=delay_target_ps,
        input_slew_ps=input_slew_ps,
        output_load_ff=load,
        subject=subject,
        time_limit_s=time_limit_s,
    )
    netlist, timing = mapped.netlist, mapped.timing
    operands = (
        OperandDistribution.uniform((len(netlist.inputs["a"]), len(netlist.inputs["b"])))
        if operands is None
        else operands
    )
    energy = operation_energy(
        netlist, timing, operands, order=order, seed=seed, relative_error=relative_error
    )
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
            "cells only, no "
            f"wires{'' if library.has_internal_power else ', no energy inside cells'}; "
            f"{library.voltage_v:g} V; input slew {input_slew_ps:g} ps; output load {load:.3g} fF "
            f"a bit; operands {operands.name}, {order}, consecutive values independent; inertial "
            "delays; effort "
            f"{effort}{'' if delay_target_ps is None else f', delay target {delay_target_ps:g} ps'}"
        ),
        critical_path=timing.critical_path,
    )


@functools.lru_cache(maxsize=4)
def _mapping_text(library: CellLibrary) -> str:
    return mapping_text(library)
