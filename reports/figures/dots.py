"""How a multiplier looks at its operands: the dot diagram of its partial products, or the operand
bits that reach its products.
"""

from __future__ import annotations

import string

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.legend import Legend
from matplotlib.legend_handler import HandlerBase
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Patch, Rectangle
from matplotlib.transforms import Transform

from hdl.circuits import ApproximateCell, Dot, DotDiagram
from hdl.tables import OperandWindow, ProductTable, window_of

from .style import FAINT, INK, PAPER

__all__ = [
    "LEGEND_HANDLERS",
    "dots_caption",
    "draw_dots",
    "draw_operand_bits",
    "line_count",
    "operand_windows",
]

# Colors of Okabe and Ito (https://jfly.uni-koeln.de/color/): approximate cells; bits that are seen,
# and the constant; cells of one dot.
_APPROXIMATE, _SEEN, _MOVED = "#d55e00", "#0072b2", "#009e73"
_BAND = "#fbeee4"
_SEEN_MAP = LinearSegmentedColormap.from_list("seen", ["#dcebf5", _SEEN])
_DOT_RADIUS = 0.3
# Lines between the array and the cells below it.
_GAP = 0.4
# Beside these, text would not fit into the cells.
_MOST_LEGIBLE_LEVELS = 12


def line_count(diagram: DotDiagram) -> int:
    """How many lines `draw_dots` takes: the rows, the constant, and what it says of the cells."""
    lines = len(diagram.rows) + bool(diagram.constant)
    if diagram.lettered:
        return lines + max(diagram.cells_of_columns(), default=0)
    return lines + bool(diagram.cells)


def draw_dots(axes: Axes, diagram: DotDiagram) -> list[Artist]:
    """Draws the array with the lowest column on the right and row 0 on top, one unit a cell; below
    it, lettered cells in the columns that they are added in. Returns the legend's keys.
    """
    rows = len(diagram.rows)
    lines = rows + (1 if diagram.constant else 0)
    counts = (0,) * diagram.columns if diagram.lettered else diagram.cells_of_columns()
    bottom = lines - 0.5
    for weight, count in enumerate(counts):
        if count:
            axes.add_patch(
                Rectangle(
                    (weight - 0.5, -0.5), 1, bottom + 0.5, facecolor=_BAND, linewidth=0, zorder=0
                )
            )
    rough = {dot for cell in diagram.cells for dot in cell.dots}
    if not diagram.lettered:
        for cell in diagram.cells:
            _outline(axes, cell)
    for dot in diagram.kept:
        if diagram.lettered and dot in rough:
            continue
        color = _APPROXIMATE if dot in rough else INK
        _circle(axes, dot.weight, dot.row, facecolor=color, edgecolor=color)
        if dot.negative:
            axes.plot(
                [dot.weight - 0.14, dot.weight + 0.14],
                [dot.row] * 2,
                color=PAPER,
                linewidth=1.3,
                solid_capstyle="butt",
                zorder=4,
            )
    for dot in diagram.dropped:
        _circle(axes, dot.weight, dot.row, facecolor=PAPER, edgecolor=FAINT)
    if diagram.constant:
        for weight in range(diagram.columns):
            if diagram.constant >> weight & 1:
                axes.add_patch(
                    Rectangle(
                        (weight - 0.27, rows - 0.27),
                        0.54,
                        0.54,
                        facecolor=_SEEN,
                        linewidth=0,
                        zorder=3,
                    )
                )
    beyond = line_count(diagram) - lines + _GAP if diagram.lettered else 1.0 if any(counts) else 0.0
    axes.set_xlim(diagram.columns - 0.5, -0.5)
    axes.set_ylim(bottom + beyond, -0.6)
    if diagram.lettered:
        _letter(axes, diagram, lines + _GAP)
    axes.set_aspect("equal", anchor="N")
    if any(counts):
        for weight, count in enumerate(counts):
            if count:
                axes.text(
                    weight,
                    bottom + 0.5,
                    str(count),
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color=_APPROXIMATE,
                )
    step = 1 if diagram.columns <= 16 else 2
    axes.set_xticks(range(0, diagram.columns, step))
    labels = [
        *diagram.rows,
        *([f"+{diagram.constant:,}"] if diagram.constant else []),
        *(["cells"] if any(counts) else []),
    ]
    places = [*range(len(labels))]
    if diagram.lettered:
        places, labels = [*places, lines + _GAP], [*labels, "terms"]
    axes.set_yticks(places, labels)
    _bare(axes)
    axes.set_xlabel("Column (exponent of its weight)")
    return _dot_keys(diagram, bool(rough))


