"""Event-driven simulation of a mapped netlist with inertial delays: how often each net toggles per
operation, glitches included.

Every cell output follows its inputs after the delay of the arc that moved it, a whole number of
picoseconds: the largest NLDM delay for that input and output edge at the loads and slews of static
timing. When several inputs change at the same instant, the shortest of their delays counts. A
change that is taken back before its delay has passed never shows (inertial delay). An instant once
announced for an output stands: what comes out then is the newest value of its function. These are
the rules by which Icarus Verilog treats specify paths, so the two can be compared toggle by toggle.
Each operation starts from a settled circuit, gets new operands at time 0 and runs until no event is
left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .mapped_netlist import ONE, OPEN, MappedNetlist
from .timing import Timing

__all__ = ["Activity", "input_bits", "simulate"]


@dataclass(frozen=True, eq=False)
class Activity:
    """What every net did in a number of operations.

    `toggles` (batches, nets) and `settled_toggles` (nets,) are totals, with glitches and of settled
    values only; `ones` (nets,) counts settled values of 1 before and after each operation, so it
    ranges to 2 * operations. All batches have the same number of operations.
    """

    operations: int
    toggles: NDArray[np.int64]
    settled_toggles: NDArray[np.int64]
    ones: NDArray[np.int64]

    def __add__(self, other: Activity) -> Activity:
        return Activity(
            self.operations + other.operations,
            np.concatenate([self.toggles, other.toggles]),
            self.settled_toggles + other.settled_toggles,
            self.ones + other.ones,
        )

    @property
    def toggle_rates(self) -> NDArray[np.float64]:
        """(nets,) toggles per operation, glitches included."""
        rates: NDArray[np.float64] = self.toggles.sum(axis=0) / self.operations
        return rates

    @property
    def settled_rates(self) -> NDArray[np.float64]:
        """(nets,) toggles per operation of a circuit without delays."""
        return self.settled_toggles / self.operations

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(nets,) probability that the settled net is 1."""
        return self.ones / (2 * self.operations)


def input_bits(netlist: MappedNetlist, codes: dict[str, ArrayLike]) -> NDArray[np.uint8]:
    """Operand codes per input port, each (operations,), as bits (operations, inputs) in the order
    of `netlist.input_nets`.
    """
    columns = [
        (np.asarray(codes[port], dtype=np.int64)[:, None] >> np.arange(len(nets))) & 1
        for port, nets in netlist.inputs.items()
    ]
    return np.ascontiguousarray(np.concatenate(columns, axis=1), dtype=np.uint8)


def simulate(
    netlist: MappedNetlist,
    timing: Timing,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    *,
    batches: int = 1,
) -> Activity:
    """Simulates the operations that take the inputs from `before` to `after`, bits (operations,
    inputs) in the order of `input_nets`.

    The operations are split evenly into `batches`, in order. Raises ValueError when they do not
    split evenly.
    """
    operations = len(before)
    if operations % batches:
        raise ValueError(f"{operations} operations do not split into {batches} equal batches")
    gates = netlist.gates
    nets = len(netlist.net_names)
    circuit = _Circuit(
        gates.functions,
        gates.inputs,
        gates.output,
        *_fanout(gates.inputs, nets),
        _delay_ticks(timing.arc_delay_ps),
        np.array(netlist.input_nets, dtype=np.int32),
    )
    counts = _Counts(
        np.zeros((batches, nets), dtype=np.int64),
        np.zeros(nets, dtype=np.int64),
        np.zeros(nets, dtype=np.int64),
    )
    _run(circuit, before, after, counts)
    return Activity(operations, *counts)


class _Circuit(NamedTuple):
    """A netlist as the simulation reads it: gates in topological order, nets by number.

    `fanout[fanout_start[net] : fanout_start[net + 1]]` are the (gate, input) that a net drives;
    `delay` (gates, MAX_INPUTS, 2) is in whole ps, its last axis rise and fall; `sources` are the
    nets of the operands' bits.
    """

    functions: NDArray[np.uint64]
    inputs: NDArray[np.int32]
    output: NDArray[np.int32]
    fanout_start: NDArray[np.int32]
    fanout: NDArray[np.int32]
    delay: NDArray[np.int32]
    sources: NDArray[np.int32]


class _Counts(NamedTuple):
    """What the simulation adds to; see :class:`Activity`."""

    toggles: NDArray[np.int64]
    settled_toggles: NDArray[np.int64]
    ones: NDArray[np.int64]


def _delay_ticks(arc_delay_ps: NDArray[np.float64]) -> NDArray[np.int32]:
    """Delays in whole ps, at least 1. An input without an arc of its own takes the gate's slowest
    arc for that edge.
    """
    slowest = np.fmax.reduce(arc_delay_ps, axis=1, initial=1.0)
    delays = np.where(np.isnan(arc_delay_ps), slowest[:, None, :], arc_delay_ps)
    return np.maximum(np.rint(delays), 1).astype(np.int32)


