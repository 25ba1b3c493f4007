"""A combinational circuit that can be changed net by net.

Nets are numbered: 0 and 1 are the constants, then the bits of operand a, of operand b, and the
gates' outputs in topological order. Circuits are values: a change makes another one, without what
the change has made superfluous.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdl.cost import MappedNetlist
from hdl.operands import Widths

from .functions import depends_on, full, joined, restricted

__all__ = ["ONE", "ZERO", "Circuit", "Gate", "NewGate", "Replacement"]

ZERO, ONE = 0, 1

_NOT, _WIRE = 0b01, 0b10


class Gate(NamedTuple):
    """A gate with what it costs.

    `function` is the truth table over `inputs` (bit m: value where input i equals bit i of m).
    `energy_fj` is what its output net and its cell use for an operation, by the last simulation or
    an estimate, and `glitching` how many toggles come on one of settled values.
    """

    function: int
    inputs: tuple[int, ...]
    area_um2: float
    energy_fj: float
    glitching: float


class NewGate(NamedTuple):
    """A gate of two nets that is not there yet; its inputs are in the order of the function's."""

    function: int
    inputs: tuple[int, int]
    area_um2: float
    energy_fj: float
    glitching: float


class Replacement(NamedTuple):
    """A change: whatever reads `net` reads `by` instead, a net or a new gate, complemented or
    not.
    """

    net: int
    by: int | NewGate
    complemented: bool