def _letter(axes: Axes, diagram: DotDiagram, top: float) -> None:
    """Draws the dots of each cell with its letter, and the cell itself in its column from line
    `top` on.
    """
    low, high = axes.get_ylim()
    cell_px = min(axes.bbox.width / diagram.columns, axes.bbox.height / (low - high))
    size_pt = 30 * cell_px / axes.figure.dpi

    def write(weight: float, row: float, text: str, joined: bool, negative: bool) -> None:
        color = _APPROXIMATE if joined else _MOVED
        _circle(axes, weight, row, facecolor=color, edgecolor=color)
        axes.text(
            weight,
            row,
            "\N{MINUS SIGN}" * negative + text,
            ha="center",
            va="center_baseline",
            fontsize=size_pt / max(1, 0.78 * (len(text) + negative)),
            color=PAPER,
            zorder=4,
        )

    axes.axhline(top - 0.5 - _GAP / 2, color=FAINT, linewidth=0.7)
    letters: dict[Dot, str] = {}
    joined: set[Dot] = set()
    below = [0] * diagram.columns
    for index, cell in enumerate(diagram.cells):
        letter = _cell_letter(index)
        several = len(cell.dots) > 1
        letters |= {dot: letters.get(dot, "") + letter for dot in cell.dots}
        joined |= set(cell.dots) if several else set()
        write(cell.weight, top + below[cell.weight], letter, several, cell.dots[0].negative)
        below[cell.weight] += 1
    for dot, text in letters.items():
        short = text if len(text) < 4 else f"{text[0]}\N{HORIZONTAL ELLIPSIS}"
        write(dot.weight, dot.row, short, dot in joined, dot.negative)


def _cell_letter(index: int) -> str:
    """a to z, A to Z, and then numbers."""
    letters = string.ascii_letters
    return letters[index] if index < len(letters) else str(index - len(letters) + 1)


def _dot_keys(diagram: DotDiagram, rough: bool) -> list[Artist]:
    keys: list[Artist] = []
    if any(dot not in {d for cell in diagram.cells for d in cell.dots} for dot in diagram.kept):
        keys.append(_key("into exact adders", INK, INK))
    sizes = {len(cell.dots) > 1 for cell in diagram.cells} if diagram.lettered else set()
    if True in sizes:
        keys.append(_key("joined by an or gate; below,\nits column", _APPROXIMATE, _APPROXIMATE))
    if False in sizes:
        keys.append(
            _key("added in another column or\nmore than once; below, where", _MOVED, _MOVED)
        )
    if rough and not diagram.lettered:
        keys.append(
            _key(f"into an approximate cell\n({diagram.cell_name})", _APPROXIMATE, _APPROXIMATE)
        )
    if diagram.dropped:
        keys.append(_key("left out", PAPER, FAINT))
    if any(dot.negative for dot in diagram.kept):
        keys.append(_Negative([], [], linestyle="none", label="weighs negatively"))
    if diagram.constant:
        keys.append(_key("constant", _SEEN, _SEEN, marker="s"))
    if diagram.cells and not diagram.lettered:
        keys.append(
            Patch(
                facecolor=_BAND,
                linewidth=0,
                label="column with approximate\ncells; below, their number",
            )
        )
    return keys


def dots_caption(dots: DotDiagram) -> str:
    """What a dot diagram shows, in one line."""
    total = len(dots.kept) + len(dots.dropped)
    words = [
        f"Partial products: {len(dots.kept)} of {total} added"
        if dots.dropped
        else f"Partial products: {total}"
    ]
    if dots.lettered:
        joined = sum(len(cell.dots) > 1 for cell in dots.cells)
        words.append(f"or gates: {joined}; moved or repeated: {len(dots.cells) - joined}")
    elif dots.cells:
        words.append(f"approximate cells: {len(dots.cells)}")
    return "; ".join([*words, *([dots.note] if dots.note else [])])


def operand_windows(table: ProductTable) -> list[tuple[str, OperandWindow]]:
    """The operand bits that are seen, by operand: a and b, or both in one where they are alike."""
    a, b = window_of(table, "a"), window_of(table, "b")
    alike = np.array_equal(a.influence, b.influence, equal_nan=True) and np.array_equal(
        a.reads, b.reads
    )
    return [("a and b", a)] if alike else [("a", a), ("b", b)]


