"""Multipliers at random, and steps from one to its neighbours: what searches and calibrations draw
from.

Everything is a function of its arguments and the generator: the same generator state gives the same
multipliers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..operands import Widths
from .families import FAMILIES, Family, Parameter
from .spec import MultiplierSpec
from .terms_list import exact_terms, moved_terms, parse_terms, terms_text

__all__ = ["can_vary", "draw", "moved_value"]


def can_vary(family: Family) -> bool:
    """Whether multipliers of the family can be drawn: those whose only freedom is in texts without
    moves (compositions) cannot.
    """
    texts = [parameter.name for parameter in family.parameters if parameter.is_text]
    return all((family.name, name) in _TEXT_MOVES for name in texts)


def draw(
    family: str,
    widths: Widths,
    rng: np.random.Generator,
    *,
    signed: bool = False,
    swapped: bool = False,
) -> MultiplierSpec:
    """A random multiplier of a family: every parameter uniform over its values; masks and lists of
    terms start near ones that cut columns.

    Raises SpecError where the family has none of these widths.
    """
    core = widths.exchanged() if swapped else widths
    values = {
        parameter.name: _drawn_value(parameter, core, rng)
        for parameter in FAMILIES[family].parameters
    }
    if family == "mask":
        values["bits"] = _flip_bits(
            core, _column_mask(core, int(rng.integers(0, max(core) + 2))), rng
        )
    if family == "terms":
        values["sum"] = _drawn_terms(core, rng, signed=signed)
    return MultiplierSpec.nearest(family, width=widths, signed=signed, swapped=swapped, **values)


def moved_value(
    family: str,
    parameter: Parameter,
    value: int | str,
    widths: Widths,
    rng: np.random.Generator,
    *,
    signed: bool = False,
) -> int | str:
    """A neighbouring value of a parameter at the widths of the family's circuit; integers move by a
    small step more often than by a large one, and may leave their bounds.
    """
    if parameter.choices:
        return str(rng.choice(parameter.choices))
    if parameter.bounds is None:
        move = _TEXT_MOVES.get((family, parameter.name))
        return value if move is None else move(widths, str(value), rng, signed)
    low, high = parameter.bounds(widths)
    step = (
        1
        if high - low <= 2 * widths.product
        else max(1, int(0.3 * abs(int(value) - low) + 0.002 * (high - low)))
    )
    return int(value) + int(rng.choice((-1, 1))) * step * int(rng.geometric(0.6))


def _drawn_value(parameter: Parameter, widths: Widths, rng: np.random.Generator) -> int | str:
    if parameter.choices:
        return str(rng.choice(parameter.choices))
    if parameter.bounds is None:
        return "" if parameter.default is None else parameter.default
    low, high = parameter.bounds(widths)
    wide = high - low > 2 * widths.product  # constants: the small ones are where designs differ
    if wide and parameter.default is not None and rng.random() < 0.5:
        return parameter.default
    return low + int((high - low) * rng.random() ** 3) if wide else int(rng.integers(low, high + 1))


def _flip_bits(widths: Widths, value: str, rng: np.random.Generator, signed: bool = False) -> str:
    """A hexadecimal partial-product mask with one to four bits flipped, mostly one."""
    bits = int(value, 16)
    for position in rng.integers(0, widths.a * widths.b, min(4, int(rng.geometric(0.6)))):
        bits ^= 1 << int(position)
    return f"{bits:x}"


def _column_mask(widths: Widths, columns: int) -> str:
    """Mask that drops all partial products of the `columns` lowest columns (bit width_a * j + i
    keeps a_i b_j).
    """
    kept = sum(
        1 << widths.a * j + i for j in range(widths.b) for i in range(widths.a) if i + j >= columns
    )
    return f"{kept:x}"


def _move_terms(widths: Widths, value: str, rng: np.random.Generator, signed: bool) -> str:
    """A list of terms after one to four moves, mostly one."""
    terms = parse_terms(value, widths)
    for _ in range(min(4, int(rng.geometric(0.6)))):
        terms = moved_terms(terms, widths, rng, signed=signed)
    return terms_text(terms)


def _drawn_terms(widths: Widths, rng: np.random.Generator, *, signed: bool) -> str:
    """The exact list without the terms of its lowest columns, after up to twice as many moves as
    the wider operand has bits.
    """
    lowest = int(rng.integers(0, max(widths) + 2))
    terms = tuple(term for term in exact_terms(widths) if term.column >= lowest)
    for _ in range(int(rng.integers(0, 2 * max(widths) + 1))):
        terms = moved_terms(terms, widths, rng, signed=signed)
    return terms_text(terms)


#: How parameters with a spelling of their own are varied; the last argument is the signedness.
_TEXT_MOVES: dict[tuple[str, str], Callable[[Widths, str, np.random.Generator, bool], str]] = {
    ("mask", "bits"): _flip_bits,
    ("terms", "sum"): _move_terms,
}
