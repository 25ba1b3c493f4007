"""Depthwise lookups against gathering every product from windows cut out by numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cnn_eval.emulation.kernels import depthwise
from cnn_eval.emulation.kernels.depthwise import DepthwiseWeights, convolve_depthwise
from cnn_eval.emulation.kernels.row_accumulation import ProductColumns
from cnn_eval.quantization.geometry import Geometry, patches


def gathered(
    codes: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    products: NDArray[np.int32],
    geometry: Geometry,
) -> NDArray[np.int64]:
    """The definition, over padded codes (n, height, width, channels)."""
    windows = patches(codes, geometry)  # (n, y, x, kernel y, kernel x, channels)
    each = windows.repeat(len(weights) // geometry.groups, -1)
    found: NDArray[np.int64] = (
        products[each, weights[:, 0].transpose(1, 2, 0)].astype(np.int64).sum((3, 4))
    )
    return found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equals_gathering(data: st.DataObject) -> None:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = data.draw(st.sampled_from([1, 3, 8, 17, 24, 40]))
    geometry = Geometry(data.draw(pair), data.draw(pair), data.draw(pair), groups)
    low = data.draw(st.sampled_from([0, -127]))
    left, right, top, bottom = padding = data.draw(st.tuples(*[st.integers(0, 2)] * 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shape = data.draw(st.integers(1, 2)), data.draw(st.integers(7, 9)), 8, groups
    values = rng.integers(low, low + 256, shape)
    outputs = groups * data.draw(st.integers(1, 2))
    weights = rng.integers(0, 255, (outputs, 1, *geometry.kernel)).astype(np.uint8)
    products = rng.integers(-(1 << 17), 1 << 17, (256, 255)).astype(np.int32)
    found = convolve_depthwise(
        values.astype(np.float32),
        DepthwiseWeights.of(weights, ProductColumns.of(products), geometry),
        padding=padding,
        low=low,
        threads=data.draw(st.integers(1, 2)),
    )
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0))) - low
    expected = gathered(padded.astype(np.uint8), weights, products, geometry)
    np.testing.assert_array_equal(found, expected)


def test_tiles_and_blocks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their bounds are no multiples of the four pixels that go side by side."""
    monkeypatch.setattr(depthwise, "_TILE_PX", 7)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (2, 6, 5, 40)).astype(np.uint8)
    weights = rng.integers(0, 255, (40, 1, 3, 3)).astype(np.uint8)
    products = rng.integers(-99, 99, (256, 255)).astype(np.int32)
    geometry = Geometry((3, 3), groups=40)
    layer = DepthwiseWeights.of(weights, ProductColumns.of(products), geometry)
    np.testing.assert_array_equal(
        convolve_depthwise(codes.astype(np.float32), layer, threads=2),
        gathered(codes, weights, products, geometry),
    )
