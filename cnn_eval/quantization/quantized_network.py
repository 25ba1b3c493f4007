"""Integer quantization of a trained network: what a CNN accelerator computes.

Every convolution and linear layer, and every matrix product of two activations
(:mod:`cnn_eval.quantization.products`), multiplies integers. The input of a layer is rounded to a
per-tensor scale, its weights to a scale per output channel (or per tensor), the products are summed
exactly, and sum x scale + bias is float32 again. Batch normalization is not folded; it and
everything else between the multiplications stays float32.

Scales: weights are symmetric; the magnitude of a channel that becomes the largest integer is the
one of least squared rounding and clipping error. Activations are symmetric with zero at zero
(affine in the unsigned encoding); the range of each layer's input is chosen from its histogram over
calibration images, by the smallest mean squared rounding and clipping error (`mse`), a high
percentile of the magnitudes (`percentile`), or the extremes (`min_max`). Operands may have any
widths from 1 to 8 bits, each layer its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from hdl.errors import InputError
from hdl.operands import OperandEncoding, Widths

from ..capture.capturing import capture, padding_of
from ..capture.multiplications import is_plain
from ..capture.product import ActivationProduct
from .coding import OperandCoding
from .geometry import Geometry
from .products import QuantizedProduct, rounded
from .rounding import Rounding
from .scales import NetworkScales

__all__ = [
    "CALIBRATIONS",
    "ExactConvolution",
    "QuantizationError",
    "QuantizedLayer",
    "QuantizedNetwork",
    "quantize",
    "quantize_as",
    "quantize_weights",
]

_BINS = 2048
_PERCENTILE = 99.99
# Of a channel's largest weight; the largest share first, so that ties keep the whole range.
_SHARES = tuple(np.linspace(1.0, 0.4, 61).tolist())
_WHOLE_RANGE = 127
# float32 adds integers exactly as long as no partial sum reaches this.
_FLOAT32_INTEGERS = 1 << 24
_SPLITS = (1, 2, 4)


class QuantizationError(InputError):
    """The network cannot be quantized."""


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
        self.coding = coding
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
        return self.through(x, lambda values: (self.sums(values), self.weight_scale), self.bias)

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
        if self.outer_padding is not None:
            x = functional.pad(x, self.outer_padding, mode=self.padding_mode)
        sums, weight_scale = multiply(self.integers(x))
        y: torch.Tensor = sums.float() * (self.activation_scale * weight_scale)[:, None, None]
        if bias is not None:
            y = y + bias[:, None, None]
        if self.gain is not None and self.offset is not None:
            y = y * self.gain[:, None, None] + self.offset[:, None, None]
        return y[..., 0].transpose(1, 2).reshape(*shape[:-1], -1) if self.linear else y

    def integers(self, x: torch.Tensor) -> torch.Tensor:
        """Activations to integers in a float tensor (:func:`rounded`)."""
        return rounded(x / self.activation_scale, self.coding.activation_range)


class QuantizedNetwork(nn.Module):
    """A network whose convolutions and linear layers multiply integers.

    Attributes:
        model: the network, its layers replaced.
        encoding, widths: of the multiplications; layers may have codings of their own, no wider.
        mean, std: per-channel normalization of the images in [0, 1].
    """

    def __init__(
        self,
        model: nn.Module,
        encoding: OperandEncoding,
        widths: Widths,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.model, self.encoding, self.mean, self.std = model, encoding, mean, std
        self.widths = widths
        self.eval()

    @property
    def layers(self) -> dict[str, QuantizedLayer]:
        """The layers with weights, by their name in the network, in the order of the network."""
        return {
            name: module
            for name, module in self.model.named_modules()
            if isinstance(module, QuantizedLayer)
        }

    @property
    def products(self) -> dict[str, QuantizedProduct]:
        """The products of two activations, by their name in the network."""
        return {
            name: module
            for name, module in self.model.named_modules()
            if isinstance(module, QuantizedProduct)
        }

    @property
    def corrected(self) -> bool:
        """Whether its layers carry a correction."""
        return any(layer.gain is not None for layer in self.layers.values())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalized images (n, 3, height, width) -> logits (n, classes)."""
        logits: torch.Tensor = self.model(x)
        return logits


