"""Power of a mapped netlist from the activity of its nets, by the rules that OpenSTA follows, and
energy per operation of a multiplier.

Three parts: switching energy of the net capacitances, internal energy of the cells from the Liberty
`internal_power` tables, leakage by state. Input probabilities of a cell are taken as independent of
each other wherever the probability of an expression is needed; an internal figure is weighted by
how often its input, by itself, would move the output (Boolean difference).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cells.library import Cell, InternalPower, LookupTable, OutputPin, Unateness
from ..errors import InputError
from ..operands import OUTPUT_STATIONARY, OperandDistribution, OperandOrder
from .mapped_netlist import ONE, OPEN, MappedNetlist
from .switching_activity import Activity, input_bits, simulate
from .timing import FALL, RISE, Timing

__all__ = ["OperationEnergy", "Power", "estimate", "operation_energy"]

BATCH_OPERATIONS = 64
BATCHES_PER_ROUND = 16
MAX_ROUNDS = 16


@dataclass(frozen=True, eq=False)
class Power:
    """Energy per operation in fJ and leakage in nW.

    `toggle_energy_fj` (nets,) is what one toggle of a net costs, switching and internal, under the
    probabilities and the mix of activities it was computed for; `toggle_energy_fj @ toggles` is
    internal_fj + switching_fj. `instance_*` arrays have one entry per instance.
    """

    internal_fj: float
    switching_fj: float
    leakage_nw: float
    toggle_energy_fj: NDArray[np.float64]
    instance_internal_fj: NDArray[np.float64]
    instance_switching_fj: NDArray[np.float64]
    instance_leakage_nw: NDArray[np.float64]

    @property
    def energy_fj(self) -> float:
        return self.internal_fj + self.switching_fj


def estimate(
    netlist: MappedNetlist, timing: Timing, toggles: NDArray[np.float64], ones: NDArray[np.float64]
) -> Power:
    """Power for `toggles` (nets,), toggles of each net per operation, and `ones` (nets,), the
    probability that the net is 1.

    Loads and slews come from `timing`. Inputs of the module have no driver here, so their nets cost
    internal energy only.
    """
    nets, instances = len(netlist.net_names), len(netlist.instances)
    toggles = toggles.copy()
    toggles[: ONE + 1] = 0.0
    ones = ones.copy()
    ones[: ONE + 1] = (0.0, 1.0)
    half_cv2 = 0.5 * timing.load_ff * netlist.library.voltage_v**2
    cost = np.zeros(nets)
    internal, switching, leakage = np.zeros(instances), np.zeros(instances), np.zeros(instances)
    for cell, members in _by_cell(netlist):
        inputs = np.array([netlist.instances[i].inputs for i in members])
        outputs = np.array([netlist.instances[i].outputs for i in members])
        states = _state_probabilities(ones[inputs])
        output_ones = [
            np.where(
                outputs[:, index] == OPEN,
                states @ _bits(output.function, len(cell.inputs)),
                ones[outputs[:, index]],
            )
            for index, output in enumerate(cell.outputs)
        ]
        # A condition may name outputs too; they count as independent like everything else in it.
        pin_states = _state_probabilities(np.stack(output_ones, axis=1), states)
        leakage[members] = _leakage(cell, pin_states)
        for index, pin in enumerate(cell.inputs):
            per_toggle = np.zeros(len(members))
            for power in pin.powers:
                per_toggle += _pin_energy(power, timing.slew_ps[inputs[:, index]]) * _input_share(
                    cell, index, power, states, pin_states
                )
            np.add.at(cost, inputs[:, index], per_toggle)
            internal[members] += per_toggle * toggles[inputs[:, index]]
        for index, output in enumerate(cell.outputs):
            driven = outputs[:, index] != OPEN
            nets_out = outputs[driven, index]
            rows = members[driven]
            per_toggle = _output_energy(
                cell, output, timing, inputs[driven], nets_out, states[driven], toggles
            )
            cost[nets_out] += per_toggle + half_cv2[nets_out]
            internal[rows] += per_toggle * toggles[nets_out]
            switching[rows] += half_cv2[nets_out] * toggles[nets_out]
    return Power(
        float(internal.sum()),
        float(switching.sum()),
        float(leakage.sum()),
        cost,
        internal,
        switching,
        leakage,
    )


@dataclass(frozen=True, eq=False)
class OperationEnergy:
    """Energy per operation of a multiplier under a distribution of operands, glitches included.

    `standard_error_fj` comes from the spread between batches of operations; `settled_fj` is the
    energy of a circuit without delays, hence without glitches, on the same operations.
    """

    power: Power
    activity: Activity
    standard_error_fj: float
    settled_fj: float

    @property
    def energy_fj(self) -> float:
        return self.power.energy_fj


def operation_energy(
    netlist: MappedNetlist,
    timing: Timing,
    operands: OperandDistribution,
    *,
    order: OperandOrder = OUTPUT_STATIONARY,
    seed: int = 0,
    relative_error: float = 0.01,
) -> OperationEnergy:
    """Simulates sampled operations until the standard error is at most `relative_error` of the
    energy, 1,024 to 16,384 of them.

    `order` says whether both operands change from one operation to the next, or the weight (port b)
    stays. The seed fixes the operations: every design of the same widths sees the same ones, as far
    as its sample reaches, so differences between designs are known better than each energy by
    itself. Raises InputError when the operands do not fit the ports a and b.
    """
    widths = {port: len(nets) for port, nets in netlist.inputs.items()}
    if widths != operands.widths._asdict():
        found = ", ".join(f"{port}[{bits}]" for port, bits in widths.items())
        raise InputError(
            f"{netlist.name}: inputs {found} do not fit operands of {operands.widths} bits "
            f"({operands.name}); use operands of its widths"
        )
    rng = np.random.default_rng(seed)
    activity = _simulate_round(netlist, timing, operands, order, rng)
    power = estimate(netlist, timing, activity.toggle_rates, activity.probabilities)
    # What a toggle costs hardly moves with the sample, so the first round's figures serve to decide
    # when to stop.
    for _ in range(MAX_ROUNDS - 1):
        if _standard_error(activity, power) < relative_error * float(
            activity.toggle_rates @ power.toggle_energy_fj
        ):
            break
        activity += _simulate_round(netlist, timing, operands, order, rng)
    power = estimate(netlist, timing, activity.toggle_rates, activity.probabilities)
    settled = estimate(netlist, timing, activity.settled_rates, activity.probabilities)
    return OperationEnergy(power, activity, _standard_error(activity, power), settled.energy_fj)


def _simulate_round(
    netlist: MappedNetlist,
    timing: Timing,
    operands: OperandDistribution,
    order: OperandOrder,
    rng: np.random.Generator,
) -> Activity:
    a0, b0, a1, b1 = operands.sample_transitions(rng, BATCHES_PER_ROUND * BATCH_OPERATIONS, order)
    before, after = input_bits(netlist, {"a": a0, "b": b0}), input_bits(netlist, {"a": a1, "b": b1})
    return simulate(netlist, timing, before, after, batches=BATCHES_PER_ROUND)


def _standard_error(activity: Activity, power: Power) -> float:
    """Standard error of the energy per operation, from the spread between batches."""
    energies = activity.toggles @ power.toggle_energy_fj / BATCH_OPERATIONS
    return float(energies.std(ddof=1) / np.sqrt(len(energies)))


def _by_cell(netlist: MappedNetlist) -> list[tuple[Cell, NDArray[np.intp]]]:
    groups: dict[str, list[int]] = {}
    for index, instance in enumerate(netlist.instances):
        groups.setdefault(instance.cell.name, []).append(index)
    return [(netlist.instances[members[0]].cell, np.array(members)) for members in groups.values()]


def _state_probabilities(
    ones: NDArray[np.float64], states: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """(n, k) probabilities of k independent pins -> (n, 2^k) probabilities of their states, pin i
    being bit i of the state.

    Given `states` of other pins, the pins are added above those.
    """
    states = np.ones((len(ones), 1)) if states is None else states
    for i in range(ones.shape[1]):
        states = np.concatenate(
            [states * (1 - ones[:, i : i + 1]), states * ones[:, i : i + 1]], axis=1
        )
    return states


@functools.lru_cache(maxsize=4096)
def _bits(table: int, count: int) -> NDArray[np.float64]:
    return np.array([table >> minterm & 1 for minterm in range(1 << count)], dtype=np.float64)


@functools.lru_cache(maxsize=4096)
def _difference(function: int, index: int, count: int) -> NDArray[np.float64]:
    """Boolean difference: 1 for the input states in which the function follows input `index`."""
    minterms = range(1 << count)
    return np.array(
        [(function >> m ^ function >> (m ^ 1 << index)) & 1 for m in minterms], dtype=np.float64
    )


@functools.lru_cache(maxsize=1024)
def _state_leakage(cell: Cell) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per state of the pins: the leakage that the conditions give, and how many conditions cover
    the state.
    """
    pins = len(cell.inputs) + len(cell.outputs)
    figures = np.array([leakage_nw for _, leakage_nw in cell.leakage])
    conditions = np.array([_bits(when, pins) for when, _ in cell.leakage]).reshape(
        len(figures), 1 << pins
    )
    return figures @ conditions, conditions.sum(axis=0)


