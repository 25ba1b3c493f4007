"""What a processing element or a systolic array costs in a cell library.

The logic between the registers is mapped by the recipes that map a bare multiplier; every register
bit is the library's smallest flip-flop. Energy is that of a clock cycle in which one product is
added: the mapped logic is simulated with the register outputs as its inputs, over consecutive
cycles of dot products, and the flip-flops are counted by the toggles of their pins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells.library import CellLibrary
from ..cost.synthesis import SynthesisReport, map_design, synthesize
from ..cost.timing import DEFAULT_INPUT_SLEW_PS, analyze
from .cycles import DotProducts
from .element import Element
from .mac import MacSpec, datapath_rtlil
from .register_cost import register_energies_fj, register_leakage_nw, setup_ps
from .simulation import simulate_cycles, standard_error_fj
from .systolic import check_sides, skew_registers

__all__ = [
    "ArrayReport",
    "MacReport",
    "bit_activity",
    "skew_energies_fj",
    "synthesize_array",
    "synthesize_mac",
]


@dataclass(frozen=True)
class MacReport:
    """What a processing element costs.

    `area_um2` is the sum of `multiplier_area_um2` (the bare multiplier, mapped by itself),
    `accumulator_area_um2` (what the logic of the element takes beyond that) and
    `register_area_um2`. `period_ps` is the least clock period: from the clock edge through a
    register, the logic and the setup of the next register. `energy_fj` is that of one
    multiply-accumulate cycle, `logic_energy_fj` plus `register_energy_fj`; `energy_error_fj` is the
    standard error over `operations` cycles. `multiplier` is the bare multiplier under the same
    operands.
    """

    area_um2: float
    multiplier_area_um2: float
    accumulator_area_um2: float
    register_area_um2: float
    period_ps: float
    energy_fj: float
    logic_energy_fj: float
    register_energy_fj: float
    energy_error_fj: float
    leakage_nw: float
    operations: int
    cells: int
    registers: int
    cell_library: str
    flip_flop: str
    recipe: str
    yosys_version: str
    assumptions: str
    multiplier: SynthesisReport

    def to_json(self) -> dict[str, Any]:
        """The figures as an object for `json.dump`, keys being the names above; of the bare
        multiplier, delay and energy.
        """
        values = {name: value for name, value in vars(self).items() if name != "multiplier"}
        return values | {
            "multiplier_delay_ps": self.multiplier.delay_ps,
            "multiplier_energy_fj": self.multiplier.energy_fj,
        }


@dataclass(frozen=True)
class ArrayReport:
    """What a systolic array costs: its elements, and on the edge the registers of the skew.

    `energy_fj` is per multiply-accumulate while all elements work; `edge_energy_fj` is the edge's
    share of it.
    """

    area_um2: float
    edge_area_um2: float
    edge_registers: int
    period_ps: float
    energy_fj: float
    edge_energy_fj: float
    leakage_nw: float
    elements: int
    element: MacReport

    def to_json(self) -> dict[str, Any]:
        """The figures as an object for `json.dump`; those of the element begin with `element_`."""
        element = {f"element_{name}": value for name, value in self.element.to_json().items()}
        return {name: value for name, value in vars(self).items() if name != "element"} | element


def synthesize_mac(
    spec: MacSpec,
    library: CellLibrary,
    work: DotProducts | None = None,
    *,
    chained: bool = False,
    effort: str = "fast",
    seed: int = 0,
    relative_error: float = 0.01,
    clock_slew_ps: float = DEFAULT_INPUT_SLEW_PS,
) -> MacReport:
    """Area, least clock period and energy of a processing element; `chained` for one of an array.

    `work` None means uniform operands and sums of 256 terms. Raises what `hdl.cost.synthesize`
    raises, and LibertyError where the library has no flip-flop.
    """
    flip_flop = library.flip_flop
    work = DotProducts.uniform(spec) if work is None else work
    multiplier = synthesize(
        spec.multiplier,
        library,
        work.of_multiplier(spec),
        effort=effort,
        seed=seed,
        relative_error=relative_error,
        subject=str(spec),
    )
    mapped = map_design(
        datapath_rtlil(spec, chained=chained), library, effort=effort, subject=str(spec)
    )
    netlist = mapped.netlist
    timing = analyze(
        netlist,
        input_slew_ps=clock_slew_ps,
        output_load_ff=flip_flop.data.capacitance_ff,
        launch=flip_flop,
        input_load_ff=library.default_output_load_ff,
    )
    sums = list(netlist.outputs["p"])
    ends = [*netlist.outputs.get("next_product", ()), *sums]
    setups = setup_ps(flip_flop, timing.slew_ps[ends], clock_slew_ps)
    activity, power = simulate_cycles(
        netlist, timing, _CycleSampler(spec, work, chained), seed, relative_error
    )

    # The registers of the element; `clear` and `above` come from elsewhere.
    inputs = netlist.inputs
    operands = [*inputs["a"], *inputs["b"], *inputs["enable"]]
    held, following = [*operands, *inputs["total"]], [*operands, *sums]
    if spec.pipelined:
        held += [*inputs["product"], *inputs["working"]]
        following += [*netlist.outputs["next_product"], *inputs["enable"]]
    registers = register_energies_fj(
        flip_flop,
        library.voltage_v,
        toggles=activity.toggle_rates[held],
        ones=activity.probabilities[held],
        load_ff=timing.load_ff[held],
        data_toggles=activity.toggle_rates[following],
        data_slew_ps=float(timing.slew_ps[ends].mean()),
        clock_slew_ps=clock_slew_ps,
    )
    register_area = len(held) * flip_flop.area_um2
    return MacReport(
        area_um2=netlist.area_um2 + register_area,
        multiplier_area_um2=multiplier.area_um2,
        accumulator_area_um2=netlist.area_um2 - multiplier.area_um2,
        register_area_um2=register_area,
        period_ps=float((timing.arrival_ps[ends] + setups).max()),
        energy_fj=power.energy_fj + float(registers.sum()),
        logic_energy_fj=power.energy_fj,
        register_energy_fj=float(registers.sum()),
        energy_error_fj=standard_error_fj(activity, power),
        leakage_nw=power.leakage_nw + len(held) * register_leakage_nw(flip_flop),
        operations=activity.operations,
        cells=len(netlist.instances) + len(held),
        registers=len(held),
        cell_library=library.name,
        flip_flop=flip_flop.name,
        recipe=mapped.recipe,
        yosys_version=multiplier.yosys_version,
        assumptions=(
            f"cells only, no wires, no clock tree beyond the clock pins; {library.voltage_v:g} V; "
            f"clock slew {clock_slew_ps:g} ps; "
            f"load {library.default_output_load_ff:.3g} fF beside the element on every register; "
            f"operands {work.operands.name}, one new "
            "pair a cycle, consecutive pairs independent; register outputs change at once; "
            "inertial delays; half of the toggles of a "
            f"register's input while the clock is high; effort {effort}"
        ),
        multiplier=multiplier,
    )


def synthesize_array(
    spec: MacSpec,
    rows: int,
    columns: int,
    library: CellLibrary,
    work: DotProducts | None = None,
    *,
    effort: str = "fast",
    seed: int = 0,
    clock_slew_ps: float = DEFAULT_INPUT_SLEW_PS,
) -> ArrayReport:
    """Area, least clock period and energy per multiply-accumulate of a systolic array. Raises what
    `synthesize_mac` raises.

    InputError also for sides out of range.
    """
    check_sides(rows, columns)
    work = DotProducts.uniform(spec) if work is None else work
    element = synthesize_mac(
        spec, library, work, chained=True, effort=effort, seed=seed, clock_slew_ps=clock_slew_ps
    )
    flip_flop, elements, edge = (
        library.flip_flop,
        rows * columns,
        skew_registers(Element.of_mac(spec), rows, columns),
    )
    delays = (rows * (rows - 1) // 2, columns * (columns - 1) // 2)
    energy = 0.0
    for delay, table in zip(delays, (work.operands.a, work.operands.b), strict=True):
        ones, toggles = bit_activity(work.operands.weights, table)
        energy += delay * float(skew_energies_fj(library, ones, toggles, clock_slew_ps).sum())
    # The enable stays 1 while all elements work.
    energy += (rows - 1) * float(
        skew_energies_fj(library, np.ones(1), np.zeros(1), clock_slew_ps).sum()
    )
    edge_area = edge * flip_flop.area_um2
    return ArrayReport(
        area_um2=elements * element.area_um2 + edge_area,
        edge_area_um2=edge_area,
        edge_registers=edge,
        period_ps=element.period_ps,
        energy_fj=element.energy_fj + energy / elements,
        edge_energy_fj=energy / elements,
        leakage_nw=elements * element.leakage_nw + edge * register_leakage_nw(flip_flop),
        elements=elements,
        element=element,
    )


def bit_activity(
    weights: NDArray[np.float64],
    table: NDArray[np.float64],
    zero_after_zero: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of 1 and toggles per cycle of every operand bit. Consecutive codes of a layer are
    independent, but for zeros where `zero_after_zero` (L,) is given.
    """
    codes = np.arange(table.shape[1])
    ones = table @ (codes[:, None] >> np.arange(table.shape[1].bit_length() - 1) & 1)
    if zero_after_zero is None:
        return weights @ ones, weights @ (2 * ones * (1 - ones))
    zero = table[:, :1]
    both = zero * zero_after_zero[:, None]
    # Of a code that is not 0.
    single = np.divide(ones, 1 - zero, out=np.zeros_like(ones), where=zero < 1)
    toggles = 2 * single * (zero - both + (1 - single) * (1 - 2 * zero + both))
    return weights @ ones, weights @ toggles


