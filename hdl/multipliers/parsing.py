"""Multipliers by their text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from ..operands import Widths
from ..tables.product_table import ProductTable
from .imported import ImportedDesign
from .multiplier import Multiplier
from .narrowing import narrowed
from .spec import MultiplierSpec

__all__ = ["named_multiplier", "parse_multiplier"]

_NARROWED = re.compile(r"(?P<wide>.+)@(?P<widths>\d{1,2}x\d{1,2}|\d{1,2})", re.DOTALL)


def parse_multiplier(text: str, *, signed: bool = False) -> Multiplier:
    """The multiplier of a spec's text, of Verilog (`mul.v:top`) or of a saved table (`table.npy`,
    `table.npz`).

    `@8x7` behind any of them means the same multiplier for operands of so many bits
    (`hdl.multipliers.narrowed`). `signed` says how the operands of Verilog and of `.npy` tables,
    which do not say it themselves, are meant. Raises InputError: SpecError, ImportedDesignError or
    TableError, with the text, what is wrong and what can be done.
    """
    wide, widths = _parts(text)
    if wide.rpartition(":")[0].endswith((".v", ".sv")):
        return _for_operands(ImportedDesign.read(wide, signed=signed), widths)
    if wide.endswith((".v", ".sv")):
        raise InputError(f"{wide!r}: name the module too, as in {wide}:top")
    if wide.endswith((".npy", ".npz")):
        table = ProductTable.load(
            Path(wide), signed=signed if signed or wide.endswith(".npy") else None
        )
        return _for_operands(table, widths)
    return _for_operands(MultiplierSpec.parse(wide), widths)


def named_multiplier(name: str, known: Iterable[Multiplier] = ()) -> Multiplier:
    """The multiplier of that name: one of `known`, or that of a spec's text; `@8x7` as in
    `parse_multiplier`. No file is read.

    Raises InputError.
    """
    wide, widths = _parts(name)
    one = next((one for one in known if one.name == wide), None)
    return _for_operands(MultiplierSpec.parse(wide) if one is None else one, widths)


def _parts(text: str) -> tuple[str, Widths | None]:
    """What is before `@8x7`, and the widths behind it."""
    narrow = _NARROWED.fullmatch(text.strip())
    return (narrow["wide"], Widths.parse(narrow["widths"])) if narrow else (text, None)


def _for_operands(multiplier: Multiplier, widths: Widths | None) -> Multiplier:
    return multiplier if widths is None else narrowed(multiplier, widths)
