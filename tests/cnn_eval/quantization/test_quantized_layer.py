"""Layers that take large images a few at a time, against the same layers at once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnn_eval.emulation import emulate
from cnn_eval.quantization import quantized_layer
from cnn_eval.quantization.quantized_network import quantize
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable


@pytest.mark.parametrize("multiplied", ["exactly", "by a table"])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, 2, 1),
        nn.Conv2d(4, 4, (3, 1), groups=4, bias=False),
        nn.Conv2d(4, 5, 3, padding=1, padding_mode="reflect"),
        nn.Linear(7, 3),
    ],
)
def test_images_a_few_at_a_time(
    layer: nn.Module, multiplied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 4, 9, 7)
    given = x.clone()
    network = quantize(nn.Sequential(layer), x, OperandEncoding.SIGN_MAGNITUDE)
    if multiplied == "by a table":
        table = ProductTable.exact(8, False)
        network = emulate(network, ProductTable(table.products & ~3, False, "truncated"))
    (found,) = network.layers.values()
    channels = len(found.weight_scale)
    found.gain, found.offset = torch.rand(channels), torch.randn(channels)
    with torch.inference_mode():
        at_once = network(x)
        monkeypatch.setattr(quantized_layer, "_PART", 2 * 6 * 9 * 7)
        parts = network(x)
    assert at_once.std() > 0
    assert torch.equal(parts, at_once)
    assert torch.equal(x, given)
