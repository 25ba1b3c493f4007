"""Static timing of a mapped netlist over NLDM tables.

Every net carries a latest arrival and a largest transition time for its rising and for its falling
edge; both spread through all arcs, conditional ones included, each by its own maximum (the usual
worst-slew propagation). No path is dropped as false. Delays are in ps from the input's 50 %
crossing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ..cells.library import MAX_INPUTS, CellLibrary, FlipFlop, LookupTable, Unateness
from .mapped_netlist import MappedNetlist

__all__ = ["DEFAULT_INPUT_SLEW_PS", "FALL", "RISE", "PathStep", "Timing", "analyze"]

RISE, FALL = 0, 1
DEFAULT_INPUT_SLEW_PS = 20.0


@dataclass(frozen=True)
class PathStep:
    """One stop of a path: the net, the edge ("rise" or "fall"), the time it comes, and the cell and
    input pin it comes through.
    """

    net: str
    edge: str
    arrival_ps: float
    slew_ps: float
    load_ff: float
    instance: str
    cell: str
    pin: str


@dataclass(frozen=True, eq=False)
class Timing:
    """Result of static timing. Net arrays have shape (nets, 2), the second axis being rise, fall.

    `arrival_ps` is -inf and `slew_ps` 0 where an edge never comes. `arc_delay_ps` (gates,
    MAX_INPUTS, 2) is the largest delay from an input of a gate to its output's rise, fall; nan
    where there is no arc. `delay_ps` is the latest arrival at an output, 0 without one.
    """

    delay_ps: float
    arrival_ps: NDArray[np.float64]
    slew_ps: NDArray[np.float64]
    load_ff: NDArray[np.float64]
    arc_delay_ps: NDArray[np.float64]
    critical_path: tuple[PathStep, ...]


class _ArcTables(NamedTuple):
    """All timing arcs of a library as arrays; the arcs of a cell's output are those from `start` of
    its kind up to the next kind's.

    `input` and `unateness` are the arcs', `tables` (arcs, 4) numbers of their delay (rise, fall)
    and slew (rise, fall) tables. A table is a row of `layout`: where its slew axis begins in `axes`
    and how long it is, the same of its load axis, where it begins in `values`.
    """

    start: NDArray[np.int32]
    input: NDArray[np.int32]
    unateness: NDArray[np.int32]
    tables: NDArray[np.int32]
    axes: NDArray[np.float64]
    values: NDArray[np.float64]
    layout: NDArray[np.int32]


class _Gates(NamedTuple):
    """Gates in topological order: kind (a position in `start` of the arcs), output net and input
    nets, and the load of every net in fF.
    """

    kind: NDArray[np.int32]
    output: NDArray[np.int32]
    inputs: NDArray[np.int32]
    load_ff: NDArray[np.float64]


class _Found(NamedTuple):
    """What is propagated: as in :class:`Timing`, and the (gate, input, edge) that the latest
    arrival comes from, (nets, 2, 3).
    """

    arrival_ps: NDArray[np.float64]
    slew_ps: NDArray[np.float64]
    arc_delay_ps: NDArray[np.float64]
    cause: NDArray[np.int32]


_NO_TABLE = -1
_UNATENESS_CODE = {Unateness.POSITIVE: 0, Unateness.NEGATIVE: 1, Unateness.NON: 2}


@functools.lru_cache(maxsize=4)
def _arc_tables(library: CellLibrary) -> tuple[dict[tuple[str, int], int], _ArcTables]:
    """Kind of each cell's outputs, and their arcs."""
    axes: list[NDArray[np.float64]] = []
    values: list[NDArray[np.float64]] = []
    layout: list[tuple[int, int, int, int, int]] = []
    axis_start: dict[bytes, int] = {}
    known: dict[tuple[bytes, bytes, bytes], int] = {}
    sizes = [0, 0]

    def axis_position(axis: NDArray[np.float64], key: bytes) -> int:
        if key not in axis_start:
            axis_start[key] = sizes[0]
            axes.append(axis)
            sizes[0] += axis.size
        return axis_start[key]

    def table_number(table: LookupTable | None) -> int:
        if table is None:
            return _NO_TABLE
        slews, loads = table.slew_ps.tobytes(), table.load_ff.tobytes()
        key = (slews, loads, table.values.tobytes())
        if key not in known:
            known[key] = len(layout)
            start = axis_position(table.slew_ps, slews), axis_position(table.load_ff, loads)
            layout.append((start[0], table.slew_ps.size, start[1], table.load_ff.size, sizes[1]))
            values.append(table.values.ravel())
            sizes[1] += table.values.size
        return known[key]

    row: dict[tuple[str, int], int] = {}
    start = [0]
    arcs: list[tuple[int, int, int, int, int, int]] = []
    for cell in library.cells.values():
        for index, output in enumerate(cell.outputs):
            row[cell.name, index] = len(start) - 1
            # Conditional arcs often repeat the unconditional one: equal rows are kept once.
            arcs += dict.fromkeys(
                (
                    arc.input,
                    _UNATENESS_CODE[arc.unateness],
                    table_number(arc.rise_delay),
                    table_number(arc.fall_delay),
                    table_number(arc.rise_transition),
                    table_number(arc.fall_transition),
                )
                for arc in output.arcs
            )
            start.append(len(arcs))
    columns = np.array(arcs, dtype=np.int32).reshape(-1, 6)
    return row, _ArcTables(
        np.array(start, dtype=np.int32),
        columns[:, 0].copy(),
        columns[:, 1].copy(),
        columns[:, 2:].copy(),
        np.concatenate(axes) if axes else np.zeros(0),
        np.concatenate(values) if values else np.zeros(0),
        np.array(layout, dtype=np.int32).reshape(-1, 5),
    )


