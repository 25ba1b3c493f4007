"""Networks with their weights, and how they take images."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from hdl.errors import InputError, MissingError
from hdl.operands import OperandEncoding, Widths

from ..capture.capturing import capture
from ..capture.multiplications import count_multiplications
from ..capture.tracing import BATCH
from ..datasets import RESAMPLING, Dataset, load_dataset, normalize, with_classes
from ..datasets.dataset import SMALL_PX
from ..quantization.quantized_network import QuantizedNetwork, quantize
from ..quantization.rounding import Rounding
from .references import network_name

__all__ = [
    "MissingOwnNetworkError",
    "OwnNetworkError",
    "TrainedNetwork",
    "described",
    "normalization_of",
    "trained_network",
]

_IMAGE_PX = 32


class OwnNetworkError(InputError):
    """The user's network cannot be used."""


class MissingOwnNetworkError(OwnNetworkError, MissingError):
    """The user's network or its weights are not where they were said to be."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network with its weights, in evaluation mode.

    Attributes:
        name: in the zoo, or of the file without suffix; files about the network are called by it.
        mean, std: per-channel normalization of images in [0, 1]; empty for none.
        image_px: size at which images of any size are given to it.
        classes: their names; empty where the network does not tell.
        resampling: how images are resized for it, one of :data:`cnn_eval.datasets.RESAMPLING`.
    """

    name: str
    model: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_px: int
    classes: tuple[str, ...] = ()
    resampling: str = "bilinear"

    def images(self, path: Path, image_px: int = 0) -> Dataset:
        """The labelled images at `path` as the network takes them: of its size, or of `image_px`,
        and with labels in the order of its classes.

        Raises:
            OwnNetworkError: the images have one size, and it is too small.
            cnn_eval.datasets.DatasetError: there are none, or they are of other classes.
        """
        image_px = image_px or self.image_px
        data = load_dataset(path, image_px=image_px, resampling=self.resampling)
        height, width = data.images.shape[1:3]
        if min(height, width) < image_px and image_px > SMALL_PX:
            raise OwnNetworkError(
                f"network {self.name!r} takes images of {image_px} x {image_px}, and those of "
                f"{data.name!r} have {height} x {width}; give an image folder or packed JPEG, "
                "which are resized"
            )
        return with_classes(data, self.classes) if self.classes else data

    def sha256(self) -> str:
        """Hash of the names and values of all weights."""
        digest = hashlib.sha256()
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def quantized(
        self,
        calibration: Dataset,
        encoding: OperandEncoding,
        widths: Widths | None = None,
        rounding: Rounding | None = None,
    ) -> QuantizedNetwork:
        """The network on integers, calibrated on images of the data it is going to see.

        Args:
            widths: bits of the operand codes of activations and weights; None: 8 bits each.
            rounding: learned integers of the weights.

        Raises:
            OwnNetworkError: it does not take such images, or tells other classes apart.
            cnn_eval.datasets.DatasetError: the images have other channels than its normalization.
            cnn_eval.capture.CaptureError, cnn_eval.quantization.QuantizationError: it multiplies
                where no multiplier can be put, it has nothing to quantize, or activations are not
                finite.
        """
        mean, std = self.normalization(calibration)
        images = normalize(calibration.images, mean, std)
        self._check(images, calibration)
        return quantize(
            self.model,
            images,
            encoding,
            widths=widths,
            rounding=rounding,
            normalization=(mean, std),
        )

    def captured(self, data: Dataset) -> TrainedNetwork:
        """The network with all its multiplications in layers that can be quantized; itself where it
        is such.

        A few images of `data` are run, so that what cannot be used is known before anything takes
        long.

        Raises:
            OwnNetworkError, cnn_eval.datasets.DatasetError: as :meth:`quantized`.
            cnn_eval.capture.CaptureError: it multiplies where no multiplier can be put; the message
                names the layer.
        """
        images = normalize(data.head(BATCH).images, *self.normalization(data))
        self._check(images, data)
        return replace(self, model=capture(self.model, images))

    def layer_macs(self, data: Dataset) -> dict[str, int]:
        """Multiply-accumulates for one image of `data`, by layer, in the order of computation."""
        images = normalize(data.head(1).images, *self.normalization(data))
        found: dict[str, int] = {}
        for one in count_multiplications(self.model, images):
            found[one.layer] = found.get(one.layer, 0) + one.macs
        return found

    def normalization(self, data: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of the channels that images of `data` are given with."""
        if self.mean:
            return self.mean, self.std
        return (0.0,) * data.channels, (1.0,) * data.channels

    def _check(self, images: torch.Tensor, data: Dataset) -> None:
        """Whether the network takes normalized images of `data`, and tells its classes apart."""
        try:
            with torch.inference_mode():
                logits = self.model(images[:1])
        except RuntimeError as error:
            shape = "x".join(map(str, images.shape[1:]))
            raise OwnNetworkError(
                f"network {self.name!r} does not take images of {shape} ({described(error)})"
            ) from error
        if not isinstance(logits, torch.Tensor) or logits.shape != (1, len(data.classes)):
            found = (
                f"shape {tuple(logits.shape)}"
                if isinstance(logits, torch.Tensor)
                else type(logits).__name__
            )
            raise OwnNetworkError(
                f"network {self.name!r} makes of one image {found}; for the classes of "
                f"{data.name!r} it has to be {(1, len(data.classes))}; give images of all its "
                "classes, or the names of its classes with --labels"
            )


def trained_network(reference: str, model: nn.Module) -> TrainedNetwork:
    """A network that says by its attributes how it takes images. Raises OwnNetworkError for one
    that has no meaning.
    """
    mean, std = normalization_of(reference, model)
    image_px = getattr(model, "image_px", _IMAGE_PX)
    if not isinstance(image_px, int) or image_px < 1:
        raise OwnNetworkError(
            f"{reference!r}: its image_px is {image_px!r}; it must be a number of pixels"
        )
    resampling = getattr(model, "resampling", "bilinear")
    if resampling not in RESAMPLING:
        raise OwnNetworkError(
            f"{reference!r}: its resampling is {resampling!r}; known are {', '.join(RESAMPLING)}"
        )
    return TrainedNetwork(
        network_name(reference), model.eval(), mean, std, image_px, resampling=resampling
    )


def normalization_of(reference: str, model: object) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The network's `mean` and `std`; both empty if it has neither."""
    found = []
    for name in ("mean", "std"):
        try:
            values = tuple(float(value) for value in getattr(model, name, ()))
        except (TypeError, ValueError):
            values = (float("nan"),)
        if not all(map(math.isfinite, values)):
            raise OwnNetworkError(
                f"{reference!r}: its {name} is not a list of numbers, one per channel of images in "
                "[0, 1]"
            )
        found.append(values)
    mean, std = found
    if len(mean) != len(std):
        raise OwnNetworkError(
            f"{reference!r}: mean is {mean} and std {std}; both need one number per channel of "
            "images in [0, 1]"
        )
    if any(value <= 0 for value in std):
        raise OwnNetworkError(f"{reference!r}: std is {std}; it must be positive")
    return mean, std


def described(error: BaseException) -> str:
    """What an error says, in one line of bearable length."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:240]
