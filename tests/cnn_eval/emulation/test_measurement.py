"""Emulated networks against the quantized network, and against products looked up one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval.datasets import Dataset
from cnn_eval.emulation.measurement import (
    EmulationError,
    Measurement,
    emulate,
    exact_first_and_last,
    measure_top1,
)
from cnn_eval.emulation.table_convolution import PATHS, Path
from cnn_eval.networks.architectures import build_network
from cnn_eval.quantization.quantized_network import QuantizedNetwork, quantize
from hdl.operands import OperandEncoding, Widths
from hdl.tables.product_table import ProductTable

ENCODINGS = list(OperandEncoding)


def random_table(encoding: OperandEncoding, seed: int = 0, width: int = 8) -> ProductTable:
    rng = np.random.default_rng(seed)
    bits = 2 * width
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if encoding.signed else (0, 1 << bits)
    return ProductTable(
        rng.integers(low, high, (1 << width, 1 << width)).astype(np.int32),
        encoding.signed,
        "random",
    )


def network(
    encoding: OperandEncoding, seed: int = 0, width: int = 8
) -> tuple[QuantizedNetwork, torch.Tensor]:
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
    return quantize(model, x, encoding, widths=Widths(width, width)), x


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("path", PATHS)
def test_the_exact_table_is_the_quantized_network(
    encoding: OperandEncoding, width: int, path: Path
) -> None:
    quantized, x = network(encoding, width=width)
    emulated = emulate(quantized, ProductTable.exact(width, encoding.signed), path=path)
    with torch.inference_mode():
        assert torch.equal(emulated(x), quantized(x))


@pytest.mark.parametrize(
    "encoding", [OperandEncoding.TWOS_COMPLEMENT, OperandEncoding.SIGN_MAGNITUDE]
)
@pytest.mark.slow
def test_a_whole_residual_network_with_the_exact_table(encoding: OperandEncoding) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 32, 32)
    quantized = quantize(build_network("resnet8"), x, encoding)
    with torch.inference_mode():
        assert torch.equal(
            emulate(quantized, ProductTable.exact(quantized.widths, encoding.signed))(x),
            quantized(x),
        )


def test_one_table_per_layer() -> None:
    encoding = OperandEncoding.TWOS_COMPLEMENT
    quantized, x = network(encoding)
    table = random_table(encoding)
    with torch.inference_mode():
        last = emulate(quantized, {"6": table})
        assert isinstance(last.model, nn.Sequential)
        assert isinstance(quantized.model, nn.Sequential)
        assert torch.equal(last.model[:6](x), quantized.model[:6](x))
        assert not torch.equal(last(x), quantized(x))
        assert torch.equal(
            emulate(quantized, dict.fromkeys(quantized.layers, table))(x),
            emulate(quantized, table)(x),
        )


def test_first_and_last_layer_exact() -> None:
    encoding = OperandEncoding.TWOS_COMPLEMENT
    quantized, x = network(encoding)
    table = random_table(encoding)
    assert exact_first_and_last(quantized, table) == {"0": None, "2": table, "6": None}
    with torch.inference_mode():
        assert torch.equal(
            emulate(quantized, exact_first_and_last(quantized, table))(x),
            emulate(quantized, {"2": table})(x),
        )
        assert torch.equal(emulate(quantized, dict.fromkeys(quantized.layers))(x), quantized(x))


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
    got = measure_top1(
        quantized,
        exact,
        data,
        batch=4,
        on_progress=lambda done, top1_pct: seen.append((done, top1_pct)),
    )
    assert (got.top1_pct, got.images) == (70.0, 10)
    assert seen == [(4, 100.0), (8, 87.5), (10, 70.0)]
    assert isinstance(got, Measurement)
    with torch.inference_mode():
        logits = quantized(x).double().numpy()
    true = logits[np.arange(10), labels]
    logits[np.arange(10), labels] = -np.inf
    margins = true - logits.max(axis=1)
    disturbed = margins + 0.25 * margins.std() * rng.standard_normal((200_000, 1))
    assert got.smoothed_top1_pct == pytest.approx(100 * (disturbed > 0).mean(), abs=0.2)
    assert measure_top1(quantized, None, data, images=7).top1_pct == 100.0
    with pytest.raises(EmulationError, match="accuracy needs images"):
        measure_top1(quantized, None, data.head(0))


def test_errors_are_one_line() -> None:
    quantized, _ = network(OperandEncoding.TWOS_COMPLEMENT)
    with pytest.raises(
        EmulationError,
        match=r"is unsigned 8x8, but encoding twos_complement of this network needs signed 8x8",
    ):
        emulate(quantized, ProductTable.exact(8, False))
    with pytest.raises(EmulationError, match=r"is signed 4x4, but"):
        emulate(quantized, ProductTable.exact(4, True))
    with pytest.raises(
        EmulationError, match="no layer 'conv9' in the network; its layers are 0, 2, 6"
    ):
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
