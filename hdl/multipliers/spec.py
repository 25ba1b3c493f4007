"""Names of multipliers: family, width, signedness, operand order and parameters, with a text form that parses back."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import InputError
from .families import FAMILIES
from .families.family import Family

__all__ = ["MultiplierSpec", "SpecError"]

DEFAULT_WIDTH = 8


class SpecError(InputError):
    """A multiplier that does not exist: one line with the valid spelling."""


@dataclass(frozen=True)
class MultiplierSpec:
    """One multiplier. Equal multipliers have equal texts, and `parse(str(spec)) == spec`.

    `parameters` is complete and in the family's order. A `swapped` multiplier is the family's circuit with its operands exchanged: the
    product of a and b is the family's of b and a. Make one with `parse`, `make` or `nearest`; they check, the constructor does not.
    """

    family: str
    width: int
    signed: bool
    parameters: tuple[tuple[str, int | str], ...]
    swapped: bool = False

    @classmethod
    def parse(cls, text: str) -> MultiplierSpec:
        """Reads `family:key=value,...`, for example `bam:h=0,v=6` or `drum:k=4,width=10,signed=1,swap=1`. Raises SpecError.

        Where a value is a multiplier itself (`recursive`), it is written `family[key=value,...]`; see `parse_part`.
        """
        name, colon, rest = text.strip().partition(":")
        family = _family(name)
        given = _key_values(text, rest, _usage(family, DEFAULT_WIDTH)) if colon else {}
        width = _integer(text, "width", given.pop("width", str(DEFAULT_WIDTH)))
        signed, swapped = (_flag(text, key, given.pop(key, "0")) for key in ("signed", "swap"))
        return cls._checked(text, family, width, given, signed=signed, swapped=swapped)

    @classmethod
    def parse_part(cls, text: str, width: int) -> MultiplierSpec:
        """Reads `family[key=value,...]`, the unsigned multiplier of a known width inside another spec. Raises SpecError."""
        name, bracket, rest = text.strip().partition("[")
        family = _family(name)
        usage = _usage(family, width, part=True)
        if bracket and not rest.endswith("]"):
            raise SpecError(f"{text!r}: the brackets do not match; write {usage}")
        given = _key_values(text, rest[:-1], usage) if bracket else {}
        return cls._checked(text, family, width, given, part=True)

    @classmethod
    def make(
        cls, family: str, *, width: int = DEFAULT_WIDTH, signed: bool = False, swapped: bool = False, **parameters: int | str
    ) -> MultiplierSpec:
        """A checked spec with defaults filled in. Raises SpecError."""
        return cls._checked(family, _family(family), width, parameters, signed=signed, swapped=swapped)

    @classmethod
    def nearest(
        cls, family: str, *, width: int = DEFAULT_WIDTH, signed: bool = False, swapped: bool = False, **parameters: int | str
    ) -> MultiplierSpec:
        """The valid spec nearest to the wanted parameters: integers clipped, coupled parameters settled.

        Raises SpecError where there is none.
        """
        described = _family(family)
        _check_width(family, described, width)
        try:
            values = described.nearest(width, parameters)
        except ValueError as error:
            raise SpecError(f"{family}: {error}; write {_usage(described, width)}") from error
        return cls(described.name, width, bool(signed), tuple(values.items()), bool(swapped))

    @classmethod
    def _checked(
        cls,
        text: str,
        family: Family,
        width: int,
        given: Mapping[str, int | str],
        *,
        signed: bool = False,
        swapped: bool = False,
        part: bool = False,
    ) -> MultiplierSpec:
        _check_width(text, family, width)
        usage = _usage(family, width, part=part)
        for key in given:
            if family.parameter(key) is None:
                raise SpecError(f"{text!r}: {family.name} has no parameter {key!r}; write {usage}")
        values: dict[str, int | str] = {}
        for parameter in family.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is None:
                raise SpecError(f"{text!r}: {parameter.name} is missing; write {usage}")
            try:
                values[parameter.name] = parameter.read(width, value)
            except SpecError as error:
                raise SpecError(f"{text!r}: {parameter.name}: {error}") from None
            except ValueError:
                raise SpecError(
                    f"{text!r}: {parameter.name}={value} is not {parameter.spelling(width)} at width {width}; write {usage}"
                ) from None
        spec = cls(family.name, width, bool(signed), tuple(values.items()), bool(swapped))
        settled = replace(spec, parameters=tuple(family.coupled(width, dict(values)).items()))
        if settled != spec:
            raise SpecError(
                f"{text!r}: these parameters do not go together; the nearest that do are {settled.part_text() if part else settled}"
            )
        return spec

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

    def part_text(self) -> str:
        """The text that `parse_part` reads: `family[key=value,...]` without width, signedness and order."""
        shown = self._shown()
        return f"{self.family}[{','.join(shown)}]" if shown else self.family

    def _shown(self) -> list[str]:
        family = FAMILIES[self.family]
        return [f"{key}={value}" for key, value in self.parameters if value != _default(family, key)]

    def __str__(self) -> str:
        shown = self._shown()
        if self.width != DEFAULT_WIDTH:
            shown.append(f"width={self.width}")
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
        raise SpecError(f"no multiplier family is called {name!r}; {hint}there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _check_width(text: str, family: Family, width: int) -> None:
    if width not in family.widths:
        raise SpecError(f"{text!r}: {family.name} comes in widths {_listed(family.widths)}, not {width}")


def _listed(widths: range) -> str:
    return f"{widths[0]}..{widths[-1]}" if widths.step == 1 else ", ".join(map(str, widths))


def _integer(text: str, key: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise SpecError(f"{text!r}: {key}={value} is not an integer") from None


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


def _usage(family: Family, width: int, *, part: bool = False) -> str:
    opening, closing = ("[", "]") if part else (":", "")
    keys = [f"{p.name}={p.spelling(width)}" if p.default is None else f"[{p.name}={p.spelling(width)}]" for p in family.parameters]
    return f"{family.name}{opening}{','.join(keys)}{closing}" if keys else family.name
