"""Consecutive clock cycles of mapped logic, simulated until its energy is known well enough."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..cost.mapped_netlist import MappedNetlist
from ..cost.power import BATCH_OPERATIONS, BATCHES_PER_ROUND, MAX_ROUNDS, Power, estimate
from ..cost.switching_activity import Activity, input_bits, simulate
from ..cost.timing import Timing

__all__ = ["Cycles", "simulate_cycles", "standard_error_fj"]

Codes = dict[str, NDArray[np.int64]]


class Cycles(Protocol):
    """Draws what a module's inputs are in one clock cycle and in the next."""

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Codes, Codes]:
        """Codes (count,) of every input port, before and after."""


def simulate_cycles(
    netlist: MappedNetlist, timing: Timing, cycles: Cycles, seed: int, relative_error: float
) -> tuple[Activity, Power]:
    """Cycles until the standard error of the logic's energy is small enough, as in
    `hdl.cost.operation_energy`.
    """
    rng = np.random.default_rng(seed)
    activity = _round(netlist, timing, cycles, rng)
    power = estimate(netlist, timing, activity.toggle_rates, activity.probabilities)
    for _ in range(MAX_ROUNDS - 1):
        if standard_error_fj(activity, power) < relative_error * power.energy_fj:
            break
        activity += _round(netlist, timing, cycles, rng)
    return activity, estimate(netlist, timing, activity.toggle_rates, activity.probabilities)


def standard_error_fj(activity: Activity, power: Power) -> float:
    """Standard error of the energy of a cycle over the batches of a simulation."""
    energies = activity.toggles @ power.toggle_energy_fj / BATCH_OPERATIONS
    return float(energies.std(ddof=1) / np.sqrt(len(energies)))


def _round(
    netlist: MappedNetlist, timing: Timing, cycles: Cycles, rng: np.random.Generator
) -> Activity:
    before, after = cycles.draw(rng, BATCHES_PER_ROUND * BATCH_OPERATIONS)
    return simulate(
        netlist,
        timing,
        input_bits(netlist, {**before}),
        input_bits(netlist, {**after}),
        batches=BATCHES_PER_ROUND,
    )