@dataclass(frozen=True)
class Circuit:
    """A multiplier as gates in topological order.

    Attributes:
        outputs: nets of the product's bits, from bit 0 up.
        inverter: what an inverter costs where a change needs one.
    """

    widths: Widths
    signed: bool
    gates: tuple[Gate, ...]
    outputs: tuple[int, ...]
    inverter: Gate

    @property
    def operands(self) -> int:
        """Number of operand bits."""
        return self.widths.product

    @property
    def first_gate(self) -> int:
        """The net of the first gate."""
        return 2 + self.operands

    @property
    def nets(self) -> int:
        """Number of nets, the constants among them."""
        return self.first_gate + len(self.gates)

    @cached_property
    def area_um2(self) -> float:
        """Of all gates."""
        return sum(gate.area_um2 for gate in self.gates)

    @cached_property
    def energy_fj(self) -> float:
        """For an operation, of all gates."""
        return sum(gate.energy_fj for gate in self.gates)

    @classmethod
    def of_mapped(
        cls,
        netlist: MappedNetlist,
        signed: bool,
        energies_fj: NDArray[np.float64],
        glitching: NDArray[np.float64],
    ) -> Circuit:
        """The circuit of a mapped netlist.

        Args:
            energies_fj: of each net, for an operation, (nets,).
            glitching: toggles of each net on one of settled values, (nets,).
        """
        a, b = netlist.inputs["a"], netlist.inputs["b"]
        number = {net: index for index, net in enumerate((ZERO, ONE, *a, *b))}
        gates: list[Gate] = []
        for instance in netlist.instances:
            driven = [(pin, net) for pin, net in enumerate(instance.outputs) if net >= 0]
            for pin, net in driven:
                number[net] = 2 + len(a) + len(b) + len(gates)
                inputs = tuple(number[source] for source in instance.inputs)
                # The area of a cell with several outputs is shared out among them.
                area_um2 = instance.cell.area_um2 / len(driven)
                function = instance.cell.outputs[pin].function
                energy = float(energies_fj[net]), float(glitching[net])
                gates.append(Gate(function, inputs, area_um2, *energy))
        inverters = [cell for cell in netlist.library.cells.values() if cell.is_inverter]
        least = min(cell.area_um2 for cell in inverters if cell.mappable)
        mean_fj = float(np.mean([gate.energy_fj for gate in gates])) if gates else 0.0
        inverter = Gate(_NOT, (ZERO,), least, 0.5 * mean_fj, 1.0)
        outputs = tuple(number[net] for net in netlist.outputs["p"])
        kept, outputs = _cleaned(2 + len(a) + len(b), gates, outputs)
        return cls(Widths(len(a), len(b)), signed, kept, outputs, inverter)

    def replaced(self, change: Replacement) -> Circuit:
        """The circuit after a change. Raises ValueError where it would close a loop."""
        gates, by = list(self.gates), change.by
        if isinstance(by, NewGate):
            gates.append(Gate(*by))
            by = self.first_gate + len(gates) - 1
        if change.complemented and by > ONE:
            gates.append(self.inverter._replace(inputs=(by,)))
            by = self.first_gate + len(gates) - 1
        elif change.complemented:
            by = ONE - by
        new = self.first_gate + len(self.gates)

        def reading(gate: Gate) -> Gate:
            if change.net not in gate.inputs:
                return gate
            inputs = tuple(by if net == change.net else net for net in gate.inputs)
            return gate._replace(inputs=inputs)

        # What the change has added reads the net as it was.
        changed = [
            gate if self.first_gate + index >= new else reading(gate)
            for index, gate in enumerate(gates)
        ]
        outputs = tuple(by if net == change.net else net for net in self.outputs)
        kept, outputs = _cleaned(self.first_gate, changed, outputs)
        return replace(self, gates=kept, outputs=outputs)

    def simulated(self, bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Values of all nets.

        Args:
            bits: of the operands, 64 operand pairs a word, (operand bits, words).

        Returns:
            (nets, words).
        """
        values = np.empty((self.nets, *bits.shape[1:]), np.uint64)
        values[ZERO], values[ONE] = 0, ~np.uint64(0)
        values[2 : self.first_gate] = bits
        for index, gate in enumerate(self.gates):
            values[self.first_gate + index] = _evaluated(
                gate.function, [values[net] for net in gate.inputs]
            )
        return values

    def simulated_flips(
        self, values: NDArray[np.uint64], nets: NDArray[np.intp]
    ) -> NDArray[np.uint64]:
        """Values of the product's bits where one net is the complement of what it should be.

        Args:
            values: from :meth:`simulated`, (nets, words).
            nets: to flip, one after the other.

        Returns:
            (flipped nets, product bits, words).
        """
        flips = {int(net): row for row, net in enumerate(nets)}
        reached = self.fanout_cones
        found: dict[int, tuple[NDArray[np.intp], NDArray[np.uint64]]] = {}
        for net in range(2, self.nets):
            # Only flips that reach the net make it differ.
            rows = np.flatnonzero(reached[nets, net])
            own = flips.get(net)
            moved = np.empty((len(rows), values.shape[1]), np.uint64)
            if net >= self.first_gate:
                gate = self.gates[net - self.first_gate]
                operands = [
                    _rows(found.get(source), rows, values[source]) for source in gate.inputs
                ]
                if len(rows):
                    moved[:] = _evaluated(gate.function, operands)
            if own is not None:
                moved[rows == own] = ~values[net]
            found[net] = rows, moved
        product = np.empty((len(nets), len(self.outputs), values.shape[1]), np.uint64)
        rows = np.arange(len(nets))
        for bit, net in enumerate(self.outputs):
            product[:, bit] = _rows(found.get(net), rows, values[net])
        return product

    @cached_property
    def fanout_cones(self) -> NDArray[np.bool_]:
        """(nets, nets): whether the second net depends on the first, itself included."""
        cones = np.eye(self.nets, dtype=bool)
        for index, gate in enumerate(self.gates):
            net = self.first_gate + index
            for source in set(gate.inputs):
                cones[:, net] |= cones[:, source]
        return cones

    @cached_property
    def fanout_free_cones(self) -> NDArray[np.bool_]:
        """(nets, gates): the gates that nothing needs any more when nothing reads the net."""
        readers = np.zeros(self.nets, np.int64)
        for gate in self.gates:
            for net in gate.inputs:
                readers[net] += 1
        for net in self.outputs:
            readers[net] += 1
        dying = np.zeros((self.nets, len(self.gates)), bool)
        for root in range(self.first_gate, self.nets):
            left = readers.copy()
            stack = [root]
            while stack:
                net = stack.pop()
                dying[root, net - self.first_gate] = True
                for source in self.gates[net - self.first_gate].inputs:
                    left[source] -= 1
                    if left[source] == 0 and source >= self.first_gate:
                        stack.append(source)
        return dying


def _rows(
    found: tuple[NDArray[np.intp], NDArray[np.uint64]] | None,
    wanted: NDArray[np.intp],
    value: NDArray[np.uint64],
) -> NDArray[np.uint64]:
    """Values of a net under the wanted flips, (flips, words): its own value where they miss it."""
    result = np.repeat(value[None], len(wanted), axis=0)
    if found is not None and len(found[0]):
        rows, moved = found
        place = np.searchsorted(rows, wanted)
        hit = (place < len(rows)) & (rows[np.minimum(place, len(rows) - 1)] == wanted)
        result[hit] = moved[place[hit]]
    return result


def _evaluated(function: int, operands: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Words of a function's value, by Shannon's expansion on its last input."""
    if not operands:
        return ~np.uint64(0) if function else np.uint64(0)  # type: ignore[return-value]
    *rest, last = operands
    size = 1 << len(rest)
    ones = (1 << size) - 1
    low, high = function & ones, function >> size
    if low == high:
        return _evaluated(low, rest)
    if low == 0:
        return last if high == ones else last & _evaluated(high, rest)
    if high == 0:
        return ~last if low == ones else ~last & _evaluated(low, rest)
    if high == ones:
        return last | _evaluated(low, rest)
    if low == ones:
        return ~last | _evaluated(high, rest)
    if low == high ^ ones:
        return last ^ _evaluated(low, rest)
    one, other = _evaluated(low, rest), _evaluated(high, rest)
    return one ^ (last & (one ^ other))


def _cleaned(
    first_gate: int, gates: list[Gate], outputs: tuple[int, ...]
) -> tuple[tuple[Gate, ...], tuple[int, ...]]:
    """Gates and outputs without constant inputs, buffers, double inverters, twins and dead ends."""
    known: dict[int, int] = {net: net for net in range(first_gate)}
    kept: list[Gate] = []
    twins: dict[tuple[int, tuple[int, ...]], int] = {}
    for gate in _in_order(first_gate, gates, outputs):
        original = gates[gate - first_gate]
        function, inputs = _reduced(original.function, [known[net] for net in original.inputs])
        if not inputs:
            known[gate] = ONE if function else ZERO
        elif len(inputs) == 1 and function == _WIRE:
            known[gate] = inputs[0]
        elif len(inputs) == 1 and (source := _inverted(first_gate, kept, inputs[0])) is not None:
            known[gate] = source
        else:
            key = (function, inputs)
            if key not in twins:
                twins[key] = first_gate + len(kept)
                kept.append(Gate(function, inputs, *original[2:]))
            known[gate] = twins[key]
    outputs = tuple(known[net] for net in outputs)
    alive = _in_order(first_gate, kept, outputs)
    number = {net: first_gate + index for index, net in enumerate(alive)}
    number |= {net: net for net in range(first_gate)}
    renumbered = tuple(
        Gate(gate.function, tuple(number[source] for source in gate.inputs), *gate[2:])
        for gate in (kept[net - first_gate] for net in alive)
    )
    return renumbered, tuple(number[net] for net in outputs)


def _inverted(first_gate: int, kept: list[Gate], net: int) -> int | None:
    """What the inverter that drives `net` inverts, if one does."""
    gate = kept[net - first_gate] if net >= first_gate else None
    return gate.inputs[0] if gate is not None and len(gate.inputs) == 1 else None


def _reduced(function: int, inputs: list[int]) -> tuple[int, tuple[int, ...]]:
    """The function over different nets that are not constant and that it depends on."""
    while True:
        count = len(inputs)
        place = next((i for i, net in enumerate(inputs) if net <= ONE), None)
        if place is not None:
            function = restricted(function, count, place, inputs[place])
            del inputs[place]
            continue
        twin = next((i for i, net in enumerate(inputs) if net in inputs[:i]), None)
        if twin is not None:
            first = inputs.index(inputs[twin])
            parts = [restricted(function, count, twin, value) for value in (0, 1)]
            low, high = (restricted(part, count - 1, first, v) for v, part in enumerate(parts))
            function = joined(low, high, count - 1, first)
            del inputs[twin]
            continue
        idle = next((i for i in range(count) if not depends_on(function, count, i)), None)
        if idle is None:
            return function & full(count), tuple(inputs)
        function = restricted(function, count, idle, 0)
        del inputs[idle]


def _in_order(first_gate: int, gates: list[Gate], wanted: Iterable[int]) -> list[int]:
    """Nets of the gates that `wanted` needs, in topological order. Raises ValueError for a loop."""
    done: set[int] = set()
    opened: set[int] = set()
    order: list[int] = []
    for root in wanted:
        stack = [root]
        while stack:
            net = stack[-1]
            if net < first_gate or net in done:
                stack.pop()
                continue
            missing = [
                n for n in gates[net - first_gate].inputs if n >= first_gate and n not in done
            ]
            if not missing:
                stack.pop()
                done.add(net)
                order.append(net)
            elif net in opened:
                raise ValueError(f"net {net} would depend on itself")
            else:
                opened.add(net)
                stack.extend(missing)
    return order
