"""All small changes of a circuit at once: what each saves, and what it does to the network.

Flip a net, and the product of every operand pair moves by a known amount D. A change that replaces
the net by another signal takes effect just where the two differ, so that its errors are D masked by
the difference: exact, for any change of one net. With the loss as a quadratic form of few
components (:class:`cnn_eval.prediction.LocalLoss`) the effects of all changes are one product of
matrices, D times components against signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cnn_eval.prediction import LocalLoss

from .circuit import ONE, Circuit, NewGate, Replacement
from .functions import restricted
from .pairs import Pairs, products, unpacked
from .price_ladder import break_even, most_worth
from .prices import NEW_FUNCTIONS, Prices

__all__ = ["Screened", "screen"]

#: Work of a screening, in multiplications: it bounds how many new gates are tried.
_WORK = 6e9
_MOST_NEW_GATES = 24_000


@dataclass(frozen=True, eq=False)
class NewGates:
    """New gates of two nets each.

    Attributes:
        functions, area_um2, energy_fj, glitching: as :class:`.circuit.NewGate` has them, (g,).
        inputs: nets, (g, 2).
    """

    functions: NDArray[np.intp]
    inputs: NDArray[np.intp]
    area_um2: NDArray[np.float64]
    energy_fj: NDArray[np.float64]
    glitching: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.functions)

    def __getitem__(self, index: int) -> NewGate:
        one, other = self.inputs[index].tolist()
        costs = (self.area_um2, self.energy_fj, self.glitching)
        return NewGate(
            int(self.functions[index]), (one, other), *(float(each[index]) for each in costs)
        )


@dataclass(frozen=True, eq=False)
class Screened:
    """All changes that were tried, and what they come to. The last axis of the arrays says whether
    the signal comes complemented; rows are nets, columns the signals to replace them by: the
    circuit's nets, then new gates.

    Attributes:
        circuit: whose changes they are.
        nets: to replace, (n,).
        new: the new gates.
        drops_pp: estimated loss of accuracy, (n, signals, 2); infinite where a change is
            impossible.
        area_um2, energy_fj: saved, (n, signals, 2).
        drop_pp: the same estimate for the circuit as it is.
    """

    circuit: Circuit
    nets: NDArray[np.intp]
    new: NewGates
    drops_pp: NDArray[np.float32]
    area_um2: NDArray[np.float32]
    energy_fj: NDArray[np.float32]
    drop_pp: float

    @property
    def candidates(self) -> int:
        """How many changes were judged."""
        return self.drops_pp.size

    def break_even(self) -> float:
        """The highest price of a percentage point that a change which costs accuracy is worth."""
        return break_even(self._saved, self._lost_pp)

    @cached_property
    def _lost_pp(self) -> NDArray[np.float32]:
        return self.drops_pp - np.float32(self.drop_pp)

    @cached_property
    def _saved(self) -> NDArray[np.float32]:
        """Half the share of area and half the share of energy that each change saves."""
        area = self.area_um2 * np.float32(0.5 / max(self.circuit.area_um2, 1e-9))
        return area + self.energy_fj * np.float32(0.5 / max(self.circuit.energy_fj, 1e-9))

    def best(self, price_per_pp: float, most: int) -> list[Replacement]:
        """The changes of the largest worth: half the share of area and half the share of energy
        that they save, less the price of the accuracy they cost; those worth something, the best
        first.

        Args:
            price_per_pp: share of the cost that is worth a percentage point.
        """
        found = most_worth(self._saved, self._lost_pp, price_per_pp, most)
        places = np.unravel_index(found, self.drops_pp.shape)
        return [self.change(place) for place in zip(*places, strict=True)]

    def change(self, place: tuple[int, int, int]) -> Replacement:
        """The change at a place of the arrays."""
        row, column, complemented = place
        kept = self.circuit.nets
        signal = int(column) if column < kept else self.new[column - kept]
        return Replacement(int(self.nets[row]), signal, bool(complemented))


def screen(
    circuit: Circuit,
    pairs: Pairs,
    loss: LocalLoss,
    prices: Prices,
    rng: np.random.Generator,
) -> Screened:
    """Judges replacements of every net by every other net, by a constant, and by new gates of two
    nets, as many of those as the work allows, drawn at random."""
    values = circuit.simulated(pairs.bits)
    nets = np.arange(2, circuit.nets)
    cones = circuit.fanout_cones
    count = len(pairs)
    rank = len(loss.components) + 1
    room = int(_WORK / (len(nets) * rank * count)) - circuit.nets
    new, new_values = _new_gates(circuit, values, pairs, prices, rng, room)

    signals = unpacked(np.concatenate([values, new_values]), count).astype(np.float32)
    effect = _effects(circuit, values, nets, pairs, loss, signals)

    impossible = np.concatenate([cones[nets], _either(cones[nets], new)], axis=1)
    drops_pp = loss.drops_pp(effect)
    drops_pp[impossible] = np.inf

    area, energy = _savings(circuit, nets, new)
    _add_constants(circuit, nets, prices, area, energy)
    area[:, circuit.nets :] -= new.area_um2.astype(np.float32)
    energy[:, circuit.nets :] -= new.energy_fj.astype(np.float32)
    # A complement takes an inverter, or nothing where the cell behind comes in both kinds.
    half = circuit.inverter.area_um2 / 2, circuit.inverter.energy_fj / 2
    both = [
        np.stack([saved, saved - np.float32(cost)], axis=-1)
        for saved, cost in zip((area, energy), half, strict=True)
    ]
    for saved in both:  # the complement of a constant is the other constant, for nothing
        saved[:, :2, 1] = saved[:, 1::-1, 0]
    return Screened(
        circuit, nets, new, drops_pp, both[0], both[1], float(loss.drops_pp(np.zeros(1))[0])
    )


def _effects(
    circuit: Circuit,
    values: NDArray[np.uint64],
    nets: NDArray[np.intp],
    pairs: Pairs,
    loss: LocalLoss,
    signals: NDArray[np.float32],
) -> NDArray[np.float32]:
    """What each replacement adds to the loss's Q, (nets, signals, 2)."""
    count = len(pairs)
    kind = circuit.widths, circuit.signed
    product = products(values[list(circuit.outputs)], count, *kind)
    flipped = products(circuit.simulated_flips(values, nets), count, *kind)
    moves = (flipped - product).astype(np.float32)  # (nets, pairs)
    linear = moves * loss.gradient[pairs.index] + moves**2 * loss.variances[pairs.index]
    projected = moves[:, None] * loss.components[:, pairs.index]
    rows = np.concatenate([linear[:, None], projected], axis=1)  # (nets, 1 + r, pairs)
    present = signals[nets][:, None]
    # Where the signal differs from the net: net + signal - 2 net signal.
    constant = (rows * present).sum(-1)
    whole = rows.sum(-1)
    signed_rows = (rows * (1 - 2 * present)).reshape(-1, count)
    differing = (signed_rows @ signals.T).reshape(len(nets), rows.shape[1], -1) + constant[
        ..., None
    ]
    effects = np.empty((len(nets), len(signals), 2), np.float32)
    for complemented, part in enumerate((differing, whole[..., None] - differing)):
        effects[..., complemented] = part[:, 0] + (part[:, 1:] ** 2).sum(1)
    return effects


