"""What a gate costs before it is mapped: estimates that steer a walk; mapping decides."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.cells import CellLibrary
from hdl.cost import MappedNetlist, OperationEnergy

from .functions import full, permuted, restricted

__all__ = ["NEW_FUNCTIONS", "Prices"]

#: Functions of two inputs that changes add: AND with either input inverted or not, and exclusive
#: or. Their complements come with them: OR is AND of complements.
NEW_FUNCTIONS = (0b1000, 0b0010, 0b0100, 0b0001, 0b0110)
_XOR = 0b0110
_NOT = 0b01


@dataclass(frozen=True, eq=False)
class Prices:
    """Areas of functions as the smallest cells of a library have them, and energies of toggles.

    Attributes:
        toggle_fj: what a toggle of the output of a new gate costs, of an exclusive or and of
            others.
    """

    library: CellLibrary
    toggle_fj: tuple[float, float]

    @classmethod
    def of(cls, netlist: MappedNetlist, energy: OperationEnergy, library: CellLibrary) -> Prices:
        """Prices as they are on average in a mapped netlist that was simulated."""
        rates, per_toggle_fj = energy.activity.toggle_rates, energy.power.toggle_energy_fj
        found = []
        for xor in (True, False):
            nets = [
                gate.outputs[0]
                for gate in netlist.instances
                if (gate.cell.outputs[0].function in (_XOR, _XOR ^ full(2))) == xor
            ]
            toggles = float(rates[nets].sum())
            spent = float(rates[nets] @ per_toggle_fj[nets])
            found.append(spent / toggles if toggles > 0 else 0.0)
        known = max(found) or 1.0
        xor_fj, plain_fj = (value or known for value in found)
        return cls(library, (xor_fj, plain_fj))

    def area_um2(self, function: int, count: int) -> float:
        """Of a function of `count` inputs: the smallest cell, with inverters where it needs them;
        the sum of smaller functions where no cell has it."""
        return _area_um2(self.library, function, count)

    def new_energy_fj(
        self, function: int, one: NDArray[np.float64], glitching: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Of new gates for an operation, (gates,): operands of consecutive operations are
        independent.

        Args:
            one: probability that the gate's output is 1.
            glitching: toggles on one of settled values, as at the gate's inputs.
        """
        per_toggle_fj = self.toggle_fj[0] if function == _XOR else self.toggle_fj[1]
        energy: NDArray[np.float64] = per_toggle_fj * 2 * one * (1 - one) * glitching
        return energy


@functools.lru_cache(maxsize=1 << 14)
def _area_um2(library: CellLibrary, function: int, count: int) -> float:
    if count == 0 or (count == 1 and function == 0b10):
        return 0.0
    known = _cell_areas(library)
    inverter = known[1, _NOT]
    ones = full(count)
    prices = [
        known[count, form] + inverter * inverted
        for form, inverted in ((function, 0), (function ^ ones, 1))
        if (count, form) in known
    ]
    if prices:
        return min(prices)
    parts = [restricted(function, count, count - 1, value) for value in (0, 1)]
    mux = known.get((2, 0b0111), inverter) * 3
    return mux + sum(_area_um2(library, part, count - 1) for part in parts)


@functools.lru_cache(maxsize=4)
def _cell_areas(library: CellLibrary) -> dict[tuple[int, int], float]:
    """(inputs, function) -> the least area, an input inverted or not by an inverter."""
    found: dict[tuple[int, int], float] = {}
    cells = [cell for cell in library.cells.values() if cell.mappable and len(cell.outputs) == 1]
    inverter = min(cell.area_um2 for cell in cells if cell.is_inverter)
    for cell in cells:
        count, function = len(cell.inputs), cell.outputs[0].function
        if count > 4:
            _note(found, count, function, cell.area_um2)
            continue
        for flips in range(1 << count):
            flipped = sum((function >> (m ^ flips) & 1) << m for m in range(1 << count))
            area_um2 = cell.area_um2 + flips.bit_count() * inverter
            for order in itertools.permutations(range(count)):
                _note(found, count, permuted(flipped, count, order), area_um2)
    return found


def _note(found: dict[tuple[int, int], float], count: int, function: int, area_um2: float) -> None:
    key = count, function
    found[key] = min(area_um2, found.get(key, area_um2))
