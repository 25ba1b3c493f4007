"""Approximate logic synthesis: a walk from circuit to circuit, each a net simpler than the last.

A step replaces one net by a constant, another net, or a new gate of two nets, complemented or not.
Of all such changes (:mod:`.screening`) the best few are checked whole: the circuit is cleaned of
what it no longer needs, simulated on every operand pair, and its loss of accuracy predicted from
all metrics. Which one is taken is told by :mod:`.price_ladder`. Now and then the circuit is mapped
anew, and what a net costs is measured by simulation under the network's operands.

The moves are those of S. Venkataramani, K. Roy, A. Raghunathan, "Substitute-and-Simplify", DATE
2013, and of resubstitution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hdl.cost import OperationEnergy
from hdl.multipliers import Multiplier, NetlistDesign, NetlistGate
from hdl.operands import code_values

from .circuit import ONE, ZERO, Circuit
from .functions import factored
from .pairs import Pairs, products
from .price_ladder import MadeDesign, Workplace, descend
from .prices import Prices
from .screening import Screened, screen

__all__ = ["State", "error_matrix", "netlist_of", "walk"]


def walk(
    start: Multiplier, workplace: Workplace, *, max_drop_pp: float, seed: int
) -> Iterator[MadeDesign]:
    """Designs on the way from `start` to those that are predicted to lose `max_drop_pp`, gate by
    gate.

    The same arguments give the same designs.

    Raises:
        hdl.yosys.YosysError, hdl.cost.MappedNetlistError: the start cannot be mapped.
    """
    return descend(State.of(start, workplace), workplace, max_drop_pp=max_drop_pp, seed=seed)


@dataclass(frozen=True, eq=False)
class State:
    """Where a walk is: a circuit, its error matrix, its predicted loss, and prices of gates."""

    circuit: Circuit
    errors: NDArray[np.int32]
    drop_pp: float
    prices: Prices

    steps_per_mapping: ClassVar[int] = 5

    @classmethod
    def of(cls, design: Multiplier, workplace: Workplace) -> State:
        """A design mapped to cells, with what its nets cost."""
        made, energy = workplace.mapped(design)
        prices = Prices.of(made.netlist, energy, workplace.library)
        circuit = Circuit.of_mapped(made.netlist, design.signed, *_by_net(energy))
        errors = error_matrix(circuit, workplace.every_pair)
        return cls(circuit, errors, float(workplace.loss.drops_pp(errors[None])[0]), prices)

    @property
    def design(self) -> NetlistDesign:
        return netlist_of(self.circuit)

    @property
    def area_um2(self) -> float:
        return self.circuit.area_um2

    @property
    def energy_fj(self) -> float:
        return self.circuit.energy_fj

    def mapped(self, workplace: Workplace) -> State:
        return State.of(self.design, workplace)

    def changes(self, workplace: Workplace, rng: np.random.Generator) -> _Replacements:
        around = workplace.loss.around(self.errors)
        screened = screen(self.circuit, workplace.screened_pairs, around, self.prices, rng)
        return _Replacements(self, screened, workplace)


@dataclass(frozen=True, eq=False)
class _Replacements:
    """Replacements of nets of a circuit."""

    state: State
    screened: Screened
    workplace: Workplace

    @property
    def candidates(self) -> int:
        return self.screened.candidates

    def break_even(self) -> float:
        return self.screened.break_even()

    def best(self, price_per_pp: float, most: int) -> Sequence[State]:
        state, every = self.state, self.workplace.every_pair
        changes = self.screened.best(price_per_pp, most)
        if not changes:
            return []
        circuits = [state.circuit.replaced(change) for change in changes]
        errors = np.stack([error_matrix(circuit, every) for circuit in circuits])
        drops_pp = self.workplace.loss.drops_pp(errors).tolist()
        return [
            replace(state, circuit=circuit, errors=error, drop_pp=drop_pp)
            for circuit, error, drop_pp in zip(circuits, errors, drops_pp, strict=True)
        ]


def error_matrix(circuit: Circuit, every: Pairs) -> NDArray[np.int32]:
    """Error matrix (2^width_a, 2^width_b) of a circuit."""
    values = circuit.simulated(every.bits)[list(circuit.outputs)]
    product = products(values, len(every), circuit.widths, circuit.signed)
    a, b = (code_values(width, signed=circuit.signed) for width in circuit.widths)
    exact = np.multiply.outer(a, b).astype(np.int32)
    return product.reshape(exact.shape) - exact


def _by_net(energy: OperationEnergy) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy of each net, and how many toggles come on one of settled values."""
    toggles, settled = energy.activity.toggle_rates, energy.activity.settled_rates
    glitching = np.divide(toggles, settled, out=np.ones_like(toggles), where=settled > 0)
    return energy.power.toggle_energy_fj * toggles, np.maximum(glitching, 1.0)


def netlist_of(circuit: Circuit) -> NetlistDesign:
    """The circuit as a multiplier of simple gates."""
    # A netlist's nets begin with the operands; constants are letters there.
    number = {net: net - 2 for net in range(2, circuit.first_gate)}
    gates: list[NetlistGate] = []
    for index, gate in enumerate(circuit.gates):
        steps, result = factored(gate.function, len(gate.inputs))
        values = [number[net] for net in gate.inputs]
        for kind, operands in steps:
            gates.append(NetlistGate(kind, tuple(values[value] for value in operands)))
            values.append(circuit.operands + len(gates) - 1)
        number[circuit.first_gate + index] = values[result]
    letters: dict[int, int | str] = {ZERO: "L", ONE: "H", **number}
    return NetlistDesign.of(
        circuit.widths, circuit.signed, gates, [letters[net] for net in circuit.outputs]
    )
