"""ONNX's operators in operations of torch (https://onnx.ai/onnx/operators/).

A function takes the context, the node's attributes and its inputs, None for what is left out. Sizes
that `Shape` gives stay numbers (:class:`Sizes`), so that code which computes with them can be read
as a graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from .file import OnnxError, OnnxNode

__all__ = [
    "MOST_ELEMENTS",
    "OPERATORS",
    "TAKE_SIZES",
    "Context",
    "Sizes",
    "as_constant",
    "constant_of",
    "layer_of",
]

#: Of any value while two images run.
MOST_ELEMENTS = 1 << 28
#: Operators that know sizes; others get them as constants.
TAKE_SIZES = frozenset(
    (
        *(
            "Add",
            "Cast",
            "Concat",
            "ConstantOfShape",
            "Div",
            "Equal",
            "Expand",
            "Gather",
            "Mod",
            "Mul",
        ),
        *("Pad", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Sub", "Unsqueeze", "Where"),
    )
)

Attributes: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What operators need to know beside their inputs: their version, the images, and the batch
    size that the file fixes (None: none).
    """

    opset: int
    images: torch.Tensor
    fixed: int | None

    def is_batch(self, size: Any) -> bool:
        """Whether a size in the file is that of the batch which the file was made for."""
        return self.fixed is not None and isinstance(size, int) and size == self.fixed


class Sizes(tuple[Any, ...]):
    """A list of sizes; the batch's may be a symbol."""

    __slots__ = ()


def as_constant(value: Any) -> Any:
    """Known sizes as a constant tensor."""
    if isinstance(value, int) or (
        isinstance(value, Sizes) and all(isinstance(size, int) for size in value)
    ):
        return torch.tensor(value)
    return value


