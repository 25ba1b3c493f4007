"""The product of two activations, as attention has it, as a layer of its own."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["ActivationProduct"]


class ActivationProduct(nn.Module):
    """Matrix product of two activations: (..., rows, positions) and (..., positions, columns) ->
    (..., rows, columns), the axes in front broadcast.

    As a layer of its own it has a name, and can be exchanged for one on integers.
    """

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.matmul(first, second)
