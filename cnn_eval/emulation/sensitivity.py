"""How much noise in a layer's output disturbs the network's answers.

To first order, noise of variance v in every output of channel c, independent of everything, moves
an image's margin m (the largest logit less the second one) by a random amount of variance
v sum over c's outputs y of (dm / dy)^2. With v a share of the channel's own variance, and relative
to the variance of the margins, that is the sensitivity of the layer: what its normalized output's
squared errors are to be multiplied by, so that those of all layers count alike. The second-order
term of the loss in Z. Dong et al., "HAWQ", ICCV 2019, goes by the trace of the Hessian; by these
squares of gradients it is Fisher's information, as in L. Theis et al., arXiv 1801.05787 (2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import nn

from ..datasets import Dataset, normalize
from ..quantization.products import QuantizedProduct
from ..quantization.quantized_network import QuantizedNetwork

__all__ = ["layer_sensitivities"]

_BATCH = 32


def layer_sensitivities(network: QuantizedNetwork, images: Dataset) -> dict[str, float]:
    """Layer -> variance that the margins of `images` get, relative to their own, for each unit of
    noise power that is added to the layer's outputs, relative to theirs.

    Args:
        network: with exact products; rounding lets gradients pass unchanged.
        images: labels are not looked at.
    """
    there = network.multiplications
    squares = dict.fromkeys(there, 0.0)
    margins = []
    for start in range(0, len(images), _BATCH):
        part = images.images[start : start + _BATCH]
        x = normalize(part, network.mean, network.std).contiguous(memory_format=torch.channels_last)
        with torch.enable_grad(), _outputs(network) as outputs:
            largest = network(x).topk(2, dim=1).values
            margin = largest[:, 0] - largest[:, 1]
            gradients = torch.autograd.grad(margin.sum(), list(outputs.values()))
        margins.append(margin.detach().double().numpy())
        for (name, output), gradient in zip(outputs.items(), gradients, strict=True):
            layer = there[name]
            last = isinstance(layer, QuantizedProduct) or layer.linear
            y, g = (
                _by_channel(values.detach().double(), last=last) for values in (output, gradient)
            )
            squares[name] += float((g.square().sum((0, 2)) * y.var((0, 2))).sum())
    spread = max(float(np.concatenate(margins).var()), np.finfo(np.float64).tiny)
    return {name: total / (len(images) * spread) for name, total in squares.items()}


def _by_channel(values: torch.Tensor, *, last: bool) -> torch.Tensor:
    """(n, channels, outputs of a channel); channels are the `last` axis, or the one behind n."""
    return (values.movedim(-1, 1) if last else values).reshape(
        len(values), values.shape[-1 if last else 1], -1
    )


@contextmanager
def _outputs(network: QuantizedNetwork) -> Iterator[dict[str, torch.Tensor]]:
    """While open, collects the layers' outputs, which gradients can be taken of."""
    found: dict[str, torch.Tensor] = {}

    def keep(name: str, layer: nn.Module, args: tuple[torch.Tensor, ...], y: torch.Tensor) -> None:
        # The first layer's integers do not require gradients; its output is made to.
        if not y.requires_grad:
            y.requires_grad_()
        found[name] = y

    handles = [
        layer.register_forward_hook(partial(keep, name))
        for name, layer in network.multiplications.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
