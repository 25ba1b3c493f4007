"""Row accumulation against looking every product up, one by one."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cnn_eval.emulation.kernels.row_accumulation import (
    LookupWeights,
    PackedWeights,
    ProductColumns,
    convolve,
)
from cnn_eval.emulation.kernels.vector_instructions import interleaved_channels
from cnn_eval.quantization.geometry import Geometry, patches


def packed(
    weights: NDArray[np.uint8], products: NDArray[np.int32], geometry: Geometry
) -> LookupWeights:
    return LookupWeights.of(PackedWeights.of(weights, geometry), ProductColumns.of(products))


def looked_up(
    activations: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    products: NDArray[np.int32],
    geometry: Geometry,
) -> NDArray[np.int64]:
    """The definition: for every output, the sum of the table entries of its operand pairs."""
    (stride_y, stride_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
    count, height, width, _ = activations.shape
    out_channels, per_group, kernel_y, kernel_x = weights.shape
    out_height = (height - dilation_y * (kernel_y - 1) - 1) // stride_y + 1
    out_width = (width - dilation_x * (kernel_x - 1) - 1) // stride_x + 1
    sums = np.zeros((count, out_height, out_width, out_channels), np.int64)
    for o in range(out_channels):
        first = o // (out_channels // geometry.groups) * per_group
        for y in range(out_height):
            for x in range(out_width):
                for i in range(kernel_y):
                    for j in range(kernel_x):
                        pixels = activations[
                            :,
                            y * stride_y + i * dilation_y,
                            x * stride_x + j * dilation_x,
                            first : first + per_group,
                        ]
                        sums[:, y, x, o] += products[pixels, weights[o, :, i, j]].sum(1)
    return sums


@st.composite
def layers(
    draw: st.DrawFn,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32], Geometry]:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    geometry = Geometry(draw(pair), draw(pair), draw(pair), draw(st.sampled_from([1, 1, 2, 3])))
    per_group, out_per_group = (
        draw(st.sampled_from([1, 2, 3, 8, 16, 11])),
        draw(st.sampled_from([1, 3, 8, 16, 17, 33])),
    )
    height, width = draw(st.integers(7, 10)), draw(st.integers(7, 10))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # Channels have ranges of codes of their own: only those are laid out.
    low, high = np.sort(rng.integers(0, 256, (2, geometry.groups * per_group)), 0)
    activations = rng.integers(
        low, high + 1, (draw(st.integers(1, 2)), height, width, geometry.groups * per_group)
    ).astype(np.uint8)
    weights = rng.integers(
        0, 255, (geometry.groups * out_per_group, per_group, *geometry.kernel)
    ).astype(np.uint8)
    # Within 16 bits, rows are narrow; beyond, wide; between, both occur in one layer.
    reach = draw(st.sampled_from([1, 1 << 15, (1 << 15) + 100, 1 << 17]))
    middle = rng.integers(-(1 << 17), 1 << 17, 255)
    products = (middle + rng.integers(-reach, reach + 1, (256, 255))).astype(np.int32)
    return activations, weights, products, geometry


@pytest.mark.parametrize("channels", [16, 32])
def test_groups_that_fill_a_block_together(channels: int) -> None:
    """Each writes its own channels, not the whole block."""
    rng = np.random.default_rng(channels)
    activations = rng.integers(0, 256, (2, 3, 1, 4)).astype(np.uint8)
    weights = rng.integers(0, 255, (channels, 2, 1, 1)).astype(np.uint8)
    products = rng.integers(-1000, 1000, (256, 255)).astype(np.int32)
    geometry = Geometry((1, 1), groups=2)
    expected = looked_up(activations, weights, products, geometry)
    found = convolve(activations.astype(np.float32), packed(weights, products, geometry))
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(layers(), st.integers(1, 3))
def test_equals_direct_lookup(
    layer: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32], Geometry], threads: int
) -> None:
    activations, weights, products, geometry = layer
    got = convolve(activations, packed(weights, products, geometry), threads=threads)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, looked_up(*layer))


def test_depthwise() -> None:
    rng = np.random.default_rng(0)
    geometry = Geometry((3, 3), groups=8)
    activations = rng.integers(0, 256, (2, 6, 6, 8)).astype(np.uint8)
    weights = rng.integers(0, 255, (8, 1, 3, 3)).astype(np.uint8)
    products = rng.integers(-99, 99, (256, 255)).astype(np.int32)
    got = convolve(activations, packed(weights, products, geometry))
    np.testing.assert_array_equal(got, looked_up(activations, weights, products, geometry))


def test_more_pixels_than_a_tile_and_an_asymmetric_table() -> None:
    rng = np.random.default_rng(1)
    activations = rng.integers(0, 256, (1, 80, 80, 8)).astype(np.uint8)
    weights = rng.integers(0, 255, (5, 8, 1, 1)).astype(np.uint8)
    products = (np.arange(256)[:, None] * 1000 - np.arange(255)).astype(np.int32)
    got = convolve(activations, packed(weights, products, Geometry((1, 1))), threads=2)
    expected = 1000 * activations.astype(np.int64).sum(-1)[..., None] - weights[:, :, 0, 0].astype(
        np.int64
    ).sum(1)
    np.testing.assert_array_equal(got, expected)


def test_patches_are_the_windows() -> None:
    x = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)
    windows = patches(x, Geometry((2, 2), stride=(1, 2), dilation=(2, 1)))
    assert windows.shape == (2, 3, 3, 2, 2, 3)
    np.testing.assert_array_equal(windows[1, 2, 1, 1, 1], x[1, 4, 3])


def test_products_beyond_the_index_range_are_refused() -> None:
    with pytest.raises(ValueError, match="exceed"):
        ProductColumns.of(np.zeros((256, 256), np.int32))


@pytest.mark.parametrize(("span", "narrow"), [((1 << 16) - 1, True), (1 << 16, False)])
def test_rows_are_narrow_as_long_as_products_span_16_bits(span: int, narrow: bool) -> None:
    rng = np.random.default_rng(2)
    products = (rng.integers(0, 2, (256, 255)) * span + 1000 * np.arange(255) - 70_000).astype(
        np.int32
    )
    products[:2] = [
        [1000 * weight - 70_000 for weight in range(255)],
        [1000 * weight - 70_000 + span for weight in range(255)],
    ]
    activations = rng.integers(0, 256, (1, 4, 5, 8)).astype(np.uint8)
    weights = rng.integers(0, 255, (20, 8, 1, 1)).astype(np.uint8)
    layer = packed(weights, products, Geometry((1, 1)))
    assert (layer.narrow == narrow).all()
    np.testing.assert_array_equal(
        convolve(activations, layer), looked_up(activations, weights, products, Geometry((1, 1)))
    )
    np.testing.assert_array_equal(
        convolve(activations, copy.deepcopy(layer)), convolve(activations, layer)
    )  # copies are not aligned


@pytest.mark.parametrize("block", [16, 32])
def test_channels_in_the_order_of_narrow_rows_are_all_there(block: int) -> None:
    assert sorted(interleaved_channels(block)) == list(range(block))