@numba.njit(cache=True)
def _lookup(arcs: _ArcTables, table: int, slew: float, load: float) -> float:
    """A table's value in ps, interpolated as :class:`hdl.cells.LookupTable` does."""
    axes, values = arcs.axes, arcs.values
    slew_at, slews, load_at, loads, at = arcs.layout[table]
    i, u, j, v = 0, 0.0, 0, 0.0
    if slews > 1:
        while i < slews - 2 and slew >= axes[slew_at + i + 1]:
            i += 1
        u = (slew - axes[slew_at + i]) / (axes[slew_at + i + 1] - axes[slew_at + i])
    if loads > 1:
        while j < loads - 2 and load >= axes[load_at + j + 1]:
            j += 1
        v = (load - axes[load_at + j]) / (axes[load_at + j + 1] - axes[load_at + j])
    i1, j1 = min(i + 1, slews - 1), min(j + 1, loads - 1)
    low = values[at + i * loads + j] * (1 - v) + values[at + i * loads + j1] * v
    high = values[at + i1 * loads + j] * (1 - v) + values[at + i1 * loads + j1] * v
    found: float = low * (1 - u) + high * u
    return found


@numba.njit(cache=True)
def _propagate(gates: _Gates, arcs: _ArcTables, found: _Found) -> None:
    """Spreads arrivals and slews from the inputs, gate by gate."""
    kind, output, inputs, load = gates
    start, arc_input, arc_unateness, arc_tables = (
        arcs.start,
        arcs.input,
        arcs.unateness,
        arcs.tables,
    )
    arrival, slew, arc_delay, cause = found
    for gate in range(len(kind)):
        out = output[gate]
        for arc in range(start[kind[gate]], start[kind[gate] + 1]):
            pin = arc_input[arc]
            net = inputs[gate, pin]
            for edge in range(2):
                delay_table, slew_table = arc_tables[arc, edge], arc_tables[arc, 2 + edge]
                if delay_table < 0:
                    continue
                for from_edge in range(2):
                    if (arc_unateness[arc] == 0 and from_edge != edge) or (
                        arc_unateness[arc] == 1 and from_edge == edge
                    ):
                        continue
                    if arrival[net, from_edge] == -np.inf:
                        continue
                    delay = _lookup(arcs, delay_table, slew[net, from_edge], load[out])
                    if not delay <= arc_delay[gate, pin, edge]:
                        arc_delay[gate, pin, edge] = delay
                    if arrival[net, from_edge] + delay > arrival[out, edge]:
                        arrival[out, edge] = arrival[net, from_edge] + delay
                        cause[out, edge, 0] = gate
                        cause[out, edge, 1] = pin
                        cause[out, edge, 2] = from_edge
                    slew[out, edge] = max(
                        slew[out, edge], _lookup(arcs, slew_table, slew[net, from_edge], load[out])
                    )


