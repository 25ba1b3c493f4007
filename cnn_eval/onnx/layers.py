"""ONNX nodes whose weights are constants, as modules of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from .file import OnnxNode
from .values import Attributes

__all__ = ["layer_of", "padding_of"]


def layer_of(node: OnnxNode, constants: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """The module of torch that a node is, where its weights are constants."""
    weights = [constants.get(name) for name in node.inputs[1:]]
    if not weights or any(value is None for value in weights):
        return None
    make = _LAYERS.get(node.operator)
    return None if make is None else make(node.attributes, *weights)


def padding_of(attributes: Attributes, axes: int) -> tuple[int, ...] | None:
    """Begins, then ends, as ONNX orders them; None where it depends on the image's size."""
    kind = attributes.get("auto_pad", "NOTSET")
    if kind in ("NOTSET", ""):
        return tuple(attributes.get("pads", (0,) * 2 * axes))
    return (0,) * 2 * axes if kind == "VALID" else None


def _parameter(value: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(value.clone(), requires_grad=False)


def _convolution_layer(
    attributes: Attributes, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> nn.Module | None:
    padding = padding_of(attributes, weight.ndim - 2)
    if weight.ndim != 4 or padding is None or padding[:2] != padding[2:]:
        return None
    groups = attributes.get("group", 1)
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        tuple(attributes.get("strides", (1, 1))),
        (padding[0], padding[1]),
        tuple(attributes.get("dilations", (1, 1))),
        groups,
        bias is not None,
        device="meta",
    )
    layer.weight = _parameter(weight)
    if bias is not None:
        layer.bias = _parameter(bias)
    return layer


def _linear_layer(
    attributes: Attributes, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> nn.Module | None:
    if attributes.get("transA", 0) or weight.ndim != 2 or (bias is not None and bias.ndim > 1):
        return None
    weight = weight if attributes.get("transB", 0) else weight.T
    weight = weight * attributes.get("alpha", 1.0)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = _parameter(weight)
    if bias is not None:
        layer.bias = _parameter((bias * attributes.get("beta", 1.0)).expand(len(weight)))
    return layer


def _normalization_layer(
    attributes: Attributes,
    weight: torch.Tensor,
    bias: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
) -> nn.Module:
    layer = nn.BatchNorm2d(len(weight), attributes.get("epsilon", 1e-5))
    layer.weight, layer.bias = _parameter(weight), _parameter(bias)
    layer.running_mean, layer.running_var = mean.clone(), variance.clone()
    return layer


def _product_layer(attributes: Attributes, weight: torch.Tensor) -> nn.Module | None:
    return _linear_layer({}, weight)


_LAYERS: dict[str, Callable[..., nn.Module | None]] = {
    "Conv": _convolution_layer,
    "Gemm": _linear_layer,
    "MatMul": _product_layer,
    "BatchNormalization": _normalization_layer,
}
