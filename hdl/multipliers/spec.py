"""Names of multipliers: family, width, signedness, operand order and parameters, with a text form
that parses back.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import wiring
from numpy.typing import ArrayLike, NDArray

from ..circuits.columns import Columns
from ..circuits.dot_diagram import DotDiagram
from ..errors import InputError
from ..operands import Width, Widths, values_of_codes
from ..tables.product_table import ProductTable
from . import elaboration, identifiers
from .families import FAMILIES
from .families.family import Family

__all__ = ["MultiplierSpec", "SpecError"]

DEFAULT_WIDTH = 8
_MAX_IDENTIFIER = 80


class SpecError(InputError):
    """A multiplier that does not exist: one line with the valid spelling."""


@dataclass(frozen=True)
class MultiplierSpec:
    """One multiplier of a family. Equal multipliers have equal texts, and `parse(str(spec)) ==
    spec`.

    `parameters` is complete, in the family's order and canonical: `parse`, `make` and `nearest` see
    to that. A `swapped` multiplier is the family's circuit with its operands exchanged: the product
    of a and b is the family's of b and a. Raises SpecError when there is no such multiplier.
    """

    family: str
    width_a: int
    width_b: int
    signed: bool
    parameters: tuple[tuple[str, int | str], ...]
    swapped: bool = False

    def __post_init__(self) -> None:
        family = _family(self.family)
        core = _core_widths(self.family, family, self.widths, swapped=self.swapped)
        given = dict(self.parameters)
        try:
            read = {
                parameter.name: parameter.read(core, given[parameter.name], self._part_text)
                for parameter in family.parameters
            }
            right = tuple(family.coupled(core, read).items()) == self.parameters
        except (KeyError, ValueError):
            right = False
        if not right:
            raise SpecError(
                f"{self.family}: {self.parameters} are not its parameters at width {core}; write "
                f"{_usage(family, core)}"
            )
        try:
            family.check(self.straight)
        except InputError as error:
            raise SpecError(f"{self.family}: {error}") from None

    @classmethod
    def parse(cls, text: str) -> MultiplierSpec:
        """Reads `family:key=value,...`, for example `bam:h=0,v=6` or
        `drum:k=4,width=8x5,signed=1,swap=1`. Raises SpecError.

        Where a value is a multiplier itself (`recursive`), it is written `family[key=value,...]`;
        see `parse_part`.
        """
        name, colon, rest = text.strip().partition(":")
        family = _family(name)
        given = _key_values(text, rest, _usage(family, Widths.of(DEFAULT_WIDTH))) if colon else {}
        widths = _widths(text, given.pop("width", str(DEFAULT_WIDTH)))
        signed, swapped = (_flag(text, key, given.pop(key, "0")) for key in ("signed", "swap"))
        return cls._checked(text, family, widths, given, signed=signed, swapped=swapped)

    @classmethod
    def parse_part(cls, text: str, width: Width) -> MultiplierSpec:
        """Reads `family[key=value,...]`, the unsigned multiplier of known widths inside another
        spec. Raises SpecError.
        """
        name, bracket, rest = text.strip().partition("[")
        family = _family(name)
        widths = Widths.of(width)
        usage = _usage(family, widths, part=True)
        if bracket and not rest.endswith("]"):
            raise SpecError(f"{text!r}: the brackets do not match; write {usage}")
        given = _key_values(text, rest[:-1], usage) if bracket else {}
        return cls._checked(text, family, widths, given, part=True)

    @classmethod
    def make(
        cls,
        family: str,
        *,
        width: Width = DEFAULT_WIDTH,
        signed: bool = False,
        swapped: bool = False,
        **parameters: int | str,
    ) -> MultiplierSpec:
        """A checked spec with defaults filled in. Raises SpecError."""
        return cls._checked(
            family, _family(family), Widths.of(width), parameters, signed=signed, swapped=swapped
        )

    @classmethod
    def nearest(
        cls,
        family: str,
        *,
        width: Width = DEFAULT_WIDTH,
        signed: bool = False,
        swapped: bool = False,
        **parameters: int | str,
    ) -> MultiplierSpec:
        """The valid spec nearest to the wanted parameters: integers clipped, coupled parameters
        settled.

        Raises SpecError where there is none.
        """
        described, widths = _family(family), Widths.of(width)
        core = _core_widths(family, described, widths, swapped=swapped)
        try:
            values = described.nearest(core, parameters, cls._part_text)
        except ValueError as error:
            raise SpecError(f"{family}: {error}; write {_usage(described, core)}") from error
        return cls(described.name, *widths, bool(signed), tuple(values.items()), bool(swapped))

    @classmethod
    def _checked(
        cls,
        text: str,
        family: Family,
        widths: Widths,
        given: Mapping[str, int | str],
        *,
        signed: bool = False,
        swapped: bool = False,
        part: bool = False,
    ) -> MultiplierSpec:
        core = _core_widths(text, family, widths, swapped=swapped)
        usage = _usage(family, core, part=part)
        for key in given:
            if family.parameter(key) is None:
                besides = "" if part else ", with width=AxB, signed=1 and swap=1 as needed"
                raise SpecError(
                    f"{text!r}: {family.name} has no parameter {key!r}; write {usage}{besides}"
                )
        values: dict[str, int | str] = {}
        for parameter in family.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is None:
                raise SpecError(f"{text!r}: {parameter.name} is missing; write {usage}")
            try:
                values[parameter.name] = parameter.read(core, value, cls._part_text)
            except InputError as error:
                raise SpecError(f"{text!r}: {parameter.name}: {error}") from None
            except ValueError:
                raise SpecError(
                    f"{text!r}: {parameter.name}={value} is not {parameter.spelling(core)} at "
                    f"width {core}; write {usage}"
                ) from None
        settled = family.coupled(core, dict(values))
        spec = cls(family.name, *widths, bool(signed), tuple(settled.items()), bool(swapped))
        if settled != values:
            raise SpecError(
                f"{text!r}: these parameters do not go together; the nearest that do are "
                f"{spec.part_text() if part else spec}"
            )
        return spec

    @property
    def widths(self) -> Widths:
        """Bits of both operands."""
        return Widths(self.width_a, self.width_b)

    @property
    def straight(self) -> MultiplierSpec:
        """The multiplier of the family whose operands a swapped one exchanges; any other is its
        own.
        """
        return self.exchanged() if self.swapped else self

    @property
    def name(self) -> str:
        """The text of the spec."""
        return str(self)

    @property
    def width_p(self) -> int:
        """Bits of the product: those of both operands."""
        return self.widths.product

    @property
    def identifier(self) -> str:
        """A Verilog identifier and file name: of `bam:h=0,v=6` it is `mul8u_bam_h0_v6`, with 8x5
        bits `mul8x5u_bam_h0_v6`.

        Different specs have different identifiers. Characters that an identifier cannot carry, and
        lengths that tools dislike, are made up for by a digest of the spec.
        """
        head = f"mul{self.widths}{'s' if self.signed else 'u'}_{self.family}"
        parts = [text.replace("=", "", 1).replace("-", "_minus") for text in self._shown()]
        wanted = "_".join([head, *parts, *["swap1"] * self.swapped])
        return identifiers.identifier(wanted, str(self), longest=_MAX_IDENTIFIER)

    @property
    def description(self) -> tuple[str, ...]:
        """Title and source of the family, and what the ports carry."""
        family, form = FAMILIES[self.family], "two's complement" if self.signed else "unsigned"
        relation = "the product" if self.family == "exact" else "the approximate product"
        order = " The circuit is the family's with its operands exchanged." if self.swapped else ""
        ports = f"p is {relation} of a and b, all three {form}. Combinational.{order}"
        return (f"{family.title}. {family.source}", "", ports)

    def rtlil(self, *, carry_chains: bool = False) -> str:
        """RTLIL text of the module `multiplier` (`hdl.multipliers.rtlil`)."""
        return elaboration.rtlil(self, carry_chains=carry_chains)

    def component(self) -> wiring.Component:
        """The circuit as a part of other Amaranth circuits, with the ports a, b, p."""
        return elaboration.MultiplierComponent(self)

    def merge_into(self, columns: Columns, a: Value, b: Value) -> bool:
        """Adds the partial products to `columns`; False for families without an array of them."""
        return elaboration.merge_into(self, columns, a, b)

    def multiply(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """Product values of operand codes by the family's arithmetic rule, independent of the
        circuit; the arrays broadcast.
        """
        a, b = (
            values_of_codes(codes, width, signed=self.signed)
            for codes, width in zip((a, b), self.widths, strict=True)
        )
        return elaboration.product(self, a, b)

    def table(self) -> ProductTable:
        """All products, by the gates of the circuit. Raises TableError past 24 bits of both
        operands together.
        """
        return ProductTable.of(self)

    def dots(self) -> DotDiagram | None:
        """The partial products that the circuit adds; None where it does not add an array of
        them.
        """
        return elaboration.dots(self)

    def exchanged(self) -> MultiplierSpec:
        """The multiplier that multiplies a and b as this one does b and a."""
        return replace(self, width_a=self.width_b, width_b=self.width_a, swapped=not self.swapped)

    def integer(self, name: str) -> int:
        """Value of an integer parameter."""
        value = dict(self.parameters)[name]
        assert isinstance(value, int), f"{self.family} parameter {name} is no integer"
        return value

    def choice(self, name: str) -> str:
        """Value of a choice or text parameter."""
        value = dict(self.parameters)[name]
        assert isinstance(value, str), f"{self.family} parameter {name} is an integer"
        return value

    def part(self, name: str, widths: Widths) -> tuple[Family, MultiplierSpec]:
        """The multiplier that a parameter names, for operands of these widths, and its family."""
        part = self.parse_part(self.choice(name), widths)
        return FAMILIES[part.family], part

    @classmethod
    def _part_text(cls, text: str, widths: Widths) -> str:
        return cls.parse_part(text, widths).part_text()

    def part_text(self) -> str:
        """The text that `parse_part` reads: `family[key=value,...]` without width, signedness and
        order.
        """
        shown = self._shown()
        return f"{self.family}[{','.join(shown)}]" if shown else self.family

    def _shown(self) -> list[str]:
        family = FAMILIES[self.family]
        return [
            f"{key}={value}" for key, value in self.parameters if value != _default(family, key)
        ]

    def __str__(self) -> str:
        shown = self._shown()
        if self.widths != (DEFAULT_WIDTH, DEFAULT_WIDTH):
            shown.append(f"width={self.widths}")
        if self.signed:
            shown.append("signed=1")
        if self.swapped:
            shown.append("swap=1")
        return f"{self.family}:{','.join(shown)}" if shown else self.family


def _default(family: Family, key: str) -> int | str | None:
    parameter = family.parameter(key)
    return parameter.default if parameter else None


def _family(name: str) -> Family:
    if name not in FAMILIES:
        close = difflib.get_close_matches(name, FAMILIES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise SpecError(
            f"no multiplier family is called {name!r}; {hint}there are {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]


def _core_widths(text: str, family: Family, widths: Widths, *, swapped: bool) -> Widths:
    """The operand widths as the family's circuit has them, checked."""
    core = widths.exchanged() if swapped else widths
    if not all(width in family.widths for width in core):
        raise SpecError(
            f"{text!r}: {family.name} comes in widths {family.widths[0]}..{family.widths[-1]}, "
            f"not {widths}"
        )
    if missing := family.missing_at(core):
        raise SpecError(
            f"{text!r}: no {missing.name} of {family.name} fits width {widths}; take wider operands"
        )
    return core