def _leakage(cell: Cell, pin_states: NDArray[np.float64]) -> NDArray[np.float64]:
    total, covered = _state_leakage(cell)
    return pin_states @ total + cell.leakage_nw * np.maximum(1 - pin_states @ covered, 0)


def _input_share(
    cell: Cell,
    index: int,
    power: InternalPower,
    states: NDArray[np.float64],
    pin_states: NDArray[np.float64],
) -> NDArray[np.float64]:
    if power.when is None:
        return np.ones(len(states))
    if power.output is not None:
        return states @ _difference(cell.outputs[power.output].function, index, len(cell.inputs))
    return pin_states @ _bits(power.when, len(cell.inputs) + len(cell.outputs))


def _pin_energy(power: InternalPower, slew_ps: NDArray[np.float64]) -> NDArray[np.float64]:
    return _mean_of_edges(power, slew_ps[:, RISE], slew_ps[:, FALL], np.zeros(len(slew_ps)))


def _mean_of_edges(
    power: InternalPower,
    rise_slew_ps: NDArray[np.float64],
    fall_slew_ps: NDArray[np.float64],
    load_ff: NDArray[np.float64],
) -> NDArray[np.float64]:
    edges: Sequence[tuple[LookupTable | None, NDArray[np.float64]]] = (
        (power.rise, rise_slew_ps),
        (power.fall, fall_slew_ps),
    )
    values = [table.at(slew_ps, load_ff) for table, slew_ps in edges if table is not None]
    return sum(values, np.zeros(len(load_ff))) / max(len(values), 1)


