"""Makes the compact cell library that ships, hdl/cells/sg13g2_compact.lib.gz, from a full IHP
SG13G2 Liberty file.

    python scripts/make_cell_library.py PATH/sg13g2_stdcell_typ_1p20V_25C.lib[.gz]

The file is part of IHP-Open-PDK (https://github.com/IHP-GmbH/IHP-Open-PDK, Apache-2.0). What is
kept: the combinational cells that mapping uses and the smallest flip-flop, with their areas,
functions, nominal pin capacitances, leakage by state, setup times, and the delay, transition and
energy tables at a part of their breakpoints, conditional tables of one input merged (delay: the
largest, energy: the mean). The result is deterministic.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hdl.cells import (
    COMPACT_LIBRARY,
    Cell,
    CellLibrary,
    FlipFlop,
    InputPin,
    InternalPower,
    LookupTable,
    OutputPin,
    TimingArc,
    write_library,
)

# Positions in the 7 x 7 tables of the full library.
SLEW_POINTS = (0, 1, 2, 3, 5)
LOAD_POINTS = (0, 1, 3, 6)
REVISION = "0.1.4"
COMMENT = f"""Compact cell library of Ameliorate, made by scripts/make_cell_library.py.
   Origin: IHP SG13G2 standard cells, typical corner, 1.20 V, 25 C, revision {REVISION}, from\
 IHP-Open-PDK
   (https://github.com/IHP-GmbH/IHP-Open-PDK), Copyright IHP PDK Authors, Apache License 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
   Modified: reduced to combinational cells and one flip-flop, nominal pin capacitances and tables\
 at a part of their breakpoints,
   conditional tables merged, figures rounded to four digits, laid out anew. Not for sign-off. """


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("liberty", type=Path, help="the full SG13G2 Liberty file, plain or gzipped")
    parser.add_argument("-o", "--output", type=Path, default=COMPACT_LIBRARY)
    arguments = parser.parse_args()
    library = CellLibrary.load(arguments.liberty)
    cells = [compact(cell) for cell in library.cells.values() if cell.mappable]
    flip_flops = [compact_flip_flop(library.flip_flop)]
    text = write_library(
        dataclasses.replace(library, name="sg13g2_compact"), cells, flip_flops, comment=COMMENT
    )
    CellLibrary.parse(text, str(arguments.output))
    arguments.output.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def compact(cell: Cell) -> Cell:
    """The cell with merged arcs and tables at a part of the breakpoints."""
    inputs = tuple(
        InputPin(
            pin.name,
            pin.capacitance_ff,
            pin.capacitance_ff,
            tuple(_reduced_power(power) for power in pin.powers),
        )
        for pin in cell.inputs
    )
    outputs = tuple(
        OutputPin(
            pin.name,
            pin.expression,
            pin.function,
            pin.max_load_ff,
            _merged_arcs(pin.arcs),
            _merged_powers(pin.powers),
        )
        for pin in cell.outputs
    )
    return Cell(
        cell.name, cell.area_um2, cell.leakage_nw, cell.leakage, inputs, outputs, cell.mappable
    )


def compact_flip_flop(cell: FlipFlop) -> FlipFlop:
    """The flip-flop with merged arcs and tables at a part of the breakpoints; its setup tables
    stay, and so does what its inputs use.
    """
    inputs = (
        dataclasses.replace(
            pin,
            max_capacitance_ff=pin.capacitance_ff,
            powers=tuple(_reduced_power(power) for power in pin.powers),
        )
        for pin in (cell.clock, cell.data)
    )
    clock, data = inputs
    held = tuple(
        (dataclasses.replace(pin, max_capacitance_ff=pin.capacitance_ff, powers=()), level)
        for pin, level in cell.held
    )
    output = dataclasses.replace(
        cell.output, arcs=_merged_arcs(cell.output.arcs), powers=_merged_powers(cell.output.powers)
    )
    return dataclasses.replace(cell, clock=clock, data=data, held=held, output=output)


def _merged_arcs(arcs: tuple[TimingArc, ...]) -> tuple[TimingArc, ...]:
    """One arc for each input and unateness, in order of first appearance: the largest figures of
    all its conditions.
    """
    merged = []
    for pin, unateness in dict.fromkeys((arc.input, arc.unateness) for arc in arcs):
        members = [arc for arc in arcs if (arc.input, arc.unateness) == (pin, unateness)]
        tables = (
            _combined([getattr(arc, name) for arc in members], np.max)
            for name in ("rise_delay", "fall_delay", "rise_transition", "fall_transition")
        )
        merged.append(TimingArc(pin, unateness, *tables))
    return tuple(merged)


def _merged_powers(powers: tuple[InternalPower, ...]) -> tuple[InternalPower, ...]:
    """The mean over the conditions of each related input, as often as there were conditions: their
    number is the input's weight.
    """
    merged = []
    for pin in sorted({-1 if power.related is None else power.related for power in powers}):
        related = None if pin < 0 else pin
        members = [power for power in powers if power.related == related]
        rise, fall = (
            _combined([getattr(power, edge) for power in members], np.mean)
            for edge in ("rise", "fall")
        )
        merged += [InternalPower(related, None, None, rise, fall)] * len(members)
    return tuple(merged)


def _reduced_power(power: InternalPower) -> InternalPower:
    return InternalPower(
        power.related, power.when, power.output, _reduced(power.rise), _reduced(power.fall)
    )


def _combined(
    tables: list[LookupTable | None], how: Callable[..., NDArray[np.float64]]
) -> LookupTable | None:
    reduced = [table for table in map(_reduced, tables) if table is not None]
    if not reduced:
        return None
    first = reduced[0]
    if any(not _same_axes(first, table) for table in reduced):
        raise SystemExit(
            "tables of one input have different breakpoints; this is not the SG13G2 library that "
            "the script is written for"
        )
    return LookupTable(
        first.slew_ps, first.load_ff, how(np.stack([table.values for table in reduced]), axis=0)
    )


def _same_axes(one: LookupTable, other: LookupTable) -> bool:
    return np.array_equal(one.slew_ps, other.slew_ps) and np.array_equal(one.load_ff, other.load_ff)


def _reduced(table: LookupTable | None) -> LookupTable | None:
    if table is None:
        return None
    slew, load = _kept(table.slew_ps, SLEW_POINTS), _kept(table.load_ff, LOAD_POINTS)
    return LookupTable(table.slew_ps[slew], table.load_ff[load], table.values[np.ix_(slew, load)])


def _kept(axis: NDArray[np.float64], points: tuple[int, ...]) -> NDArray[np.intp]:
    return np.array([point for point in points if point < len(axis)], dtype=np.intp)


if __name__ == "__main__":
    main()
