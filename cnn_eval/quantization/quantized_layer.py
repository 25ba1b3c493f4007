"""A convolution or linear layer on integers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from ..capture.capturing import padding_of
from .coding import OperandCoding
from .geometry import Geometry
from .products import rounded_

__all__ = ["ExactConvolution", "QuantizedLayer", "quantize_weights"]

# Of a channel's largest weight; the largest share first, so that ties keep the whole range.
_SHARES = tuple(np.linspace(1.0, 0.4, 61).tolist())
_WHOLE_RANGE = 127
# float32 adds integers exactly as long as no partial sum reaches this.
_FLOAT32_INTEGERS = 1 << 24
_SPLITS = (1, 2, 4)
# Activations that a layer takes at a time: what it makes of them on the way stays in the cache, and
# in memory that has been used before. Fresh pages take longer than the arithmetic.
_PART = 1 << 22


class ExactConvolution(nn.Module):
    """Exact sums of integer products: activation integers (n, c, h, w) -> (n, o, h', w'), both
    float tensors of integers.

    Floating-point convolution is exact as long as no partial sum can leave the integers of the
    type. Where the weights allow sums that float32 does not hold, the input channels are shared
    among a few convolutions in float32; where that does not help, it is float64.

    Attributes:
        weight: integers, (o, c / groups, kernel height, kernel width), float32.
        padding: (left, right, top, bottom), as torch's `pad` takes it. Padding is the activation
            integer 0.
    """

    weight: torch.Tensor

    def __init__(
        self,
        weight: torch.Tensor,
        geometry: Geometry,
        padding: tuple[int, int, int, int],
        coding: OperandCoding,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.geometry, self.padding, self.coding = geometry, padding, coding
        splits = _SPLITS if geometry.groups == 1 else (1,)
        fitting = [
            parts
            for parts in splits
            if all(
                _largest_sum(part, coding) < _FLOAT32_INTEGERS for part in weight.chunk(parts, 1)
            )
        ]
        self.parts, self.dtype = (fitting[0], torch.float32) if fitting else (1, torch.float64)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        left, right, top, bottom = self.padding
        padding = (top, left)
        if (left, top) != (right, bottom):
            values, padding = functional.pad(values, self.padding), (0, 0)
        geometry = self.geometry
        parts = [
            functional.conv2d(
                part.to(self.dtype),
                weight.to(self.dtype),
                None,
                geometry.stride,
                padding,
                geometry.dilation,
                geometry.groups,
            )
            for part, weight in zip(
                values.chunk(self.parts, 1), self.weight.chunk(self.parts, 1), strict=True
            )
        ]
        return (
            parts[0] if self.parts == 1 else torch.stack([part.double() for part in parts]).sum(0)
        )


def _largest_sum(weight: torch.Tensor, coding: OperandCoding) -> float:
    """Largest magnitude that any sum of products can have."""
    low, high = coding.activation_range
    flat = weight.double().flatten(1)
    return float(
        torch.maximum(
            (flat * low).clamp_min(flat * high).sum(1), -(flat * low).clamp_max(flat * high).sum(1)
        ).max()
    )


class QuantizedLayer(nn.Module):
    """A convolution or linear layer on integers.

    Attributes:
        sums: activation integers (n, c, h, w) -> sums of products (n, o, h', w'): the part that
            multiplies, and that emulation replaces.
        per_channel: whether each output channel has a weight scale of its own.
        activation_scale, weight_scale: real value of the integer 1; () and (o,).
        gain, offset: correction of the output, by output channel, (o,)
            (:mod:`cnn_eval.quantization.correction`); None without.
    """

    activation_scale: torch.Tensor
    weight_scale: torch.Tensor
    bias: torch.Tensor | None
    gain: torch.Tensor | None
    offset: torch.Tensor | None

    def __init__(
        self,
        source: nn.Conv2d | nn.Linear,
        coding: OperandCoding,
        activation_scale: float,
        *,
        per_channel: bool,
        differences: NDArray[np.int8] | None,
    ) -> None:
        super().__init__()
        self.coding, self.per_channel = coding, per_channel
        self.linear = isinstance(source, nn.Linear)
        weight = source.weight.detach().float()
        weight = weight[:, :, None, None] if self.linear else weight
        integers, scale = quantize_weights(weight, coding.weight_range[1], per_channel=per_channel)
        if differences is not None:
            integers = integers + torch.tensor(differences).reshape(integers.shape)
        self.register_buffer("activation_scale", torch.tensor(activation_scale))
        self.register_buffer("weight_scale", scale)
        self.register_buffer("bias", None if source.bias is None else source.bias.detach().float())
        self.register_buffer("gain", None)
        self.register_buffer("offset", None)
        self.padding_mode = "zeros"
        padding = (0, 0, 0, 0)
        geometry = Geometry((1, 1))
        if isinstance(source, nn.Conv2d):
            self.padding_mode = source.padding_mode
            padding = padding_of(source)
            geometry = Geometry(
                _pair(source.kernel_size),
                _pair(source.stride),
                _pair(source.dilation),
                source.groups,
            )
        self.outer_padding = padding if self.padding_mode != "zeros" else None
        self.sums: nn.Module = ExactConvolution(
            integers, geometry, (0, 0, 0, 0) if self.outer_padding else padding, coding
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer, a few images at a time where they are large."""
        size = math.prod(x.shape[2:]) * max(x.shape[1], len(self.weight_scale))
        images = max(1, _PART // max(size, 1))
        if self.linear or len(x) <= images or torch.is_grad_enabled():
            return self.through(x, lambda values: (self.sums(values), self.weight_scale), self.bias)
        y: torch.Tensor | None = None
        for start in range(0, len(x), images):
            part = slice(start, start + images)
            sums = self.sums(self.integers(self._padded(x[part])))
            if y is None:
                shape = len(x), *sums.shape[1:]
                y = torch.empty(shape, device=x.device, memory_format=torch.channels_last)
            self._scaled(sums, self.weight_scale, self.bias, out=y[part])
        assert y is not None
        return y

    def through(
        self,
        x: torch.Tensor,
        multiply: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        """The layer with its multiplications done by `multiply`: activation integers (n, c, h, w)
        -> (sums of products, weight scale).
        """
        shape = x.shape
        if self.linear:
            # What a layer sees of an image in many places (tokens) are its pixels.
            x = x.reshape(len(x), -1, shape[-1]).transpose(1, 2)[..., None]
        sums, weight_scale = multiply(self.integers(self._padded(x)))
        y = self._scaled(sums, weight_scale, bias)
        return y[..., 0].transpose(1, 2).reshape(*shape[:-1], -1) if self.linear else y

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        if self.outer_padding is None:
            return x
        return functional.pad(x, self.outer_padding, mode=self.padding_mode)

    def _scaled(
        self,
        sums: torch.Tensor,
        weight_scale: torch.Tensor,
        bias: torch.Tensor | None,
        out: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sums of products (n, o, h', w') in the unit of the layer's output, corrected."""
        scale = (self.activation_scale * weight_scale)[:, None, None]
        y: torch.Tensor = torch.mul(sums.float(), scale, out=out)
        if bias is not None:
            y += bias[:, None, None]
        if self.gain is not None and self.offset is not None:
            y *= self.gain[:, None, None]
            y += self.offset[:, None, None]
        return y

    def integers(self, x: torch.Tensor) -> torch.Tensor:
        """Activations to integers in a float tensor (:func:`rounded_`)."""
        return rounded_(x / self.activation_scale, self.coding.activation_range)


def quantize_weights(
    weight: torch.Tensor, largest: int, *, per_channel: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (o, c, kernel height, kernel width) -> nearest integers, up to `largest`, in a float
    tensor of that shape, and scales (o,).

    The scale of a channel (or of the layer) is the one of least squared error, among ranges of 40
    to 100 % of the largest magnitude; with 8 bits there is nothing to gain from clipping.
    """
    rows = weight.flatten(1) if per_channel else weight.flatten()[None]
    magnitude = (
        rows.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny * largest)
    )
    best, least = magnitude / largest, torch.full_like(magnitude, torch.inf)
    for share in _SHARES if largest < _WHOLE_RANGE else ():
        scale = magnitude * share / largest
        error = (
            ((rows / scale).round().clamp(-largest, largest) * scale - rows)
            .square()
            .sum(1, keepdim=True)
        )
        best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
    scale = best[:, 0].expand(len(weight)).contiguous()
    return (weight / scale[:, None, None, None]).round().clamp(-largest, largest), scale


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    return value[0], value[1]