@torch.no_grad()
def quantize(
    model: nn.Module,
    images: torch.Tensor,
    encoding: OperandEncoding,
    *,
    widths: Widths | Mapping[str, Widths] | None = None,
    per_channel: bool = True,
    rounding: Rounding | None = None,
    calibration: str = "mse",
    normalization: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    batch: int = 64,
) -> QuantizedNetwork:
    """A quantized copy of `model`, calibrated on `images` (n, 3, height, width), normalized.

    Args:
        widths: bits of the operand codes of activations and weights, by layer name, or for all;
            None: 8 bits each.
        per_channel: one weight scale per output channel instead of one per layer.
        rounding: learned integers of the weights, of scales per channel; None, and where it has
            none, takes the nearest.
        calibration: how activation ranges are chosen, one of :data:`CALIBRATIONS`.

    Raises:
        QuantizationError: no layer to quantize, weights or activations that are not finite, or an
            unknown calibration.
        cnn_eval.capture.CaptureError: the network multiplies where no multiplier can be put.
    """
    if calibration not in CALIBRATIONS:
        raise QuantizationError(
            f"unknown calibration {calibration!r}; known are {', '.join(CALIBRATIONS)}"
        )
    if len(images) == 0:
        raise QuantizationError("quantization needs calibration images, and got none")
    # A captured network may share weights with the one it was captured from.
    model = _copy(capture(_copy(model), images))
    ranges = _observe(model, images, batch)
    names = list(dict.fromkeys(name for name, _ in ranges))
    of_layer = (
        widths if isinstance(widths, Mapping) else dict.fromkeys(names, widths or Widths(8, 8))
    )
    if missing := [name for name in names if name not in of_layer]:
        raise QuantizationError(
            f"no operand widths for layer {missing[0]!r}; give them for every layer"
        )
    choose = CALIBRATIONS[calibration]
    for name in names:
        coding, scale = _activation_coding(encoding, of_layer[name], *ranges[name, 0], choose)
        if (name, 1) in ranges:
            second = _symmetric_scale(*ranges[name, 1], coding.weight_range[1], choose)
            model.set_submodule(name, QuantizedProduct(coding, scale, second))
        else:
            _replace(model, name, coding, scale, per_channel=per_channel, rounding=rounding)
    widest = Widths(max(a for a, _ in of_layer.values()), max(b for _, b in of_layer.values()))
    return QuantizedNetwork(model, encoding, widest, *normalization)


def quantize_as(
    model: nn.Module, profile: NetworkScales, rounding: Rounding | None = None
) -> QuantizedNetwork:
    """A quantized copy of `model` with the scales that `profile` was made with: no calibration
    images are needed.

    Args:
        rounding: the one that the profile was made with.

    Raises:
        QuantizationError: the layers are not the profile's, or the rounding is another one, or the
            network multiplies elsewhere than in plain layers: it has to be captured
            (:func:`cnn_eval.capture.capture`).
    """
    if profile.rounding_sha256 != ("" if rounding is None else rounding.sha256()):
        what = (
            "with learned weights"
            if profile.rounding_sha256
            else "with weights rounded to the nearest"
        )
        raise QuantizationError(
            f"the profile of {profile.network!r} was made {what}, and the rounding given is "
            "another; make both anew"
        )
    model = _copy(model)
    layers = _multiplying(model)
    for layer in profile.layers:
        if layer.name in layers and not is_plain(layers[layer.name]):
            raise QuantizationError(
                f"layer {layer.name!r} has a forward of its own; capture the network first"
            )
        if (
            layer.name not in layers
            or layers[layer.name].weight[0].numel() != layer.products_per_output
        ):
            raise QuantizationError(
                f"the profile of {profile.network!r} is of another network: layer {layer.name!r} "
                "does not fit"
            )
        _replace(
            model,
            layer.name,
            layer.coding,
            layer.activation_scale,
            per_channel=profile.per_channel,
            rounding=rounding,
        )
    return QuantizedNetwork(
        model, profile.encoding, Widths(profile.width_a, profile.width_b), profile.mean, profile.std
    )


def _copy(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).eval().float()