def layer_of(node: OnnxNode, constants: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """The module of torch that a node is, where its weights are constants."""
    weights = [constants.get(name) for name in node.inputs[1:]]
    if not weights or any(value is None for value in weights):
        return None
    make = _LAYERS.get(node.operator)
    return None if make is None else make(node.attributes, *weights)


def _parameter(value: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(value.clone(), requires_grad=False)


def _convolution_layer(
    attributes: Attributes, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> nn.Module | None:
    padding = _padding(attributes, weight.ndim - 2)
    if weight.ndim != 4 or padding is None or padding[:2] != padding[2:]:
        return None
    groups = attributes.get("group", 1)
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        tuple(attributes.get("strides", (1, 1))),
        tuple(padding[:2]),
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


def _padding(attributes: Attributes, axes: int) -> tuple[int, ...] | None:
    """Begins, then ends, as ONNX orders them; None where it depends on the image's size."""
    kind = attributes.get("auto_pad", "NOTSET")
    if kind in ("NOTSET", ""):
        return tuple(attributes.get("pads", (0,) * 2 * axes))
    return (0,) * 2 * axes if kind == "VALID" else None


def _padded(
    context: Context, attributes: Attributes, x: torch.Tensor, kernel: tuple[int, ...], value: float
) -> torch.Tensor:
    """With the padding of a convolution or pooling around it."""
    axes = len(kernel)
    pads = _padding(attributes, axes)
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
    _bound(x, sum(pads) + 1)
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
) -> torch.Tensor:
    a = a.transpose(0, 1) if attributes.get("transA", 0) else a
    b = b.transpose(0, 1) if attributes.get("transB", 0) else b
    found = torch.matmul(a, b) * attributes.get("alpha", 1.0)
    return found if c is None else found + c * attributes.get("beta", 1.0)


def _matmul(context: Context, attributes: Attributes, a: Any, b: Any) -> torch.Tensor:
    _bound(a, b.shape[-1] if b.ndim > 1 else 1)
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
    kernel, pads = attributes["kernel_shape"], _padding(attributes, len(attributes["kernel_shape"]))
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


def _binary(operate: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def run(context: Context, attributes: Attributes, a: Any, b: Any) -> Any:
        if isinstance(a, Sizes) or isinstance(b, Sizes):
            a, b = _sizes(a), _sizes(b)
            pairs = zip(a * (len(b) // len(a) or 1), b * (len(a) // len(b) or 1), strict=True)
            return Sizes(operate(one, other) for one, other in pairs)
        return operate(_number(a), _number(b))

    return run


def _divided(a: Any, b: Any) -> Any:
    whole = all(
        _is_size(part) or (isinstance(part, torch.Tensor) and not part.is_floating_point())
        for part in (a, b)
    )
    return a // b if whole else a / b


def _number(value: Any) -> Any:
    """A constant of one integer as that."""
    if isinstance(value, torch.Tensor) and value.ndim == 0 and not value.is_floating_point():
        return value.item()
    return value


def _sizes(value: Any) -> Sizes:
    """Integers from a constant, from sizes, or one of them."""
    if isinstance(value, Sizes):
        return value
    if isinstance(value, torch.Tensor):
        if value.ndim > 1:
            raise OnnxError("sizes in a table are not known")
        return Sizes(int(part) for part in value.reshape(-1).tolist())
    if isinstance(value, tuple | list):
        return Sizes(value)
    return Sizes((value,))


def _bound(x: Any, factor: int) -> None:
    if isinstance(x, torch.Tensor) and x.numel() * max(factor, 1) > MOST_ELEMENTS * 64:
        raise OnnxError("it would make far too many values")


def _reshape(context: Context, attributes: Attributes, x: Any, shape: Any) -> Any:
    wanted = list(_sizes(shape))
    if isinstance(x, Sizes):
        if len(wanted) == 1:
            return x
        x = as_constant(x)
    if not attributes.get("allowzero", 0):
        wanted = [
            x.shape[axis] if isinstance(size, int) and size == 0 else size
            for axis, size in enumerate(wanted)
        ]
    if wanted and context.is_batch(wanted[0]):
        wanted[0] = context.images.shape[0]
    return x.reshape(tuple(wanted))


def _flatten(context: Context, attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    axis = attributes.get("axis", 1) % x.dim()
    if axis == 1:
        return x.flatten(1)
    return x.flatten(axis).flatten(0, axis - 1) if axis else x.reshape(1, -1)


def _axes(context: Context, attributes: Attributes, given: Any) -> list[int] | None:
    """Axes are an attribute in old versions and an input in new ones."""
    if given is not None:
        return list(_sizes(given))
    return list(attributes["axes"]) if "axes" in attributes else None


def _squeeze(context: Context, attributes: Attributes, x: Any, axes: Any = None) -> Any:
    if isinstance(x, Sizes):
        return x[0]
    chosen = _axes(context, attributes, axes)
    if chosen is None:
        raise OnnxError("squeezing without axes is not known")
    for axis in sorted((axis % x.dim() for axis in chosen), reverse=True):
        x = x.squeeze(axis)
    return x


def _unsqueeze(context: Context, attributes: Attributes, x: Any, axes: Any = None) -> Any:
    if not isinstance(x, torch.Tensor) and not hasattr(x, "unsqueeze"):
        return _sizes(x)
    if _is_size(x):
        return Sizes((x,))
    chosen = _axes(context, attributes, axes) or []
    rank = x.dim() + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


def _is_size(x: Any) -> bool:
    """Whether a value is one size, or a symbol for one."""
    if isinstance(x, int):
        return True
    node = getattr(x, "node", None)
    return node is not None and any(isinstance(one, int) for one in node.meta.values())


def _pad(
    context: Context,
    attributes: Attributes,
    x: Any,
    pads: Any = None,
    value: Any = None,
    axes: Any = None,
) -> torch.Tensor:
    amounts = list(_sizes(pads)) if pads is not None else list(attributes["pads"])
    chosen = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in _sizes(axes)]
    if any(amount < 0 for amount in amounts) or len(amounts) != 2 * len(chosen):
        raise OnnxError("padding that cuts off, or of another number of axes, is not known")
    sides = [0] * 2 * x.dim()
    for place, axis in enumerate(chosen):
        sides[2 * (x.dim() - 1 - axis)] = amounts[place]
        sides[2 * (x.dim() - 1 - axis) + 1] = amounts[place + len(chosen)]
    while sides and not any(sides[-2:]):
        sides = sides[:-2]
    _bound(x, sum(sides) + 1)
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}.get(
        attributes.get("mode", "constant")
    )
    if mode is None:
        raise OnnxError(f"padding by {attributes['mode']!r} is not known")
    if not sides:
        return x
    number = attributes.get("value", 0.0) if value is None else float(value)
    return functional.pad(x, sides, mode, number if mode == "constant" else None)


def _slice(
    context: Context,
    attributes: Attributes,
    x: Any,
    starts: Any = None,
    ends: Any = None,
    axes: Any = None,
    steps: Any = None,
) -> Any:
    if starts is None:
        starts, ends, axes = attributes["starts"], attributes["ends"], attributes.get("axes")
    starts, ends = _sizes(starts), _sizes(ends)
    if isinstance(x, Sizes):
        return Sizes(x[starts[0] : ends[0] : 1 if steps is None else _sizes(steps)[0]])
    chosen = _sizes(axes) if axes is not None else Sizes(range(len(starts)))
    by = _sizes(steps) if steps is not None else Sizes((1,) * len(starts))
    index = [slice(None)] * x.dim()
    for start, end, axis, step in zip(starts, ends, chosen, by, strict=True):
        if step > 0:
            index[axis % x.dim()] = slice(start, end, step)
        else:
            backwards = range(int(x.shape[axis]))[start:end:step]
            x = x.index_select(axis, torch.tensor(list(backwards), dtype=torch.long))
    return x[tuple(index)]


def _gather(context: Context, attributes: Attributes, x: Any, indices: Any) -> Any:
    axis = attributes.get("axis", 0)
    if isinstance(x, Sizes):
        chosen = _sizes(indices)
        found = Sizes(x[int(index)] for index in chosen)
        return found[0] if isinstance(indices, torch.Tensor) and indices.ndim == 0 else found
    index = indices if isinstance(indices, torch.Tensor) else torch.tensor(list(_sizes(indices)))
    if index.is_floating_point():
        raise OnnxError("indices have to be constant integers")
    # Counted from the end where negative.
    index = torch.where(index < 0, index + int(x.shape[axis]), index)
    if index.ndim == 0:
        return x.select(axis, int(index))
    found = x.index_select(axis, index.reshape(-1))
    axis %= x.dim()
    return found if index.ndim == 1 else found.unflatten(axis, tuple(index.shape))


def _split(context: Context, attributes: Attributes, x: torch.Tensor, sizes: Any = None) -> Any:
    axis = attributes.get("axis", 0)
    parts = list(_sizes(sizes)) if sizes is not None else list(attributes.get("split", ()))
    if parts:
        return tuple(x.split(parts, axis))
    count = attributes.get("num_outputs", 0)
    if count < 1:
        raise OnnxError("a split into how many parts is not said")
    return tuple(x.split(-(-int(x.shape[axis]) // count), axis))


def _concat(context: Context, attributes: Attributes, *parts: Any) -> Any:
    if any(isinstance(part, Sizes) for part in parts):
        return Sizes(size for part in parts for size in _sizes(part))
    if attributes["axis"] != 0:
        parts = tuple(
            part.expand(context.images.shape[0], *[-1] * (part.dim() - 1))
            if context.fixed == 1 and context.is_batch(part.shape[0])
            else part
            for part in parts
        )
    return torch.cat(parts, attributes["axis"])


def _shape(context: Context, attributes: Attributes, x: Any) -> Sizes:
    if isinstance(x, Sizes):
        return Sizes((len(x),))
    return Sizes(tuple(x.shape)[attributes.get("start", 0) : attributes.get("end", None)])


def _expand(context: Context, attributes: Attributes, x: torch.Tensor, shape: Any) -> torch.Tensor:
    wanted = list(_sizes(shape))
    missing = max(x.dim() - len(wanted), 0)
    wanted = [1] * missing + wanted
    if context.is_batch(wanted[0]) and len(wanted) == x.dim():
        wanted[0] = context.images.shape[0]
    sides = [1] * (len(wanted) - x.dim()) + list(x.shape)
    final = [
        size if isinstance(side, int) and side == 1 else side
        for size, side in zip(wanted, sides, strict=True)
    ]
    known = [size for size in final if isinstance(size, int)]
    if math.prod(known) > MOST_ELEMENTS:
        raise OnnxError("it would make far too many values")
    return x.expand(*final)


def constant_of(attributes: Attributes) -> torch.Tensor:
    """What the operator `Constant` gives."""
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in attributes:
            value = attributes[name]
            return value if isinstance(value, torch.Tensor) else torch.tensor(value)
    raise OnnxError("a constant of this kind is not known")


def _constant_of_shape(context: Context, attributes: Attributes, shape: Any) -> torch.Tensor:
    sides = _sizes(shape)
    if not all(isinstance(side, int) for side in sides):
        raise OnnxError("a constant whose shape depends on the batch is not known")
    if math.prod(sides) > MOST_ELEMENTS:
        raise OnnxError("it would make far too many values")
    value = attributes.get("value", torch.zeros(1))
    return torch.full(tuple(sides), value.reshape(()).item(), dtype=value.dtype)


def _cast(context: Context, attributes: Attributes, x: Any) -> Any:
    kind = attributes.get("to")
    if isinstance(x, Sizes) or _is_size(x):
        return x
    if kind in (1, 10, 11, 16):  # floating point of any width
        return x.float()
    if kind in (2, 3, 4, 5, 6, 7, 12, 13):
        return x.long()
    raise OnnxError(f"a cast to type {kind} is not known")


def _reduce(operate: Callable[[Any, list[int], bool], Any]) -> Callable[..., Any]:
    def run(context: Context, attributes: Attributes, x: Any, axes: Any = None) -> Any:
        chosen = _axes(context, attributes, axes)
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


def _hard_sigmoid(context: Context, attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    return (x * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5)).clamp(0, 1)


def _equal(context: Context, attributes: Attributes, a: Any, b: Any) -> torch.Tensor:
    if isinstance(a, Sizes) or isinstance(b, Sizes):
        # The batch's size is none that a file can name.
        pairs = zip(_sizes(a), _sizes(b), strict=True)
        return torch.tensor(
            [isinstance(x, int) and isinstance(y, int) and x == y for x, y in pairs]
        )
    return torch.eq(as_constant(a), as_constant(b))


def _where(context: Context, attributes: Attributes, condition: Any, a: Any, b: Any) -> Any:
    if isinstance(a, Sizes) or isinstance(b, Sizes):
        chosen = zip(condition.tolist(), _sizes(a), _sizes(b), strict=True)
        return Sizes(x if first else y for first, x, y in chosen)
    return torch.where(condition, a, b)


def _trilu(context: Context, attributes: Attributes, x: Any, k: Any = None) -> Any:
    diagonal = 0 if k is None else int(k)
    return x.triu(diagonal) if attributes.get("upper", 1) else x.tril(diagonal)


def _elementwise(operate: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda context, attributes, x: operate(x)


#: By name of the operator.
OPERATORS: dict[str, Callable[..., Any]] = {
    "Abs": _elementwise(torch.abs),
    "Add": _binary(lambda a, b: a + b),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _convolution,
    "Div": _binary(_divided),
    "Dropout": lambda context, attributes, x, *_: x,
    "Einsum": lambda context, attributes, *parts: torch.einsum(attributes["equation"], *parts),
    "Elu": lambda context, attributes, x: functional.elu(x, attributes.get("alpha", 1.0)),
    "Equal": _equal,
    "Erf": _elementwise(torch.erf),
    "Exp": _elementwise(torch.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
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
    "Mod": _binary(lambda a, b: a % b),
    "Mul": _binary(lambda a, b: a * b),
    "Neg": _elementwise(torch.neg),
    "PRelu": lambda context, attributes, x, slope: torch.where(x < 0, x * slope, x),
    "Pad": _pad,
    "Pow": lambda context, attributes, x, power: torch.pow(x, power),
    "Reciprocal": _elementwise(torch.reciprocal),
    "ReduceMax": _reduce(lambda x, axes, keep: x.amax(axes, keep)),
    "ReduceMean": _reduce(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceSum": _reduce(lambda x, axes, keep: x.sum(axes, keep)),
    "Relu": _elementwise(functional.relu),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": _elementwise(torch.sigmoid),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": _elementwise(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _binary(lambda a, b: a - b),
    "Tanh": _elementwise(torch.tanh),
    "Transpose": lambda context, attributes, x: x.permute(
        *attributes.get("perm", tuple(reversed(range(x.dim()))))
    ),
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
