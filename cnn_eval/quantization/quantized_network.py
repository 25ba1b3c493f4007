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

from hdl.errors import InputError
from hdl.operands import OperandEncoding, Widths

from ..capture.capturing import capture
from ..capture.multiplications import is_plain
from ..capture.product import ActivationProduct
from ..datasets import images_per_batch
from .activation_range import CALIBRATIONS, activation_coding, symmetric_scale
from .coding import OperandCoding
from .products import QuantizedProduct
from .quantized_layer import ExactConvolution, QuantizedLayer
from .rounding import Rounding
from .scales import NetworkScales

__all__ = [
    "QuantizationError",
    "QuantizedNetwork",
    "quantize",
    "quantize_as",
]

_BINS = 2048


class QuantizationError(InputError):
    """The network cannot be quantized."""


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
    def multiplications(self) -> dict[str, QuantizedLayer | QuantizedProduct]:
        """All that multiplies, by its name in the network, in the order of the network."""
        return {
            name: module
            for name, module in self.model.named_modules()
            if isinstance(module, QuantizedLayer | QuantizedProduct)
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
    ranges = _observe(model, images, images_per_batch(*images.shape[-2:]))
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
        coding, scale = activation_coding(encoding, of_layer[name], *ranges[name, 0], choose)
        if (name, 1) in ranges:
            second = symmetric_scale(*ranges[name, 1], coding.weight_range[1], choose)
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
    products = _products(model)
    for layer in profile.layers:
        if layer.name in products and layer.second_scale:
            product = QuantizedProduct(layer.coding, layer.activation_scale, layer.second_scale)
            model.set_submodule(layer.name, product)
            continue
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


def _products(model: nn.Module) -> dict[str, ActivationProduct]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, ActivationProduct)
    }


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

    handles = [
        module.register_forward_pre_hook(lambda _, args, name=name: see(name, args))
        for name, module in (_multiplying(model) | _products(model)).items()
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
