"""Approximation-aware fine-tuning: a few epochs of training in which every multiplication goes
through a product table, the same in all layers or each layer's own.

Forward, a layer computes exactly what emulation computes. Backward, the table is replaced by
something that has a derivative: by the exact product (`straight_through`, Bengio et al., arXiv
1308.3432), or by the exact product plus the table's own error, averaged over neighbouring operands
and of low rank, so that each of its factors is a curve with a slope (`smoothed`). Rounding passes
gradients unchanged either way and clipping stops them. Activation scales stay as the profile has
them; weight scales follow the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from hdl.errors import InputError
from hdl.tables import ProductTable

from ..datasets import Dataset, top1_pct
from ..emulation.ground_truth import GroundTruth, Multipliers
from ..emulation.measurement import fitted_table
from ..emulation.table_convolution import PairProducts, TableConvolution
from ..quantization.quantized_layer import ExactConvolution, QuantizedLayer, quantize_weights
from .trained import TrainedNetwork
from .training import EpochLog, Recipe, train

__all__ = ["FINE_TUNING", "GRADIENTS", "FineTuned", "fine_tune", "table_network"]

#: How the table is differentiated.
GRADIENTS = ("straight_through", "smoothed")
#: A short, gentle one-cycle for weights that are trained already.
FINE_TUNING = Recipe(
    stages=((32, 6),), peak_learning_rate=0.02, warmup_fraction=0.1, weight_decay=1e-4
)

_SMOOTHING = 8  # operands to either side that an error is averaged over
_RANK = 4


@dataclass(frozen=True)
class FineTuned:
    """A network that was trained on with its multipliers in place; top-1 in percent over the same
    images.

    Attributes:
        network: float, with the layers of the one it goes on from.
        before_pct: with the multipliers, corrected where networks are.
        after_pct: with the multipliers, as it was trained: batch normalization has learned their
            statistics.
        corrected_pct: the same corrected, as networks are that know nothing of the multiplier.
        exact_before_pct, exact_after_pct: with exact products of the widest operands, corrected.
    """

    network: TrainedNetwork
    before_pct: float
    after_pct: float
    corrected_pct: float
    exact_before_pct: float
    exact_after_pct: float


def fine_tune(
    trained: TrainedNetwork,
    truth_of: Callable[[TrainedNetwork], GroundTruth],
    multipliers: Multipliers,
    data: Dataset,
    test: Dataset,
    checkpoints: Path,
    *,
    recipe: Recipe = FINE_TUNING,
    gradient: str = "straight_through",
    on_epoch: Callable[[EpochLog], None] = lambda log: None,
) -> FineTuned:
    """A trained network fine-tuned to multipliers, and what they lose before and after.

    Args:
        truth_of: what measures the network, and the same one with other weights.
        multipliers: product table of all layers, or that of each.
        test: images to measure on.
        gradient: one of :data:`GRADIENTS`.

    Raises:
        InputError: an unknown gradient, or a network with products of two activations.
        cnn_eval.emulation.EmulationError: a table of another width or signedness than the number
            format of `truth_of`.
    """
    truth = truth_of(trained)
    tuned = table_network(trained.model, truth, multipliers, gradient=gradient)
    normalization = truth.normalization
    exact_before, before = (truth.measure(one, test) for one in (truth.widest, multipliers))
    train(tuned, data, test, recipe, normalization, checkpoints, on_epoch)
    model = copy.deepcopy(trained.model)
    model.load_state_dict(tuned.state_dict())
    result = replace(trained, model=model.eval())
    truth = truth_of(result)
    exact_after, corrected = (truth.measure(one, test) for one in (truth.widest, multipliers))
    return FineTuned(
        result,
        before_pct=before.top1_pct,
        after_pct=top1_pct(tuned, test, normalization),
        corrected_pct=corrected.top1_pct,
        exact_before_pct=exact_before.top1_pct,
        exact_after_pct=exact_after.top1_pct,
    )


def table_network(
    model: nn.Module,
    truth: GroundTruth,
    multipliers: Multipliers,
    *,
    gradient: str = "straight_through",
) -> nn.Module:
    """A trainable copy of `model` that multiplies through product tables; its parameters and their
    names are the model's.
    """
    if gradient not in GRADIENTS:
        raise InputError(f"unknown gradient {gradient!r}; use one of {', '.join(GRADIENTS)}")
    tables = (
        dict.fromkeys(truth.names, multipliers)
        if isinstance(multipliers, ProductTable)
        else multipliers
    )
    quantized = truth.quantized({name: table.widths for name, table in tables.items()})
    if quantized.products:
        raise InputError(
            f"layer {next(iter(quantized.products))!r} multiplies two activations, and fine-tuning "
            "knows layers with weights alone; take a network without attention"
        )
    network = copy.deepcopy(model).float()
    for name, layer in quantized.layers.items():
        source = model.get_submodule(name)
        assert isinstance(source, nn.Conv2d | nn.Linear)
        products = layer.coding.products(fitted_table(tables[name], layer.coding).errors)
        parent, _, attribute = name.rpartition(".")
        replacement = _TableLayer(source, layer, products, smoothed=gradient == "smoothed")
        setattr(network.get_submodule(parent), attribute, replacement)
    return network


class _TableLayer(nn.Module):
    """A convolution or linear layer with float parameters that multiplies their integers through a
    table.
    """

    def __init__(
        self,
        source: nn.Conv2d | nn.Linear,
        quantized: QuantizedLayer,
        products: NDArray[np.int32],
        *,
        smoothed: bool,
    ) -> None:
        super().__init__()
        assert isinstance(quantized.sums, ExactConvolution)
        self.weight = nn.Parameter(source.weight.detach().clone().float())
        self.bias = (
            None if source.bias is None else nn.Parameter(source.bias.detach().clone().float())
        )
        # Tuples hide modules from the parameters' names: those stay the source's.
        self._quantized = (quantized,)
        self._sums = (TableConvolution(quantized.sums, PairProducts.of(products)),)
        self._errors = _SmoothedErrors(products, quantized) if smoothed else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (layer,) = self._quantized
        return layer.through(x, self._products, self.bias)

    def _products(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums of products of activation integers (n, c, h, w), and the real value of the integer 1
        of each channel's weights.
        """
        (layer,), (sums,) = self._quantized, self._sums
        weight = self.weight[:, :, None, None] if layer.linear else self.weight
        integers, scale = quantize_weights(
            weight.detach(), layer.coding.weight_range[1], per_channel=layer.per_channel
        )
        sums.set_weight(integers)
        found = sums(values.detach()).float()
        if not torch.is_grad_enabled():
            return found, scale
        scaled = weight / scale[:, None, None, None]
        weights = scaled + (integers - scaled).detach()
        geometry, padded = sums.geometry, functional.pad(values, sums.padding)
        convolve = partial(
            functional.conv2d,
            stride=geometry.stride,
            dilation=geometry.dilation,
            groups=geometry.groups,
        )
        differentiable = convolve(padded, weights)
        if self._errors is not None:
            for activations, factors in self._errors.terms(padded, weights):
                differentiable = differentiable + convolve(activations, factors)
        return differentiable + (found - differentiable).detach(), scale


