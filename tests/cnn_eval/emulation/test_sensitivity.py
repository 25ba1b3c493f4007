"""Sensitivities of layers against noise that is really there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval.datasets import Dataset, normalize
from cnn_eval.emulation import layer_sensitivities
from cnn_eval.quantization import QuantizedNetwork, quantize
from hdl.operands import OperandEncoding

SHARE = 0.01
NORMALIZATION = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def images() -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 6, 6, 3)).astype(np.uint8)
    return Dataset("noise", pixels, np.zeros(70, np.int64), tuple("abcd"))


@pytest.fixture(scope="module")
def network(images: Dataset) -> QuantizedNetwork:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)
    )
    x = normalize(images.images, *NORMALIZATION)
    return quantize(model.eval(), x, OperandEncoding.SIGN_MAGNITUDE, normalization=NORMALIZATION)


@pytest.mark.slow
def test_it_is_the_variance_that_little_noise_causes(
    network: QuantizedNetwork, images: Dataset
) -> None:
    found = layer_sensitivities(network, images)
    assert list(found) == ["0", "4"]
    x = normalize(images.images, *NORMALIZATION)
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        exact = network(x).double()
        first, second = exact.topk(2, dim=1).indices.T

        def margin(logits: torch.Tensor) -> torch.Tensor:
            rows = torch.arange(len(logits))
            return logits[rows, first].double() - logits[rows, second].double()

        for name, layer in network.layers.items():

            def disturb(module: nn.Module, args: tuple[torch.Tensor], y: torch.Tensor):
                dims = [0, 2, 3] if y.dim() == 4 else [0]
                spread = (SHARE * y.var(dims, keepdim=True)).sqrt()
                return y + spread * torch.randn(y.shape, generator=generator)

            handle = layer.register_forward_hook(disturb)
            moved = [margin(network(x)) - margin(exact) for _ in range(40)]
            handle.remove()
            variance = float(torch.stack(moved).square().mean() / margin(exact).var())
            # Batches have channel variances of their own.
            assert found[name] * SHARE == pytest.approx(variance, rel=0.15)


def test_labels_do_not_count(network: QuantizedNetwork, images: Dataset) -> None:
    other = Dataset("noise", images.images, np.full(70, 3), images.classes)
    assert layer_sensitivities(network, other) == layer_sensitivities(network, images)


def test_a_layer_that_nothing_depends_on(images: Dataset) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(96, 4))
    with torch.no_grad():
        model[2].weight[:, :48] = 0
    x = normalize(images.images, *NORMALIZATION)
    quantized = quantize(model, x, OperandEncoding.SIGN_MAGNITUDE, normalization=NORMALIZATION)
    half = layer_sensitivities(quantized, images)["0"]
    with torch.no_grad():
        model[2].weight[:, :] = 0
        model[2].bias[:] = torch.arange(4.0)
    quantized = quantize(model, x, OperandEncoding.SIGN_MAGNITUDE, normalization=NORMALIZATION)
    assert half > 0
    assert layer_sensitivities(quantized, images)["0"] == 0
