"""What correction takes from a gradient, against taking it from the errors of every output."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import CAPTURED, made
from torch import nn

from cnn_eval.emulation.measurement import emulate
from cnn_eval.profiling import mean_and_gain
from cnn_eval.profiling.mean_and_gain import MeanAndGainOfProduct, MeanAndGainRows
from cnn_eval.profiling.multiplied import Recorder
from cnn_eval.quantization.quantized_network import QuantizedNetwork, quantize
from hdl.operands import OperandEncoding, Widths, code_values
from hdl.tables.product_table import ProductTable

WIDTHS = Widths(5, 4)
ROWS = 3


def network(encoding: OperandEncoding, groups: int) -> tuple[QuantizedNetwork, torch.Tensor]:
    """One convolution, and images."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups)).eval()
    images = torch.randn(ROWS, 4, 9, 8)
    made = quantize(model, images, encoding, widths=WIDTHS)
    return made, images


@pytest.mark.parametrize("encoding", list(OperandEncoding))
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("mean_only", [False, True])
def test_equals_the_projection_of_the_errors(
    encoding: OperandEncoding, groups: int, mean_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantized, images = network(encoding, groups)
    monkeypatch.setattr(mean_and_gain, "_ENTRIES", 2 << WIDTHS.product)  # two channels at a time
    made = quantized.layers["0"]
    values = made.integers(images)
    rng = np.random.default_rng(1)
    with torch.no_grad():
        y = made.sums(values).permute(0, 2, 3, 1).contiguous().numpy()
    gradients = rng.standard_normal(y.shape).astype(np.float32)

    _, (seen,) = Recorder(quantized).run(images)
    total = np.zeros((ROWS, 1 << WIDTHS.a, 1 << WIDTHS.b), np.float32)
    seen.add_gradients(total, gradients, threads=1)
    rows = MeanAndGainRows(made, ROWS, mean_only=mean_only)
    for start in range(ROWS):  # an image a batch
        one = slice(start, start + 1)
        _, (alone,) = Recorder(quantized).run(images[one])
        rows.add(alone)
        rows.add_gradients(one, gradients[one], y[one])
    rows.remove_from(total)

    a, b = (code_values(width, signed=encoding.signed) for width in WIDTHS)
    exact = np.multiply.outer(a, b)
    errors = exact // 4 * 4 - exact + (exact % 3 == 1)
    if encoding.signed:
        errors = np.sign(exact) * (np.abs(exact) // 4 * 4) - exact
    table = ProductTable((exact + errors).astype(np.int32), encoding.signed, "wrong")
    with torch.no_grad():
        e = (
            emulate(quantized, table).layers["0"].sums(values).permute(0, 2, 3, 1).double().numpy()
            - y
        )
    rest = np.empty_like(e)
    for channel in range(e.shape[-1]):
        left = e[..., channel] - e[..., channel].mean()
        if not mean_only:
            columns = np.stack(
                [y[..., channel].ravel().astype(float), np.ones(y[..., channel].size)], axis=1
            )
            fit = np.linalg.lstsq(columns, e[..., channel].ravel(), rcond=None)[0]
            left = e[..., channel] - (columns @ fit).reshape(left.shape)
        rest[..., channel] = left
    expected = (gradients * rest).sum((1, 2, 3))
    found = (total * errors).sum((1, 2))
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("encoding", list(OperandEncoding))
def test_blind_to_mean_and_gain(encoding: OperandEncoding) -> None:
    """Exact products are all gain: nothing of them is left."""
    quantized, images = network(encoding, 1)
    made = quantized.layers["0"]
    _, (seen,) = Recorder(quantized).run(images)
    with torch.no_grad():
        y = made.sums(made.integers(images)).permute(0, 2, 3, 1).contiguous().numpy()
    gradients = np.random.default_rng(2).standard_normal(y.shape).astype(np.float32)
    total = np.zeros((ROWS, 1 << WIDTHS.a, 1 << WIDTHS.b), np.float32)
    # The same gradient for every row, that of all images together: mean and gain are over all of
    # them.
    for row in range(ROWS):
        for image in range(ROWS):
            one = slice(image, image + 1)
            _, (alone,) = Recorder(quantized).run(images[one])
            alone.add_gradients(total[row : row + 1], gradients[one], threads=1)
    rows = MeanAndGainRows(made, ROWS, mean_only=False)
    rows.add(seen)
    for row in range(ROWS):
        for image in range(ROWS):
            rows.add_gradients(
                slice(row, row + 1), gradients[image : image + 1], y[image : image + 1]
            )
    effect = np.multiply.outer(made.coding.activation_values, made.coding.weight_values).astype(
        float
    )
    (a, a_sign), (b, b_sign) = made.coding.activation_codes(), made.coding.weight_codes()
    exact = np.zeros(total.shape[1:])
    exact[np.ix_(a, b)] = effect * np.multiply.outer(a_sign, b_sign)
    before = (total * exact).sum((1, 2))
    rows.remove_from(total)
    after = (total * exact).sum((1, 2))
    assert (np.abs(before) > 100).all()
    assert (np.abs(after) < 2e-3 * np.abs(before)).all()


@pytest.mark.parametrize("encoding", list(OperandEncoding))
def test_of_a_product_of_activations_one_mean_and_one_gain_are_taken(
    encoding: OperandEncoding,
) -> None:
    model, images = made(CAPTURED["timm"])
    quantized = quantize(model, images, encoding, widths=WIDTHS)
    name = list(quantized.products)[1]
    images = images[:ROWS]
    _, records = Recorder(quantized).run(images)
    seen = next(one for one in records if one.name == name)
    y = seen.by_pixel(seen.sums)
    gradients = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    total = np.zeros((ROWS, 1 << WIDTHS.a, 1 << WIDTHS.b), np.float32)
    seen.add_gradients(total, gradients, threads=1)
    part = MeanAndGainOfProduct(seen.coding, ROWS)
    part.add(seen)
    part.add_gradients(slice(0, ROWS), gradients, y)
    part.remove_from(total)

    a, b = (code_values(width, signed=encoding.signed) for width in WIDTHS)
    exact = np.multiply.outer(a, b)
    errors = np.sign(exact) * (np.abs(exact) // 4 * 4) - exact
    table = ProductTable((exact + errors).astype(np.int32), encoding.signed, "wrong")
    emulated = emulate(quantized, {name: table}).products[name].sums
    operands: list[torch.Tensor] = []
    quantized.products[name].sums.register_forward_hook(lambda _, args, __: operands.extend(args))
    with torch.no_grad():
        quantized(images)
        e = seen.by_pixel(emulated(*operands)).astype(float) - y
    columns = np.stack([y.ravel().astype(float), np.ones(y.size)], axis=1)
    rest = e.ravel() - columns @ np.linalg.lstsq(columns, e.ravel(), rcond=None)[0]
    expected = (gradients * rest.reshape(e.shape)).sum((1, 2, 3))
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(
        (total * errors).sum((1, 2)), expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max()
    )
