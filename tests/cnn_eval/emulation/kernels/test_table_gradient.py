"""The scatter of gradients over operand pairs, against adding them up one by one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cnn_eval.emulation.kernels import table_gradient
from cnn_eval.emulation.kernels.table_gradient import (
    add_channel_gradients,
    add_folded,
    add_table_gradients,
)
from cnn_eval.quantization.coding import OperandCoding
from cnn_eval.quantization.geometry import Geometry, patches
from hdl.operands import OperandEncoding

# Groups, channels of each, and output channels of each: fewer than pixels, more, and too few for a
# vector.
SHAPES = [(1, 8, 9), (2, 3, 33), (3, 1, 1), (2, 2, 3)]
KERNEL = (3, 2)


def coding(encoding: OperandEncoding) -> OperandCoding:
    zero_point = 100 if encoding is OperandEncoding.UNSIGNED else 0
    return OperandCoding(encoding, 8, 8, True, zero_point=zero_point)


def layer(
    groups: int, per_group: int, out_per_group: int
) -> tuple[Geometry, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Geometry, activations and weights of three images, and gradients."""
    rng = np.random.default_rng(0)
    geometry = Geometry(KERNEL, stride=(1, 2), dilation=(2, 1), groups=groups)
    activations = rng.integers(0, 255, (3, 7, 6, groups * per_group)).astype(np.uint8)
    weights = rng.integers(0, 255, (groups * out_per_group, per_group, *KERNEL)).astype(np.uint8)
    out = geometry.output_size(7, 6)
    gradients = rng.standard_normal((3, *out, groups * out_per_group)).astype(np.float32)
    return geometry, activations, weights, gradients


def pairs(
    geometry: Geometry, activations: NDArray[np.uint8], weights: NDArray[np.uint8], channel: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What a channel multiplies, (n, y, x, kernel y, kernel x, channels of the group)."""
    per_group = weights.shape[1]
    first = channel * geometry.groups // len(weights) * per_group
    x = patches(activations, geometry)[..., first : first + per_group]
    return x, np.broadcast_to(weights[channel].transpose(1, 2, 0), x.shape)


@pytest.mark.parametrize("encoding", list(OperandEncoding))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weights_of_images", [1, 3])
def test_equals_adding_one_by_one(
    encoding: OperandEncoding,
    shape: tuple[int, int, int],
    weights_of_images: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_gradient, "_SAMPLED", 2)
    geometry, activations, weights, gradients = layer(*shape)
    each = np.stack([weights, weights[::-1], 254 - weights])[:weights_of_images]
    total = np.ones((3, 256, 256), np.float32)
    flat = each.reshape(weights_of_images, len(weights), -1)
    add_table_gradients(total, activations, flat, geometry, gradients, coding(encoding), threads=2)

    (a_code, a_sign), (b_code, b_sign) = (
        coding(encoding).activation_codes(),
        coding(encoding).weight_codes(),
    )
    expected = np.ones((3, 256, 256))
    for image in range(3):
        one = slice(image, image + 1)
        for channel in range(len(weights)):
            x, w = pairs(geometry, activations[one], each[image % weights_of_images], channel)
            gradient = gradients[one, ..., channel][..., None, None, None]
            value = a_sign[x] * b_sign[w] * gradient
            np.add.at(expected[image], (a_code[x], b_code[w]), value)
    np.testing.assert_allclose(total, expected, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_channel_has_a_matrix_of_its_own(shape: tuple[int, int, int]) -> None:
    geometry, activations, weights, gradients = layer(*shape)
    total = np.ones((256, len(weights), 256), np.float32)
    add_channel_gradients(
        total, activations, weights.reshape(len(weights), -1), geometry, gradients
    )
    expected = np.ones(total.shape)
    for channel in range(len(weights)):
        x, w = pairs(geometry, activations, weights, channel)
        value = np.broadcast_to(gradients[..., channel][..., None, None, None], x.shape)
        np.add.at(expected[:, channel], (w, x), value)
    np.testing.assert_allclose(total, expected, atol=1e-4)


@pytest.mark.parametrize("encoding", list(OperandEncoding))
def test_folded_either_way_as_the_coding_says(encoding: OperandEncoding) -> None:
    made = coding(encoding)
    sides = len(made.activation_values), len(made.weight_values)
    by_value = np.zeros((256, 256), np.float32)
    by_value[: sides[0], : sides[1]] = np.random.default_rng(1).standard_normal(sides)
    expected = 1 + made.fold(by_value[: sides[0], : sides[1]])
    for values in (by_value, np.asfortranarray(by_value)):
        total = np.ones((256, 256), np.float32)
        add_folded(total, values, made)
        np.testing.assert_allclose(total, expected, atol=1e-5)
