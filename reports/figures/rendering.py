"""Figures as files, and as SVG inside an HTML page that follows the page's light or dark mode."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from hdl.files import write_whole

from .style import DARK, styled

__all__ = ["LINK", "css_variable", "inline_svg", "svg", "write_figure"]

#: Start of the URL by which a mark in a figure names a design; the rest is the design's number.
LINK = "#design-"

_PNG_DPI = 200
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_ANCHOR = re.compile(rf'<a xlink:href="{LINK}(\d+)" target="_blank">(.*?)</a>', re.DOTALL)
_COLOR = re.compile("|".join(map(re.escape, DARK)))


@styled
def svg(figure: Figure) -> str:
    """The figure as an SVG document: the same bytes for the same figure, text as outlines, nothing
    loaded from elsewhere.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return buffer.getvalue().decode()


@styled
def write_figure(figure: Figure, folder: Path, name: str) -> str:
    """Writes `name`.svg and `name`.png (200 dots an inch) into `folder`; returns the SVG with its
    links still in it.

    Raises:
        hdl.files.MissingFileError: the files cannot be written.
    """
    document = svg(figure)
    write_whole(folder / f"{name}.svg", _ANCHOR.sub(r"\2", document))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    write_whole(folder / f"{name}.png", picture.getvalue())
    return document


def css_variable(color: str) -> str:
    """Name of the CSS variable that stands for a color of :data:`reports.figures.style.DARK`."""
    return f"--figure-{color.removeprefix('#')}"


def inline_svg(document: str, *, prefix: str, label: str, tips: Mapping[int, str]) -> str:
    """An SVG document of :func:`svg` as an element to put into an HTML page.

    Args:
        prefix: makes the element's ids differ from those of other figures on the page.
        label: what the figure shows, for those who cannot see it.
        tips: number of a design -> text shown when the pointer rests on its mark.
    """
    body = document[document.index("<svg ") :]
    body = re.sub(r"<!--.*?-->|<style\b.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|\bxlink:href="#(?!design-)|url\(#)', rf"\g<1>{prefix}-", body)
    body = _COLOR.sub(lambda match: f"var({css_variable(match[0])})", body)
    body = _ANCHOR.sub(lambda match: _linked(match, tips), body)
    head, separator, rest = body.partition(">")
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{html.escape(label)}"{separator}{rest}'


def _linked(match: re.Match[str], tips: Mapping[int, str]) -> str:
    number = int(match[1])
    return (
        f'<a href="{LINK}{number}"><title>{html.escape(tips.get(number, ""))}</title>{match[2]}</a>'
    )
