"""The cells of a Liberty library: which are kept, and their figures in the project's units.

Kept are combinational cells and plain D flip-flops for rising clock edges; other sequential cells,
three-state drivers and cells without a function, an area or with more than `MAX_INPUTS` inputs are
passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from .liberty_figures import LibertyFigures
from .liberty_pins import EDGES, LibertyPins, is_timed
from .liberty_syntax import Group, LibertyError, truth_table
from .standard_cell import (
    MAX_INPUTS,
    Cell,
    FlipFlop,
    InputPin,
    OutputPin,
    SetupTable,
    TimingArc,
    Unateness,
)

__all__ = ["LibraryCells", "read_cells"]

# Cells that compute a plain function and still must not be mapped to, by the name patterns the open
# libraries use: delay and clock cells, power-gating (lpflow) cells, probes, spare cells, buffers
# made for other jobs. Structural tests (three_state, is_level_shifter, ff, ...) catch the rest.
_UNWANTED_NAME = re.compile(
    r"(?:^|_)(?:clk|dly|delay|lpflow|probe|buf(?:buf|inv)|macro|spare|antenna|fill|tap|decap|diode|tie|conb|sighold|iso|lsbuf)",
    re.IGNORECASE,
)
_UNWANTED_FLAGS = (
    "dont_use",
    "is_isolation_cell",
    "is_level_shifter",
    "always_on",
    "clock_gating_integrated_cell",
    "switch_cell_type",
)
_STATEFUL_GROUPS = frozenset({"ff", "latch", "ff_bank", "latch_bank", "statetable", "memory"})
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ACTIVE = re.compile(r"\s*(!?)\s*\(?\s*([A-Za-z_]\w*)\s*\)?\s*('?)\s*", re.ASCII)


@dataclass(frozen=True)
class LibraryCells:
    """Name, nominal voltage and cells of a library."""

    name: str
    voltage_v: float
    cells: Mapping[str, Cell]
    flip_flops: Mapping[str, FlipFlop]


def read_cells(root: Group, source: str) -> LibraryCells:
    """The combinational cells and flip-flops below a `library` group; `source` names the file in
    errors. Raises LibertyError.
    """
    return _Reader(root, source).library()


class _Reader:
    """Turns the groups of one Liberty file into cells; the state is what every cell needs: units,
    templates, defaults.
    """

    def __init__(self, root: Group, source: str) -> None:
        self._root = root
        self._figures = figures = LibertyFigures(root, source)
        model = root.attributes.get("delay_model", "table_lookup")
        if model != "table_lookup":
            raise figures.error(
                root,
                (
                    f"delay_model {model!r} is not supported, only table_lookup (NLDM) is; give an "
                    "NLDM library"
                ),
            )
        self._pins = LibertyPins(
            figures, figures.number(root, "default_input_pin_cap", 0.0, figures.ff)
        )
        self._default_leakage_nw = figures.number(
            root, "default_cell_leakage_power", 0.0, figures.nw
        )

    def library(self) -> LibraryCells:
        root = self._root
        voltage = self._figures.number(root, "nom_voltage", float("nan"))
        if not voltage > 0:
            raise self._figures.error(
                root,
                (
                    "nom_voltage is missing or not positive; energy needs it, give a complete "
                    "Liberty file"
                ),
            )
        groups = root.named("cell")
        if groups and not any("area" in group.attributes for group in groups):
            raise self._figures.error(
                root,
                (
                    f"none of its {len(groups)} cells has an `area`; area cannot be estimated, "
                    "give a Liberty file with areas"
                ),
            )
        cells = {}
        for group in groups:
            cell = self._cell(group)
            if cell is not None:
                cells[cell.name] = cell
        name = re.sub(r"\W", "_", root.arguments[0], flags=re.ASCII) or "cells"
        if cells and not any(output.arcs for cell in cells.values() for output in cell.outputs):
            raise self._figures.error(
                root, "no cell has delay tables; delay and energy need them, give an NLDM library"
            )
        found = [self._flip_flop(group) for group in groups if group.named("ff")]
        flip_flops = {flip_flop.name: flip_flop for flip_flop in found if flip_flop is not None}
        return LibraryCells(
            name,
            voltage * self._figures.volt,
            MappingProxyType(cells),
            MappingProxyType(flip_flops),
        )

    def _cell(self, group: Group) -> Cell | None:
        if any(child.name in _STATEFUL_GROUPS for child in group.groups):
            return None
        pins = group.named("pin")
        if any(
            pin.attributes.get("direction") not in ("input", "output")
            or "three_state" in pin.attributes
            for pin in pins
        ):
            return None
        inputs = [pin for pin in pins if pin.attributes["direction"] == "input"]
        outputs = [pin for pin in pins if pin.attributes["direction"] == "output"]
        if (
            not inputs
            or not outputs
            or len(inputs) > MAX_INPUTS
            or any("function" not in pin.attributes for pin in outputs)
        ):
            return None
        area = self._figures.number(group, "area", 0.0)
        if area == 0:
            return None
        name = group.arguments[0]
        for word in (name, *(pin.arguments[0] for pin in pins)):
            if not _NAME.fullmatch(word):
                raise self._figures.error(
                    group, f"the name {word!r} is not made of letters, digits and _; rename it"
                )
        names = tuple(pin.arguments[0] for pin in inputs)
        try:
            functions = [truth_table(pin.attributes["function"], names) for pin in outputs]
        except ValueError as error:
            raise self._figures.error(group, f"{error}; correct the function") from error
        output_names = tuple(pin.arguments[0] for pin in outputs)
        described = tuple(
            self._pins.output(pin, names, output_names, function)
            for pin, function in zip(outputs, functions, strict=True)
        )
        timed = all(is_timed(output, len(names)) for output in described)
        flagged = any(group.attributes.get(flag, "false") != "false" for flag in _UNWANTED_FLAGS)
        return Cell(
            name,
            area,
            self._figures.number(
                group, "cell_leakage_power", self._default_leakage_nw, self._figures.nw
            ),
            tuple(
                self._figures.leakage(child, names + output_names)
                for child in group.named("leakage_power")
            ),
            tuple(self._pins.input(pin, names, output_names) for pin in inputs),
            described,
            mappable=timed and not flagged and _UNWANTED_NAME.search(name) is None,
        )

    def _flip_flop(self, group: Group) -> FlipFlop | None:
        """A plain D flip-flop, or None: most sequential cells are something else, and none of them
        stops a library from being used.
        """
        pins = {pin.arguments[0]: pin for pin in group.named("pin")}
        outputs = [pin for pin in pins.values() if pin.attributes.get("direction") == "output"]
        (state, *_), ff = group.named("ff")[0].arguments, group.named("ff")[0].attributes
        clock, data = ff.get("clocked_on", "").strip(), ff.get("next_state", "").strip()
        active = [_ACTIVE.fullmatch(ff[kind]) for kind in ("clear", "preset") if kind in ff]
        held = {
            match[2]: int(bool(match[1]) != bool(match[3])) for match in active if match is not None
        }
        plain = (
            len(group.groups) - len(group.named("pin"))
            == len(group.named("leakage_power")) + len(group.named("pg_pin")) + 1
            and all(match is not None for match in active)
            and [pin.attributes.get("function", "").strip() for pin in outputs] == [state]
            and {clock, data, *held, outputs[0].arguments[0]} == set(pins)
            and len(pins) == 3 + len(held)
        )
        flagged = any(group.attributes.get(flag, "false") != "false" for flag in _UNWANTED_FLAGS)
        if not plain or flagged or _UNWANTED_NAME.search(group.arguments[0]):
            return None
        try:
            return self._plain_flip_flop(group, pins, clock, data, held)
        except LibertyError:
            return None

    def _plain_flip_flop(
        self,
        group: Group,
        pins: Mapping[str, Group],
        clock: str,
        data: str,
        held: Mapping[str, int],
    ) -> FlipFlop | None:
        output = next(pin for name, pin in pins.items() if name not in (clock, data, *held))
        # Held pins come last, so that their levels pick one run of eight states.
        names = (clock, data, output.arguments[0], *held)
        run = 8 * sum(level << position for position, level in enumerate(held.values()))

        def states(table: int) -> int:
            return table >> run & 0xFF

        def input_pin(name: str) -> InputPin:
            pin = self._pins.input(pins[name], names, ())
            powers = (
                power if power.when is None else replace(power, when=states(power.when))
                for power in pin.powers
            )
            return replace(pin, powers=tuple(power for power in powers if power.when != 0))

        if not all(_NAME.fullmatch(word) for word in (group.arguments[0], *names)):
            return None
        arcs = [arc for timing in output.named("timing") for arc in self._launch(timing, clock)]
        powers = [
            self._pins.power(child, names, ())
            for child in output.named("internal_power")
            if child.attributes.get("related_pin") == clock
        ]
        setups = [
            child
            for child in pins[data].named("timing")
            if child.attributes.get("timing_type") == "setup_rising"
        ]
        rise, fall = (self._setup(setups, f"{edge}_constraint") for edge in EDGES)
        area = self._figures.number(group, "area", 0.0)
        if not arcs or rise is None or fall is None or area == 0:
            return None
        leakage = [self._figures.leakage(child, names) for child in group.named("leakage_power")]
        return FlipFlop(
            group.arguments[0],
            area,
            self._figures.number(
                group, "cell_leakage_power", self._default_leakage_nw, self._figures.nw
            ),
            tuple((states(when), leakage_nw) for when, leakage_nw in leakage if states(when)),
            input_pin(clock),
            input_pin(data),
            tuple((input_pin(name), level) for name, level in held.items()),
            OutputPin(
                output.arguments[0],
                output.attributes["function"].strip(),
                0b10,
                self._figures.number(output, "max_capacitance", float("inf"), self._figures.ff),
                tuple(arcs),
                tuple(replace(power, related=0, when=None) for power in powers),
            ),
            rise,
            fall,
        )

    def _launch(self, group: Group, clock: str) -> list[TimingArc]:
        if (
            group.attributes.get("timing_type") != "rising_edge"
            or group.attributes.get("related_pin") != clock
        ):
            return []
        delays = [self._figures.table(group, f"cell_{edge}", self._figures.ps) for edge in EDGES]
        transitions = [
            self._figures.table(group, f"{edge}_transition", self._figures.ps) for edge in EDGES
        ]
        return (
            []
            if None in (*delays, *transitions)
            else [TimingArc(0, Unateness.NON, *delays, *transitions)]
        )

    def _setup(self, groups: list[Group], name: str) -> SetupTable | None:
        for group in groups:
            table = self._figures.table(group, name, self._figures.ps)
            if table is None:
                continue
            child = group.named(name)[0]
            template = self._figures.templates.get(child.arguments[0])
            # Read as a table over slew and load, as all others are; its second axis holds slews,
            # too.
            first, second = table.slew_ps, table.load_ff / self._figures.ff * self._figures.ps
            if template is not None and template.attributes.get("variable_1", "").startswith(
                "related"
            ):
                return SetupTable(second, first, table.values.T)
            return SetupTable(first, second, table.values)
        return None
