"""Products of two activations on integers, as attention has them.

The first operand is what an activation is to a layer with weights, the second what its weights are:
symmetric integers of the weights' width, with one scale for all of them.
"""

from __future__ import annotations

import torch
from torch import nn

from .coding import OperandCoding

__all__ = ["ExactProduct", "QuantizedProduct", "rounded_"]

# float32 adds integers exactly as long as no partial sum reaches this.
_FLOAT32_INTEGERS = 1 << 24


class ExactProduct(nn.Module):
    """Exact sums of integer products: (..., rows, positions) and (..., positions, columns) -> (...,
    rows, columns), float tensors of integers.
    """

    def __init__(self, coding: OperandCoding) -> None:
        super().__init__()
        self.coding = coding

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        largest = max(map(abs, self.coding.activation_range)) * self.coding.weight_range[1]
        if largest * first.shape[-1] >= _FLOAT32_INTEGERS:
            first, second = first.double(), second.double()
        return torch.matmul(first, second)


class QuantizedProduct(nn.Module):
    """A matrix product of two activations on integers.

    Attributes:
        sums: integers of both -> sums of products: the part that multiplies, and that emulation
            replaces.
        activation_scale, weight_scale: real value of the integer 1 in the first operand and in the
            second, ().
        gain, offset: correction of all of the output, (1,)
            (:mod:`cnn_eval.quantization.correction`); None without.
    """

    activation_scale: torch.Tensor
    weight_scale: torch.Tensor
    gain: torch.Tensor | None
    offset: torch.Tensor | None

    def __init__(self, coding: OperandCoding, activation_scale: float, weight_scale: float) -> None:
        super().__init__()
        self.coding = coding
        self.register_buffer("activation_scale", torch.tensor(activation_scale))
        self.register_buffer("weight_scale", torch.tensor(weight_scale))
        self.register_buffer("gain", None)
        self.register_buffer("offset", None)
        self.sums: nn.Module = ExactProduct(coding)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        sums = self.sums(
            rounded_(first / self.activation_scale, self.coding.activation_range),
            rounded_(second / self.weight_scale, self.coding.weight_range),
        )
        found: torch.Tensor = sums.float() * (self.activation_scale * self.weight_scale)
        if self.gain is not None and self.offset is not None:
            found = found * self.gain + self.offset
        return found


def rounded_(x: torch.Tensor, limits: tuple[int, int]) -> torch.Tensor:
    """Nearest integers within limits, in a float tensor, `x` itself where no gradients are wanted;
    rounding lets them pass unchanged (straight-through), clipping stops them.
    """
    if not x.requires_grad:
        return x.clamp_(*limits).round_()
    clipped = x.clamp(*limits)
    return clipped + (clipped.round() - clipped).detach()
