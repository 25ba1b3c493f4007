"""What is around a multiplier: the columns of an element's sum, which are the bits that its
compressor tree adds, and what a network's layers cost in an array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hdl.elements import LayerReport

from .style import FAINT, INK, MUTED, PAPER, elided, new_figure, styled, titles

__all__ = ["element_figure", "layer_energy_figure"]

_LANES = "#0072b2"
_NAME_CHARACTERS, _LAYER_CHARACTERS = 90, 26
#: Part of a layer's energy -> what it is, and its color.
_PARTS = {
    "adding_nj": ("multiply-accumulates", _LANES),
    "waiting_nj": ("elements that add nothing", "#e69f00"),
    "edge_nj": ("registers of the skew", "#009e73"),
    "memory_nj": ("memory", "#cc79a7"),
    "leakage_nj": ("leakage", INK),
}


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


@styled
def layer_energy_figure(name: str, layers: Sequence[LayerReport]) -> Figure:
    """Energy of each layer for one image in an array, the first on top, stacked by what uses it."""
    height_in = 1.75 + 0.17 * max(len(layers), 6)
    figure, axes = new_figure(height_in=height_in, right_in=2.0, top_in=0.85)
    box, left = axes.get_position(), 1.75 / figure.get_size_inches()[0]
    axes.set_position((left, box.y0, box.x1 - left, box.height))
    places, ends = np.arange(len(layers)), np.zeros(len(layers))
    for field, (label, color) in _PARTS.items():
        energies = np.array([1e-3 * float(getattr(layer, field)) for layer in layers])
        if not energies.any():
            continue
        axes.barh(places, energies, left=ends, height=0.8, color=color, label=label)
        ends = ends + energies
    axes.set_yticks(
        places, [elided(layer.name, _LAYER_CHARACTERS) for layer in layers], fontsize=6.5
    )
    axes.set_ylim(len(layers) - 0.4, -0.6)
    axes.set_xlabel("Energy per image, µJ")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)
    cycles, macs = (sum(getattr(layer, field) for layer in layers) for field in ("cycles", "macs"))
    titles(
        figure,
        elided(name, _NAME_CHARACTERS),
        [f"{ends.sum():,.1f} µJ, {macs:,} multiply-accumulates in {cycles:,} clock cycles"],
    )
    return figure
