"""Pictures of one multiplier: what they say, that it fits, and that they are the same every
time.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from matplotlib.text import Text

from hdl.circuits.dot_diagram import DotDiagram
from hdl.multipliers.elaboration import product
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandDistribution, code_values
from hdl.tables.metrics import error_metrics
from hdl.tables.product_table import ProductTable
from reports.figures.multiplier import (
    dots_figure,
    error_histogram_figure,
    error_map_figure,
    multiplier_figures,
    operand_bits_figure,
    portrait_figure,
)
from reports.figures.rendering import write_figure
from reports.figures.style import styled


def table_of(text: str) -> ProductTable:
    spec = MultiplierSpec.parse(text)
    a, b = (code_values(width, signed=spec.signed) for width in spec.widths)
    return ProductTable(product(spec, a[:, None], b).astype(np.int32), spec.signed, text)


def dots_of(text: str) -> DotDiagram:
    spec = MultiplierSpec.parse(text)
    dots = FAMILIES[spec.family].dots(spec)
    assert dots is not None
    return dots


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in drawn_texts(figure)]


def assert_fits(figure: Figure) -> None:
    """All that is drawn lies on the page, and no two texts cover each other."""
    styled(figure.draw_without_rendering)()
    box, (width_in, height_in) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width_in
    assert box.y1 <= height_in
    # An extent holds the text's accents and descenders, be there any or not: one pixel of either is
    # nothing.
    extents = [
        (text.get_text(), text.get_window_extent().padded(-1)) for text in drawn_texts(figure)
    ]
    for index, (first, one) in enumerate(extents):
        for second, other in extents[index + 1 :]:
            assert not (
                one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1
            ), (first, second)


def drawn_texts(figure: Figure) -> list[Text]:
    """Every visible text, without the labels that matplotlib keeps for ticks beyond an axis'
    limits.
    """
    hidden: set[int] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            current = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            for tick in {*axis.majorTicks, *axis.minorTicks}:
                if tick not in current or not low <= tick.get_loc() <= high:
                    hidden |= {id(tick.label1), id(tick.label2)}
    found = [
        text
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_visible() and text.get_text()
    ]
    return [text for text in found if id(text) not in hidden]


SPECS = [
    *(
        "exact",
        "bam:h=1,v=5,comp=80,signed=1",
        "compressor:kind=momeni1,cols=9",
        "drum:k=4",
        "etm:offset=1",
    ),
    *("recursive:ll=drum[k=3],lh=udm", "udm:width=4", "mask:bits=0,comp=16383"),
    *(
        "terms:sum=00+02|11+5.20+22,width=5x4",
        "terms:sum=0.02|20+20,width=3,signed=1",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("text", SPECS)
def test_everything_fits_without_overlap(text: str) -> None:
    table, spec = table_of(text), MultiplierSpec.parse(text)
    dots = FAMILIES[spec.family].dots(spec)
    figures = multiplier_figures(table, dots)
    assert list(figures) == [
        "operand_bits" if dots is None else "dots",
        "error_map",
        "error_histogram",
    ]
    for figure in (*figures.values(), portrait_figure(table, dots)):
        assert text in texts(figure)
        assert_fits(figure)


@pytest.mark.parametrize(
    "text", ["exact:width=12", "bam:h=3,v=9,comp=77,width=12,signed=1", "am2:m=9,width=12"]
)
def test_wide_arrays_fit(text: str) -> None:
    assert_fits(dots_figure(text, dots_of(text)))


def test_names_longer_than_the_picture_are_elided() -> None:
    text = "terms:sum=00+01+02+10+11+12+20+21+3.22,tree=dadda,width=3"
    assert_fits(dots_figure(text, dots_of(text)))


def test_terms_have_letters_above_and_below() -> None:
    figure = dots_figure("terms", dots_of("terms:sum=00+02|11+5.20+20|22+22,width=5"))
    letters = {(text.get_text(), *text.get_position()) for text in figure.axes[0].texts}
    # Below the five rows and a gap; a is the or in column 2, b the one in column 2 of 20 and 22,
    # which stands alone as c, and d is 20 moved to column 5.
    assert {(letter, x, round(y, 1)) for letter, x, y in letters} == {
        *(("a", 2, 5.4), ("b", 2, 6.4), ("c", 4, 5.4), ("d", 5, 5.4)),
        *(("a", 2, 2), ("a", 2, 1), ("bd", 2, 0), ("bc", 4, 2)),
    }
    assert {"b0", "b4", "terms"} <= set(texts(figure))
    assert any(text.startswith("joined by an or gate") for text in texts(figure))
    assert any(text.startswith("added in another column") for text in texts(figure))
    assert "Partial products: 5 of 25 added; or gates: 2; moved or repeated: 2" in texts(figure)


def test_dots_of_a_broken_array() -> None:
    figure = dots_figure("bam", dots_of("bam:h=1,v=3,comp=80"))
    axes = figure.axes[0]
    places = {
        patch.center: patch.get_facecolor()[:3]
        for patch in axes.patches
        if isinstance(patch, Circle)
    }
    assert len(places) == 64
    white = {place for place, color in places.items() if color == (1, 1, 1)}
    assert white == {
        (row + column, row)
        for row in range(8)
        for column in range(8)
        if row < 1 or row + column < 3
    }
    squares = sorted(
        round(patch.get_x() + patch.get_width() / 2)
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    )
    assert squares == [4, 6]  # 80
    assert axes.xaxis_inverted()
    said = texts(figure)
    assert {"b0", "b7", "+80", "left out", "into exact adders", "constant"} <= set(said)
    assert f"Partial products: {64 - len(white)} of 64 added" in said
    assert "weighs negatively" not in said


def test_approximate_cells_are_outlined_and_counted() -> None:
    dots = dots_of("compressor:kind=lin,cols=7")
    figure = dots_figure("compressor", dots)
    outlines = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    assert len(outlines) == sum(len(cell.dots) > 1 for cell in dots.cells)
    said = texts(figure)
    assert "into an approximate cell\n(lin compressor)" in said
    assert said.count("cells") == 1


def test_negative_dots_and_booth_rows() -> None:
    said = texts(dots_figure("booth", dots_of("exact:kind=booth,signed=1")))
    assert {"digit 0", "digit 3", "weighs negatively"} <= set(said)
    assert any("completes a row's negation" in text for text in said)


def test_operand_bits_say_what_is_read() -> None:
    figure = operand_bits_figure(table_of("drum:k=4"))
    said = texts(figure)
    assert {"Bit of a and b", "Leading one of a and b", "ignored;\nread as 0 or 1"} <= set(said)
    assert said.count("changes this share\nof the products (%)") == 0
    assert len(operand_bits_figure(table_of("perforate:j=0,k=2,width=4")).axes) == 2


@pytest.mark.parametrize("signed", [False, True])
def test_the_map_is_in_values(signed: bool) -> None:
    table = table_of(f"tm:k=2,signed={signed:d}")
    axes, bar = error_map_figure(table).axes
    image = axes.images[0]
    assert list(image.get_extent()) == ([-128.5, 127.5] * 2 if signed else [-0.5, 255.5] * 2)
    pixels = np.asarray(image.get_array())
    values = code_values(8, signed=signed)
    a, b = 3, -1 if signed else 255
    assert pixels[b - values.min(), a - values.min()] == table.errors[a, 255] != 0
    low, high = image.get_clim()
    assert low == -high
    assert high == np.abs(table.errors).max()
    assert bar.get_ylabel() == "Error (units of the product)"


def test_the_map_of_a_rectangle() -> None:
    table = table_of("tm:k=2,width=7x4,signed=1")
    figure = error_map_figure(table)
    image = figure.axes[0].images[0]
    assert list(image.get_extent()) == [-64.5, 63.5, -8.5, 7.5]
    assert np.asarray(image.get_array())[-1 + 8, 3 + 64] == table.errors[3, 15] != 0
    for figure in (
        *multiplier_figures(table).values(),
        portrait_figure(table, dots_of("tm:k=2,width=7x4,signed=1")),
    ):
        assert_fits(figure)


def test_few_large_errors_do_not_pale_the_others() -> None:
    products = ProductTable.exact(8).products.copy()
    products[5:, 7:] += 1
    products[200, 200] = 0
    image = error_map_figure(ProductTable(products, False, "outlier")).axes[0].images[0]
    assert image.get_clim() == (-1, 1)


def test_a_large_table_is_shown_in_blocks() -> None:
    figure = error_map_figure(table_of("tm:k=3,width=10"))
    assert np.asarray(figure.axes[0].images[0].get_array()).shape == (512, 512)
    assert "means over blocks of 2 x 2 operands" in "".join(texts(figure))


@pytest.mark.parametrize("text", ["bam:h=0,v=6,comp=80", "exact", "mitchell:signed=1"])
def test_histograms_count_every_pair_and_agree_with_the_metrics(text: str) -> None:
    table = table_of(text)
    left, right = error_histogram_figure(table).axes
    bars = [
        bar
        for bar in left.patches
        if isinstance(bar, Rectangle) and bar.get_height() > 0 and bar.get_y() > 0
    ]
    assert sum(round(bar.get_height() + bar.get_y()) for bar in bars) == 65536
    metrics = error_metrics(table)
    said = [
        text.get_text().replace("\N{MINUS SIGN}", "-") for text in left.get_legend().get_texts()
    ]
    assert said == [f"mean {metrics.me:,.4g}", f"± std {metrics.std:,.4g}"]
    assert "Relative error (%" in right.get_xlabel()


def test_operands_weigh_the_errors() -> None:
    ones = np.eye(256)[[1]]
    operands = OperandDistribution(np.ones(1), ones, ones, "always one")
    left, right = error_histogram_figure(table_of("bam:h=0,v=6,comp=80"), operands).axes
    assert left.get_ylabel() == "Share of operations"
    assert left.get_legend().get_texts()[0].get_text() == "mean 79"
    assert right.get_legend().get_texts()[0].get_text() == "mean 7,900 %".replace(
        "7,900", f"{7900.0:,.3g}"
    )


def test_a_table_of_one_bit_is_drawn() -> None:
    for figure in multiplier_figures(
        ProductTable(np.array([[0, 0], [0, 3]]), False, "one bit")
    ).values():
        assert_fits(figure)


def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    text = "compressor:kind=lin,cols=7,signed=1"
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_figure(dots_figure(text, dots_of(text)), tmp_path / folder, "dots")
    assert (tmp_path / "one" / "dots.svg").read_bytes() == (
        tmp_path / "two" / "dots.svg"
    ).read_bytes()
    assert (tmp_path / "one" / "dots.png").read_bytes() == (
        tmp_path / "two" / "dots.png"
    ).read_bytes()
    ElementTree.fromstring((tmp_path / "one" / "dots.svg").read_text())
