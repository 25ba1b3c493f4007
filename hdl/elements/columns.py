"""How high the columns are that an element's compressor tree adds, and with what."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Fragment, Module, Signal
from numpy.typing import NDArray

from ..circuits.columns import Columns
from .datapath import add_lanes, stage_bits
from .element import Element

__all__ = ["sum_columns"]


def sum_columns(element: Element) -> dict[str, NDArray[np.int64]]:
    """Bits in every column that is added in one step, the lowest first: of the lanes one after the
    other, of the constant that they leave, and of the words of the accumulator unless a pipeline
    register lies before it. A `mac` adds one product, its sign in all columns above.
    """
    words = dict.fromkeys(element.words, np.ones(element.sum_bits, dtype=np.int64))
    if element.lanes == 1:
        product = np.ones(element.sum_bits, dtype=np.int64)
        product[element.multiplier.width_p :] = element.lane.signed_sum
        return {"lane 0": product} | words
    bits = stage_bits(element) if element.form.pipelined else element.sum_bits
    found: dict[str, NDArray[np.int64]] = {}
    constant, widths = 0, element.lane.operand_widths
    for lane in range(element.lanes):
        m = Module()
        columns = Columns(m, bits)
        a, b = Signal(widths.a, name=f"a{lane}"), Signal(widths.b, name=f"b{lane}")
        add_lanes(columns, element, [a], [b], Signal(1, name="live"), "multiplier")
        Fragment.get(m, None)  # Amaranth warns of modules that nobody elaborates
        found[f"lane {lane}"] = np.array(columns.heights())
        constant += columns.constant
    found["constant"] = np.array([constant >> weight & 1 for weight in range(bits)])
    return found if element.form.pipelined else found | words
