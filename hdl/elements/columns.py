"""How high the columns of an element's sum are, and with what."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Fragment, Module, Signal
from numpy.typing import NDArray

from ..circuits.columns import Columns
from .datapath import add_lanes
from .element import Element

__all__ = ["sum_columns"]


def sum_columns(element: Element) -> dict[str, NDArray[np.int64]]:
    """Bits in every column of the sum (sum_bits,), the lowest first: of the lanes one after the
    other, of the constant that they leave, and of the words of the accumulator.
    """
    bits, widths = element.sum_bits, element.lane.operand_widths
    found: dict[str, NDArray[np.int64]] = {}
    constant = 0
    for lane in range(element.lanes):
        m = Module()
        columns = Columns(m, bits)
        a, b = Signal(widths.a, name=f"a{lane}"), Signal(widths.b, name=f"b{lane}")
        add_lanes(columns, element, [a], [b], Signal(1, name="live"), "multiplier")
        Fragment.get(m, None)  # Amaranth warns of modules that nobody elaborates
        found[f"lane {lane}"] = np.array(columns.heights())
        constant += columns.constant
    found["constant"] = np.array([constant >> weight & 1 for weight in range(bits)])
    return found | {word: np.ones(bits, dtype=np.int64) for word in element.words}
