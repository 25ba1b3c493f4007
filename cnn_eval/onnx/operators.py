"""ONNX's operators in operations of torch (https://onnx.ai/onnx/operators/).

A function takes the context, the node's attributes and its inputs, None for what is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .file import OnnxError
from .layers import padding_of
from .shapes import SHAPE_OPERATORS, axes_of
from .values import Attributes, Context, check_growth

__all__ = ["OPERATORS"]


def _padded(
    context: Context, attributes: Attributes, x: torch.Tensor, kernel: tuple[int, ...], value: float
) -> torch.Tensor:
    """With the padding of a convolution or pooling around it."""
    axes = len(kernel)
    pads = padding_of(attributes, axes)
    if pads is None:
        begins, ends = [], []
        for axis in range(axes):
            stride = attributes.get("strides", (1,) * axes)[axis]
            reach = attributes.get("dilations", (1,) * axes)[axis] * (kernel[axis] - 1) + 1
            size = x.shape[axis + 2]
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            small, large = total // 2, total - total // 2
            upper = attributes["auto_pad"] == "SAME_UPPER"
            begins.append(small if upper else large)
            ends.append(large if upper else small)
        pads = (*begins, *ends)
    if not any(pads):
        return x
    check_growth(x, sum(pads) + 1)
    sides = [side for axis in reversed(range(axes)) for side in (pads[axis], pads[axis + axes])]
    return functional.pad(x, sides, value=value)


def _convolution(
    context: Context,
    attributes: Attributes,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    axes = weight.ndim - 2
    if axes not in (1, 2):
        raise OnnxError(f"convolutions of {axes} axes are not known")
    convolve = functional.conv2d if axes == 2 else functional.conv1d
    found: torch.Tensor = convolve(
        _padded(context, attributes, x, tuple(weight.shape[2:]), 0.0),
        weight,
        bias,
        tuple(attributes.get("strides", (1,) * axes)),
        (0,) * axes,
        tuple(attributes.get("dilations", (1,) * axes)),
        attributes.get("group", 1),
    )
    return found


def _gemm(
    context: Context,
    attributes: Attributes,
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor | None = None,
) -> Any:
    a = a.transpose(0, 1) if attributes.get("transA", 0) else a
    b = b.transpose(0, 1) if attributes.get("transB", 0) else b
    found = torch.matmul(a, b) * attributes.get("alpha", 1.0)
    return found if c is None else found + c * attributes.get("beta", 1.0)


def _matmul(context: Context, attributes: Attributes, a: Any, b: Any) -> torch.Tensor:
    check_growth(a, b.shape[-1] if b.ndim > 1 else 1)
    return torch.matmul(a, b)


def _batch_norm(
    context: Context, attributes: Attributes, x: Any, weight: Any, bias: Any, mean: Any, var: Any
) -> torch.Tensor:
    return functional.batch_norm(
        x, mean, var, weight, bias, False, 0.0, attributes.get("epsilon", 1e-5)
    )


def _max_pool(context: Context, attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    kernel = attributes["kernel_shape"]
    return functional.max_pool2d(
        _padded(context, attributes, x, kernel, -math.inf),
        kernel,
        attributes.get("strides", (1,) * len(kernel)),
        0,
        attributes.get("dilations", (1,) * len(kernel)),
        bool(attributes.get("ceil_mode", 0)),
    )


def _average_pool(context: Context, attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    kernel, pads = (
        attributes["kernel_shape"],
        padding_of(attributes, len(attributes["kernel_shape"])),
    )
    strides = attributes.get("strides", (1,) * len(kernel))
    if set(attributes.get("dilations", ())) - {1}:
        raise OnnxError("average pooling with dilation is not known")
    inside = bool(attributes.get("count_include_pad", 0))
    if pads is not None and pads[:2] == pads[2:]:
        ceil = bool(attributes.get("ceil_mode", 0))
        return functional.avg_pool2d(x, kernel, strides, tuple(pads[:2]), ceil, inside)
    if not inside or attributes.get("ceil_mode", 0):
        raise OnnxError("average pooling with asymmetric padding that is not counted is not known")
    return functional.avg_pool2d(_padded(context, attributes, x, kernel, 0.0), kernel, strides)


def _clip(
    context: Context, attributes: Attributes, x: Any, low: Any = None, high: Any = None
) -> Any:
    low = attributes.get("min", None) if low is None else float(low)
    high = attributes.get("max", None) if high is None else float(high)
    if (low, high) == (0.0, 6.0):
        return functional.relu6(x)
    return x if low is None and high is None else x.clamp(low, high)


def _softmax(context: Context, attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    axis = attributes.get("axis", -1 if context.opset >= 13 else 1)
    if context.opset < 13 and axis % x.dim() != x.dim() - 1:
        raise OnnxError("softmax over several axes is not known")
    return x.softmax(axis)


def _reduce(operate: Callable[[Any, list[int], bool], Any]) -> Callable[..., Any]:
    def run(context: Context, attributes: Attributes, x: Any, axes: Any = None) -> Any:
        chosen = axes_of(context, attributes, axes)
        if chosen is None:
            raise OnnxError("a reduction over all axes mixes images")
        return operate(x, chosen, bool(attributes.get("keepdims", 1)))

    return run


def _layer_norm(
    context: Context, attributes: Attributes, x: Any, scale: Any, bias: Any = None
) -> torch.Tensor:
    axis = attributes.get("axis", -1) % x.dim()
    shape = tuple(int(side) for side in tuple(x.shape)[axis:])
    return functional.layer_norm(x, shape, scale, bias, attributes.get("epsilon", 1e-5))


def _instance_norm(
    context: Context, attributes: Attributes, x: Any, scale: Any, bias: Any
) -> torch.Tensor:
    return functional.instance_norm(
        x, None, None, scale, bias, True, 0.0, attributes.get("epsilon", 1e-5)
    )


def _group_norm(
    context: Context, attributes: Attributes, x: Any, scale: Any, bias: Any
) -> torch.Tensor:
    groups, channels = attributes["num_groups"], int(x.shape[1])
    # Until version 21, one scale a group.
    scale, bias = (
        part.repeat_interleave(channels // groups) if len(part) != channels else part
        for part in (scale, bias)
    )
    return functional.group_norm(x, groups, scale, bias, attributes.get("epsilon", 1e-5))


def _hard_sigmoid(context: Context, attributes: Attributes, x: Any) -> Any:
    return (x * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5)).clamp(0, 1)


def _trilu(context: Context, attributes: Attributes, x: Any, k: Any = None) -> Any:
    diagonal = 0 if k is None else int(k)
    return x.triu(diagonal) if attributes.get("upper", 1) else x.tril(diagonal)


def _elementwise(operate: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda context, attributes, x: operate(x)


#: By name of the operator.
OPERATORS: dict[str, Callable[..., Any]] = SHAPE_OPERATORS | {
    "Abs": _elementwise(torch.abs),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Conv": _convolution,
    "Dropout": lambda context, attributes, x, *_: x,
    "Einsum": lambda context, attributes, *parts: torch.einsum(attributes["equation"], *parts),
    "Elu": lambda context, attributes, x: functional.elu(x, attributes.get("alpha", 1.0)),
    "Erf": _elementwise(torch.erf),
    "Exp": _elementwise(torch.exp),
    "Gelu": lambda context, attributes, x: functional.gelu(
        x, approximate=attributes.get("approximate", "none")
    ),
    "Gemm": _gemm,
    "GlobalAveragePool": _elementwise(lambda x: functional.adaptive_avg_pool2d(x, 1)),
    "GlobalMaxPool": _elementwise(lambda x: functional.adaptive_max_pool2d(x, 1)),
    "GroupNormalization": _group_norm,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _elementwise(functional.hardswish),
    "Identity": _elementwise(lambda x: x),
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda context, attributes, x: functional.leaky_relu(
        x, attributes.get("alpha", 0.01)
    ),
    "MatMul": _matmul,
    "Max": lambda context, attributes, a, b: torch.maximum(a, b),
    "MaxPool": _max_pool,
    "Min": lambda context, attributes, a, b: torch.minimum(a, b),
    "Neg": _elementwise(torch.neg),
    "PRelu": lambda context, attributes, x, slope: torch.where(x < 0, x * slope, x),
    "Pow": lambda context, attributes, x, power: torch.pow(x, power),
    "Reciprocal": _elementwise(torch.reciprocal),
    "ReduceMax": _reduce(lambda x, axes, keep: x.amax(axes, keep)),
    "ReduceMean": _reduce(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceSum": _reduce(lambda x, axes, keep: x.sum(axes, keep)),
    "Relu": _elementwise(functional.relu),
    "Sigmoid": _elementwise(torch.sigmoid),
    "Softmax": _softmax,
    "Sqrt": _elementwise(torch.sqrt),
    "Tanh": _elementwise(torch.tanh),
    "Transpose": lambda context, attributes, x: x.permute(
        *attributes.get("perm", tuple(reversed(range(x.dim()))))
    ),
    "Trilu": _trilu,
}
