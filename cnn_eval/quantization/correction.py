"""Correction: what an approximate multiplier does to the mean and the gain of every channel is
taken out again, for nothing.

Every layer that multiplies ends in a scale and a bias for each output channel, in hardware too.
With the multiplier in place both are estimated anew, layer by layer, so that the errors of a layer
are corrected under those that are left of the layers before it. No labels, no gradients, no
hardware.

* Where batch normalization follows, the channel's mean and variance over the images are brought
  back to what the normalization expects; where the images are few, to what they are in the exact
  network on the same images. For few-bit weights: X. He, J. Cheng, "Learning
  Compression from Limited Unlabeled Data", ECCV 2018.
* The last layer gets its mean logits back from the exact network.
* Elsewhere scale and bias are those of least squared error against the exact network's layer. As
  control variates for approximate multipliers: Zervakis et al., arXiv 2102.09642 (2021).
* A product of two activations has no channels of its own: one scale and one bias serve all of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hdl.errors import InputError

from .correction_limits import MOST_GAIN
from .products import QuantizedProduct
from .quantized_layer import QuantizedLayer
from .quantized_network import QuantizedNetwork

__all__ = ["Correction", "CorrectionError", "Reference", "corrected", "derive_correction"]

# Outputs of a layer are taken to float64 in parts of so many, 2 MiB: they stay in a core's cache.
_PART = 1 << 18
_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


class CorrectionError(InputError):
    """The correction does not fit the network."""


@dataclass(frozen=True, eq=False)
class Correction:
    """What a layer's output is multiplied by, and what is added to it then.

    Attributes:
        gains, offsets: by layer name, (output channels,), of a product of two activations (1,),
            float32. The offset is in the unit of the layer's output.
    """

    gains: Mapping[str, NDArray[np.float32]]
    offsets: Mapping[str, NDArray[np.float32]]

    @classmethod
    def none(cls, network: QuantizedNetwork) -> Correction:
        """The one that leaves a network as it is."""
        channels = {name: _channels(layer) for name, layer in network.multiplications.items()}
        return cls(
            {name: np.ones(count, np.float32) for name, count in channels.items()},
            {name: np.zeros(count, np.float32) for name, count in channels.items()},
        )


@dataclass(frozen=True, eq=False)
class Reference:
    """What the layers of other networks are brought back to: the outputs of the corrected network
    with exact products, over the images that corrections are derived from.

    Attributes:
        outputs: of layers that are followed value by value, (n, channels, ...), by their names.
        moments: mean and variance of every channel, float64, of those and of all others that are
            followed.
    """

    outputs: Mapping[str, torch.Tensor]
    moments: Mapping[str, tuple[torch.Tensor, torch.Tensor]]

    @property
    def size_bytes(self) -> int:
        """Memory that the outputs take."""
        return sum(output.nbytes for output in self.outputs.values())

    @classmethod
    @torch.inference_mode()
    def of(cls, exact: QuantizedNetwork, images: torch.Tensor, *, few: bool = False) -> Reference:
        """The reference that a network with exact products makes of normalized images (n, channels,
        height, width).

        Args:
            few: whether the images are too few to estimate what a normalization has stored of all
                images. What is in front of one then follows the reference, too.
        """
        images = images.contiguous(memory_format=torch.channels_last)
        normalizations = _normalizations(exact, images[:2])
        layers, last = exact.multiplications, list(exact.layers)[-1]
        outputs: dict[str, torch.Tensor] = {}
        moments: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

        def keep(name: str, output: torch.Tensor) -> None:
            by_channel = _channels_first(layers[name], output)
            if few or name not in normalizations:
                moments[name] = _moments(by_channel)
            if name not in normalizations and name != last:
                outputs[name] = by_channel.clone()

        with _hooked(exact, keep):
            exact(images)
        return cls(outputs, moments)


def corrected(network: QuantizedNetwork, correction: Correction) -> QuantizedNetwork:
    """A copy of `network`, exact or emulated, whose layers are corrected.

    Raises:
        CorrectionError: layers or channels are not the network's.
    """
    found = copy.deepcopy(network)
    layers = found.multiplications
    if strange := sorted(
        (set(correction.gains) ^ set(layers)) | (set(correction.offsets) ^ set(layers))
    ):
        raise CorrectionError(
            f"the correction is of another network: layer {strange[0]!r} is not in both; derive it "
            "anew"
        )
    for name, layer in layers.items():
        gain, offset = (
            torch.from_numpy(values[name]) for values in (correction.gains, correction.offsets)
        )
        for values in (gain, offset):
            if values.shape != (_channels(layer),):
                raise CorrectionError(
                    f"the correction of layer {name!r} has {len(values)} channels, not "
                    f"{_channels(layer)}; derive it anew"
                )
        layer.gain, layer.offset = gain, offset
    return found


@torch.inference_mode()
def derive_correction(
    network: QuantizedNetwork,
    images: torch.Tensor,
    reference: Reference | None = None,
) -> Correction:
    """The correction of `network`, over normalized images (n, channels, height, width) that nothing
    is known of.

    Args:
        network: with the multiplier in place, not corrected.
        reference: what the last layer and layers without batch normalization follow, of the same
            images; None where `network` is the one with exact products itself: only the statistics
            of its normalizations are estimated anew.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    normalizations = _normalizations(network, images[:2])
    layers, last = network.multiplications, list(network.layers)[-1]
    expected = {
        name: (norm.running_mean.double(), norm.running_var.double())
        for name, norm in normalizations.items()
        if norm.running_mean is not None and norm.running_var is not None
    }
    if reference is not None:
        expected |= reference.moments
    gains: dict[str, NDArray[np.float32]] = {}
    offsets: dict[str, NDArray[np.float32]] = {}

    def correct(name: str, output: torch.Tensor) -> torch.Tensor:
        by_channel = _channels_first(layers[name], output)
        if name in normalizations:
            gain, offset = _with_moments(by_channel, *expected[name], normalizations[name].eps)
        elif reference is not None:
            followed = None if name == last else reference.outputs[name]
            gain, offset = _as_exact(by_channel, expected[name][0], followed)
        else:
            gain, offset = torch.ones(by_channel.shape[1]), torch.zeros(by_channel.shape[1])
        gains[name], offsets[name] = gain.numpy(), offset.numpy()
        shape = (-1, 1, 1) if _channels_second(layers[name]) else (-1,)
        # In place: of all images together, outputs of a layer are large.
        return output.mul_(gain.view(shape)).add_(offset.view(shape))

    with _hooked(network, correct):
        network(images)
    return Correction(gains, offsets)


