"""The scatter of gradients over operand pairs, against adding them up one by one."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_eval.emulation.kernels.table_gradient import add_table_gradients
from cnn_eval.quantization.coding import OperandCoding
from cnn_eval.quantization.geometry import Geometry, patches
from hdl.operands import OperandEncoding


@pytest.mark.parametrize("encoding", list(OperandEncoding))
@pytest.mark.parametrize(
    ("groups", "per_group", "out_per_group"),
    # Fewer channels than pixels, more, and too few for a vector.
    [(1, 8, 9), (2, 3, 33), (3, 1, 1), (2, 2, 3)],
)
def test_equals_adding_one_by_one(
    encoding: OperandEncoding, groups: int, per_group: int, out_per_group: int
) -> None:
    rng = np.random.default_rng(0)
    coding = OperandCoding(
        encoding, 8, 8, True, zero_point=100 if encoding is OperandEncoding.UNSIGNED else 0
    )
    geometry = Geometry((3, 2), stride=(1, 2), dilation=(2, 1), groups=groups)
    activations = rng.integers(
        0, len(coding.activation_values), (3, 7, 6, groups * per_group)
    ).astype(np.uint8)
    weights = rng.integers(0, 255, (groups * out_per_group, per_group, 3, 2)).astype(np.uint8)
    out = geometry.output_size(7, 6)
    gradients = rng.standard_normal((3, *out, groups * out_per_group)).astype(np.float32)
    total = np.ones((3, 256, 256), np.float32)
    flat = weights.reshape(1, len(weights), -1)
    add_table_gradients(total, activations, flat, geometry, gradients, coding, threads=2)

    (a_code, a_sign), (b_code, b_sign) = coding.activation_codes(), coding.weight_codes()
    expected = np.ones((3, 256, 256))
    windows = patches(activations, geometry)
    for o in range(groups * out_per_group):
        first = o // out_per_group * per_group
        x = windows[..., first : first + per_group]  # (n, y, x, kernel y, kernel x, channels)
        w = np.broadcast_to(weights[o].transpose(1, 2, 0), x.shape)
        value = a_sign[x] * b_sign[w] * gradients[..., o][..., None, None, None]
        image = np.broadcast_to(np.arange(3).reshape(3, 1, 1, 1, 1, 1), x.shape)
        np.add.at(expected, (image, a_code[x], b_code[w]), value)
    np.testing.assert_allclose(total, expected, atol=1e-4)
