"""Circuits that are changed: against plain evaluation of every net on every operand pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.search.synthesis.circuit import Circuit, Gate, NewGate, Replacement
from dse.search.synthesis.gate_walk import netlist_of
from dse.search.synthesis.pairs import Pairs, products
from hdl.operands import OperandDistribution, Widths

WIDTHS = Widths(3, 2)
INVERTER = Gate(0b01, (0,), 5.0, 1.0, 1.0)
EVERY = Pairs.all_of(OperandDistribution.uniform(WIDTHS))


@st.composite
def circuits(draw: st.DrawFn) -> Circuit:
    """Any gates of up to four inputs, constants among them, and any nets as product bits."""
    gates: list[Gate] = []
    first = 2 + WIDTHS.product
    for position in range(draw(st.integers(1, 20))):
        count = draw(st.integers(1, 4))
        nets = st.integers(0, first + position - 1)
        inputs = tuple(draw(nets) for _ in range(count))
        function = draw(st.integers(0, (1 << (1 << count)) - 1))
        gates.append(Gate(function, inputs, 1.0 + position, 2.0, 1.5))
    outputs = tuple(draw(st.integers(0, first + len(gates) - 1)) for _ in range(WIDTHS.product))
    return Circuit(WIDTHS, False, tuple(gates), outputs, INVERTER)


def net_values(circuit: Circuit, a: int, b: int, flipped: int = -1) -> list[int]:
    """Every net for one operand pair; one of them may be flipped."""
    values = [0, 1, *(a >> bit & 1 for bit in range(WIDTHS.a))]
    values += [b >> bit & 1 for bit in range(WIDTHS.b)]
    if 0 <= flipped < len(values):
        values[flipped] ^= 1
    for index, gate in enumerate(circuit.gates):
        place = sum(values[net] << bit for bit, net in enumerate(gate.inputs))
        found = gate.function >> place & 1
        values.append(found ^ (circuit.first_gate + index == flipped))
    return values


def product(circuit: Circuit, a: int, b: int, flipped: int = -1) -> int:
    values = net_values(circuit, a, b, flipped)
    return sum(values[net] << bit for bit, net in enumerate(circuit.outputs))


def all_products(circuit: Circuit, flipped: int = -1) -> list[int]:
    return [product(circuit, a, b, flipped) for a in range(8) for b in range(4)]


def simulated(circuit: Circuit) -> list[int]:
    values = circuit.simulated(EVERY.bits)[list(circuit.outputs)]
    return products(values, len(EVERY), WIDTHS, False).tolist()


@given(circuits())
def test_simulation_and_flips(circuit: Circuit) -> None:
    assert simulated(circuit) == all_products(circuit)
    nets = np.arange(2, circuit.nets)
    flips = circuit.simulated_flips(circuit.simulated(EVERY.bits), nets)
    found = products(flips, len(EVERY), WIDTHS, False)
    for row, net in enumerate(nets):
        assert found[row].tolist() == all_products(circuit, int(net))


@given(circuits(), st.data())
def test_a_change_does_what_it_says(circuit: Circuit, data: st.DataObject) -> None:
    nets = st.integers(0, circuit.nets - 1)
    net = data.draw(st.integers(2, circuit.nets - 1))
    by: int | NewGate = data.draw(nets)
    if data.draw(st.booleans()):
        by = NewGate(
            data.draw(st.integers(1, 14)), (data.draw(nets), data.draw(nets)), 3.0, 1.0, 1.0
        )
    complemented = data.draw(st.booleans())
    sources = (by,) if isinstance(by, int) else by.inputs
    if any(circuit.fanout_cones[net, source] for source in sources):
        return  # it would depend on itself
    expected = []
    for a in range(8):
        for b in range(4):
            values = net_values(circuit, a, b)
            if isinstance(by, int):
                wanted = values[by]
            else:
                wanted = by.function >> (values[by.inputs[0]] + 2 * values[by.inputs[1]]) & 1
            flipped = net if wanted ^ complemented != values[net] else -1
            expected.append(product(circuit, a, b, flipped))
    changed = circuit.replaced(Replacement(net, by, complemented))
    assert simulated(changed) == expected
    # What is left is needed, and in order.
    used = {source for gate in changed.gates for source in gate.inputs} | set(changed.outputs)
    for index, gate in enumerate(changed.gates):
        here = changed.first_gate + index
        assert here in used
        assert all(1 < source < here for source in gate.inputs)
        assert len(set(gate.inputs)) == len(gate.inputs)


def test_a_change_may_not_close_a_loop() -> None:
    gates = (Gate(0b1000, (2, 5), 1.0, 1.0, 1.0), Gate(0b0110, (7, 3), 1.0, 1.0, 1.0))
    circuit = Circuit(WIDTHS, False, gates, (8, 7, 0, 0, 0), INVERTER)
    with pytest.raises(ValueError, match="depend on itself"):
        circuit.replaced(Replacement(7, 8, False))


@given(circuits())
def test_what_dies_with_a_net(circuit: Circuit) -> None:
    """A gate that only the net's own cone of gates needs, found by taking readers away."""
    dying = circuit.fanout_free_cones
    for net in range(circuit.first_gate, circuit.nets):
        dead = {net}
        for index in reversed(range(len(circuit.gates))):
            here = circuit.first_gate + index
            readers = [
                circuit.first_gate + other
                for other, gate in enumerate(circuit.gates)
                if here in gate.inputs
            ]
            if here < net and here not in circuit.outputs and readers and set(readers) <= dead:
                dead.add(here)
        assert set(np.flatnonzero(dying[net]) + circuit.first_gate) == dead


@given(circuits())
def test_as_a_netlist_it_multiplies_the_same(circuit: Circuit) -> None:
    clean = circuit.replaced(Replacement(2, 2, False))
    table = netlist_of(clean).table().products
    assert table.ravel().tolist() == all_products(circuit)