class _SmoothedErrors:
    """A layer's errors, averaged over neighbouring operands, as a sum of products of functions of
    one operand each.
    """

    def __init__(self, products: NDArray[np.int32], layer: QuantizedLayer) -> None:
        coding = layer.coding
        exact = np.multiply.outer(coding.activation_values, coding.weight_values)
        smooth = _averaged(_averaged((products - exact).astype(np.float64), 0), 1)
        left, sizes, right = np.linalg.svd(smooth, full_matrices=False)
        roots = np.sqrt(sizes[:_RANK])
        self._activation = _Curves(left[:, :_RANK].T * roots[:, None], coding.activation_range[0])
        self._weight = _Curves(right[:_RANK] * roots[:, None], coding.weight_range[0])

    def terms(
        self, values: torch.Tensor, weights: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """(activation factors, weight factors) of each rank, shaped like the integers."""
        return [
            (self._activation.of(values, rank), self._weight.of(weights, rank))
            for rank in range(len(self._activation.heights))
        ]


class _Curves:
    """Functions of an integer, with slopes: (rank, values)."""

    def __init__(self, heights: NDArray[np.float64], low: int) -> None:
        self.heights = torch.from_numpy(heights).float()
        self._slopes = torch.from_numpy(np.gradient(heights, axis=1)).float()
        self._low = low

    def of(self, integers: torch.Tensor, rank: int) -> torch.Tensor:
        return _Curve.apply(integers, self.heights[rank], self._slopes[rank], self._low)  # type: ignore[no-any-return, no-untyped-call]


class _Curve(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, integers: torch.Tensor, heights: torch.Tensor, slopes: torch.Tensor, low: int
    ) -> torch.Tensor:
        index = (integers - low).round().long()
        context.save_for_backward(slopes[index])
        return heights[index]

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (slopes,) = context.saved_tensors
        return gradients[0] * slopes, None, None, None


def _averaged(errors: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Mean over the operands up to _SMOOTHING away along an axis; beyond the border the slope goes
    on.
    """
    padding = [
        (_SMOOTHING, _SMOOTHING) if index == axis else (0, 0) for index in range(errors.ndim)
    ]
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(errors, padding, mode="reflect", reflect_type="odd"), 2 * _SMOOTHING + 1, axis=axis
    )
    result: NDArray[np.float64] = windows.mean(axis=-1)
    return result
