"""Pictures of one multiplier: its partial products or the operand bits it sees, and its errors as a
map and as histograms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from hdl.circuits import DotDiagram
from hdl.operands import OperandDistribution
from hdl.tables import ProductTable

from .dots import (
    LEGEND_HANDLERS,
    dots_caption,
    draw_dots,
    draw_operand_bits,
    line_count,
    operand_windows,
)
from .error_map import ErrorMap
from .style import DASHES, FAINT, INK, MUTED, elided, new_figure, styled, titles

__all__ = [
    "dots_figure",
    "error_histogram_figure",
    "error_map_figure",
    "multiplier_figures",
    "operand_bits_figure",
    "portrait_figure",
]

_NAME_CHARACTERS, _NAME_CHARACTERS_PER_IN = 60, 7.6
_MOST_BINS = 121
# A map of more rows would not be seen, only stored.
_MOST_MAP_ROWS = 512
_MOST_RELATIVE_PCT = 100.0
# Red is too much and blue too little, the lighter the less.
_ERROR_COLORS = "RdBu_r"
_NUMBERS = FuncFormatter(lambda value, _: _signed_text(f"{value:,.6g}"))


def multiplier_figures(
    table: ProductTable, dots: DotDiagram | None = None, operands: OperandDistribution | None = None
) -> dict[str, Figure]:
    """The pictures of a multiplier by file name without ending: `dots` where there is a diagram,
    else `operand_bits`; `error_map`; `error_histogram`, which counts operations as `operands` has
    them (None: all pairs alike)."""
    first = (
        {"operand_bits": operand_bits_figure(table)}
        if dots is None
        else {"dots": dots_figure(table.name, dots)}
    )
    return first | {
        "error_map": error_map_figure(table),
        "error_histogram": error_histogram_figure(table, operands),
    }


@styled
def dots_figure(name: str, dots: DotDiagram) -> Figure:
    """The partial products by column, the lowest on the right: exact, approximate, left out; and
    the constant.
    """
    lines = line_count(dots)
    cell_in = 0.34 if dots.columns <= 16 else 0.22
    right_in = 2.6
    width_in, height_in = 0.72 + cell_in * dots.columns + right_in, 1.55 + cell_in * (lines + 0.5)
    figure, axes = new_figure(
        width_in=width_in, height_in=max(height_in, 3.6), right_in=right_in, top_in=0.85
    )
    keys = draw_dots(axes, dots)
    axes.legend(
        handles=keys,
        handler_map=LEGEND_HANDLERS,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0,
    )
    characters = min(_NAME_CHARACTERS, int(_NAME_CHARACTERS_PER_IN * width_in))
    titles(figure, elided(name, characters), [dots_caption(dots)])
    return figure


@styled
def operand_bits_figure(table: ProductTable) -> Figure:
    """Which bits of a positive operand reach the product, by the position of its leading one; one
    panel where a and b are alike.
    """
    panels = operand_windows(table)
    cell_in = 0.34 if max(table.widths) <= 8 else 0.26
    side_in = max(cell_in * max(len(bits.influence) for _, bits in panels), 1.4)
    gap_in, right_in, left_in = 0.6, 2.1, 0.72
    width_in = left_in + len(panels) * side_in + (len(panels) - 1) * gap_in + right_in
    figure, axes = new_figure(
        width_in=max(width_in, 5.0),
        height_in=1.5 + side_in,
        right_in=max(width_in, 5.0) - left_in - side_in,
        top_in=0.88,
    )
    box = axes.get_position()
    keys: dict[str, Artist] = {}
    for index, (operand, bits) in enumerate(panels):
        if index:
            axes = figure.add_axes(
                (
                    box.x0 + index * (side_in + gap_in) / figure.get_figwidth(),
                    box.y0,
                    box.width,
                    box.height,
                )
            )
        keys |= {str(key.get_label()): key for key in draw_operand_bits(axes, bits, operand)}
    axes.legend(
        handles=list(keys.values()), loc="upper left", bbox_to_anchor=(1.05, 1.0), borderaxespad=0
    )
    titles(
        figure,
        elided(table.name, _NAME_CHARACTERS),
        ["Operand bits that reach the product, found from the product table"],
    )
    return figure


@styled
def error_map_figure(table: ProductTable) -> Figure:
    """Error of every product over the values of a and b, product less exact product."""
    figure, axes = new_figure(width_in=6.4, height_in=5.6, right_in=1.25, top_in=0.8)
    box = axes.get_position()
    bar = figure.add_axes((box.x1 + 0.15 / 6.4, box.y0, 0.16 / 6.4, box.height))
    note = _draw_map(axes, bar, table)
    bar.set_ylabel("Error (units of the product)")
    titles(
        figure,
        elided(table.name, _NAME_CHARACTERS),
        [f"Error of each product: product \N{MINUS SIGN} exact product{note}"],
    )
    return figure


def _draw_map(axes: Axes, bar: Axes, table: ProductTable) -> str:
    """Draws map and color bar; returns what is to be said about blocks of operands, if anything."""
    errors = ErrorMap.of(table, _MOST_MAP_ROWS)
    values, limit = (errors.values_a, errors.values_b), errors.limit
    (left, right), (bottom, top) = ((float(codes[0]), float(codes[-1])) for codes in values)
    image = axes.imshow(
        errors.errors.T,
        origin="lower",
        extent=(left - 0.5, right + 0.5, bottom - 0.5, top + 0.5),
        aspect="equal" if len(values[0]) == len(values[1]) else "auto",
        cmap=_ERROR_COLORS,
        vmin=-(limit or 1),
        vmax=limit or 1,
        interpolation="nearest",
    )
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    Colorbar(
        bar,
        image,
        extend="both" if limit < errors.worst else "neither",
        ticks=MaxNLocator(7, integer=True),
        format=_NUMBERS,
    )
    bar.grid(visible=False)
    axes.set_xlabel("a (value)")
    axes.set_ylabel("b (value)")
    for axis, codes in zip((axes.xaxis, axes.yaxis), values, strict=True):
        ticks = [int(codes[0]) + round(k * len(codes) / 4) for k in range(4)] + [int(codes[-1])]
        axis.set_major_formatter(_NUMBERS)
        axis.set_ticks(sorted(set(ticks)))
    block_a, block_b = errors.block
    return f", means over blocks of {block_a} x {block_b} operands" if block_a * block_b > 1 else ""


@styled
def error_histogram_figure(
    table: ProductTable, operands: OperandDistribution | None = None
) -> Figure:
    """How often each error comes, absolute and relative to the exact product, with mean and
    standard deviation; counts are logarithmic.
    """
    figure, left = new_figure(width_in=8.6, height_in=4.2, right_in=0.25, top_in=0.9)
    box = left.get_position()
    start, gap = 0.9 / 8.6, 0.75 / 8.6
    half = (box.x1 - start - gap) / 2
    left.set_position((start, box.y0, half, box.height))
    right = figure.add_axes((start + half + gap, box.y0, half, box.height))
    weights = None if operands is None else operands.joint().ravel()
    _draw_histogram(left, table.errors.ravel(), weights)
    left.set_xlabel("Error (units of the product)")
    exact = np.abs(table.products.ravel().astype(np.int64) - table.errors.ravel())
    nonzero = exact > 0
    relative = 100 * table.errors.ravel()[nonzero] / exact[nonzero]
    _draw_relative(right, relative, None if weights is None else weights[nonzero])
    left.set_ylabel("Operand pairs" if weights is None else "Share of operations")
    about = (
        "All operand pairs count alike"
        if operands is None
        else f"Operands: {elided(operands.name, 60)}"
    )
    titles(
        figure,
        elided(table.name, _NAME_CHARACTERS),
        [f"{about}. Errors are product \N{MINUS SIGN} exact product"],
    )
    return figure


def _draw_histogram(
    axes: Axes, errors: NDArray[np.int32], weights: NDArray[np.float64] | None
) -> None:
    low, high = int(errors.min()), int(errors.max())
    width = (high - low) // _MOST_BINS + 1
    width += 1 - width % 2  # an odd number of integers, so that one bin is centred on 0
    edges = width * (
        np.arange(min(round(low / width), -3), max(round(high / width), 3) + 2, dtype=np.float64)
        - 0.5
    )
    _draw_bars(axes, errors, edges, weights, "{:,.4g}")


def _draw_relative(
    axes: Axes, relative: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> None:
    """The same for relative errors in percent; those beyond the limit are counted in the outermost
    bars.
    """
    reach = float(np.abs(relative).max(initial=0))
    limit = min(reach, _MOST_RELATIVE_PCT) or 1.0
    bins = 81
    outer = limit * (1 + 1 / bins)
    edges = np.linspace(-outer, outer, bins + 1)
    shown = np.clip(relative, -limit, limit)
    _draw_bars(axes, shown, edges, weights, "{:,.3g} %", statistics_of=relative)
    beyond = f"; outermost bars: {limit:g} % and more" if reach > limit else ""
    axes.set_xlabel(f"Relative error (%{beyond})")


def _draw_bars(
    axes: Axes,
    values: NDArray[np.int32] | NDArray[np.float64],
    edges: NDArray[np.floating],
    weights: NDArray[np.float64] | None,
    form: str,
    statistics_of: NDArray[np.float64] | None = None,
) -> None:
    """Bars on a logarithmic axis, a band of one standard deviation around the mean, and both in
    words above the axes.
    """
    counts, _ = np.histogram(values, edges, weights=weights)
    least = 0.5 if weights is None else max(float(counts[counts > 0].min(initial=1.0)) / 2, 1e-9)
    axes.set_yscale("log")
    axes.bar(
        (edges[:-1] + edges[1:]) / 2,
        np.maximum(counts - least, 0),
        np.diff(edges),
        bottom=least,
        color=MUTED,
        linewidth=0,
        zorder=2,
    )
    axes.set_ylim(least, float(counts.max()) * 1.6)
    source = values if statistics_of is None else statistics_of
    mean = float(np.average(source, weights=weights)) if len(source) else 0.0
    std = float(np.sqrt(np.average((source - mean) ** 2, weights=weights))) if len(source) else 0.0
    low, high = float(edges[0]), float(edges[-1])
    axes.set_xlim(low, high)
    axes.axvspan(
        max(mean - std, low), min(mean + std, high), color=FAINT, alpha=0.3, linewidth=0, zorder=1
    )
    axes.axvline(mean, color=INK, linewidth=1.2, linestyle=DASHES, zorder=3)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_NUMBERS)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(4))
    keys: list[Artist] = [
        Line2D(
            [],
            [],
            color=INK,
            linewidth=1.2,
            linestyle=DASHES,
            label=f"mean {_signed_text(form.format(mean))}",
        ),
        Patch(facecolor=FAINT, alpha=0.3, label=f"± std {form.format(std)}"),
    ]
    axes.legend(
        handles=keys,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=2,
        borderaxespad=0.2,
        columnspacing=1.2,
    )


def _signed_text(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


@styled
def portrait_figure(table: ProductTable, dots: DotDiagram | None = None) -> Figure:
    """One picture for a page: dots or operand bits, the error map, and the error histogram side by
    side.
    """
    width_in, height_in = 12.0, 3.8
    figure = Figure(figsize=(width_in, height_in), dpi=100)

    def panel(left: float, bottom: float, width: float, height: float) -> Axes:
        return figure.add_axes(
            (left / width_in, bottom / height_in, width / width_in, height / height_in)
        )

    first = panel(0.65, 1.15, 3.85, 2.15)
    keys = draw_dots(first, dots) if dots is not None else _first_bits(first, table)
    figure.legend(
        handles=keys,
        handler_map=LEGEND_HANDLERS,
        loc="lower left",
        bbox_to_anchor=(0.02, 0.01),
        ncols=2,
        fontsize=7,
    )
    # One pixel an operand at 100 dots an inch and 8 bits.
    square, bar = panel(5.3, 0.6, 2.56, 2.56), panel(7.92, 0.6, 0.1, 2.56)
    _draw_map(square, bar, table)
    bar.set_title("Error", fontsize=8.5)
    histogram = panel(9.55, 0.6, 2.3, 2.56)
    _draw_histogram(histogram, table.errors.ravel(), None)
    histogram.set_xlabel("Error")
    histogram.set_ylabel("Operand pairs")
    titles(figure, elided(table.name, _NAME_CHARACTERS), ())
    return figure


def _first_bits(axes: Axes, table: ProductTable) -> Sequence[Artist]:
    operand, bits = operand_windows(table)[0]
    return draw_operand_bits(axes, bits, operand)
