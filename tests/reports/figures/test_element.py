"""The picture of an element's columns: every bit is drawn once."""

from __future__ import annotations

import numpy as np
from matplotlib.patches import Rectangle

from hdl.elements.columns import sum_columns
from hdl.elements.element import Element
from hdl.multipliers.spec import MultiplierSpec
from reports.figures.element import element_figure


def test_all_bits_are_drawn_in_their_columns() -> None:
    element = Element.make("dot:lanes=3", MultiplierSpec.parse("exact:width=3,signed=1"))
    columns = sum_columns(element)
    figure = element_figure(str(element), columns, merged=element.merged)
    axes = figure.axes[0]
    heights = np.zeros(element.sum_bits)
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        heights[round(patch.get_x() + patch.get_width() / 2)] += patch.get_height()
    np.testing.assert_array_equal(heights, sum(columns.values()))
    left, right = axes.get_xlim()
    assert left > right
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "3 lanes",
        "constant",
        "total",
    ]
    words = " ".join(text.get_text() for text in figure.texts)
    assert str(element) in words
    assert f"{int(heights.sum())} bits" in words