def _new_gates(
    circuit: Circuit,
    values: NDArray[np.uint64],
    pairs: Pairs,
    prices: Prices,
    rng: np.random.Generator,
    room: int,
) -> tuple[NewGates, NDArray[np.uint64]]:
    """New gates of two nets, and their values (gates, words)."""
    sources = circuit.nets - 2
    every = sources * (sources - 1) // 2 * len(NEW_FUNCTIONS)
    wanted = min(every, max(room, 0), _MOST_NEW_GATES)
    chosen = (
        np.sort(rng.choice(every, wanted, replace=False)) if wanted < every else np.arange(every)
    )
    pair, kind = np.divmod(chosen, len(NEW_FUNCTIONS))
    first, second = (part[pair] + 2 for part in np.triu_indices(sources, 1))
    found = np.empty((len(chosen), values.shape[1]), np.uint64)
    a, b = values[first], values[second]
    for number, function in enumerate(NEW_FUNCTIONS):
        rows = kind == number
        one, other = a[rows], b[rows]
        found[rows] = {
            0b1000: lambda x, y: x & y,
            0b0010: lambda x, y: x & ~y,
            0b0100: lambda x, y: ~x & y,
            0b0001: lambda x, y: ~(x | y),
            0b0110: lambda x, y: x ^ y,
        }[function](one, other)
    share = unpacked(found, len(pairs)) @ pairs.weights / pairs.weights.sum()
    glitching = np.ones(circuit.nets)
    glitching[circuit.first_gate :] = [gate.glitching for gate in circuit.gates]
    mean = (glitching[first] + glitching[second]) / 2
    energy, areas = np.empty(len(chosen)), np.empty(len(chosen))
    for number, function in enumerate(NEW_FUNCTIONS):
        rows = kind == number
        areas[rows] = prices.area_um2(function, 2)
        energy[rows] = prices.new_energy_fj(function, share[rows], mean[rows])
    functions, inputs = np.array(NEW_FUNCTIONS)[kind], np.stack([first, second], axis=1)
    return NewGates(functions, inputs, areas, energy, mean), found


def _either(cones: NDArray[np.bool_], new: NewGates) -> NDArray[np.bool_]:
    """Whether new gates depend on the nets, (nets, new gates)."""
    first, second = new.inputs.T
    return np.asarray(cones[:, first] | cones[:, second])


def _savings(
    circuit: Circuit, nets: NDArray[np.intp], new: NewGates
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Area and energy of what nothing needs any more, (nets, signals) each."""
    dying = circuit.fanout_free_cones[nets].astype(np.float32)
    # What a signal needs stays.
    needs = circuit.fanout_cones[circuit.first_gate :].T  # (nets, gates)
    first, second = new.inputs.T
    needs = np.concatenate([needs, needs[first] | needs[second]])
    costs = np.array([(gate.area_um2, gate.energy_fj) for gate in circuit.gates], np.float32)
    goes = (~needs.T).astype(np.float32)
    area, energy = (
        np.asarray((dying * cost) @ goes, np.float32) for cost in costs.reshape(-1, 2).T
    )
    return area, energy


def _add_constants(
    circuit: Circuit,
    nets: NDArray[np.intp],
    prices: Prices,
    area: NDArray[np.float32],
    energy: NDArray[np.float32],
) -> None:
    """Adds what the gates that read a net save where it is constant, in place."""
    dying = circuit.fanout_free_cones
    for index, gate in enumerate(circuit.gates):
        count = len(gate.inputs)
        for place, net in enumerate(gate.inputs):
            if net <= ONE or dying[net, index]:
                continue
            for value in (0, 1):
                left = prices.area_um2(restricted(gate.function, count, place, value), count - 1)
                saved = max(gate.area_um2 - left, 0.0)
                area[net - 2, value] += saved
                energy[net - 2, value] += gate.energy_fj * saved / max(gate.area_um2, 1e-9)
