"""Writes a cell library as Liberty text: what mapping tools need of it, or all that this project
reads from one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from .library import (
    Cell,
    CellLibrary,
    FlipFlop,
    InputPin,
    InternalPower,
    LookupTable,
    OutputPin,
    TimingArc,
)

__all__ = ["mapping_text", "write_library"]


def mapping_text(library: CellLibrary) -> str:
    """The part of a library that technology mapping may use: single-output mappable cells with
    function, area, delay and capacitances.
    """
    cells = [cell for cell in library.cells.values() if cell.mappable and len(cell.outputs) == 1]
    return write_library(library, cells, power=False)


def write_library(
    library: CellLibrary,
    cells: Iterable[Cell],
    flip_flops: Iterable[FlipFlop] = (),
    *,
    power: bool = True,
    comment: str = "",
) -> str:
    """Liberty text in ns, pF, pJ, nW and V with four significant digits; areas keep all of
    theirs.
    """
    body = [line for cell in cells for line in _cell(cell, power)]
    body += [line for flip_flop in flip_flops for line in _flip_flop(flip_flop)]
    head = [
        *([f"/* {comment} */"] if comment else []),
        f"library ({library.name}) {{",
        "  delay_model : table_lookup;",
        "  capacitive_load_unit (1, pf);",
        "  leakage_power_unit : 1nW;",
        "  time_unit : 1ns;",
        "  voltage_unit : 1V;",
        f"  nom_voltage : {library.voltage_v:g};",
        *(
            f"  {quantity}_threshold_pct_{edge} : 50;"
            for quantity in ("input", "output")
            for edge in ("rise", "fall")
        ),
    ]
    templates = sorted(
        {
            match[0]
            for line in body
            for match in re.finditer(r"(?:delay|energy|setup)_\d+x\d+", line)
        }
    )
    return "\n".join([*head, *map(_template, templates), *body, "}"]) + "\n"


def _template(name: str) -> str:
    """A table template; its indices only say how many there are (ABC insists that tables agree with
    that).
    """
    kind, _, shape = name.partition("_")
    slews, loads = (", ".join(str(i) for i in range(1, int(size) + 1)) for size in shape.split("x"))
    if kind == "setup":
        variables = "variable_1 : constrained_pin_transition; variable_2 : related_pin_transition;"
        return (
            f'  lu_table_template ({name}) {{ {variables} index_1 ("{slews}"); index_2 '
            f'("{loads}"); }}'
        )
    group, slew = (
        ("lu_table_template", "input_net_transition")
        if kind == "delay"
        else ("power_lut_template", "input_transition_time")
    )
    load = (
        ""
        if shape.endswith("x1")
        else f' variable_2 : total_output_net_capacitance; index_2 ("{loads}");'
    )
    return f'  {group} ({name}) {{ variable_1 : {slew}; index_1 ("{slews}");{load} }}'


def _cell(cell: Cell, power: bool) -> Iterator[str]:
    pins = [*(pin.name for pin in cell.inputs), *(pin.name for pin in cell.outputs)]
    yield f"  cell ({cell.name}) {{"
    yield f"    area : {cell.area_um2!r};"
    if power:
        yield f"    cell_leakage_power : {cell.leakage_nw:.4g};"
        for when, leakage_nw in cell.leakage:
            yield (
                f"    leakage_power () {{ value : {leakage_nw:.4g}; when : "
                f'"{_sum_of_products(when, pins)}"; }}'
            )
    for pin in cell.inputs:
        yield from _input(pin, pins, power)
    for output in cell.outputs:
        yield from _output(cell, output, pins, power)
    yield "  }"


def _input(pin: InputPin, pins: list[str], power: bool, *more: str) -> Iterator[str]:
    yield f"    pin ({pin.name}) {{"
    yield f"      direction : input; capacitance : {pin.capacitance_ff / 1e3!r};"
    if power:
        for entry in pin.powers:
            yield from _power(entry, "", pins)
    yield from more
    yield "    }"


def _flip_flop(cell: FlipFlop) -> Iterator[str]:
    pins = [cell.clock.name, cell.data.name, cell.output.name]
    yield f"  cell ({cell.name}) {{"
    yield f"    area : {cell.area_um2!r};"
    yield f"    cell_leakage_power : {cell.leakage_nw:.4g};"
    for when, leakage_nw in cell.leakage:
        yield (
            f"    leakage_power () {{ value : {leakage_nw:.4g}; when : "
            f'"{_sum_of_products(when, pins)}"; }}'
        )
    state = cell.output.expression
    clear = "".join(f' clear : "{"!" if level else ""}{pin.name}";' for pin, level in cell.held[:1])
    preset = "".join(
        f' preset : "{"!" if level else ""}{pin.name}";' for pin, level in cell.held[1:]
    )
    yield (
        f'    ff ({state}, {state}N) {{ clocked_on : "{cell.clock.name}"; next_state : '
        f'"{cell.data.name}";{clear}{preset} }}'
    )
    setup = [f"      timing () {{ related_pin : {cell.clock.name}; timing_type : setup_rising;"]
    for edge, table in (("rise", cell.setup_rise), ("fall", cell.setup_fall)):
        setup += _grid(
            f"{edge}_constraint",
            "setup",
            table.data_slew_ps,
            table.clock_slew_ps,
            table.setup_ps,
            1e3,
        )
    yield from _input(cell.clock, pins, True, "      clock : true;")
    yield from _input(cell.data, pins, True, *setup, "      }")
    for pin, _ in cell.held:
        yield from _input(pin, pins, True)
    yield f"    pin ({cell.output.name}) {{"
    limit = (
        f" max_capacitance : {cell.output.max_load_ff / 1e3:.4g};"
        if cell.output.max_load_ff < float("inf")
        else ""
    )
    yield f'      direction : output; function : "{state}";{limit}'
    for arc in cell.output.arcs:
        yield f"      timing () {{ related_pin : {cell.clock.name}; timing_type : rising_edge;"
        yield from _arc_tables(arc)
    for entry in cell.output.powers:
        yield from _power(entry, f"related_pin : {cell.clock.name};", pins)
    yield "    }"
    yield "  }"


def _output(cell: Cell, output: OutputPin, pins: list[str], power: bool) -> Iterator[str]:
    yield f"    pin ({output.name}) {{"
    limit = (
        f" max_capacitance : {output.max_load_ff / 1e3:.4g};"
        if output.max_load_ff < float("inf")
        else ""
    )
    yield f'      direction : output; function : "{output.expression}";{limit}'
    for arc in output.arcs:
        yield (
            f"      timing () {{ related_pin : {cell.inputs[arc.input].name}; timing_sense : "
            f"{arc.unateness};"
        )
        yield from _arc_tables(arc)
    if power:
        for entry in output.powers:
            related = (
                "" if entry.related is None else f"related_pin : {cell.inputs[entry.related].name};"
            )
            yield from _power(entry, related, pins)
    yield "    }"


def _arc_tables(arc: TimingArc) -> Iterator[str]:
    yield from _table("cell_rise", "delay", arc.rise_delay, 1e3)
    yield from _table("rise_transition", "delay", arc.rise_transition, 1e3)
    yield from _table("cell_fall", "delay", arc.fall_delay, 1e3)
    yield from _table("fall_transition", "delay", arc.fall_transition, 1e3)
    yield "      }"


def _power(power: InternalPower, related: str, pins: list[str]) -> Iterator[str]:
    when = "" if power.when is None else f' when : "{_sum_of_products(power.when, pins)}";'
    yield f"      internal_power () {{ {related}{when}"
    yield from _table("rise_power", "energy", power.rise, 1e3)
    yield from _table("fall_power", "energy", power.fall, 1e3)
    yield "      }"


def _table(name: str, kind: str, table: LookupTable | None, unit: float) -> Iterator[str]:
    if table is not None:
        yield from _grid(name, kind, table.slew_ps, table.load_ff, table.values, unit)


def _grid(
    name: str,
    kind: str,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    values: NDArray[np.float64],
    unit: float,
) -> Iterator[str]:
    """Values over two axes, in ps or fF; the file has them in ns and pF."""
    if values.size == 1:
        yield f'        {name} (scalar) {{ values ("{values.item() / unit:.4g}"); }}'
        return
    index_1, index_2 = (
        ", ".join(f"{value / 1e3:.5g}" for value in axis) for axis in (first, second)
    )
    rows = ", ".join(
        '"' + ", ".join(f"{value / unit:.4g}" for value in row) + '"' for row in values
    )
    columns = f' index_2 ("{index_2}");' if len(second) > 1 else ""
    yield (
        f'        {name} ({kind}_{len(first)}x{len(second)}) {{ index_1 ("{index_1}");{columns} '
        f"values ({rows}); }}"
    )


def _sum_of_products(table: int, pins: list[str]) -> str:
    """An expression with this truth table that names only the pins it depends on."""
    states = range(1 << len(pins))
    used = [
        i
        for i in range(len(pins))
        if any((table >> state ^ table >> (state ^ 1 << i)) & 1 for state in states)
    ]
    unused = sum(1 << i for i in range(len(pins)) if i not in used)
    products = [
        "&".join(pins[i] if state >> i & 1 else f"!{pins[i]}" for i in used)
        for state in states
        if table >> state & 1 and not state & unused
    ]
    return "|".join(products) if used else str(table & 1)
