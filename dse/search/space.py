"""The design space: which multipliers there are to choose from, and how the search moves among
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hdl.errors import InputError
from hdl.multipliers import (
    FAMILIES,
    Family,
    Multiplier,
    MultiplierSpec,
    SpecError,
    can_vary,
    draw,
    moved_value,
)
from hdl.operands import OperandEncoding, Widths

__all__ = ["Design", "DesignSpace", "Form", "SpaceError"]

#: A multiplier of a family, or another one, which takes part in a search as it is.
Design = Multiplier

#: Chance that a mutation leaves the family for another one.
_FAMILY_CHANGE = 0.15
#: Chance that it leaves the parameters and changes the form, where the space has several.
_FORM_CHANGE = 0.3


class Form(NamedTuple):
    """What there is to choose beside family and parameters: number format, operand widths, and
    whether the operands come exchanged.
    """

    signed: bool
    widths: Widths
    swapped: bool


class SpaceError(InputError):
    """A design space without multipliers."""


@dataclass(frozen=True)
class DesignSpace:
    """All multipliers of some families and forms, parameters free.

    Its moves are pure functions of their arguments and the generator: the same generator state
        gives the same designs.
    """

    families: tuple[str, ...]
    forms: tuple[Form, ...]

    @classmethod
    def of(
        cls,
        families: Sequence[str] = (),
        *,
        operands: Mapping[bool, Sequence[Widths]],
        swap: bool = False,
    ) -> DesignSpace:
        """The space of the named families, or of every family that the search can vary.

        Args:
            operands: operand widths of unsigned (False) and of signed (True) multipliers.
            swap: whether operands may come exchanged.

        Raises:
            SpaceError: an unknown family, or none that has these widths.
        """
        if unknown := [name for name in families if name not in FAMILIES]:
            raise SpaceError(f"unknown family {unknown[0]!r}; known are {', '.join(FAMILIES)}")
        orders = (False, True) if swap else (False,)
        forms = tuple(
            Form(signed, widths, swapped)
            for signed, several in operands.items()
            for widths in several
            for swapped in orders
        )
        names = tuple(
            name
            for name in families or FAMILIES
            if can_vary(FAMILIES[name]) and any(_fits(FAMILIES[name], form) for form in forms)
        )
        if not names:
            widths = ", ".join(dict.fromkeys(f"{form.widths.a}x{form.widths.b}" for form in forms))
            raise SpaceError(
                f"none of the families {', '.join(families or FAMILIES)} can be varied at the "
                f"operand widths {widths}"
            )
        return cls(names, forms)

    @property
    def signed(self) -> tuple[bool, ...]:
        """Which signednesses there are."""
        return tuple(dict.fromkeys(form.signed for form in self.forms))

    def widths(self, signed: bool) -> list[Widths]:
        """Operand widths of unsigned or signed multipliers."""
        return list(dict.fromkeys(form.widths for form in self.forms if form.signed == signed))

    def holds(self, encoding: str, widths: Widths) -> bool:
        """Whether multipliers of such operands are searched."""
        return widths in self.widths(OperandEncoding(encoding).signed)

    def draw(self, family: str, rng: np.random.Generator) -> MultiplierSpec:
        """A random multiplier of a family: every form that it has is equally likely, and every
        parameter uniform over its values.
        """
        forms = [form for form in self.forms if _fits(FAMILIES[family], form)]
        signed, widths, swapped = forms[int(rng.integers(len(forms)))]
        return draw(family, widths, rng, signed=signed, swapped=swapped)

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
        """A neighbour: mostly one parameter moved, integers by a small step more often than by a
        large one; of an own design, any.

        Now and then a neighbour is the same in another form: of other operand widths, another
            number format, or exchanged.
        """
        if not isinstance(spec, MultiplierSpec):
            return self.draw(str(rng.choice(self.families)), rng)
        others = [
            form
            for form in self.forms
            if form != _form(spec) and _fits(FAMILIES[spec.family], form)
        ]
        if others and rng.random() < _FORM_CHANGE:
            form = others[int(rng.integers(len(others)))]
            try:
                return _nearest(spec.family, dict(spec.parameters), form)
            except SpecError:  # masks and lists of terms have a meaning at their own widths alone
                return draw(spec.family, form.widths, rng, signed=form.signed, swapped=form.swapped)
        parameters = FAMILIES[spec.family].parameters
        if not parameters or rng.random() < _FAMILY_CHANGE:
            return self.draw(str(rng.choice(self.families)), rng)
        values = dict(spec.parameters)
        moved = rng.random(len(parameters)) < 1 / len(parameters)
        moved[rng.integers(len(parameters))] = True
        for parameter in (
            parameter for parameter, move in zip(parameters, moved, strict=True) if move
        ):
            values[parameter.name] = moved_value(
                spec.family,
                parameter,
                values[parameter.name],
                spec.straight.widths,
                rng,
                signed=spec.signed,
            )
        return _nearest(spec.family, values, _form(spec))

    def recombine(
        self, one: Design, other: Design, rng: np.random.Generator
    ) -> tuple[Design, Design]:
        """Two children: parameters that both parents have by name are exchanged by the toss of a
        coin; own designs have none.

        The form stays with the family.
        """
        if not isinstance(one, MultiplierSpec) or not isinstance(other, MultiplierSpec):
            return one, other
        first, second = dict(one.parameters), dict(other.parameters)
        for name in first:
            if name in second and type(first[name]) is type(second[name]) and rng.random() < 0.5:
                first[name], second[name] = second[name], first[name]
        return self._inherit(one, first), self._inherit(other, second)

    def _inherit(self, parent: MultiplierSpec, values: dict[str, int | str]) -> MultiplierSpec:
        """The child with these parameters, or the parent where another family's value has no
        meaning here.
        """
        try:
            return _nearest(parent.family, values, _form(parent))
        except SpecError:
            return parent


def _nearest(family: str, values: dict[str, int | str], form: Form) -> MultiplierSpec:
    return MultiplierSpec.nearest(
        family, width=form.widths, signed=form.signed, swapped=form.swapped, **values
    )


def _form(spec: MultiplierSpec) -> Form:
    return Form(spec.signed, spec.widths, spec.swapped)


def _fits(family: Family, form: Form) -> bool:
    return family.fits(form.widths.exchanged() if form.swapped else form.widths)
