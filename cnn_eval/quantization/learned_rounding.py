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

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from ..datasets import images_per_batch
from .quantized_layer import ExactConvolution, QuantizedLayer, quantize_weights
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
# Values of windows that are held at once, as integers of 16 bits and as real numbers.
_MOST_VALUES, _MOST_REAL = 1 << 28, 1 << 25


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
    rounding: dict[int, dict[str, NDArray[np.int8]]] = {limit: {} for limit in largest}
    done = 0
    for part in _parts(network, images):
        for name, windows in _windows_of(network, part, images, seed).items():
            on_layer(done, len(network.layers))
            done += 1
            factors = _factors(windows, _exact(network.layers[name]).geometry.groups)
            weight = weights[name].detach().float()
            weight = weight[:, :, None, None] if weight.ndim == 2 else weight
            for limit, found in rounding.items():
                nearest, scale = quantize_weights(weight, limit, per_channel=True)
                rows = (weight / scale[:, None, None, None]).flatten(1)
                learned = _rounded(
                    rows.reshape(len(factors[0]), -1, rows.shape[1]), *factors, limit
                )
                found[name] = (learned.flatten(0, 1) - nearest.flatten(1)).to(torch.int8).numpy()
    return Rounding(rounding)


def _parts(network: QuantizedNetwork, images: torch.Tensor) -> Iterator[list[str]]:
    """Layers whose windows fit into memory together; at least one."""
    part: list[str] = []
    held = 0
    for name, layer in network.layers.items():
        exact = _exact(layer)
        positions = exact.weight[0].numel()
        values = max(_wanted(positions), len(images)) * positions * exact.geometry.groups
        if part and held + values > _MOST_VALUES:
            yield part
            part, held = [], 0
        part.append(name)
        held += values
    yield part


def _windows_of(
    network: QuantizedNetwork, names: list[str], images: torch.Tensor, seed: int
) -> dict[str, torch.Tensor]:
    """A random choice of the inputs of each layer's outputs, integers, (windows, groups *
    positions).
    """
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    chance = {name: np.random.default_rng(seed) for name in names}

    def see(name: str, layer: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        seen[name].append(_windows(args[0], _exact(there[name]), len(images), chance[name]))

    there = network.layers
    with ExitStack() as stack:
        for name in names:
            hook = there[name].sums.register_forward_pre_hook(partial(see, name))
            stack.callback(hook.remove)
        for batch in torch.split(images, images_per_batch(*images.shape[-2:])):
            network(batch.contiguous(memory_format=torch.channels_last))
    return {name: torch.cat(parts) for name, parts in seen.items()}


def _windows(
    values: torch.Tensor, exact: ExactConvolution, images: int, rng: np.random.Generator
) -> torch.Tensor:
    """Of a part of so many images, activation integers (n, c, height, width)."""
    geometry, padded = exact.geometry, functional.pad(values, exact.padding)
    height, width = geometry.output_size(*padded.shape[2:])
    each = min(height * width, -(-_wanted(exact.weight[0].numel()) // images))
    parts = []
    for image in padded:
        unfolded = functional.unfold(
            image[None], geometry.kernel, geometry.dilation, 0, geometry.stride
        )[0]  # (c * kernel, outputs)
        chosen = rng.choice(height * width, each, replace=False)
        parts.append(unfolded[:, chosen].T.to(torch.int16))
    return torch.cat(parts)


def _wanted(positions: int) -> int:
    return max(_LEAST_WINDOWS, _WINDOWS_PER_POSITION * positions)


def _exact(layer: QuantizedLayer) -> ExactConvolution:
    assert isinstance(layer.sums, ExactConvolution)
    return layer.sums


def _factors(windows: torch.Tensor, groups: int) -> tuple[torch.Tensor, torch.Tensor]:
    """For each group of channels, in which order its positions are rounded, (groups, positions),
    and the upper Cholesky factor of the inverse covariance, (groups, positions, positions).
    """
    split = windows.reshape(len(windows), groups, -1).transpose(0, 1)
    at_once = max(1, _MOST_REAL // split[0].numel())
    covariance = torch.cat([_covariances(part.float()) for part in torch.split(split, at_once)])
    diagonal = covariance.diagonal(dim1=1, dim2=2)
    diagonal += _DAMPING * diagonal.mean(1, keepdim=True).clamp_min(1e-6)
    order = diagonal.argsort(descending=True, stable=True)
    positions = order.shape[1]
    rows = covariance.gather(1, order[:, :, None].expand(-1, -1, positions))
    ordered = rows.gather(2, order[:, None].expand(-1, positions, -1))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(ordered.double()))
    return order, torch.linalg.cholesky(inverse, upper=True).float()


def _covariances(values: torch.Tensor) -> torch.Tensor:
    """(groups, windows, positions) -> (groups, positions, positions)."""
    centered = values - values.mean(1, keepdim=True)
    return centered.mT @ centered / values.shape[1]


def _rounded(
    rows: torch.Tensor, order: torch.Tensor, factor: torch.Tensor, largest: int
) -> torch.Tensor:
    """Integers of real rows, both (groups, o, positions)."""
    order = order[:, None].expand_as(rows)
    free = rows.gather(2, order)
    integers = torch.zeros_like(free)
    positions = free.shape[2]
    for start in range(0, positions, _BLOCK):
        stop = min(start + _BLOCK, positions)
        block, corner = free[..., start:stop], factor[:, start:stop, start:stop]
        errors = torch.zeros_like(block)
        for column in range(stop - start):
            value = block[..., column]
            whole = value.round().clamp(-largest, largest)
            integers[..., start + column] = whole
            errors[..., column] = (value - whole) / corner[:, column, column, None]
            rest = corner[:, None, column, column + 1 :]
            block[..., column + 1 :] -= errors[..., column, None] * rest
        free[..., stop:] -= errors @ factor[:, start:stop, stop:]
    return torch.zeros_like(integers).scatter(2, order, integers)
