"""What an element costs in a cell library: area, least clock period, energy per multiply-accumulate
under a network's operands, and what that is in operations per area and energy.

As for processing elements (`synthesis.py`), the logic between the registers is mapped as a whole,
and every register bit is the library's smallest flip-flop. Registers that hold have a clock gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..cells.library import CellLibrary
from ..cost.mapped_netlist import MappedNetlist
from ..cost.synthesis import SynthesisReport, map_design, synthesize
from ..cost.timing import DEFAULT_INPUT_SLEW_PS, Timing, analyze
from ..errors import InputError
from .cycles import WEIGHT_STAYS, DotProducts, ElementCycles
from .datapath import element_rtlil
from .element import Element
from .register_cost import (
    clock_gate_area_um2,
    clock_gate_leakage_nw,
    register_leakage_nw,
    setup_ps,
)
from .register_groups import group_energy_fj, register_groups
from .simulation import simulate_cycles, standard_error_fj

__all__ = ["ElementReport", "synthesize_element"]

MAPPING_TIME_LIMIT_S = 300.0


@dataclass(frozen=True)
class ElementReport:
    """What an element costs. Energies are per multiply-accumulate.

    Attributes:
        area_um2: `logic_area_um2`, `register_area_um2` and `gating_area_um2` (clock gates).
        area_per_lane_um2: of one multiply-accumulate a cycle.
        period_ps: the least clock period: from a clock edge through a register, the logic and the
            setup of the next register.
        clock_ps: the period that the following three are for.
        tops: tera-operations per second, a multiply-accumulate being two, of the products that the
            layers have: `utilization` of what the lanes could do.
        tops_per_mm2, tops_per_w: leakage included.
        energy_fj: `logic_energy_fj`, `register_energy_fj` and `gating_energy_fj`.
        energy_error_fj: standard error over `operations` cycles.
        idle_fj: energy of a cycle in which nothing moves but the clock.
        passing_fj: of a cycle in which nothing is added, and a sum from above takes the place of
            the one before.
        loading_fj: of a cycle in which a weight-stationary element takes new weights; else 0.
        zero_share: share of the products with an operand that is zero.
        safe_terms: sums of up to so many products cannot overflow.
        merged: whether partial products, not products, meet in the compressor tree.
        multiplier: the bare multiplier under the same operands.
    """

    area_um2: float
    logic_area_um2: float
    register_area_um2: float
    gating_area_um2: float
    area_per_lane_um2: float
    period_ps: float
    clock_ps: float
    tops: float
    tops_per_mm2: float
    tops_per_w: float
    utilization: float
    energy_fj: float
    logic_energy_fj: float
    register_energy_fj: float
    gating_energy_fj: float
    energy_error_fj: float
    idle_fj: float
    passing_fj: float
    loading_fj: float
    zero_share: float
    leakage_nw: float
    operations: int
    lanes: int
    sum_bits: int
    safe_terms: int
    merged: bool
    cells: int
    registers: int
    clock_gates: int
    cell_library: str
    recipe: str
    yosys_version: str
    assumptions: str
    multiplier: SynthesisReport

    def to_json(self) -> dict[str, Any]:
        """The figures as an object for `json.dump`, keys being the names above; of the bare
        multiplier, area, delay and energy.
        """
        values = {name: value for name, value in vars(self).items() if name != "multiplier"}
        return values | {
            "multiplier_area_um2": self.multiplier.area_um2,
            "multiplier_delay_ps": self.multiplier.delay_ps,
            "multiplier_energy_fj": self.multiplier.energy_fj,
        }


def synthesize_element(
    element: Element,
    library: CellLibrary,
    work: DotProducts | None = None,
    *,
    chained: bool = False,
    clock_ps: float | None = None,
    effort: str = "fast",
    seed: int = 0,
    relative_error: float = 0.01,
    clock_slew_ps: float = DEFAULT_INPUT_SLEW_PS,
) -> ElementReport:
    """Area, least clock period and energy of an element; `chained` for one of an array.

    `work` None means uniform operands and sums of 256 terms; `clock_ps` None the least period.
    Where that is longer than `clock_ps`, the logic is mapped again for speed. Raises what
    `hdl.cost.synthesize` raises, LibertyError where the library has no flip-flop, and InputError
    for a clock that is faster than the element can be.
    """
    work = DotProducts.uniform(element.lane) if work is None else work
    multiplier = synthesize(
        element.multiplier,
        library,
        work.of_multiplier(element.lane),
        effort=effort,
        seed=seed,
        relative_error=relative_error,
        subject=str(element),
    )
    mapped = _Mapped.of(element, library, effort, None, clock_slew_ps, chained)
    if clock_ps is not None and clock_ps < mapped.period_ps:
        target_ps = clock_ps - (mapped.period_ps - mapped.logic_ps)
        if target_ps >= 1:
            mapped = _Mapped.of(element, library, effort, target_ps, clock_slew_ps, chained)
        if clock_ps < mapped.period_ps:
            raise InputError(
                f"{element}: a clock of {clock_ps:g} ps is faster than its least period; give "
                f"--clock {np.ceil(mapped.period_ps):.0f} or more, pipeline=1 or adder=prefix"
            )
    cycles = ElementCycles(element, work, chained=chained)
    netlist, timing = mapped.netlist, mapped.timing
    activity, power = simulate_cycles(netlist, timing, cycles, seed, relative_error)

    registers = gating_fj = idle_fj = passing_fj = loading_fj = 0.0
    count = gates = 0
    for group in register_groups(element, netlist, activity, chained=chained):
        ones = activity.probabilities[group.held]
        energy_fj = partial(
            group_energy_fj,
            library,
            ones,
            timing.load_ff[group.held],
            float(timing.slew_ps[group.following].mean()),
            clock_slew_ps,
            group.gated,
        )
        clocks_fj, gate_fj = energy_fj(
            activity.toggle_rates[group.held] * group.moving,
            activity.toggle_rates[group.following] * group.moving,
            group.open_share,
            group.enable_toggles,
        )
        registers += clocks_fj
        gating_fj += gate_fj
        count += len(group.held)
        gates += group.gated
        still = np.zeros(len(ones))
        shut_fj = sum(energy_fj(still, still, 0.0 if group.gated else 1.0, 0.0))
        # One value after another that has nothing to do with it.
        anew = 2 * ones * (1 - ones)
        taken_fj = sum(energy_fj(anew, anew, 1.0, 0.0))
        idle_fj += shut_fj
        passing_fj += taken_fj if group.kind == "sum" else shut_fj
        loading_fj += taken_fj if group.kind == "weight" else shut_fj
    per_product = cycles.cycles_per_product
    register_area = count * library.flip_flop.area_um2
    gating_area = gates * clock_gate_area_um2(library) if gates else 0.0
    area = netlist.area_um2 + register_area + gating_area
    leakage = power.leakage_nw + count * register_leakage_nw(library.flip_flop)
    leakage += gates * clock_gate_leakage_nw(library) if gates else 0.0
    cycle_fj = power.energy_fj + registers + gating_fj
    clock = mapped.period_ps if clock_ps is None else clock_ps
    tops = 2 / (per_product * clock)
    watts = 1e-3 * cycle_fj / clock + 1e-9 * leakage
    return ElementReport(
        area_um2=area,
        logic_area_um2=netlist.area_um2,
        register_area_um2=register_area,
        gating_area_um2=gating_area,
        area_per_lane_um2=area / element.lanes,
        period_ps=mapped.period_ps,
        clock_ps=clock,
        tops=tops,
        tops_per_mm2=tops / (1e-6 * area),
        tops_per_w=tops / watts,
        utilization=1 / (per_product * element.lanes),
        energy_fj=cycle_fj * per_product,
        logic_energy_fj=power.energy_fj * per_product,
        register_energy_fj=registers * per_product,
        gating_energy_fj=gating_fj * per_product,
        energy_error_fj=standard_error_fj(activity, power) * per_product,
        idle_fj=idle_fj,
        passing_fj=passing_fj,
        loading_fj=loading_fj if element.form.keeps_weights else 0.0,
        zero_share=_zero_share(element, work),
        leakage_nw=leakage,
        operations=activity.operations,
        lanes=element.lanes,
        sum_bits=element.sum_bits,
        safe_terms=element.safe_terms,
        merged=element.merged,
        cells=len(netlist.instances) + count + 2 * gates,
        registers=count,
        clock_gates=gates,
        cell_library=library.name,
        recipe=mapped.recipe,
        yosys_version=multiplier.yosys_version,
        assumptions=_assumptions(element, library, work, effort, clock_slew_ps),
        multiplier=multiplier,
    )


def _assumptions(
    element: Element, library: CellLibrary, work: DotProducts, effort: str, clock_slew_ps: float
) -> str:
    carry = (
        "; the two words share a sum at random, and the adder of both is not part of the element"
    )
    gates = "; a clock gate is a flip-flop and an AND gate, its enable in time at the next edge"
    stays = f"; a weight stays for {WEIGHT_STAYS} cycles"
    sequence = "consecutive ones and those of different lanes independent"
    if work.zero_after_zero is not None:
        sequence += ", but for zeros of consecutive activations, as often as in the layer along "
        sequence += "pixels" if element.form.keeps_weights else "terms"
    longest = int(work.terms.max())
    wraps = f"; sums of {longest} products may wrap" if longest > element.safe_terms else ""
    return (
        f"cells only, no wires, no clock tree beyond the clock pins; {library.voltage_v:g} V; "
        f"clock slew {clock_slew_ps:g} ps; load {library.default_output_load_ff:.3g} fF beside the "
        f"element on every register; operands {work.operands.name}, new ones every cycle, "
        f"{sequence}; register outputs change at once; inertial delays; effort {effort}"
        f"{carry if len(element.words) > 1 else ''}"
        f"{gates if element.form.gated or element.form.keeps_weights else ''}"
        f"{stays if element.form.keeps_weights else ''}"
        f"{wraps}"
    )


def _zero_share(element: Element, work: DotProducts) -> float:
    counts = [
        np.arange(table.shape[1]) & (1 << width) - 1 != 0
        for table, width in zip(
            (work.operands.a, work.operands.b), element.multiplier.widths, strict=True
        )
    ]
    both = (work.operands.a @ counts[0]) * (work.operands.b @ counts[1])
    return float(1 - work.operands.weights @ both)


@dataclass(frozen=True, eq=False)
class _Mapped:
    """The logic of an element in cells, with its timing from register to register."""

    netlist: MappedNetlist
    timing: Timing
    recipe: str
    logic_ps: float
    period_ps: float

    @classmethod
    def of(
        cls,
        element: Element,
        library: CellLibrary,
        effort: str,
        delay_target_ps: float | None,
        clock_slew_ps: float,
        chained: bool,
    ) -> _Mapped:
        mapped = map_design(
            element_rtlil(element, chained=chained),
            library,
            effort=effort,
            delay_target_ps=delay_target_ps,
            subject=str(element),
            time_limit_s=MAPPING_TIME_LIMIT_S,
        )
        netlist, flip_flop = mapped.netlist, library.flip_flop
        timing = analyze(
            netlist,
            input_slew_ps=clock_slew_ps,
            output_load_ff=flip_flop.data.capacitance_ff,
            launch=flip_flop,
            input_load_ff=library.default_output_load_ff,
        )
        ends = list(netlist.output_nets)
        setups = setup_ps(flip_flop, timing.slew_ps[ends], clock_slew_ps)
        period_ps = float((timing.arrival_ps[ends] + setups).max())
        return cls(netlist, timing, mapped.recipe, mapped.timing.delay_ps, period_ps)
