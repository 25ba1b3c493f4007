"""The pictures of an element's columns, where every bit is drawn once, and of the energy of a
network's layers in an array.
"""

from __future__ import annotations

import numpy as np
from matplotlib.patches import Rectangle

from hdl.elements.array_cost import LayerReport
from hdl.elements.columns import sum_columns
from hdl.elements.element import Element
from hdl.multipliers.spec import MultiplierSpec
from reports.figures.element import element_figure, layer_energy_figure


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


def test_the_energy_of_a_layer_is_drawn_once() -> None:
    layers = [
        LayerReport(name, 1000, 90, 0.8, 9000.0 * place, 1500, 800, 3, 0, 7e5, 9e3, 2e5)
        for place, name in enumerate(("conv1", "layer1.0.conv2", "fc"))
    ]
    figure = layer_energy_figure("exact in mac, 8x8", layers)
    axes = figure.axes[0]
    lengths = np.zeros(3)
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        lengths[round(patch.get_y() + patch.get_height() / 2)] += patch.get_width()
    np.testing.assert_allclose(lengths, [1e-3 * layer.energy_nj for layer in layers])
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "memory" not in shown
    assert len(shown) == 4
    low, high = axes.get_ylim()
    assert low > high
    words = " ".join(text.get_text() for text in figure.texts)
    assert "3,000 multiply-accumulates in 270 clock cycles" in words