def _fanout(inputs: NDArray[np.int32], nets: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """For each net the gate inputs it drives: positions in the second array, whose rows are (gate,
    input).
    """
    gate, pin = np.nonzero(inputs > ONE)
    net = inputs[gate, pin]
    order = np.argsort(net, kind="stable")
    start = np.searchsorted(net[order], np.arange(nets + 1))
    return start.astype(np.int32), np.ascontiguousarray(
        np.stack([gate[order], pin[order]], axis=1), dtype=np.int32
    )


@numba.njit(cache=True)
def _run(
    circuit: _Circuit, before: NDArray[np.uint8], after: NDArray[np.uint8], counts: _Counts
) -> None:
    """Simulates each operation, bits (operations, inputs) before and after."""
    functions, inputs, output, fanout_start, fanout, delay, sources = circuit
    toggles, settled_toggles, ones = counts
    gates, nets = len(output), len(ones)
    value, settled = np.zeros(nets, np.uint8), np.zeros(nets, np.uint8)
    value[ONE] = 1
    state, target, changed = (
        np.zeros(gates, np.uint64),
        np.zeros(gates, np.uint8),
        np.zeros(gates, np.uint8),
    )
    moved, touched = np.empty(nets, np.int32), np.empty(gates, np.int32)
    # The events: a ring of instants, each a list of the gates due then. The list nodes that are not
    # in use form a list, too.
    ring = 1
    longest = delay.max() if gates > 0 else 0
    while ring <= longest:
        ring *= 2
    first = np.full(ring, -1, np.int32)
    node_gate, node_next = np.empty(gates + 1, np.int32), np.arange(1, gates + 2).astype(np.int32)
    node_next[-1] = -1
    free = 0
    one = np.uint64(1)
    operations_per_batch = len(before) // len(toggles)

    for operation in range(len(before)):
        batch = operation // operations_per_batch
        for i in range(len(sources)):
            value[sources[i]] = before[operation, i]
        for gate in range(gates):
            bits = np.uint64(0)
            for pin in range(inputs.shape[1]):
                if inputs[gate, pin] != OPEN and value[inputs[gate, pin]]:
                    bits |= one << np.uint64(pin)
            state[gate] = bits
            target[gate] = (functions[gate] >> bits) & one
            value[output[gate]] = target[gate]
        settled[:] = value
        for net in range(nets):
            ones[net] += value[net]

        now, pending, count = 0, 0, 0
        for i in range(len(sources)):
            if value[sources[i]] != after[operation, i]:
                value[sources[i]] ^= 1
                moved[count] = sources[i]
                count += 1
        while True:
            touched_count = 0
            for i in range(count):
                net = moved[i]
                toggles[batch, net] += 1
                for k in range(fanout_start[net], fanout_start[net + 1]):
                    gate, pin = fanout[k]
                    state[gate] ^= one << np.uint64(pin)
                    if changed[gate] == 0:
                        touched[touched_count] = gate
                        touched_count += 1
                    changed[gate] |= 1 << pin
            for i in range(touched_count):
                gate = touched[i]
                new = (functions[gate] >> state[gate]) & one
                if new != target[gate]:
                    target[gate] = new
                    edge = 0 if new else 1
                    wait = longest
                    for pin in range(inputs.shape[1]):
                        if changed[gate] >> pin & 1:
                            wait = min(wait, delay[gate, pin, edge])
                    if free < 0:
                        free = len(node_gate)
                        node_gate = np.concatenate((node_gate, np.empty(free, np.int32)))
                        node_next = np.concatenate(
                            (node_next, np.arange(free + 1, 2 * free + 1).astype(np.int32))
                        )
                        node_next[-1] = -1
                    node, free = free, node_next[free]
                    slot = (now + wait) & (ring - 1)
                    node_gate[node], node_next[node] = gate, first[slot]
                    first[slot] = node
                    pending += 1
                changed[gate] = 0
            if pending == 0:
                break
            while first[now & (ring - 1)] < 0:
                now += 1
            slot = now & (ring - 1)
            count = 0
            node = first[slot]
            first[slot] = -1
            while node >= 0:
                gate = node_gate[node]
                net = output[gate]
                if value[net] != target[gate]:
                    value[net] = target[gate]
                    moved[count] = net
                    count += 1
                node_next[node], free, node = free, node, node_next[node]
                pending -= 1
        for net in range(nets):
            settled_toggles[net] += value[net] ^ settled[net]
            ones[net] += value[net]