def _widths(text: str, value: str) -> Widths:
    try:
        return Widths.parse(value)
    except ValueError:
        raise SpecError(
            f"{text!r}: width={value} is not a number of bits; write width=6, or width=8x5 for "
            "a's and b's"
        ) from None


def _flag(text: str, key: str, value: str) -> bool:
    if value not in ("0", "1"):
        raise SpecError(f"{text!r}: {key} is {value!r}, not 0 or 1")
    return value == "1"


def _key_values(text: str, listed: str, usage: str) -> dict[str, str]:
    """The values of `key=value,...` by key. Commas inside brackets do not separate."""
    items = [""]
    depth = 0
    for character in listed:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            items.append("")
        else:
            items[-1] += character
    given: dict[str, str] = {}
    for item in items:
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not key or not value:
            raise SpecError(f"{text!r}: {item!r} is not key=value; write {usage}")
        if key in given:
            raise SpecError(f"{text!r}: {key} comes twice; write {usage}")
        given[key] = value
    return given


def _usage(family: Family, widths: Widths, *, part: bool = False) -> str:
    opening, closing = ("[", "]") if part else (":", "")
    keys = [
        f"{p.name}={p.spelling(widths)}"
        if p.default is None
        else f"[{p.name}={p.spelling(widths)}]"
        for p in family.parameters
    ]
    return f"{family.name}{opening}{','.join(keys)}{closing}" if keys else family.name
