"""What a standard cell is: area, function, pins, and tables of delay and energy, in um2, fF, ps,
fJ, nW.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "MAX_INPUTS",
    "Cell",
    "FlipFlop",
    "InputPin",
    "InternalPower",
    "LookupTable",
    "OutputPin",
    "SetupTable",
    "TimingArc",
    "Unateness",
]

MAX_INPUTS = 6


class Unateness(StrEnum):
    """How an output edge follows an input edge (Liberty `timing_sense`)."""

    POSITIVE = "positive_unate"
    NEGATIVE = "negative_unate"
    NON = "non_unate"


@dataclass(frozen=True, eq=False)
class LookupTable:
    """A table over input slew (n,) in ps and output load (m,) in fF; `values` is (n, m). An axis of
    length 1 does not matter.
    """

    slew_ps: NDArray[np.float64]
    load_ff: NDArray[np.float64]
    values: NDArray[np.float64]

    def at(self, slew_ps: ArrayLike, load_ff: ArrayLike) -> NDArray[np.float64]:
        """Bilinear interpolation, continued linearly from the outermost cells beyond the axes;
        arguments broadcast.
        """
        return _bilinear(self.slew_ps, self.load_ff, self.values, slew_ps, load_ff)


@dataclass(frozen=True, eq=False)
class SetupTable:
    """How long before the clock a data input must come: slews of the data (n,) and of the clock
    (m,), and times (n, m), all in ps.
    """

    data_slew_ps: NDArray[np.float64]
    clock_slew_ps: NDArray[np.float64]
    setup_ps: NDArray[np.float64]

    def at(self, data_slew_ps: ArrayLike, clock_slew_ps: ArrayLike) -> NDArray[np.float64]:
        """Setup time in ps, interpolated as a :class:`LookupTable` is; arguments broadcast."""
        return _bilinear(
            self.data_slew_ps, self.clock_slew_ps, self.setup_ps, data_slew_ps, clock_slew_ps
        )


def _bilinear(
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    values: NDArray[np.float64],
    row: ArrayLike,
    column: ArrayLike,
) -> NDArray[np.float64]:
    i, u = _interval(rows, np.asarray(row, dtype=np.float64))
    j, v = _interval(columns, np.asarray(column, dtype=np.float64))
    i1, j1 = np.minimum(i + 1, len(rows) - 1), np.minimum(j + 1, len(columns) - 1)
    low = values[i, j] + v * (values[i, j1] - values[i, j])
    high = values[i1, j] + v * (values[i1, j1] - values[i1, j])
    result: NDArray[np.float64] = low + u * (high - low)
    return result


def _interval(
    axis: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    if len(axis) == 1:
        return np.zeros(x.shape, dtype=np.intp), np.zeros(x.shape)
    i = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
    return i, (x - axis[i]) / (axis[i + 1] - axis[i])


@dataclass(frozen=True)
class TimingArc:
    """Delay and transition time of one output by the edges of one input, in ps; None where the arc
    lacks that output edge.
    """

    input: int
    unateness: Unateness
    rise_delay: LookupTable | None
    fall_delay: LookupTable | None
    rise_transition: LookupTable | None
    fall_transition: LookupTable | None


@dataclass(frozen=True)
class InternalPower:
    """Energy inside the cell per edge of its pin, in fJ.

    On an output pin `related` is the input that causes the edge (None: any). On an input pin `when`
    is the truth table, over the cell's inputs and then its outputs, of the condition under which
    the figure holds (None: always), and `output` the output it mentions, if any.
    """

    related: int | None
    when: int | None
    output: int | None
    rise: LookupTable | None
    fall: LookupTable | None


@dataclass(frozen=True)
class InputPin:
    """An input: nominal capacitance, and the largest of all rise, fall and range figures, in fF."""

    name: str
    capacitance_ff: float
    max_capacitance_ff: float
    powers: tuple[InternalPower, ...]


@dataclass(frozen=True)
class OutputPin:
    """An output: `function` is the truth table of `expression` (bit m: value where input i equals
    bit i of m); the load limit is in fF.
    """

    name: str
    expression: str
    function: int
    max_load_ff: float
    arcs: tuple[TimingArc, ...]
    powers: tuple[InternalPower, ...]


@dataclass(frozen=True)
class Cell:
    """A combinational cell.

    `leakage` holds (truth table of the states, nW), a state being that of the inputs and then of
    the outputs; states that no entry covers leak `leakage_nw`. `mappable` says whether synthesis
    may choose the cell.
    """

    name: str
    area_um2: float
    leakage_nw: float
    leakage: tuple[tuple[int, float], ...]
    inputs: tuple[InputPin, ...]
    outputs: tuple[OutputPin, ...]
    mappable: bool

    @property
    def is_inverter(self) -> bool:
        return len(self.inputs) == 1 and len(self.outputs) == 1 and self.outputs[0].function == 0b01


@dataclass(frozen=True)
class FlipFlop:
    """A D flip-flop for rising clock edges, with one output and without scan or enable.

    Conditions of leakage and energy are truth tables over clock, data and output (bits 0, 1, 2 of a
    state); asynchronous inputs are `held` at the level (pin, 0 or 1) at which they do nothing. The
    output's arcs and energies come from the clock. `setup_rise` and `setup_fall` are for rising and
    falling data inputs.
    """

    name: str
    area_um2: float
    leakage_nw: float
    leakage: tuple[tuple[int, float], ...]
    clock: InputPin
    data: InputPin
    held: tuple[tuple[InputPin, int], ...]
    output: OutputPin
    setup_rise: SetupTable
    setup_fall: SetupTable