def _multiplying(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    if not layers:
        raise QuantizationError(
            f"{type(model).__name__} has no Conv2d and no Linear layer to quantize"
        )
    if "" in layers:
        raise QuantizationError(
            "a single layer is not a network; wrap it, as in nn.Sequential(layer)"
        )
    return layers


def _replace(
    model: nn.Module,
    name: str,
    coding: OperandCoding,
    scale: float,
    *,
    per_channel: bool,
    rounding: Rounding | None,
) -> None:
    source = model.get_submodule(name)
    assert isinstance(source, nn.Conv2d | nn.Linear)
    if not bool(torch.isfinite(source.weight).all()):
        raise QuantizationError(
            f"layer {name!r} has weights that are not finite; is the checkpoint damaged?"
        )
    parent, _, attribute = name.rpartition(".")
    differences = None if rounding is None else rounding.of(name, coding.weight_range[1])
    if differences is not None and differences.shape != source.weight.flatten(1).shape:
        raise _misfit(name)
    layer = QuantizedLayer(source, coding, scale, per_channel=per_channel, differences=differences)
    assert isinstance(layer.sums, ExactConvolution)
    if bool((layer.sums.weight.abs() > coding.weight_range[1]).any()):
        raise _misfit(name)
    setattr(model.get_submodule(parent), attribute, layer)


def _misfit(name: str) -> QuantizationError:
    return QuantizationError(
        f"the rounding does not fit layer {name!r}; make it anew with `dse profile`"
    )


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


#: An operand of a layer that multiplies: its name, and 0, or 1 for the second of a product.
_Operand: TypeAlias = tuple[str, int]


@contextmanager
def _watching(
    model: nn.Module, observe: Callable[[_Operand, torch.Tensor], None]
) -> Iterator[None]:
    """While open, `observe` gets the activations that every layer multiplies."""

    def see(name: str, args: tuple[torch.Tensor, ...]) -> None:
        for position, x in enumerate(args):
            observe((name, position), x)

    products = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, ActivationProduct)
    }
    handles = [
        module.register_forward_pre_hook(lambda _, args, name=name: see(name, args))
        for name, module in (_multiplying(model) | products).items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _observe(
    model: nn.Module, images: torch.Tensor, batch: int
) -> dict[_Operand, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """(histogram, bin edges) of the activations that every layer which the network uses multiplies,
    over all images.
    """
    extremes: dict[_Operand, tuple[float, float]] = {}
    histograms: dict[_Operand, NDArray[np.float64]] = {}

    def widen(operand: _Operand, x: torch.Tensor) -> None:
        low, high = (float(value) for value in x.aminmax())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise QuantizationError(
                f"layer {operand[0]!r} sees activations that are not finite; is the checkpoint "
                "damaged?"
            )
        known = extremes.get(operand, (0.0, 0.0))
        extremes[operand] = min(low, known[0]), max(high, known[1])

    def count(operand: _Operand, x: torch.Tensor) -> None:
        low, high = extremes[operand]
        found = torch.histc(x, _BINS, low, max(high, low + 1e-12)).double().numpy()
        histograms[operand] = histograms.get(operand, 0) + found

    for observe in (widen, count):
        with _watching(model, observe):
            for start in range(0, len(images), batch):
                model(images[start : start + batch])
    return {
        operand: (histograms[operand], np.linspace(*extremes[operand], _BINS + 1))
        for operand in extremes
    }


def _activation_coding(
    encoding: OperandEncoding,
    widths: Widths,
    histogram: NDArray[np.float64],
    edges: NDArray[np.float64],
    choose: Callable[[NDArray[np.float64], NDArray[np.float64], int], float],
) -> tuple[OperandCoding, float]:
    """Coding and scale of a layer's input from its histogram."""
    negative = bool(edges[0] < 0)
    centers = (edges[1:] + edges[:-1]) / 2
    levels = (1 << widths[0]) - 1
    if encoding is OperandEncoding.UNSIGNED and negative:
        # The affine range keeps the proportion of its two ends; both shrink together.
        magnitude = np.where(centers < 0, centers / edges[0], centers / max(edges[-1], 1e-12))
        kept = choose(np.abs(magnitude), histogram, levels // 2)
        low, high = edges[0] * kept, edges[-1] * kept
        scale = max((high - low) / levels, 1e-12)
        return OperandCoding(encoding, *widths, negative, zero_point=round(-low / scale)), scale
    coding = OperandCoding(encoding, *widths, negative)
    return coding, _symmetric_scale(histogram, edges, coding.activation_range[1], choose)


def _symmetric_scale(
    histogram: NDArray[np.float64],
    edges: NDArray[np.float64],
    steps: int,
    choose: Callable[[NDArray[np.float64], NDArray[np.float64], int], float],
) -> float:
    """Real value of the integer 1, so that magnitudes end at `steps`."""
    centers = (edges[1:] + edges[:-1]) / 2
    return max(choose(np.abs(centers), histogram, steps) / steps, 1e-12)


def _min_max(magnitudes: NDArray[np.float64], histogram: NDArray[np.float64], steps: int) -> float:
    return float(magnitudes.max())


def _percentile(
    magnitudes: NDArray[np.float64], histogram: NDArray[np.float64], steps: int
) -> float:
    order = np.argsort(magnitudes)
    share = np.cumsum(histogram[order]) / histogram.sum()
    return float(magnitudes[order][np.searchsorted(share, _PERCENTILE / 100)])


def _mean_square(
    magnitudes: NDArray[np.float64], histogram: NDArray[np.float64], steps: int
) -> float:
    """The clipping point of least mean squared error, among 1 to 100 % of the largest magnitude."""
    candidates = magnitudes.max() * np.arange(1, 101)[:, None] / 100
    scale = np.maximum(candidates, 1e-12) / steps
    rounded = np.minimum(np.round(magnitudes / scale), steps) * scale
    return float(candidates[np.argmin(((rounded - magnitudes) ** 2) @ histogram), 0])


#: How activation ranges are chosen: (magnitudes, their counts, integer steps) -> the magnitude that
#: becomes the largest integer.
CALIBRATIONS: Mapping[str, Callable[[NDArray[np.float64], NDArray[np.float64], int], float]] = {
    "mse": _mean_square,
    "percentile": _percentile,
    "min_max": _min_max,
}