def analyze(
    netlist: MappedNetlist,
    *,
    input_slew_ps: float = DEFAULT_INPUT_SLEW_PS,
    output_load_ff: float | None = None,
    launch: FlipFlop | None = None,
    input_load_ff: float = 0.0,
) -> Timing:
    """Static timing with the same transition time on every input and the same load on every output
    bit.

    None for the load means the library's `default_output_load_ff`. With `launch`, every input is
    the output of such a flip-flop, which also drives `input_load_ff` elsewhere: times count from
    its clock edge, and `input_slew_ps` is the transition time of the clock.
    """
    load = netlist.loads_ff(
        netlist.library.default_output_load_ff if output_load_ff is None else output_load_ff
    )
    (kinds, arcs), gates = _arc_tables(netlist.library), netlist.gates
    nets = len(netlist.net_names)
    arrival, slew = np.full((nets, 2), -np.inf), np.zeros((nets, 2))
    sources = list(netlist.input_nets)
    if launch is None:
        arrival[sources], slew[sources] = 0.0, input_slew_ps
    else:
        load[sources] += input_load_ff
        arrival[sources], slew[sources] = _launched(launch, input_slew_ps, load[sources])
    arc_delay = np.full((len(gates.output), MAX_INPUTS, 2), np.nan)
    cause = np.full((nets, 2, 3), -1, dtype=np.int32)
    names = [netlist.instances[i].cell.name for i in gates.instance]
    kind = np.array(
        [kinds[name, pin] for name, pin in zip(names, gates.pin.tolist(), strict=True)],
        dtype=np.int32,
    )
    _propagate(
        _Gates(kind, gates.output, gates.inputs, load),
        arcs,
        _Found(arrival, slew, arc_delay, cause),
    )
    ends = [
        (float(arrival[net, edge]), net, edge)
        for net in netlist.output_nets
        for edge in (RISE, FALL)
    ]
    delay, net, edge = max(ends, default=(0.0, -1, RISE))
    timing = Timing(max(delay, 0.0), arrival, slew, load, arc_delay, ())
    if net < 0 or delay == -np.inf:
        return timing
    return Timing(
        timing.delay_ps, arrival, slew, load, arc_delay, _path(netlist, timing, cause, net, edge)
    )


def _launched(
    launch: FlipFlop, clock_slew_ps: float, load_ff: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Arrivals and slews (n, 2) at the outputs of flip-flops with these loads (n,), by the slowest
    of their clock arcs.
    """

    def slowest(*names: str) -> NDArray[np.float64]:
        tables = ([getattr(arc, name) for arc in launch.output.arcs] for name in names)
        columns = [
            np.max(
                [table.at(clock_slew_ps, load_ff) for table in edge if table is not None], axis=0
            )
            for edge in tables
        ]
        return np.stack(columns, axis=-1)

    return slowest("rise_delay", "fall_delay"), slowest("rise_transition", "fall_transition")


def _path(
    netlist: MappedNetlist, timing: Timing, cause: NDArray[np.int32], net: int, edge: int
) -> tuple[PathStep, ...]:
    steps = []
    while True:
        gate, pin, from_edge = (int(value) for value in cause[net, edge])
        instance = netlist.instances[netlist.gates.instance[gate]] if gate >= 0 else None
        steps.append(
            PathStep(
                netlist.net_names[net],
                "rise" if edge == RISE else "fall",
                float(timing.arrival_ps[net, edge]),
                float(timing.slew_ps[net, edge]),
                float(timing.load_ff[net]),
                instance.name if instance else "",
                instance.cell.name if instance else "",
                instance.cell.inputs[pin].name if instance else "",
            )
        )
        if instance is None:
            return tuple(reversed(steps))
        net, edge = instance.inputs[pin], from_edge
