"""ONNX's operators on shapes, and those that compute with sizes.

Sizes that `Shape` gives stay numbers (:class:`Sizes`), so that code which computes with them can be
read as a graph; the batch's size may be a symbol in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .file import OnnxError
from .values import (
    MOST_ELEMENTS,
    Attributes,
    Context,
    Sizes,
    as_constant,
    check_growth,
    is_size,
    number_of,
    sizes_of,
)

__all__ = ["SHAPE_OPERATORS", "axes_of", "constant_of"]


def divided(a: Any, b: Any) -> Any:
    whole = all(
        is_size(part) or (isinstance(part, torch.Tensor) and not part.is_floating_point())
        for part in (a, b)
    )
    return a // b if whole else a / b


def binary(operate: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def run(context: Context, attributes: Attributes, a: Any, b: Any) -> Any:
        if isinstance(a, Sizes) or isinstance(b, Sizes):
            a, b = sizes_of(a), sizes_of(b)
            pairs = zip(a * (len(b) // len(a) or 1), b * (len(a) // len(b) or 1), strict=True)
            return Sizes(operate(one, other) for one, other in pairs)
        return operate(number_of(a), number_of(b))

    return run


def reshape(context: Context, attributes: Attributes, x: Any, shape: Any) -> Any:
    wanted = list(sizes_of(shape))
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


def flatten(context: Context, attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    axis = attributes.get("axis", 1) % x.dim()
    if axis == 1:
        return x.flatten(1)
    return x.flatten(axis).flatten(0, axis - 1) if axis else x.reshape(1, -1)


def axes_of(context: Context, attributes: Attributes, given: Any) -> list[int] | None:
    """Axes are an attribute in old versions and an input in new ones."""
    if given is not None:
        return list(sizes_of(given))
    return list(attributes["axes"]) if "axes" in attributes else None


def squeeze(context: Context, attributes: Attributes, x: Any, axes: Any = None) -> Any:
    if isinstance(x, Sizes):
        return x[0]
    chosen = axes_of(context, attributes, axes)
    if chosen is None:
        raise OnnxError("squeezing without axes is not known")
    for axis in sorted((axis % x.dim() for axis in chosen), reverse=True):
        x = x.squeeze(axis)
    return x


def unsqueeze(context: Context, attributes: Attributes, x: Any, axes: Any = None) -> Any:
    if not isinstance(x, torch.Tensor) and not hasattr(x, "unsqueeze"):
        return sizes_of(x)
    if is_size(x):
        return Sizes((x,))
    chosen = axes_of(context, attributes, axes) or []
    rank = x.dim() + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


def pad(
    context: Context,
    attributes: Attributes,
    x: Any,
    pads: Any = None,
    value: Any = None,
    axes: Any = None,
) -> Any:
    amounts = list(sizes_of(pads)) if pads is not None else list(attributes["pads"])
    chosen = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in sizes_of(axes)]
    if any(amount < 0 for amount in amounts) or len(amounts) != 2 * len(chosen):
        raise OnnxError("padding that cuts off, or of another number of axes, is not known")
    sides = [0] * 2 * x.dim()
    for place, axis in enumerate(chosen):
        sides[2 * (x.dim() - 1 - axis)] = amounts[place]
        sides[2 * (x.dim() - 1 - axis) + 1] = amounts[place + len(chosen)]
    while sides and not any(sides[-2:]):
        sides = sides[:-2]
    check_growth(x, sum(sides) + 1)
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}.get(
        attributes.get("mode", "constant")
    )
    if mode is None:
        raise OnnxError(f"padding by {attributes['mode']!r} is not known")
    if not sides:
        return x
    number = attributes.get("value", 0.0) if value is None else float(value)
    return functional.pad(x, sides, mode, number if mode == "constant" else None)


def slice_of(
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
    starts, ends = sizes_of(starts), sizes_of(ends)
    if isinstance(x, Sizes):
        return Sizes(x[starts[0] : ends[0] : 1 if steps is None else sizes_of(steps)[0]])
    chosen = sizes_of(axes) if axes is not None else Sizes(range(len(starts)))
    by = sizes_of(steps) if steps is not None else Sizes((1,) * len(starts))
    index = [slice(None)] * x.dim()
    for start, end, axis, step in zip(starts, ends, chosen, by, strict=True):
        if step > 0:
            index[axis % x.dim()] = slice(start, end, step)
        else:
            backwards = range(int(x.shape[axis]))[start:end:step]
            x = x.index_select(axis, torch.tensor(list(backwards), dtype=torch.long))
    return x[tuple(index)]


def gather(context: Context, attributes: Attributes, x: Any, indices: Any) -> Any:
    axis = attributes.get("axis", 0)
    if isinstance(x, Sizes):
        chosen = sizes_of(indices)
        found = Sizes(x[int(index)] for index in chosen)
        return found[0] if isinstance(indices, torch.Tensor) and indices.ndim == 0 else found
    index = indices if isinstance(indices, torch.Tensor) else torch.tensor(list(sizes_of(indices)))
    if index.is_floating_point():
        raise OnnxError("indices have to be constant integers")
    # Counted from the end where negative.
    index = torch.where(index < 0, index + int(x.shape[axis]), index)
    if index.ndim == 0:
        return x.select(axis, int(index))
    found = x.index_select(axis, index.reshape(-1))
    axis %= x.dim()
    return found if index.ndim == 1 else found.unflatten(axis, tuple(index.shape))


def split(context: Context, attributes: Attributes, x: Any, sizes: Any = None) -> Any:
    axis = attributes.get("axis", 0)
    parts = list(sizes_of(sizes)) if sizes is not None else list(attributes.get("split", ()))
    if parts:
        return tuple(x.split(parts, axis))
    count = attributes.get("num_outputs", 0)
    if count < 1:
        raise OnnxError("a split into how many parts is not said")
    return tuple(x.split(-(-int(x.shape[axis]) // count), axis))


def concatenate(context: Context, attributes: Attributes, *parts: Any) -> Any:
    if any(isinstance(part, Sizes) for part in parts):
        return Sizes(size for part in parts for size in sizes_of(part))
    if attributes["axis"] != 0:
        parts = tuple(
            part.expand(context.images.shape[0], *[-1] * (part.dim() - 1))
            if context.fixed == 1 and context.is_batch(part.shape[0])
            else part
            for part in parts
        )
    return torch.cat(parts, attributes["axis"])


def shape_of(context: Context, attributes: Attributes, x: Any) -> Sizes:
    if isinstance(x, Sizes):
        return Sizes((len(x),))
    return Sizes(tuple(x.shape)[attributes.get("start", 0) : attributes.get("end", None)])


def expand(context: Context, attributes: Attributes, x: torch.Tensor, shape: Any) -> torch.Tensor:
    wanted = list(sizes_of(shape))
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


def constant_of_shape(context: Context, attributes: Attributes, shape: Any) -> torch.Tensor:
    sides = sizes_of(shape)
    if not all(isinstance(side, int) for side in sides):
        raise OnnxError("a constant whose shape depends on the batch is not known")
    if math.prod(sides) > MOST_ELEMENTS:
        raise OnnxError("it would make far too many values")
    value = attributes.get("value", torch.zeros(1))
    return torch.full(tuple(sides), value.reshape(()).item(), dtype=value.dtype)


def cast(context: Context, attributes: Attributes, x: Any) -> Any:
    kind = attributes.get("to")
    if isinstance(x, Sizes) or is_size(x):
        return x
    if kind in (1, 10, 11, 16):  # floating point of any width
        return x.float()
    if kind in (2, 3, 4, 5, 6, 7, 12, 13):
        return x.long()
    raise OnnxError(f"a cast to type {kind} is not known")


def equal(context: Context, attributes: Attributes, a: Any, b: Any) -> torch.Tensor:
    if isinstance(a, Sizes) or isinstance(b, Sizes):
        # The batch's size is none that a file can name.
        pairs = zip(sizes_of(a), sizes_of(b), strict=True)
        return torch.tensor(
            [isinstance(x, int) and isinstance(y, int) and x == y for x, y in pairs]
        )
    return torch.eq(as_constant(a), as_constant(b))


def where(context: Context, attributes: Attributes, condition: Any, a: Any, b: Any) -> Any:
    if isinstance(a, Sizes) or isinstance(b, Sizes):
        chosen = zip(condition.tolist(), sizes_of(a), sizes_of(b), strict=True)
        return Sizes(x if first else y for first, x, y in chosen)
    return torch.where(condition, a, b)


#: By name of the operator.
SHAPE_OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": binary(lambda a, b: a + b),
    "Cast": cast,
    "Concat": concatenate,
    "ConstantOfShape": constant_of_shape,
    "Div": binary(divided),
    "Equal": equal,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Mod": binary(lambda a, b: a % b),
    "Mul": binary(lambda a, b: a * b),
    "Pad": pad,
    "Reshape": reshape,
    "Shape": shape_of,
    "Slice": slice_of,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": binary(lambda a, b: a - b),
    "Unsqueeze": unsqueeze,
    "Where": where,
}
