"""Approximate logic synthesis: a walk from circuit to circuit, each a net simpler than the last.

A step replaces one net by a constant, another net, or a new gate of two nets, complemented or not.
Of all such changes (:mod:`.screening`) the best few are checked whole: the circuit is cleaned of
what it no longer needs, simulated on every operand pair, and its loss of accuracy predicted from
all metrics. Taken is the change of the largest worth, the share of area and energy that it saves
less the price of the accuracy that it costs; repairs, which cost gates and win accuracy, are
changes like others. Where nothing is worth its price the price falls. Now and then the circuit is
mapped anew, and what a net costs is measured by simulation under the network's operands.

Lagrangian relaxation as in constrained optimization; the moves are those of S. Venkataramani, K.
Roy, A. Raghunathan, "Substitute-and-Simplify", DATE 2013, and of resubstitution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnn_eval.prediction import LossModel, WorstLoss
from hdl.cells import CellLibrary
from hdl.cost import OperationEnergy, map_design, operation_energy
from hdl.multipliers import Multiplier, NetlistDesign, NetlistGate
from hdl.operands import OperandDistribution, code_values

from .circuit import ONE, ZERO, Circuit, Replacement
from .functions import factored
from .prices import Prices
from .screening import Pairs, products, screen

__all__ = [
    "MadeDesign",
    "State",
    "Workplace",
    "error_matrix",
    "important_pairs",
    "netlist_of",
    "walk",
]

#: Operand pairs that changes are screened on.
_SCREENED_PAIRS = 2048
#: Changes that are checked whole in every step, and steps between mappings.
_CHECKED, _STEPS_PER_MAPPING = 24, 5
#: A circuit is mapped sooner where so many points were lost since it was; what a step has to be
#: worth when it is.
_MAPPED_PP, _LEAST_WORTH = 0.3, 0.002
#: Mapping finds another structure, which may cost a little more than the changed one: so many times
#: in a row a walk goes on all the same.
_IN_VAIN = 3
#: The price of a percentage point as a share of the cost, and by what it falls.
_FIRST_PRICE, _LAST_PRICE, _FALL = 2.0, 0.01, 0.85


@dataclass(frozen=True, eq=False)
class Workplace:
    """What a walk works with.

    Attributes:
        operands: that energy is measured under.
        delay_target_ps: as :func:`hdl.cost.map_design` takes it.
        seed: of the operand samples that energy is estimated from.
        cautious: walks end where the loss is not known from emulations nearby.
    """

    loss: LossModel | WorstLoss
    library: CellLibrary
    operands: OperandDistribution
    delay_target_ps: float | None = None
    seed: int = 0
    cautious: bool = False


@dataclass(frozen=True, eq=False)
class MadeDesign:
    """A design that a walk came by.

    Attributes:
        drop_pp: predicted loss of accuracy against exact products of the widest operands.
        area_um2, energy_fj: of its mapping with little effort.
        candidates: changes that the walk had judged until then.
    """

    design: NetlistDesign
    drop_pp: float
    area_um2: float
    energy_fj: float
    candidates: int


def walk(
    start: Multiplier,
    workplace: Workplace,
    *,
    max_drop_pp: float,
    seed: int,
) -> Iterator[MadeDesign]:
    """Designs on the way from `start` to those that are predicted to lose `max_drop_pp`.

    The same arguments give the same designs.

    Raises:
        hdl.yosys.YosysError, hdl.cost.MappedNetlistError: the start cannot be mapped.
    """
    rng = np.random.default_rng(seed)
    loss = workplace.loss
    every = Pairs.all_of(workplace.operands)
    screened_pairs = important_pairs(workplace)
    price, candidates = _FIRST_PRICE * rng.uniform(0.7, 1.4), 0
    mapped = state = State.of(start, workplace, every)
    steps = in_vain = 0
    while price > _LAST_PRICE:
        around = loss.around(state.errors)
        screened = screen(state.circuit, screened_pairs, around, state.prices, rng)
        candidates += screened.candidates
        taken = None
        while taken is None and price > _LAST_PRICE:
            changes = screened.best(state.circuit, price, _CHECKED)
            taken = _best(state, changes, price, loss, every)
            if taken is None:
                price = min(price * _FALL, screened.break_even(state.circuit))
        if taken is None or taken.drop_pp > max_drop_pp or not taken.circuit.gates:
            break
        if workplace.cautious and not loss.knows(taken.errors):
            break
        state, steps = taken, steps + 1
        if steps < _STEPS_PER_MAPPING and state.drop_pp < mapped.drop_pp + _MAPPED_PP:
            continue
        found = State.of(netlist_of(state.circuit), workplace, every)
        if _worth(mapped, found, price) > _LEAST_WORTH * steps:
            mapped = state = found
            in_vain = 0
            yield MadeDesign(
                netlist_of(found.circuit),
                found.drop_pp,
                found.area_um2,
                found.energy_fj,
                candidates,
            )
        elif (in_vain := in_vain + 1) == _IN_VAIN:
            # Estimates say more than mapping holds.
            state, price, in_vain = mapped, price * _FALL, 0
        steps = 0


@dataclass(frozen=True, eq=False)
class State:
    """Where a walk is: a circuit, its error matrix, its predicted loss, and prices of gates."""

    circuit: Circuit
    errors: NDArray[np.int32]
    drop_pp: float
    prices: Prices

    @classmethod
    def of(cls, design: Multiplier, workplace: Workplace, every: Pairs) -> State:
        """A design mapped to cells, with what its nets cost."""
        made = map_design(design, workplace.library, delay_target_ps=workplace.delay_target_ps)
        energy = operation_energy(
            made.netlist, made.timing, workplace.operands, seed=workplace.seed, relative_error=0.02
        )
        prices = Prices.of(made.netlist, energy, workplace.library)
        circuit = Circuit.of_mapped(made.netlist, design.signed, *_by_net(energy))
        errors = error_matrix(circuit, every)
        return cls(circuit, errors, float(workplace.loss.drops_pp(errors[None])[0]), prices)

    @property
    def area_um2(self) -> float:
        return self.circuit.area_um2

    @property
    def energy_fj(self) -> float:
        return self.circuit.energy_fj


def _worth(before: State, after: State, price_per_pp: float) -> float:
    """The share of area and energy that is saved, half each, less the price of the accuracy."""
    area = after.area_um2 / max(before.area_um2, 1e-9)
    energy = after.energy_fj / max(before.energy_fj, 1e-9)
    return 1 - (area + energy) / 2 - price_per_pp * (after.drop_pp - before.drop_pp)


def _best(
    state: State,
    changes: Sequence[Replacement],
    price_per_pp: float,
    loss: LossModel | WorstLoss,
    every: Pairs,
) -> State | None:
    """What the best of some changes leads to; None where none is worth its price."""
    if not changes:
        return None
    circuits = [state.circuit.replaced(change) for change in changes]
    errors = np.stack([error_matrix(circuit, every) for circuit in circuits])
    drops_pp = loss.drops_pp(errors).tolist()
    found = [State(*parts, state.prices) for parts in zip(circuits, errors, drops_pp, strict=True)]
    best = max(found, key=lambda one: _worth(state, one, price_per_pp))
    return best if _worth(state, best, price_per_pp) > 0 else None


def error_matrix(circuit: Circuit, every: Pairs) -> NDArray[np.int32]:
    """Error matrix (2^width_a, 2^width_b) of a circuit."""
    values = circuit.simulated(every.bits)[list(circuit.outputs)]
    product = products(values, len(every), circuit.widths, circuit.signed)
    a, b = (code_values(width, signed=circuit.signed) for width in circuit.widths)
    exact = np.multiply.outer(a, b).astype(np.int32)
    return product.reshape(exact.shape) - exact


def important_pairs(workplace: Workplace) -> Pairs:
    """The operand pairs that changes are screened on: those whose errors, of a typical size, count
    most in the network."""
    return Pairs.important(workplace.operands, workplace.loss.importance, _SCREENED_PAIRS)


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
