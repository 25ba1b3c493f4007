"""The figures of a Liberty file in the project's units: numbers, tables, conditions."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from .liberty_syntax import Group, LibertyError, numbers, truth_table
from .standard_cell import LookupTable

__all__ = ["ABSURD", "LibertyFigures"]

_UNIT = re.compile(
    r"\s*([\d.]+(?:[eE][-+]?\d+)?)\s*,?\s*\"?\s*([fpnumk]?)(s|f|v|w)\s*\"?\s*", re.IGNORECASE
)
_PREFIX = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
#: No figure of a cell is so large: a second in ps, a millifarad in fF, a square centimetre in um2
#: are less.
ABSURD = 1e13


class LibertyFigures:
    """Reads the figures below a `library` group; `source` names the file in errors. All raise
    LibertyError.

    Attributes:
        ps, ff, volt, nw, fj: the file's units of time, capacitance, voltage, leakage and energy.
        templates: those of tables, by name.
    """

    def __init__(self, root: Group, source: str) -> None:
        self._root = root
        self._source = source
        self.ps = self._unit("time_unit", "s", "1ns") * 1e12
        self.ff = self._unit("capacitive_load_unit", "f", "1, pf") * 1e15
        self.volt = self._unit("voltage_unit", "v", "1V")
        self.nw = self._unit("leakage_power_unit", "w", "1nW") * 1e9
        self.fj = self.ff * self.volt**2
        self.templates = {
            group.arguments[0]: group
            for group in root.groups
            if group.name in ("lu_table_template", "power_lut_template")
        }
        self._axes: dict[str, NDArray[np.float64]] = {}

    def error(self, group: Group, message: str) -> LibertyError:
        """What is wrong with a group, with its line."""
        return LibertyError(
            f"{self._source}:{group.line}: {group.name} {group.arguments[0]}: {message}"
        )

    def number(self, group: Group, attribute: str, default: float, unit: float = 1.0) -> float:
        """An area, capacitance, power or voltage, in `unit` of ours; the default as it is."""
        text = group.attributes.get(attribute)
        if text is None:
            return default
        try:
            value = float(text) * unit
        except ValueError as error:
            raise self.error(
                group, f"{attribute} {text!r} is not a number; correct the file"
            ) from error
        if not 0 <= value <= ABSURD:
            raise self.error(
                group, f"{attribute} {text!r} is negative, not finite or absurd; correct the file"
            )
        return value

    def numbers(self, group: Group, text: str) -> NDArray[np.float64]:
        """A list of numbers, in the file's unit."""
        try:
            return numbers(text)
        except ValueError as error:
            raise self.error(group, f"{error}; correct the file") from error

    def table(self, parent: Group, name: str, unit: float) -> LookupTable | None:
        """The table `name` of a group over slew in ps and load in fF, its values in `unit` of ours;
        None where there is none.
        """
        group = next((child for child in parent.groups if child.name == name), None)
        if group is None:
            return None
        template = self.templates.get(group.arguments[0])
        axes = []
        for number in (1, 2):
            owner = group if f"index_{number}" in group.attributes else template
            text = owner.attributes.get(f"index_{number}") if owner is not None else None
            variable = (
                template.attributes.get(f"variable_{number}", "") if template is not None else ""
            )
            if text is None:
                axes.append((np.zeros(1), variable))
                continue
            if text not in self._axes:
                self._axes[text] = self.numbers(group, text)
            axes.append((self._axes[text], variable))
        (first, first_variable), (second, second_variable) = axes
        values = self.numbers(group, group.attributes.get("values", ""))
        if values.size != first.size * second.size:
            raise self.error(
                group,
                (
                    f"{values.size} values for a table of {first.size} x {second.size}; correct "
                    "the file"
                ),
            )
        if any(axis.size == 0 or (np.diff(axis) <= 0).any() for axis in (first, second)):
            raise self.error(group, "an index is empty or not increasing; correct the file")
        if (
            any(axis[0] < 0 or axis[-1] > ABSURD for axis in (first, second))
            or np.abs(values).max(initial=0) * unit > ABSURD
        ):
            raise self.error(group, "an index is negative, or a figure absurd; correct the file")
        table = values.reshape(first.size, second.size) * unit
        if first_variable.endswith("capacitance") or second_variable.endswith("transition_time"):
            first, second, table = second, first, table.T
        return LookupTable(first * self.ps, second * self.ff, table)

    def when(self, group: Group, names: tuple[str, ...]) -> int | None:
        """The truth table, over pins `names`, of the states that a group is about; None: of all."""
        when = group.attributes.get("when")
        if when is None:
            return None
        try:
            return truth_table(when, names)
        except ValueError as error:
            raise self.error(group, f"{error}; correct the condition") from error

    def leakage(self, group: Group, names: tuple[str, ...]) -> tuple[int, float]:
        """The states that a group is about, as a truth table, and the leakage in them in nW."""
        when = self.when(group, names)
        everywhere = (1 << (1 << len(names))) - 1
        return (everywhere if when is None else when), self.number(group, "value", 0.0, self.nw)

    def _unit(self, attribute: str, kind: str, example: str) -> float:
        text = self._root.attributes.get(attribute)
        if text is None:
            raise self.error(
                self._root,
                (
                    f"{attribute} is missing, as in {attribute} : {example!r}; figures without "
                    "units mean nothing"
                ),
            )
        match = _UNIT.fullmatch(text)
        try:
            unit = (
                float(match[1]) * _PREFIX[match[2].lower()]
                if match is not None and match[3].lower() == kind
                else 0.0
            )
        except ValueError:
            unit = 0.0
        if not 1e-18 <= unit <= 1e6:
            raise self.error(
                self._root, f"{attribute} {text!r} is not a unit like {example!r}; correct the file"
            )
        return unit
