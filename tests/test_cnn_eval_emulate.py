"""Emulated networks against the quantized network, and against products looked up one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cnn_eval.datasets import Dataset
from cnn_eval.emulate import EmulationError, Measurement, emulate, measure_top1
from cnn_eval.networks import build_network
from cnn_eval.quantize import QuantizedNetwork, quantize
from hdl.operands import OperandEncoding
from hdl.table import ProductTable

ENCODINGS = list(OperandEncoding)


def random_table(encoding: OperandEncoding, seed: int = 0, width: int = 8) -> ProductTable:
    rng = np.random.default_rng(seed)
    bits = 2 * width
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if encoding.signed else (0, 1 << bits)
    return ProductTable(rng.integers(low, high, (1 << width, 1 << width)).astype(np.int32), width, encoding.signed, "random")


def network(encoding: OperandEncoding, seed: int = 0, width: int = 8) -> tuple[QuantizedNetwork, torch.Tensor]:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, padding=2, dilation=2, groups=4, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 5 * 5, 4),
    ).eval()
    x = torch.randn(3, 3, 10, 10)
    return quantize(model, x, encoding, width=width), x


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("portable", [False, True])
def test_the_exact_table_is_the_quantized_network(encoding: OperandEncoding, width: int, portable: bool) -> None:
    quantized, x = network(encoding, width=width)
    emulated = emulate(quantized, ProductTable.exact(width, encoding.signed), portable=portable)
    with torch.inference_mode():
        assert torch.equal(emulated(x), quantized(x))


@pytest.mark.parametrize("encoding", [OperandEncoding.TWOS_COMPLEMENT, OperandEncoding.SIGN_MAGNITUDE])
def test_a_whole_residual_network_with_the_exact_table(encoding: OperandEncoding) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 32, 32)
    quantized = quantize(build_network("resnet8"), x, encoding)
    with torch.inference_mode():
        assert torch.equal(emulate(quantized, ProductTable.exact(8, encoding.signed))(x), quantized(x))


@settings(max_examples=30, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    channels=st.sampled_from([(1, 1), (3, 5), (8, 17), (16, 33)]),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    positive=st.booleans(),
    portable=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_layers_equal_direct_lookup(
    encoding: OperandEncoding,
    channels: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
    positive: bool,
    portable: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed % 1000)
    inputs, outputs = channels[0] * groups, channels[1] * groups
    source = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
    x = torch.randn(2, inputs, 7, 6)
    x = x.abs() if positive else x
    quantized = quantize(nn.Sequential(source), x, encoding)
    table = random_table(encoding, seed)
    layer = emulate(quantized, table, portable=portable).layers["0"]
    exact = quantized.layers["0"].sums
    integers = layer.integers(x)
    with torch.inference_mode():
        got = layer.sums(integers).numpy()
    padded = nn.functional.pad(integers, (padding,) * 4).long().numpy()
    weights = exact.weight.long().numpy()
    _, outs, height, width = got.shape
    for y in range(height):
        for column in range(width):
            rows = y * stride + dilation * np.arange(kernel[0])
            columns = column * stride + dilation * np.arange(kernel[1])
            for o in range(outs):
                first = o // channels[1] * channels[0]
                a = padded[:, first : first + channels[0]][:, :, rows][:, :, :, columns]
                assert (hardware(table, encoding, a, weights[o], layer.coding.zero_point).sum((1, 2, 3)) == got[:, o, y, column]).all()


def hardware(table: ProductTable, encoding: OperandEncoding, a: np.ndarray, w: np.ndarray, zero_point: int) -> np.ndarray:
    """What each multiplication contributes, by the words of the encoding."""
    w = np.broadcast_to(w, a.shape)
    if encoding is OperandEncoding.TWOS_COMPLEMENT:
        return table.products[a & 255, w & 255]
    if encoding is OperandEncoding.SIGN_MAGNITUDE:
        return np.where((a < 0) != (w < 0), -1, 1) * table.products[np.abs(a), np.abs(w)]
    return table.products[a + zero_point, w + 128] - 128 * (a + zero_point) - zero_point * w


def test_padding_contributes_the_products_of_zero() -> None:
    """A multiplier with 0 x w != 0 makes itself felt at the border, as it would in hardware."""
    quantized = quantize(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False)), torch.rand(2, 1, 4, 4), OperandEncoding.SIGN_MAGNITUDE)
    products = ProductTable.exact(8, False).products.copy()
    products[0, :] = 7
    layer = emulate(quantized, ProductTable(products, 8, False, "seven")).layers["0"]
    with torch.inference_mode():
        sums = layer.sums(torch.zeros(1, 1, 4, 4))
    signs = torch.where(quantized.layers["0"].sums.weight < 0, -1, 1).sum()
    assert (sums == 7 * signs).all()


def test_one_table_per_layer() -> None:
    encoding = OperandEncoding.TWOS_COMPLEMENT
    quantized, x = network(encoding)
    table = random_table(encoding)
    with torch.inference_mode():
        last = emulate(quantized, {"6": table})
        assert torch.equal(last.model[:6](x), quantized.model[:6](x))
        assert not torch.equal(last(x), quantized(x))
        assert torch.equal(emulate(quantized, dict.fromkeys(quantized.layers, table))(x), emulate(quantized, table)(x))


def test_emulation_leaves_the_network_alone() -> None:
    quantized, x = network(OperandEncoding.TWOS_COMPLEMENT)
    with torch.inference_mode():
        before = quantized(x)
        emulate(quantized, random_table(OperandEncoding.TWOS_COMPLEMENT))(x)
        assert torch.equal(quantized(x), before)


def test_measured_accuracy() -> None:
    quantized, _ = network(OperandEncoding.SIGN_MAGNITUDE)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 10, 10, 3)).astype(np.uint8)
    with torch.inference_mode():
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        labels = quantized(x).argmax(1).numpy()
    labels[7:] = (labels[7:] + 1) % 4
    data = Dataset("noise", images, labels, tuple("abcd"))
    seen = []
    exact = ProductTable.exact(8, False)
    got = measure_top1(quantized, exact, data, batch=4, on_progress=lambda done, top1_pct: seen.append((done, top1_pct)))
    assert (got.top1_pct, got.images) == (70.0, 10)
    assert seen == [(4, 100.0), (8, 87.5), (10, 70.0)]
    assert isinstance(got, Measurement)
    assert measure_top1(quantized, None, data, images=7).top1_pct == 100.0
    with pytest.raises(EmulationError, match="accuracy needs images"):
        measure_top1(quantized, None, data.head(0))


def test_errors_are_one_line() -> None:
    quantized, _ = network(OperandEncoding.TWOS_COMPLEMENT)
    with pytest.raises(EmulationError, match=r"is unsigned 8x8, but encoding twos_complement of this network needs signed 8x8"):
        emulate(quantized, ProductTable.exact(8, False))
    with pytest.raises(EmulationError, match=r"is signed 4x4, but"):
        emulate(quantized, ProductTable.exact(4, True))
    with pytest.raises(EmulationError, match="no layer 'conv9' in the network; its layers are 0, 2, 6"):
        emulate(quantized, {"conv9": ProductTable.exact(8, True)})
    table = ProductTable.exact(8, True)
    emulated = emulate(quantized, table)
    with pytest.raises(EmulationError, match="emulated already"):
        emulate(emulated, table)


def test_sums_beyond_32_bits_are_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(40_000, 2))
    quantized = quantize(model, torch.rand(1, 1, 200, 200), OperandEncoding.SIGN_MAGNITUDE)
    with pytest.raises(EmulationError, match="do not fit into 32 bits"):
        emulate(quantized, random_table(OperandEncoding.SIGN_MAGNITUDE))