def _with_moments(
    output: torch.Tensor, wanted_mean: torch.Tensor, wanted_variance: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and offset that give every channel a mean and a variance, float64; `eps` is added to
    variances, as the normalization does.
    """
    mean, variance = _moments(output)
    gain = ((wanted_variance + eps) / (variance + eps)).sqrt().clamp_max(MOST_GAIN)
    return gain.float(), (wanted_mean - gain * mean).float()


def _as_exact(
    output: torch.Tensor, wanted_mean: torch.Tensor, exact: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and offset of least squared error against the exact output; the offset alone, that gives
    back its mean, where there is none.
    """
    mean, variance = _moments(output)
    gain = torch.ones_like(mean)
    if exact is not None:
        covariance = _mean(lambda x, y: (x - mean) * (y - wanted_mean), output, exact)
        gain = torch.where(variance > 0, covariance / variance.clamp_min(1e-30), gain).clamp(
            0, MOST_GAIN
        )
    return gain.float(), (wanted_mean - gain * mean).float()


def _moments(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance over everything but the channels, float64, (channels,)."""
    mean = _mean(lambda x: x, values)
    return mean, _mean(lambda x: (x - mean).square(), values)


def _mean(work: Callable[..., torch.Tensor], *values: torch.Tensor) -> torch.Tensor:
    """Mean of `work` of values (n, channels, ...) over everything but the channels, float64,
    (channels,); part by part.
    """
    # Channels last is how most outputs lie in memory.
    rows = [one.movedim(1, -1).reshape(-1, one.shape[1]) for one in values]
    count, channels = rows[0].shape
    total = torch.zeros(channels, dtype=torch.float64, device=rows[0].device)
    for parts in zip(*(torch.split(one, max(1, _PART // channels)) for one in rows), strict=True):
        total += work(*(part.double() for part in parts)).sum(0)
    return total / count


def _channels(layer: QuantizedLayer | QuantizedProduct) -> int:
    """How many scales and biases the output has."""
    return 1 if isinstance(layer, QuantizedProduct) else len(layer.weight_scale)


def _channels_second(layer: QuantizedLayer | QuantizedProduct) -> bool:
    """Whether the output is (n, channels, height, width)."""
    return isinstance(layer, QuantizedLayer) and not layer.linear


def _channels_first(layer: QuantizedLayer | QuantizedProduct, output: torch.Tensor) -> torch.Tensor:
    """(n, channels, ...), which linear layers on many inputs an image have last."""
    if isinstance(layer, QuantizedProduct):
        return output.reshape(len(output), 1, -1)
    return output.movedim(-1, 1) if layer.linear else output


def _normalizations(
    network: QuantizedNetwork, images: torch.Tensor
) -> dict[str, nn.BatchNorm1d | nn.BatchNorm2d]:
    """The batch normalization that takes each layer's output as it is, by the layer's name; layers
    without one are missing.
    """
    outputs: dict[
        int, tuple[str, torch.Tensor]
    ] = {}  # the tensor beside its address: alive, the address stays its own
    found: dict[str, nn.BatchNorm1d | nn.BatchNorm2d] = {}

    def meet(norm: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        if (
            id(args[0]) in outputs
            and isinstance(norm, _NORMALIZATIONS)
            and norm.running_mean is not None
        ):
            found[outputs[id(args[0])][0]] = norm

    def remember(name: str, output: torch.Tensor) -> None:
        outputs[id(output)] = name, output

    handles = [
        module.register_forward_pre_hook(meet)
        for module in network.model.modules()
        if isinstance(module, _NORMALIZATIONS)
    ]
    try:
        with _hooked(network, remember):
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


@contextmanager
def _hooked(
    network: QuantizedNetwork, act: Callable[[str, torch.Tensor], torch.Tensor | None]
) -> Iterator[None]:
    """While open, `act` gets every layer's output, and may replace it."""

    def hook(
        name: str, layer: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> torch.Tensor | None:
        return act(name, output)

    handles = [
        layer.register_forward_hook(partial(hook, name))
        for name, layer in network.multiplications.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