def draw_operand_bits(axes: Axes, bits: OperandWindow, operand: str) -> list[Artist]:
    """Draws leading ones (rows, the highest on top) by bits (the lowest on the right) of `operand`
    (a, b, or a and b).

    Returns the legend's keys.
    """
    levels = len(bits.influence)
    legible = levels <= _MOST_LEGIBLE_LEVELS
    kinds: set[str] = set()
    for leading in range(levels):
        for bit in range(leading + 1):
            share, read = float(bits.influence[leading, bit]), int(bits.reads[leading, bit])
            kind = "ignored" if share == 0 else "always" if share == 1 else "partly"
            kinds |= {kind} | ({f"read {read}"} if read >= 0 else set())
            color = PAPER if share == 0 else _SEEN_MAP(share)
            edge = INK if bit == leading else FAINT
            axes.add_patch(
                Rectangle(
                    (bit - 0.44, leading - 0.44),
                    0.88,
                    0.88,
                    facecolor=color,
                    edgecolor=edge,
                    linewidth=1.2 if bit == leading else 0.6,
                )
            )
            word = {
                "ignored": str(read) if read >= 0 else "",
                "always": "",
                "partly": _percent(share),
            }[kind]
            if legible and word:
                text_color = PAPER if share > 0.6 else INK
                weight = "bold" if kind == "ignored" and read == 1 else "normal"
                axes.text(
                    bit,
                    leading,
                    word,
                    ha="center",
                    va="center",
                    fontsize=6.5,
                    color=text_color,
                    fontweight=weight,
                )
    axes.set_xlim(levels - 0.5, -0.5)
    axes.set_ylim(-0.6, levels - 0.4)
    axes.set_aspect("equal", anchor="N")
    axes.set_xticks(range(levels))
    axes.set_yticks(range(levels))
    _bare(axes)
    axes.set_xlabel(f"Bit of {operand}")
    axes.set_ylabel(f"Leading one of {operand}")
    keys: list[Artist] = [
        Patch(facecolor=PAPER, edgecolor=INK, linewidth=1.2, label="the leading one")
    ]
    if "always" in kinds:
        keys.append(Patch(facecolor=_SEEN, label="flipping it always\nchanges the product"))
    if "partly" in kinds:
        keys.append(
            Patch(facecolor=_SEEN_MAP(0.4), label="changes this share\nof the products (%)")
        )
    if "ignored" in kinds:
        keys.append(
            Patch(
                facecolor=PAPER, edgecolor=FAINT, linewidth=0.6, label="ignored" + _reading(kinds)
            )
        )
    return keys


def _reading(kinds: set[str]) -> str:
    read = [kind.removeprefix("read ") for kind in sorted(kinds) if kind.startswith("read ")]
    return f";\nread as {' or '.join(read)}" if read else ""


def _percent(share: float) -> str:
    """Percent without saying 0 or 100 for what is neither."""
    return f"{min(max(round(100 * share), 1), 99)}"


def _circle(axes: Axes, x: float, y: float, *, facecolor: str, edgecolor: str) -> None:
    axes.add_patch(
        Circle(
            (x, y), _DOT_RADIUS, facecolor=facecolor, edgecolor=edgecolor, linewidth=0.8, zorder=3
        )
    )


def _outline(axes: Axes, cell: ApproximateCell) -> None:
    """A capsule around the dots of a cell, which lie above each other."""
    if len(cell.dots) > 1:
        rows = [dot.row for dot in cell.dots]
        place, reach = (cell.dots[0].weight, min(rows)), max(rows) - min(rows)
        style = f"round,pad={_DOT_RADIUS + 0.1},rounding_size={_DOT_RADIUS + 0.1}"
        axes.add_patch(
            FancyBboxPatch(
                place,
                0,
                reach,
                boxstyle=style,
                facecolor="none",
                edgecolor=_APPROXIMATE,
                linewidth=0.9,
                zorder=2,
            )
        )


class _Negative(Line2D):
    """Stands in the legend for a dot with a minus in it."""


class _NegativeHandler(HandlerBase):
    def create_artists(
        self,
        legend: Legend,
        orig_handle: Artist,
        xdescent: float,
        ydescent: float,
        width: float,
        height: float,
        fontsize: float,
        trans: Transform,
    ) -> list[Artist]:
        x, y = width / 2 - xdescent, height / 2 - ydescent
        dot = Line2D([x], [y], marker="o", markersize=6, color=INK)
        bar = Line2D([x - 1.6, x + 1.6], [y, y], color=PAPER, linewidth=1.0, solid_capstyle="butt")
        for artist in (dot, bar):
            artist.set_transform(trans)
        return [dot, bar]


#: How a legend draws the keys of this module that matplotlib does not know.
LEGEND_HANDLERS: dict[type, HandlerBase] = {_Negative: _NegativeHandler()}


def _key(label: str, face: str, edge: str, *, marker: str = "o") -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=6,
        markerfacecolor=face,
        markeredgecolor=edge,
        label=label,
    )


def _bare(axes: Axes) -> None:
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
