"""The pins of a Liberty cell: capacitances, timing arcs and internal power."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .liberty_figures import ABSURD, LibertyFigures
from .liberty_syntax import Group
from .standard_cell import InputPin, InternalPower, LookupTable, OutputPin, TimingArc, Unateness

__all__ = ["EDGES", "LibertyPins", "is_timed"]

EDGES = ("rise", "fall")


class LibertyPins:
    """Turns the pin groups of one Liberty file into pins of cells.

    Args:
        figures: reads numbers and tables in the file's units.
        default_input_ff: capacitance of an input that tells none.
    """

    def __init__(self, figures: LibertyFigures, default_input_ff: float) -> None:
        self._figures, self._default_input_ff = figures, default_input_ff

    def input(self, pin: Group, names: tuple[str, ...], output_names: tuple[str, ...]) -> InputPin:
        nominal = self._figures.number(pin, "capacitance", self._default_input_ff, self._figures.ff)
        largest = max(
            nominal,
            *(
                self._figures.number(pin, f"{edge}_capacitance", 0.0, self._figures.ff)
                for edge in EDGES
            ),
        )
        for edge in EDGES:
            bounds = pin.attributes.get(f"{edge}_capacitance_range")
            if bounds is not None:
                largest = max(largest, *(self._figures.numbers(pin, bounds) * self._figures.ff))
        if largest > ABSURD:
            raise self._figures.error(pin, "its capacitance is absurd; correct the file")
        powers = tuple(
            self.power(group, names, output_names) for group in pin.named("internal_power")
        )
        return InputPin(pin.arguments[0], nominal, largest, powers)

    def output(
        self, pin: Group, names: tuple[str, ...], output_names: tuple[str, ...], function: int
    ) -> OutputPin:
        name = pin.arguments[0]
        limit = self._figures.number(pin, "max_capacitance", float("inf"), self._figures.ff)
        arcs = [arc for group in pin.named("timing") for arc in self._arcs(group, names, function)]
        powers = []
        for group in pin.named("internal_power"):
            related = group.attributes.get("related_pin", "").split()
            power = self.power(group, names, output_names)
            unknown = [pin_name for pin_name in related if pin_name not in names]
            if not unknown:
                indices: list[int | None] = [names.index(pin_name) for pin_name in related]
                powers += [
                    InternalPower(index, power.when, power.output, power.rise, power.fall)
                    for index in indices or [None]
                ]
        return OutputPin(
            name,
            " ".join(pin.attributes["function"].split()),
            function,
            limit,
            tuple(arcs),
            tuple(powers),
        )

    def _arcs(self, group: Group, names: tuple[str, ...], function: int) -> list[TimingArc]:
        kind = group.attributes.get("timing_type", "combinational")
        if kind not in ("combinational", "combinational_rise", "combinational_fall"):
            return []
        related = group.attributes.get("related_pin", "").split()
        if not related or any(pin_name not in names for pin_name in related):
            raise self._figures.error(
                group,
                f"related_pin {' '.join(related)!r} is not an input of the cell; correct the file",
            )
        tables: dict[str, LookupTable | None] = {}
        for edge in EDGES:
            wanted = kind in ("combinational", f"combinational_{edge}")
            tables[f"{edge}_delay"] = (
                self._figures.table(group, f"cell_{edge}", self._figures.ps) if wanted else None
            )
            tables[f"{edge}_transition"] = (
                self._figures.table(group, f"{edge}_transition", self._figures.ps)
                if wanted
                else None
            )
            if wanted and (tables[f"{edge}_delay"] is None or tables[f"{edge}_transition"] is None):
                raise self._figures.error(
                    group,
                    (
                        f"no cell_{edge} and {edge}_transition tables; delay needs them, give an "
                        "NLDM library"
                    ),
                )
        arcs = []
        for pin_name in related:
            index = names.index(pin_name)
            sense = group.attributes.get("timing_sense")
            try:
                unateness = (
                    Unateness(sense)
                    if sense is not None
                    else _unateness(function, index, len(names))
                )
            except ValueError as error:
                raise self._figures.error(
                    group,
                    f"timing_sense {sense!r} is none of {', '.join(Unateness)}; correct the file",
                ) from error
            arcs.append(TimingArc(index, unateness, **tables))
        return arcs

    def power(
        self, group: Group, names: tuple[str, ...], output_names: tuple[str, ...]
    ) -> InternalPower:
        both = self._figures.table(group, "power", self._figures.fj)
        rise = self._figures.table(group, "rise_power", self._figures.fj) or both
        fall = self._figures.table(group, "fall_power", self._figures.fj) or both
        words = re.findall(r"[A-Za-z_]\w*", group.attributes.get("when", ""))
        mentioned = next((index for index, name in enumerate(output_names) if name in words), None)
        return InternalPower(
            None, self._figures.when(group, names + output_names), mentioned, rise, fall
        )


def is_timed(output: OutputPin, count: int) -> bool:
    """Whether there is an arc from every input that the output depends on."""
    arcs = {arc.input for arc in output.arcs}
    return all(
        index in arcs for index in range(count) if any(_moves(output.function, index, count))
    )


def _moves(function: int, index: int, count: int) -> Iterator[bool]:
    """For every state with input `index` at 0: whether raising the input changes the output."""
    return (
        bool((function >> m ^ function >> (m | 1 << index)) & 1)
        for m in range(1 << count)
        if not m >> index & 1
    )


def _unateness(function: int, index: int, count: int) -> Unateness:
    rises = falls = False
    for minterm in range(1 << count):
        if not minterm >> index & 1:
            low, high = function >> minterm & 1, function >> (minterm | 1 << index) & 1
            rises |= low < high
            falls |= low > high
    return Unateness.NON if rises and falls else Unateness.NEGATIVE if falls else Unateness.POSITIVE
