"""The design space: which multipliers there are to choose from, and how the search moves among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hdl.errors import InputError
from hdl.multipliers import FAMILIES, Family, Multiplier, MultiplierSpec, Parameter, SpecError
from hdl.operands import Width, Widths

__all__ = ["Design", "DesignSpace", "SpaceError"]

#: A multiplier of a family, or another one, which takes part in a search as it is.
Design = Multiplier

#: Chance that a mutation leaves the family for another one.
_FAMILY_CHANGE = 0.15
#: Chance that it leaves the parameters and changes the number format or the order of operands, where the space has several.
_FORM_CHANGE = 0.15


class SpaceError(InputError):
    """A design space without multipliers."""


def _flip_bits(widths: Widths, value: str, rng: np.random.Generator) -> str:
    """A hexadecimal partial-product mask with one to four bits flipped, mostly one."""
    bits = int(value, 16)
    for position in rng.integers(0, widths.a * widths.b, min(4, int(rng.geometric(0.6)))):
        bits ^= 1 << int(position)
    return f"{bits:x}"


#: How parameters with a spelling of their own are varied; families with others are left to the user.
_TEXT_MOVES: dict[tuple[str, str], Callable[[Widths, str, np.random.Generator], str]] = {("mask", "bits"): _flip_bits}


@dataclass(frozen=True)
class DesignSpace:
    """All multipliers of some families with the same operand widths, parameters free.

    Attributes:
        signed: which signednesses there are.
        swap: whether operands may come exchanged.

    Its moves are pure functions of their arguments and the generator: the same generator state gives the same designs.
    """

    families: tuple[str, ...]
    widths: Widths
    signed: tuple[bool, ...]
    swap: bool

    @classmethod
    def of(cls, families: Sequence[str] = (), *, width: Width = 8, signed: Sequence[bool] = (False,), swap: bool = False) -> DesignSpace:
        """The space of the named families, or of every family that the search can vary.

        Raises:
            SpaceError: an unknown family, or none that has these widths.
        """
        if unknown := [name for name in families if name not in FAMILIES]:
            raise SpaceError(f"unknown family {unknown[0]!r}; known are {', '.join(FAMILIES)}")
        widths = Widths.of(width)
        names = tuple(name for name in families or FAMILIES if FAMILIES[name].fits(widths) and _can_vary(FAMILIES[name]))
        if not names:
            raise SpaceError(f"none of the families {', '.join(families or FAMILIES)} can be varied at width {widths}")
        return cls(names, widths, tuple(signed), swap)

    @property
    def forms(self) -> list[tuple[bool, bool]]:
        """Every pair of signedness and exchanged operands."""
        return [(signed, swapped) for signed in self.signed for swapped in ((False, True) if self.swap else (False,))]

    def draw(self, family: str, rng: np.random.Generator) -> MultiplierSpec:
        """A random multiplier of a family: every parameter uniform over its values; a mask starts near one that cuts columns.

        Number formats and orders of operands are equally likely.
        """
        values = {parameter.name: self._draw_value(parameter, rng) for parameter in FAMILIES[family].parameters}
        if family == "mask":
            values["bits"] = _flip_bits(self.widths, _column_mask(self.widths, int(rng.integers(0, max(self.widths) + 2))), rng)
        forms = self.forms
        return self._nearest(family, values, forms[int(rng.integers(len(forms)))] if len(forms) > 1 else forms[0])

    def sample(self, count: int, rng: np.random.Generator) -> list[MultiplierSpec]:
        """`count` different multipliers, families taking turns; fewer if the space has fewer."""
        found: dict[str, MultiplierSpec] = {}
        for turn in range(20 * count):
            if len(found) == count:
                break
            spec = self.draw(self.families[turn % len(self.families)], rng)
            found.setdefault(str(spec), spec)
        return list(found.values())

    def mutate(self, spec: Design, rng: np.random.Generator) -> MultiplierSpec:
        """A neighbour: mostly one parameter moved, integers by a small step more often than by a large one; of an own design, any.

        Where there are several number formats or orders of operands, a neighbour now and then is the same with another of them.
        """
        if not isinstance(spec, MultiplierSpec):
            return self.draw(str(rng.choice(self.families)), rng)
        others = [form for form in self.forms if form != _form(spec)]
        if others and rng.random() < _FORM_CHANGE:
            signed, swapped = others[int(rng.integers(len(others)))]
            return replace(spec, signed=signed, swapped=swapped)
        parameters = FAMILIES[spec.family].parameters
        if not parameters or rng.random() < _FAMILY_CHANGE:
            return self.draw(str(rng.choice(self.families)), rng)
        values = dict(spec.parameters)
        moved = rng.random(len(parameters)) < 1 / len(parameters)
        moved[rng.integers(len(parameters))] = True
        for parameter in (parameter for parameter, move in zip(parameters, moved, strict=True) if move):
            values[parameter.name] = self._move_value(spec.family, parameter, values[parameter.name], rng)
        return self._nearest(spec.family, values, _form(spec))

    def recombine(self, one: Design, other: Design, rng: np.random.Generator) -> tuple[Design, Design]:
        """Two children: parameters that both parents have by name are exchanged by the toss of a coin; own designs have none.

        Number format and order of operands stay with the family.
        """
        if not isinstance(one, MultiplierSpec) or not isinstance(other, MultiplierSpec):
            return one, other
        first, second = dict(one.parameters), dict(other.parameters)
        for name in first:
            if name in second and type(first[name]) is type(second[name]) and rng.random() < 0.5:
                first[name], second[name] = second[name], first[name]
        return self._inherit(one, first), self._inherit(other, second)

    def _inherit(self, parent: MultiplierSpec, values: dict[str, int | str]) -> MultiplierSpec:
        """The child with these parameters, or the parent where another family's value has no meaning here."""
        try:
            return self._nearest(parent.family, values, _form(parent))
        except SpecError:
            return parent

    def _nearest(self, family: str, values: dict[str, int | str], form: tuple[bool, bool]) -> MultiplierSpec:
        signed, swapped = form
        return MultiplierSpec.nearest(family, width=self.widths, signed=signed, swapped=swapped, **values)

    def _draw_value(self, parameter: Parameter, rng: np.random.Generator) -> int | str:
        if parameter.choices:
            return str(rng.choice(parameter.choices))
        if parameter.bounds is None:
            return "" if parameter.default is None else parameter.default
        low, high = parameter.bounds(self.widths)
        wide = high - low > 2 * self.widths.product  # constants: the small ones are where designs differ
        if wide and parameter.default is not None and rng.random() < 0.5:
            return parameter.default
        return low + int((high - low) * rng.random() ** 3) if wide else int(rng.integers(low, high + 1))

    def _move_value(self, family: str, parameter: Parameter, value: int | str, rng: np.random.Generator) -> int | str:
        if parameter.choices:
            return str(rng.choice(parameter.choices))
        if parameter.bounds is None:
            move = _TEXT_MOVES.get((family, parameter.name))
            return value if move is None else move(self.widths, str(value), rng)
        low, high = parameter.bounds(self.widths)
        step = 1 if high - low <= 2 * self.widths.product else max(1, int(0.3 * abs(int(value) - low) + 0.002 * (high - low)))
        return int(value) + int(rng.choice((-1, 1))) * step * int(rng.geometric(0.6))


def _form(spec: MultiplierSpec) -> tuple[bool, bool]:
    return spec.signed, spec.swapped


def _can_vary(family: Family) -> bool:
    """Families whose only freedom is in texts that the search has no moves for (compositions) are left to the user."""
    texts = [parameter.name for parameter in family.parameters if parameter.is_text]
    return all((family.name, name) in _TEXT_MOVES for name in texts)


def _column_mask(widths: Widths, columns: int) -> str:
    """Mask that drops all partial products of the `columns` lowest columns (bit width_a * j + i keeps a_i b_j)."""
    kept = sum(1 << widths.a * j + i for j in range(widths.b) for i in range(widths.a) if i + j >= columns)
    return f"{kept:x}"
