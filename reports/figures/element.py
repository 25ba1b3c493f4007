"""The columns of an element's sum: which bits its compressor tree adds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .style import FAINT, INK, MUTED, PAPER, elided, new_figure, styled, titles

__all__ = ["element_figure"]

_LANES = "#0072b2"
_NAME_CHARACTERS = 90


@styled
def element_figure(name: str, columns: Mapping[str, NDArray[np.int64]], *, merged: bool) -> Figure:
    """Bits in each column of the sum, the lowest on the right, stacked: the lanes one after the
    other, the constant, the accumulator; `columns` as `hdl.elements.sum_columns` gives them.
    """
    bits = len(next(iter(columns.values())))
    places = np.arange(bits)
    figure, axes = new_figure(width_in=7.2, height_in=4.2, right_in=1.7, top_in=0.85)
    heights = np.zeros(bits, dtype=np.int64)
    colors = {"constant": MUTED, "total": INK, "carries": FAINT}
    lanes = [label for label in columns if label.startswith("lane")]
    for label, counts in columns.items():
        shown = {lanes[0]: f"{len(lanes)} lanes" if len(lanes) > 1 else "product"}.get(
            label, "" if label in lanes else label
        )
        axes.bar(
            places,
            counts,
            bottom=heights,
            width=0.8,
            color=colors.get(label, _LANES),
            edgecolor=PAPER,
            linewidth=0.6,
            label=shown or None,
        )
        heights = heights + counts
    axes.set_xlim(bits - 0.4, -0.6)
    axes.set_xlabel("Column")
    axes.set_ylabel("Bits")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)
    what = "Partial products" if merged else "Products"
    titles(
        figure,
        elided(name, _NAME_CHARACTERS),
        [f"{what} and accumulator, as far as they are added in one step: {heights.sum()} bits"],
    )
    return figure
