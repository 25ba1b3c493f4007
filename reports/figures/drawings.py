"""Drawings of a multiplier small enough for a hundred of them on one page: its partial products or
operand bits as plain SVG that takes its colors from the page, its errors as a PNG of a few
kilobytes.
"""

from __future__ import annotations

import html
import io
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from PIL import Image

from hdl.circuits import Dot, DotDiagram
from hdl.tables import OperandWindow, ProductTable

from .dots import dots_caption, operand_windows
from .error_map import ErrorMap

__all__ = ["dots_drawing", "error_map_drawing", "operand_bits_drawing"]

_MAP_ROWS = 64
# Below zero and above it, as in the maps of `reports.figures.error_map_figure`.
_TOO_LITTLE, _TOO_MUCH = (33, 102, 172), (178, 24, 43)
_SHADES = 127
# Shares of products that an operand bit changes are told apart so finely.
_TENTHS = 10


def dots_drawing(dots: DotDiagram) -> str:
    """The partial products as an SVG element: a unit a cell, the lowest column on the right.

    Classes: `kept`, `rough` (into approximate cells), `out` (left out), `minus` (weighs
    negatively), `constant`, `below` (cells of a lettered diagram, in their columns).
    """
    rough = {dot for cell in dots.cells for dot in cell.dots}
    rows = len(dots.rows)
    below = [0] * dots.columns
    cells: list[Dot] = []
    if dots.lettered:
        for cell in dots.cells:
            cells.append(Dot(rows + below[cell.weight], cell.weight))
            below[cell.weight] += 1
    constant = [weight for weight in range(dots.columns) if dots.constant >> weight & 1]
    constant_row = rows + max(below, default=0)
    parts = [
        _dots("out", dots.columns, dots.dropped),
        _dots("kept", dots.columns, [dot for dot in dots.kept if dot not in rough]),
        _dots("rough", dots.columns, [dot for dot in dots.kept if dot in rough]),
        _dots("rough below", dots.columns, cells),
        _dots("constant", dots.columns, [Dot(constant_row, weight) for weight in constant]),
        _path(
            "minus",
            (
                f"M{dots.columns - 1 - dot.weight - 0.15:g} {dot.row}h.3"
                for dot in dots.kept
                if dot.negative
            ),
        ),
    ]
    height = constant_row + bool(constant)
    return _svg("dots", dots.columns, max(height, 1), dots_caption(dots), parts)


def operand_bits_drawing(table: ProductTable) -> str:
    """Which bits of an operand reach the product, by its leading one (rows, the highest on top), as
    an SVG element; a and b side by side where they differ.
    """
    panels = operand_windows(table)
    levels = max(len(bits.influence) for _, bits in panels)
    parts, left = [], 0
    for _, bits in panels:
        parts += _operand_bits(bits, left, levels)
        left += len(bits.influence) + 1
    names = " beside ".join(name for name, _ in panels)
    caption = f"Bits of {names} that reach the product, by leading one"
    return _svg("bits", left - 1, levels, caption, parts)


def error_map_drawing(table: ProductTable) -> tuple[bytes, str]:
    """The errors as a PNG with one pixel for a block of operand pairs, a across and b up, and its
    caption: red is too much, blue too little, transparent right.
    """
    errors = ErrorMap.of(table, _MAP_ROWS)
    shades = np.rint(_SHADES * np.clip(errors.errors / (errors.limit or 1), -1, 1)).astype(int)
    picture = Image.fromarray((shades + _SHADES).T[::-1].astype(np.uint8), "P")
    picture.putpalette([*_TOO_LITTLE * _SHADES, 255, 255, 255, *_TOO_MUCH * _SHADES])
    alpha = bytes(round(255 * abs(shade) / _SHADES) for shade in range(-_SHADES, _SHADES + 1))
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=alpha, optimize=True)
    if errors.worst == 0:
        return file.getvalue(), "No product is wrong"
    return file.getvalue(), (
        f"Errors over a (across) and b (up): red too much, blue too little, full color from "
        f"{errors.limit:,.0f}"
    )


def _operand_bits(bits: OperandWindow, left: int, height: int) -> list[str]:
    levels = len(bits.influence)
    shares: dict[int, list[str]] = defaultdict(list)
    for leading in range(levels):
        for bit in range(leading + 1):
            share = float(bits.influence[leading, bit])
            tenths = 0 if share == 0 else max(1, min(int(_TENTHS * share), _TENTHS))
            place = f"M{left + levels - 1 - bit + 0.06:g} {height - 1 - leading + 0.06:g}"
            shares[tenths].append(f"{place}h.88v.88h-.88z")
    leads = (
        f"M{left + levels - 1 - level + 0.06:g} {height - 1 - level + 0.06:g}h.88v.88h-.88z"
        for level in range(levels)
    )
    return [
        *(
            _path("seen", squares, f' style="fill-opacity:{tenths / _TENTHS:g}"')
            for tenths, squares in sorted(shares.items())
        ),
        _path("lead", leads),
    ]


def _dots(kind: str, columns: int, dots: Iterable[Dot]) -> str:
    """Lines of no length with round ends: the shortest way to write many dots."""
    return _path(kind, (f"M{columns - 1 - dot.weight} {dot.row}h0" for dot in dots))


def _path(kind: str, strokes: Iterable[str], more: str = "") -> str:
    drawn = "".join(strokes)
    return f'<path class="{kind}"{more} d="{drawn}"/>' if drawn else ""


def _svg(kind: str, width: int, height: int, caption: str, parts: Iterable[str]) -> str:
    low = -0.5 if kind == "dots" else 0  # dots are drawn around their places, squares from them
    return (
        f'<svg class="{kind}" viewBox="{low:g} {low:g} {width} {height}" role="img" '
        f'aria-label="{html.escape(caption)}">{"".join(parts)}</svg>'
    )
