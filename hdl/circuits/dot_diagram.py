"""The partial products of a multiplier as a dot diagram: which are added, which are left out, and
which enter approximate cells.

A family whose circuit adds an array of partial products describes it with a `DotDiagram`
(`Family.dots`). The description is made of what the circuit itself is made of: the same set of kept
cells, the same rows, the same tree of compressors. `hdl.multipliers.dots` gives that of a spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..operands import Widths

__all__ = ["ApproximateCell", "Dot", "DotDiagram", "and_array"]


@dataclass(frozen=True)
class Dot:
    """One partial product: a bit of weight 2^weight, or -2^weight where it is negative, in a row of
    the array.
    """

    row: int
    weight: int
    negative: bool = False


@dataclass(frozen=True)
class ApproximateCell:
    """A cell that counts its inputs wrongly for some of their values, or in another column than
    theirs.
    """

    weight: int
    """Exponent of the weight of its sum."""
    dots: tuple[Dot, ...]
    """The partial products among its inputs; none where it adds what other cells left."""


@dataclass(frozen=True)
class DotDiagram:
    """The partial products of one multiplier, and what is not exact about their sum.

    Without approximate cells, the product is the sum of the kept dots and the constant, modulo
    2^columns. Dots of families that multiply magnitudes are those of the magnitudes.
    """

    rows: tuple[str, ...]
    """What each row belongs to: bits of b (of a, where the operands are exchanged) from the lowest
    up, or Booth digits.
    """
    columns: int
    """Width of the product in bits."""
    kept: tuple[Dot, ...]
    dropped: tuple[Dot, ...] = ()
    cells: tuple[ApproximateCell, ...] = ()
    cell_name: str = ""
    """What the approximate cells are, in a word or two; empty where there are none."""
    constant: int = 0
    """Added to every product, beyond what two's complement itself calls for."""
    lettered: bool = False
    """Whether pictures name each cell by a letter and show where its output goes, as cells whose
    dots lie anywhere need it.
    """
    note: str = ""
    """One more thing to know about the sum."""

    def exchanged(self) -> DotDiagram:
        """The same array with its operands exchanged."""
        return replace(self, rows=tuple(re.sub(r"^b(?=\d)", "a", row) for row in self.rows))

    def cells_of_columns(self) -> tuple[int, ...]:
        """How many approximate cells each column has, the lowest column first."""
        weights = [cell.weight for cell in self.cells]
        return tuple(weights.count(weight) for weight in range(self.columns))


def and_array(
    widths: Widths,
    signed: bool,
    keep: Callable[[int, int], bool] = lambda row, column: True,
    *,
    constant: int = 0,
) -> DotDiagram:
    """The array of b[row] * a[column], of which `keep(row, column)` keeps some; as
    `columns.add_partial_products` builds it.
    """
    kept: list[Dot] = []
    dropped: list[Dot] = []
    for row in range(widths.b):
        for column in range(widths.a):
            dot = Dot(
                row, row + column, signed and (row == widths.b - 1) != (column == widths.a - 1)
            )
            (kept if keep(row, column) else dropped).append(dot)
    return DotDiagram(
        tuple(f"b{row}" for row in range(widths.b)),
        widths.product,
        tuple(kept),
        tuple(dropped),
        constant=constant,
    )
