"""Counts and sums in one pass, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_eval.emulation.kernels.counting import (
    add_histograms,
    add_spread,
    add_weighted_histogram,
    channel_sums,
    histograms,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [0, 1, 7, 64])
def test_histograms(size: int) -> None:
    rows = RNG.integers(0, 256, (5, size)).astype(np.uint8)
    expected = np.stack([np.bincount(row, minlength=256) for row in rows])
    found = histograms(rows)
    np.testing.assert_array_equal(found, expected)
    add_histograms(found, rows)
    np.testing.assert_array_equal(found, 2 * expected)


def test_weighted_histogram() -> None:
    codes = RNG.integers(0, 256, (2, 6, 5)).astype(np.uint8)
    weights = np.arange(6)
    every = np.broadcast_to(weights[None, :, None], codes.shape)
    expected = np.bincount(codes.ravel(), every.ravel(), 256)
    total = np.ones(256)
    add_weighted_histogram(total, codes, weights)
    np.testing.assert_array_equal(total, expected + 1)


def test_channel_sums() -> None:
    first, second = RNG.standard_normal((2, 3, 50, 4)).astype(np.float32)
    total, products = channel_sums(first, second)
    np.testing.assert_allclose(total, first.astype(float).sum(1))
    np.testing.assert_allclose(products, (first.astype(float) * second).sum(1))


def test_counts_go_to_the_weights_of_their_positions() -> None:
    counts = RNG.integers(0, 9, (2, 3, 256)).astype(np.int32)
    weights = RNG.integers(0, 2, (4, 3)).astype(np.uint8)  # equal ones in a channel
    total = np.ones((256, 4, 256), np.float32)
    add_spread(total, counts, weights)
    expected = np.ones(total.shape)
    for channel in range(4):
        for position in range(3):
            expected[weights[channel, position], channel] += counts[channel // 2, position]
    np.testing.assert_array_equal(total, expected)
