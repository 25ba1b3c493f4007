"""What an element costs in a cell library: area, least clock period, energy per multiply-accumulate
under a network's operands, and what that is in operations per area and energy.

As for processing elements (`synthesis.py`), the logic between the registers is mapped as a whole,
and every register bit is the library's smallest flip-flop. Registers that hold have a clock gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cells.library import CellLibrary
from ..cost.mapped_netlist import MappedNetlist
from ..cost.switching_activity import Activity
from ..cost.synthesis import SynthesisReport, map_design, synthesize
from ..cost.timing import DEFAULT_INPUT_SLEW_PS, Timing, analyze
from ..errors import InputError
from .cycles import WEIGHT_STAYS, ElementCycles
from .datapath import element_rtlil
from .element import Element
from .register_cost import (
    clock_gate_area_um2,
    clock_gate_energy_fj,
    clock_gate_leakage_nw,
    register_energies_fj,
    register_leakage_nw,
    setup_ps,
)
from .simulation import simulate_cycles, standard_error_fj
from .synthesis import DotProducts

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
    clock_ps: float | None = None,
    effort: str = "fast",
    seed: int = 0,
    relative_error: float = 0.01,
    clock_slew_ps: float = DEFAULT_INPUT_SLEW_PS,
) -> ElementReport:
    """Area, least clock period and energy of an element.

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
    mapped = _Mapped.of(element, library, effort, None, clock_slew_ps)
    if clock_ps is not None and clock_ps < mapped.period_ps:
        target_ps = clock_ps - (mapped.period_ps - mapped.logic_ps)
        if target_ps >= 1:
            mapped = _Mapped.of(element, library, effort, target_ps, clock_slew_ps)
        if clock_ps < mapped.period_ps:
            raise InputError(
                f"{element}: a clock of {clock_ps:g} ps is faster than its least period; give "
                f"--clock {np.ceil(mapped.period_ps):.0f} or more, pipeline=1 or adder=prefix"
            )
    cycles = ElementCycles(element, work)
    netlist, timing = mapped.netlist, mapped.timing
    activity, power = simulate_cycles(netlist, timing, cycles, seed, relative_error)

    registers = gating_fj = 0.0
    count = gates = 0
    for group in _groups(element, netlist, activity):
        energies = register_energies_fj(
            library.flip_flop,
            library.voltage_v,
            toggles=activity.toggle_rates[group.held] * group.moving,
            ones=activity.probabilities[group.held],
            load_ff=timing.load_ff[group.held],
            data_toggles=activity.toggle_rates[group.following] * group.moving,
            data_slew_ps=float(timing.slew_ps[group.following].mean()),
            clock_slew_ps=clock_slew_ps,
            clocked=group.open_share,
        )
        registers += float(energies.sum())
        count += len(group.held)
        if group.gated:
            gates += 1
            gating_fj += clock_gate_energy_fj(
                library,
                open_share=group.open_share,
                enable_toggles=2 * group.open_share * (1 - group.open_share),
                registers=len(group.held),
                slew_ps=clock_slew_ps,
            )
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
    longest = int(work.terms.max())
    wraps = f"; sums of {longest} products may wrap" if longest > element.safe_terms else ""
    return (
        f"cells only, no wires, no clock tree beyond the clock pins; {library.voltage_v:g} V; "
        f"clock slew {clock_slew_ps:g} ps; load {library.default_output_load_ff:.3g} fF beside the "
        f"element on every register; operands {work.operands.name}, new ones every cycle, "
        "consecutive ones and those of different lanes independent; register outputs change at "
        f"once; inertial delays; effort {effort}"
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
    ) -> _Mapped:
        mapped = map_design(
            element_rtlil(element),
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


@dataclass(frozen=True, eq=False)
class _Group:
    """Registers with one clock: the nets that they drive, those of their data, and in which share
    of the cycles their clock runs. `moving` scales the toggles of both, which are simulated as if
    the registers took a value in every cycle.
    """

    held: list[int]
    following: list[int]
    open_share: float = 1.0
    gated: bool = False
    moving: float = 1.0


def _groups(element: Element, netlist: MappedNetlist, activity: Activity) -> Iterator[_Group]:
    form, inputs, outputs = element.form, netlist.inputs, netlist.outputs
    ones, single = activity.probabilities, element.lanes == 1
    live = inputs["live"]
    for lane in range(element.lanes):
        a, b = list(inputs[f"a{lane}"]), list(inputs[f"b{lane}"])
        if not form.gated:
            yield _Group(a if form.keeps_weights else a + b, a if form.keeps_weights else a + b)
        elif form.keeps_weights:
            yield _Group(a, list(inputs[f"next_a{lane}"]), float(ones[live[lane]]), True)
        else:
            following = [*inputs[f"next_a{lane}"], *inputs[f"next_b{lane}"]]
            yield _Group(a + b, following, float(ones[live[lane]]), True)
    if form.keeps_weights:
        weights = [net for lane in range(element.lanes) for net in inputs[f"b{lane}"]]
        yield _Group(weights, weights, 1 / WEIGHT_STAYS, True)
    yield _Group(list(live), list(outputs["next_live"] if form.gated else live))

    working = inputs.get("working", live)
    open_share = 1.0
    if form.gated and single and not form.keeps_weights:
        idle = (1 - ones[working[0]]) * (1 - ones[inputs["clear"][0]])
        open_share = float(1 - idle)
    above = "above_" if form.keeps_weights else ""
    words = [net for word in element.words for net in inputs[above + word]]
    yield _Group(
        words,
        [net for word in element.words for net in outputs[f"next_{word}"]],
        open_share,
        open_share < 1,
    )
    if form.pipelined:
        holds = form.gated and single
        yield _Group(
            list(inputs["stage"]),
            list(outputs["next_stage"]),
            float(ones[live[0]]) if holds else 1.0,
            holds,
        )
        if "working" in inputs:
            yield _Group(list(working), list(live))
