"""What registers cost: area, setup and energy per clock cycle of flip-flops, from their Liberty
tables.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cells.library import Cell, CellLibrary, FlipFlop, InternalPower, LookupTable
from ..cost.timing import FALL, RISE
from ..errors import InputError

__all__ = [
    "clock_gate_area_um2",
    "clock_gate_energy_fj",
    "clock_gate_leakage_nw",
    "register_energies_fj",
    "register_leakage_nw",
    "setup_ps",
]

_DATA, _OUTPUT = 2, 4


def setup_ps(
    flip_flop: FlipFlop, data_slew_ps: NDArray[np.float64], clock_slew_ps: float
) -> NDArray[np.float64]:
    """Setup times of rising and falling data (n, 2) for slews of the data (n, 2)."""
    rise = flip_flop.setup_rise.at(data_slew_ps[:, RISE], clock_slew_ps)
    fall = flip_flop.setup_fall.at(data_slew_ps[:, FALL], clock_slew_ps)
    return np.stack([rise, fall], axis=1)


def register_energies_fj(
    flip_flop: FlipFlop,
    voltage_v: float,
    *,
    toggles: NDArray[np.float64],
    ones: NDArray[np.float64],
    load_ff: NDArray[np.float64],
    data_toggles: NDArray[np.float64],
    data_slew_ps: float,
    clock_slew_ps: float,
    clocked: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """Energy per clock cycle of registers (n,): clock pin, data pin and output, with the charging
    of the clock pin and the output's load.

    `clocked` is the share of the cycles in which their clock runs, 1 without a clock gate.
    `toggles` and `ones` are toggles per cycle and probability of 1 of the outputs, `data_toggles`
    those of the data inputs, glitches included. The data has settled at both clock edges, and half
    of its toggles come while the clock is high.
    """
    at_clock = {
        edge: _state_energies(flip_flop.clock.powers, edge, clock_slew_ps)
        for edge in ("rise", "fall")
    }
    # States of data and output at an edge of the clock: they differ as often as the output toggles.
    running = np.broadcast_to(np.asarray(clocked, dtype=np.float64), toggles.shape)
    differ = np.minimum(toggles / np.maximum(running, 1e-9), 1) / 2
    both, neither = np.maximum(ones - differ, 0), np.maximum(1 - ones - differ, 0)
    clock = np.zeros(len(toggles))
    for level, edge in ((0, "rise"), (1, "fall")):
        for share, state in (
            (both, _DATA | _OUTPUT),
            (neither, 0),
            (differ, _DATA),
            (differ, _OUTPUT),
        ):
            clock += share * at_clock[edge][level | state]
    clock = running * (clock + flip_flop.clock.capacitance_ff * voltage_v**2)
    data = np.mean(
        [
            _state_energies(flip_flop.data.powers, edge, data_slew_ps).mean()
            for edge in ("rise", "fall")
        ]
    )
    output = 0.5 * load_ff * voltage_v**2 + _mean_energy(
        flip_flop.output.powers, clock_slew_ps, load_ff
    )
    energies: NDArray[np.float64] = clock + data * data_toggles + output * toggles
    return energies


def register_leakage_nw(flip_flop: FlipFlop) -> float:
    """Leakage of one flip-flop, all its states equally likely."""
    states = np.zeros(8)
    covered = np.zeros(8)
    for when, leakage_nw in flip_flop.leakage:
        bits = _bits(when)
        states += leakage_nw * bits
        covered += bits
    return float(
        np.where(covered > 0, states / np.maximum(covered, 1), flip_flop.leakage_nw).mean()
    )


def clock_gate_area_um2(library: CellLibrary) -> float:
    """A clock gate is counted as a flip-flop, which holds its enable, and an AND gate; one of a
    library has a latch in the place of the flip-flop and is smaller.
    """
    return library.flip_flop.area_um2 + _clock_and(library).area_um2


def clock_gate_leakage_nw(library: CellLibrary) -> float:
    """Leakage of a clock gate."""
    return register_leakage_nw(library.flip_flop) + _clock_and(library).leakage_nw


def clock_gate_energy_fj(
    library: CellLibrary,
    *,
    open_share: float,
    enable_toggles: float,
    registers: int,
    slew_ps: float,
) -> float:
    """Energy per clock cycle of a clock gate before so many flip-flops, whose clock pins are
    counted with them. `open_share` is the share of the cycles in which the clock passes.
    """
    gate, flip_flop = _clock_and(library), library.flip_flop
    pin = max(pin.capacitance_ff for pin in gate.inputs)
    holding = register_energies_fj(
        flip_flop,
        library.voltage_v,
        toggles=np.array([enable_toggles]),
        ones=np.array([open_share]),
        load_ff=np.array([pin]),
        data_toggles=np.array([enable_toggles]),
        data_slew_ps=slew_ps,
        clock_slew_ps=slew_ps,
    )
    load_ff = registers * flip_flop.clock.capacitance_ff
    edges = 2 * open_share * _mean_energy(gate.outputs[0].powers, slew_ps, load_ff)
    return float(holding[0] + pin * library.voltage_v**2 + edges)


def _clock_and(library: CellLibrary) -> Cell:
    """The smallest AND gate of two inputs."""
    found = [
        cell
        for cell in library.cells.values()
        if cell.mappable and len(cell.inputs) == 2 and cell.outputs[0].function == 0b1000
    ]
    if not found:
        raise InputError(
            f"{library.source}: no AND gate of two inputs, which a clock gate needs; leave "
            "gate=zero and stationary=weight away"
        )
    return min(found, key=lambda cell: (cell.area_um2, cell.name))


def _bits(table: int) -> NDArray[np.float64]:
    return np.array([table >> state & 1 for state in range(8)], dtype=np.float64)


def _state_energies(
    powers: tuple[InternalPower, ...], edge: str, slew_ps: float
) -> NDArray[np.float64]:
    """Energy of an edge of an input in each state (8,): what the conditions that hold say, or the
    figure without a condition.
    """
    conditional, covered, otherwise = np.zeros(8), np.zeros(8), 0.0
    for power in powers:
        table: LookupTable | None = getattr(power, edge)
        energy = 0.0 if table is None else float(table.at(slew_ps, 0.0))
        if power.when is None:
            otherwise = energy
        else:
            conditional += energy * _bits(power.when)
            covered += _bits(power.when)
    return np.where(covered > 0, conditional / np.maximum(covered, 1), otherwise)


def _mean_energy(
    powers: tuple[InternalPower, ...], slew_ps: float, load_ff: ArrayLike
) -> NDArray[np.float64]:
    tables = [table for power in powers for table in (power.rise, power.fall) if table is not None]
    if not tables:
        return np.zeros(np.shape(load_ff))
    mean: NDArray[np.float64] = np.mean([table.at(slew_ps, load_ff) for table in tables], axis=0)
    return mean
