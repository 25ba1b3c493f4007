"""The designs of a front, drawn: partial products or operand bits, and errors."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hdl.errors import InputError
from hdl.tables import MAX_BITS

from ..figures.dots import dots_caption
from ..figures.drawings import dots_drawing, error_map_drawing, operand_bits_drawing
from .page_data import NumberedDesign, ShownRun

__all__ = ["Drawing", "drawings"]

# So many are drawn, the most accurate ones, and so much of a page they take at most.
_MOST_DRAWN, _MOST_BYTES = 120, 1 << 20


@dataclass(frozen=True)
class Drawing:
    """A design as the page shows it.

    Attributes:
        number: of the design on the page.
        circuit: an SVG element; `circuit_caption` says what it shows.
        errors: PNG in base64; `errors_caption` says what it shows.
    """

    number: int
    spec: str
    circuit: Markup
    circuit_caption: str
    errors: str
    errors_caption: str


def drawings(runs: Sequence[ShownRun], designs: Sequence[NumberedDesign]) -> list[Drawing]:
    """Drawings of the designs of the fronts by number, those first in the room there is that lose
    the least; none of what cannot be made again from the run, or is too wide for a table.
    """
    wanted = sorted(
        (number for number, one in enumerate(designs) if one.on_front),
        key=lambda number: (designs[number].point.predicted_drop_pp, number),
    )
    picks = [
        number
        for number, one in enumerate(designs)
        if one.on_front and one.point.name == _pick(runs[one.run])
    ]
    found: dict[int, Drawing] = {}
    room = _MOST_BYTES
    for number in list(dict.fromkeys([*picks, *wanted]))[:_MOST_DRAWN]:
        drawn = _drawing(number, designs[number], runs[designs[number].run])
        if drawn is not None:
            room -= len(drawn.circuit) + len(drawn.errors)
            if room < 0:
                break
            found[number] = drawn
    return [found[number] for number in sorted(found)]


def _pick(run: ShownRun) -> str | None:
    return None if run.exploration.pick is None else run.exploration.pick.name


def _drawing(number: int, design: NumberedDesign, run: ShownRun) -> Drawing | None:
    try:
        multiplier = run.exploration.multiplier(design.point.spec)
        if multiplier.widths.product > MAX_BITS:
            return None
        table, dots = multiplier.table(), multiplier.dots()
    except InputError:
        return None
    circuit = operand_bits_drawing(table) if dots is None else dots_drawing(dots)
    caption = (
        "Operand bits that reach the product, by leading one"
        if dots is None
        else dots_caption(dots)
    )
    picture, errors_caption = error_map_drawing(table)
    return Drawing(
        number,
        design.point.name,
        Markup(circuit),
        caption,
        base64.b64encode(picture).decode(),
        errors_caption,
    )
