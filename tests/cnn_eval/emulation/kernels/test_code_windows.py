"""Where row accumulation finds codes, against windows cut out by numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_eval.emulation.kernels.code_windows import CodeLayout
from cnn_eval.quantization.geometry import Geometry, patches


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_octets_are_those_of_the_windows(data: st.DataObject) -> None:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    geometry = Geometry(
        data.draw(pair), data.draw(pair), data.draw(pair), data.draw(st.sampled_from([1, 2, 3]))
    )
    per_group = data.draw(st.sampled_from([1, 2, 3, 8, 11, 16, 24]))
    count, height, width = (
        data.draw(st.integers(1, 3)),
        data.draw(st.integers(7, 9)),
        data.draw(st.integers(7, 9)),
    )
    low, (left, right, top, bottom) = (
        data.draw(st.sampled_from([0, -127])),
        data.draw(st.tuples(*[st.integers(0, 2)] * 4)),
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(
        low, low + 256, (count, height, width, geometry.groups * per_group)
    ).astype(np.float32)

    padding, threads = (left, right, top, bottom), data.draw(st.integers(1, 2))
    layout = CodeLayout.of(values, geometry, padding=padding, low=low, threads=threads)
    places = layout.base[:, None, None, None, None] + layout.offsets[..., None] + np.arange(8)
    found = layout.codes[places].reshape(
        len(layout.base), geometry.groups, -1
    )  # (pixels, groups, steps * 16)

    activations = np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0))) - low
    windows = patches(
        activations.astype(np.uint8), geometry
    )  # (n, y, x, kernel y, kernel x, channels)
    split = windows.reshape(*windows.shape[:5], geometry.groups, per_group).transpose(
        0, 1, 2, 5, 3, 4, 6
    )
    expected = split.reshape(len(layout.base), geometry.groups, -1)
    positions = expected.shape[2]
    np.testing.assert_array_equal(found[:, :, :positions], expected)
    assert 0 <= found.shape[2] - positions < 16
    # Positions that fill up a step included: their rows are zero, but only codes in range have
    # rows.
    least, largest = (
        bounds.reshape(geometry.groups, -1) for bounds in (layout.least, layout.largest)
    )
    assert (least <= found).all()
    assert (found <= largest).all()


def test_ranges_are_those_of_channels() -> None:
    activations = np.array([3, 40], np.uint8) + np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1)
    layout = CodeLayout.of(activations, Geometry((1, 2)))
    np.testing.assert_array_equal(layout.least[0, 0], [3, 40] * 8)
    np.testing.assert_array_equal(layout.largest[0, 0], [6, 43] * 8)
