"""A small network, quantized on noise, and profiles of it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cnn_eval.datasets import Dataset, normalize
from cnn_eval.prediction.profile import NetworkProfile
from cnn_eval.profiling.profile_from_images import profile_network
from cnn_eval.quantization.correction import corrected, derive_correction
from cnn_eval.quantization.quantized_network import QuantizedNetwork, quantize
from hdl.operands import OperandEncoding, Widths

NORMALIZATION = ((0.5, 0.4, 0.6), (0.25, 0.25, 0.2))


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 20, 3, stride=2, padding=1, groups=2, bias=False)
        self.fc = nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.second(torch.relu(self.first(x))))
        logits: torch.Tensor = self.fc(hidden.mean((2, 3)))
        return logits


def images(count: int = 20) -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset(
        "noise",
        rng.integers(0, 256, (count, 9, 9, 3)).astype(np.uint8),
        rng.integers(0, 5, count),
        tuple("abcde"),
    )


def tiny(encoding: OperandEncoding) -> tuple[nn.Module, QuantizedNetwork]:
    torch.manual_seed(0)
    model = Tiny().eval()
    return model, quantize(
        model, normalize(images().images, *NORMALIZATION), encoding, normalization=NORMALIZATION
    )


def profile(encoding: OperandEncoding) -> NetworkProfile:
    return profile_network(
        tiny(encoding)[1], "tiny", images(), images(10), float_top1_pct=0.0, rank=12
    )


def profile_of(widths: Widths) -> NetworkProfile:
    torch.manual_seed(0)
    x = normalize(images().images, *NORMALIZATION)
    network = quantize(
        Tiny().eval(), x, OperandEncoding.SIGN_MAGNITUDE, widths=widths, normalization=NORMALIZATION
    )
    return profile_network(network, "tiny", images(), images(10), float_top1_pct=0.0, rank=12)


def corrected_profile(widths: Widths) -> NetworkProfile:
    torch.manual_seed(0)
    x = normalize(images().images, *NORMALIZATION)
    network = quantize(
        Tiny().eval(), x, OperandEncoding.SIGN_MAGNITUDE, widths=widths, normalization=NORMALIZATION
    )
    right = corrected(network, derive_correction(network, x))
    return profile_network(
        right, "tiny", images(), images(10), float_top1_pct=0.0, rounding_sha256="ab" * 32, rank=12
    )
