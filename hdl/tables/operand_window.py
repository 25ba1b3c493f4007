"""Which bits of an operand a multiplier sees, found from its products alone.

Many families keep a window that moves with the leading one, or read a leading one and a rounded
fraction. How much of an operand they look at shows in the table: a bit is ignored when flipping it
never changes a product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .product_table import ProductTable

__all__ = ["OperandWindow", "window_of"]


@dataclass(frozen=True, eq=False)
class OperandWindow:
    """What the bits of one operand do to the products. Both arrays have shape (levels, levels),
    indexed [leading one, bit].

    There are as many levels as a positive operand has bits: the width, less the sign bit of a
        signed multiplier.
    """

    influence: NDArray[np.float64]
    """Share of the pairs with a nonzero other operand in which flipping the bit changes the
    product; nan above the leading one.
    """
    reads: NDArray[np.int8]
    """What the multiplier takes an ignored bit for, 0 or 1; -1 where the bit is seen, or where the
    products do not tell.
    """


def window_of(table: ProductTable, operand: Literal["a", "b"]) -> OperandWindow:
    """The bits of the positive values of an operand, by the position of its leading one.

    What an ignored bit is read as is told by the product with 1, if that one is an operand with the
    same bits where bits are seen.
    """
    products = table.products if operand == "a" else table.products.T
    codes = np.arange(len(products))
    levels = getattr(table.widths, operand) - table.signed
    influence = np.full((levels, levels), np.nan)
    reads = np.full((levels, levels), -1, dtype=np.int8)
    changed = np.array(
        [(products != products[codes ^ 1 << bit])[:, 1:].mean(axis=1) for bit in range(levels)]
    )  # (bit, code)
    for leading in range(levels):
        members = codes[1 << leading : 2 << leading]
        share = changed[: leading + 1, members].mean(axis=1)
        influence[leading, : leading + 1] = share
        ignored = sum(1 << bit for bit in range(leading + 1) if share[bit] == 0)
        taken = products[members, 1]
        if np.any((taken ^ members) & ~ignored):
            continue
        for bit in range(leading + 1):
            values = np.unique(taken >> bit & 1)
            if share[bit] == 0 and len(values) == 1:
                reads[leading, bit] = values[0]
    return OperandWindow(influence, reads)
