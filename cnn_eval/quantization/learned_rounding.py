"""Weights of few bits, rounded so that the errors of a sum cancel instead of adding up.

Rounding every weight to its nearest integer is best for the weight, not for the sum of products.
Here the weights of a channel are rounded one after the other, and what each rounding does to the
sums is made good by the weights that are still free: with the covariance H of the inputs, the error
of the sums is e^T H e, and its minimum over the free weights is a step along a row of the inverse
of H. E. Frantar, D. Alistarh, "Optimal Brain Compression", NeurIPS 2022; E. Frantar et al., "GPTQ",
ICLR 2023. The covariance takes the place of the second moment there: the mean of a sum is corrected
anyway (:mod:`cnn_eval.quantization.correction`).

Roundings are learned once for a network and each number of weight bits, from unlabelled images, and
kept as differences from the nearest integers, which compress well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from .geometry import Geometry
from .quantized_layer import ExactConvolution, quantize_weights
from .quantized_network import QuantizedNetwork
from .rounding import Rounding

__all__ = ["LEARNED_RANGES", "learn_rounding"]

#: Largest weight integers that are worth learning for: of 2 to 5 bits with the sign; wider weights
#: are as good at the nearest integers.
LEARNED_RANGES = (1, 3, 7, 15)

# Windows of the input behind a covariance, at least and in multiples of the positions; what its
# diagonal gets more, relative to its mean.
_LEAST_WINDOWS, _WINDOWS_PER_POSITION = 8192, 4
_DAMPING = 0.01
# Columns whose corrections are applied at once to those behind them.
_BLOCK = 128
_BATCH = 64


@torch.inference_mode()
def learn_rounding(
    network: QuantizedNetwork,
    weights: Mapping[str, torch.Tensor],
    images: torch.Tensor,
    largest: Iterable[int],
    *,
    seed: int = 0,
    on_layer: Callable[[int, int], None] = lambda done, total: None,
) -> Rounding:
    """Roundings to weight integers of magnitudes up to each of `largest`.

    Args:
        network: with exact products of 8 bits, whose activations are what is multiplied with.
        weights: of its layers before quantization, (o, c / groups, kernel height, kernel width) or
            (o, c).
        images: normalized, (n, channels, height, width).
        seed: of the choice of windows.
    """
    differences: dict[int, dict[str, NDArray[np.int8]]] = {limit: {} for limit in largest}
    for index, (name, layer) in enumerate(network.layers.items()):
        on_layer(index, len(network.layers))
        exact = layer.sums
        assert isinstance(exact, ExactConvolution)
        factors = _factors(_inputs(network, name, images), exact, np.random.default_rng(seed))
        weight = weights[name].detach().float()
        weight = weight[:, :, None, None] if weight.ndim == 2 else weight
        for limit, found in differences.items():
            nearest, scale = quantize_weights(weight, limit, per_channel=True)
            rows = (weight / scale[:, None, None, None]).flatten(1)
            learned = torch.cat(
                [
                    _rounded(part, *factor, limit)
                    for part, factor in zip(rows.chunk(len(factors)), factors, strict=True)
                ]
            )
            found[name] = (learned - nearest.flatten(1)).to(torch.int8).numpy()
    return Rounding(differences)


def _inputs(network: QuantizedNetwork, name: str, images: torch.Tensor) -> torch.Tensor:
    """Activation integers that a layer multiplies, (n, c, height, width)."""
    seen: list[torch.Tensor] = []
    handle = network.layers[name].sums.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].clone())
    )
    try:
        for batch in torch.split(images, _BATCH):
            network(batch.contiguous(memory_format=torch.channels_last))
    finally:
        handle.remove()
    return torch.cat(seen)


def _factors(
    values: torch.Tensor, exact: ExactConvolution, rng: np.random.Generator
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """For each group of channels, in which order its positions are rounded, and the upper Cholesky
    factor of the inverse covariance.
    """
    windows = _windows(
        functional.pad(values, exact.padding), exact.geometry, exact.weight[0].numel(), rng
    )
    found = []
    for group in windows.chunk(exact.geometry.groups, 1):
        centered = group - group.mean(0)
        covariance = centered.T @ centered / len(centered)
        covariance.diagonal().add_(_DAMPING * covariance.diagonal().mean().clamp_min(1e-6))
        order = covariance.diagonal().argsort(descending=True, stable=True)
        inverse = torch.cholesky_inverse(
            torch.linalg.cholesky(covariance[order][:, order].double())
        )
        found.append((order, torch.linalg.cholesky(inverse, upper=True).float()))
    return found


def _windows(
    padded: torch.Tensor, geometry: Geometry, positions: int, rng: np.random.Generator
) -> torch.Tensor:
    """A random choice of the inputs of outputs, (windows, groups * positions)."""
    (height, width), wanted = (
        geometry.output_size(padded.shape[2], padded.shape[3]),
        max(_LEAST_WINDOWS, _WINDOWS_PER_POSITION * positions),
    )
    each = min(height * width, -(-wanted // len(padded)))
    parts = []
    for image in padded:
        unfolded = functional.unfold(
            image[None], geometry.kernel, geometry.dilation, 0, geometry.stride
        )[0]  # (c * kernel, outputs)
        parts.append(unfolded[:, rng.choice(height * width, each, replace=False)].T)
    return torch.cat(parts)


def _rounded(
    rows: torch.Tensor, order: torch.Tensor, factor: torch.Tensor, largest: int
) -> torch.Tensor:
    """Integers (o, positions) of real rows (o, positions)."""
    free = rows[:, order].clone()
    integers = torch.zeros_like(free)
    positions = free.shape[1]
    for start in range(0, positions, _BLOCK):
        stop = min(start + _BLOCK, positions)
        block, corner = free[:, start:stop], factor[start:stop, start:stop]
        errors = torch.zeros_like(block)
        for column in range(stop - start):
            value = block[:, column]
            integers[:, start + column] = value.round().clamp(-largest, largest)
            errors[:, column] = (value - integers[:, start + column]) / corner[column, column]
            block[:, column + 1 :] -= errors[:, column, None] * corner[column, column + 1 :]
        free[:, stop:] -= errors @ factor[start:stop, stop:]
    return integers[:, order.argsort()]