def _output_energy(
    cell: Cell,
    output: OutputPin,
    timing: Timing,
    inputs: NDArray[np.intp],
    nets_out: NDArray[np.intp],
    states: NDArray[np.float64],
    toggles: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Internal energy per toggle of an output: the mean of its tables, weighted by how often each
    table's input moves the output.
    """
    total, weights = np.zeros(len(nets_out)), np.zeros(len(nets_out))
    load_ff = timing.load_ff[nets_out]
    for power in output.powers:
        if power.related is None:
            rise = fall = timing.slew_ps[inputs].max(axis=(1, 2))
            weight = np.ones(len(nets_out))
        else:
            slew_ps = timing.slew_ps[inputs[:, power.related]]
            inverting = _unateness(output, power.related) == Unateness.NEGATIVE
            rise, fall = (
                (slew_ps[:, FALL], slew_ps[:, RISE])
                if inverting
                else (slew_ps[:, RISE], slew_ps[:, FALL])
            )
            sensitive = states @ _difference(output.function, power.related, len(cell.inputs))
            weight = toggles[inputs[:, power.related]] * sensitive
        total += weight * _mean_of_edges(power, rise, fall, load_ff)
        weights += weight
    return np.divide(total, weights, out=np.zeros(len(total)), where=weights > 0)


def _unateness(output: OutputPin, index: int) -> Unateness:
    return next((arc.unateness for arc in output.arcs if arc.input == index), Unateness.POSITIVE)
