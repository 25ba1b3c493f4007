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
    """A random multiplier of a family: every parameter uniform over its values; a mask starts near
    one that cuts columns.

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
    return MultiplierSpec.nearest(family, width=widths, signed=signed, swapped=swapped, **values)


def moved_value(
    family: str, parameter: Parameter, value: int | str, widths: Widths, rng: np.random.Generator
) -> int | str:
    """A neighbouring value of a parameter; integers move by a small step more often than by a large
    one, and may leave their bounds.
    """
    if parameter.choices:
        return str(rng.choice(parameter.choices))
    if parameter.bounds is None:
        move = _TEXT_MOVES.get((family, parameter.name))
        return value if move is None else move(widths, str(value), rng)
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


def _flip_bits(widths: Widths, value: str, rng: np.random.Generator) -> str:
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


#: How parameters with a spelling of their own are varied.
_TEXT_MOVES: dict[tuple[str, str], Callable[[Widths, str, np.random.Generator], str]] = {
    ("mask", "bits"): _flip_bits
}