def skew_energies_fj(
    library: CellLibrary,
    ones: NDArray[np.float64],
    toggles: NDArray[np.float64],
    clock_slew_ps: float,
) -> NDArray[np.float64]:
    """Energy per cycle of registers each of which feeds another one."""
    flip_flop = library.flip_flop
    load_ff = np.full(len(ones), flip_flop.data.capacitance_ff)
    return register_energies_fj(
        flip_flop,
        library.voltage_v,
        toggles=toggles,
        ones=ones,
        load_ff=load_ff,
        data_toggles=toggles,
        data_slew_ps=clock_slew_ps,
        clock_slew_ps=clock_slew_ps,
    )


class _CycleSampler:
    """Draws pairs of consecutive cycles from the middle of dot products."""

    def __init__(self, spec: MacSpec, work: DotProducts, chained: bool) -> None:
        self._spec = spec
        self._work = work
        self._chained = chained
        spec.check_costed()
        codes_a, codes_b = (np.arange(1 << width) for width in spec.operand_widths)
        self._products = spec.products(codes_a[:, None], codes_b[None, :])
        self._mask = (1 << spec.accumulator_bits) - 1

    def draw(
        self, rng: np.random.Generator, count: int
    ) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
        """Values of the logic's inputs in one cycle and in the next, each (count,), with every pair
        from another dot product.
        """
        work = self._work
        layers = np.searchsorted(
            np.cumsum(work.operands.weights)[:-1], rng.random(count), side="right"
        )
        terms = work.terms[layers]
        step = (rng.random(count) * terms).astype(np.int64)
        (a0, b0), (a1, b1) = work.operands.sample(rng, layers), work.operands.sample(rng, layers)
        added, pipeline0, pipeline1 = (a0, b0), {}, {}
        if self._spec.pipelined:
            # The pair before is in the register of the product and is what the sum gets.
            added = work.operands.sample(rng, layers)
            pipeline0 = {"product": self._spec.product_codes(*added), "working": np.ones_like(a0)}
            pipeline1 = {"product": self._spec.product_codes(a0, b0), "working": np.ones_like(a0)}
        if self._chained:
            # Draining leaves zero behind, so the first product comes on top of it; the element
            # above is at the same step.
            total0, above0 = self._sums(rng, layers, step), self._sums(rng, layers, step)
            total1 = total0 + self._products[added]
            above1 = above0 + self._products[work.operands.sample(rng, layers)]
            clear0 = clear1 = np.zeros(count, dtype=np.int64)
            chain0, chain1 = {"above": above0 & self._mask}, {"above": above1 & self._mask}
        else:
            # At the first product the sum of the dot product before is still there, and cleared.
            clear0, clear1 = (step == 0).astype(np.int64), (step + 1 == terms).astype(np.int64)
            total0 = self._sums(rng, layers, np.where(step == 0, terms, step))
            total1 = np.where(step == 0, 0, total0) + self._products[added]
            chain0, chain1 = {}, {}
        before = {
            "a": a0,
            "b": b0,
            "enable": np.ones_like(a0),
            "clear": clear0,
            **chain0,
            **pipeline0,
            "total": total0 & self._mask,
        }
        after = {
            "a": a1,
            "b": b1,
            "enable": np.ones_like(a1),
            "clear": clear1,
            **chain1,
            **pipeline1,
            "total": total1 & self._mask,
        }
        return before, after

    def _sums(
        self, rng: np.random.Generator, layers: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Sums of `counts` products, each of operands of its layer."""
        drawn = np.repeat(np.arange(len(layers)), counts)
        products = self._products[self._work.operands.sample(rng, layers[drawn])]
        return np.bincount(drawn, weights=products, minlength=len(layers)).astype(np.int64)
