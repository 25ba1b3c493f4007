"""Networks with their weights, by what the user calls them: one of the zoo, or an own one.

An own network is a factory in a Python file, or one of torchvision's, and weights in a safetensors
file. The file is the user's own code and runs as such. Images are given to the network in [0, 1],
normalized by the network's attributes `mean` and `std` (one number a channel) where it has them;
image files are resized to its `image_px` by its `resampling`. Where its attribute `fold_batch_norm`
is True, weights contain the batch normalization behind them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from hdl.errors import InputError, MissingError
from hdl.operands import OperandEncoding, Widths

from ..capture.capturing import capture
from ..capture.multiplications import count_multiplications
from ..capture.tracing import BATCH
from ..datasets import RESAMPLING, Dataset, load_dataset, normalize, with_classes
from ..datasets.dataset import SMALL_PX
from ..onnx.file import OnnxError, read_onnx
from ..onnx.network import onnx_network
from ..quantization.folding import fold_batch_norm
from ..quantization.quantized_network import QuantizedNetwork, quantize
from ..quantization.rounding import Rounding
from .published import torchvision_factory

__all__ = [
    "MissingOwnNetworkError",
    "OwnNetworkError",
    "TrainedNetwork",
    "fault_of_user_code",
    "is_own_network",
    "load_own_network",
    "network_name",
    "trained_network",
]

_IMAGE_PX = 32
_ONNX = ".onnx"
_TORCHVISION = "torchvision:"


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
                f"network {self.name!r} does not take images of {shape} ({_words(error)})"
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


def is_own_network(reference: str) -> bool:
    """Whether `reference` names a factory in a file (`module.py:factory`), an ONNX file or one of
    torchvision's classifiers (`torchvision:resnet50`) rather than a network of the zoo.
    """
    return (
        reference.endswith((".py", _ONNX))
        or ".py:" in reference
        or reference.startswith(_TORCHVISION)
    )


def network_name(reference: str) -> str:
    """What files about the network are called by: the name of its file without suffix,
    `torchvision-` and the name there, or the name in the zoo.
    """
    if reference.startswith(_TORCHVISION):
        return reference.replace(":", "-")
    return Path(_file(reference)).stem if is_own_network(reference) else reference


def _file(reference: str) -> str:
    if reference.endswith(_ONNX):
        return reference
    return reference.rpartition(":")[0] or reference


def load_own_network(reference: str, weights: Path | None) -> TrainedNetwork:
    """The network that `module.py:factory` makes, or `torchvision:NAME`, with weights from a
    safetensors file, or the one of an ONNX file, which holds its weights.

    An ONNX file may say `mean` and `std` in its metadata, numbers separated by commas.

    Raises:
        MissingOwnNetworkError: no such file, or no weights are named.
        OwnNetworkError: no such factory, it fails, or weights that do not fit or are not finite.
        PublishedNetworkError: torchvision has no such network.
        cnn_eval.onnx.OnnxError: an ONNX file that cannot be used.
        cnn_eval.quantization.FoldingError: its batch normalization cannot be folded as it asks.
    """
    if reference.endswith(_ONNX):
        if weights is not None:
            raise OwnNetworkError(f"{reference!r} holds its weights; leave out --weights")
        return _load_onnx(reference)
    if weights is None:
        raise OwnNetworkError(
            f"{reference!r} needs weights; give them with --weights FILE.safetensors"
        )
    made = _call(reference, _factory(reference))
    if not isinstance(made, nn.Module):
        raise OwnNetworkError(
            f"{reference!r} made a {type(made).__name__}; it must return a torch.nn.Module"
        )
    found = trained_network(reference, made)
    _load_weights(reference, made, weights)
    return (
        replace(found, model=fold_batch_norm(made))
        if getattr(made, "fold_batch_norm", False) is True
        else found
    )


def trained_network(reference: str, model: nn.Module) -> TrainedNetwork:
    """A network that says by its attributes how it takes images. Raises OwnNetworkError for one
    that has no meaning.
    """
    mean, std = _normalization(reference, model)
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


def _load_onnx(reference: str) -> TrainedNetwork:
    graph = read_onnx(Path(reference))
    try:
        model = onnx_network(graph)
    except OnnxError as error:
        raise OnnxError(f"{reference!r}: {error}") from error

    class Noted:
        mean, std = (
            [part for part in graph.notes.get(name, "").split(",") if part.strip()]
            for name in ("mean", "std")
        )

    mean, std = _normalization(reference, Noted())
    image_px = max(side or 1 for side in graph.shape[2:])
    return TrainedNetwork(Path(reference).stem, model, mean, std, image_px)


def fault_of_user_code(error: BaseException) -> str | None:
    """What to say of an error that came from a file of the user's own network, wherever it was
    called; None where it did not.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in _files:
            return (
                f"{_files[frame.filename]!r} fails in line {frame.lineno} ({_words(error)}); "
                "run the network with python to see why"
            )
    return None


#: The user's own files that were loaded, as Python calls them -> as the user does.
_files: dict[str, str] = {}


def _factory(reference: str) -> Callable[[], object]:
    if reference.startswith(_TORCHVISION):
        return torchvision_factory(reference.removeprefix(_TORCHVISION))
    file, _, name = reference.rpartition(":")
    if not file.endswith(".py") or not name:
        raise OwnNetworkError(
            f"{reference!r}: name the function that makes the network too, as in module.py:factory"
        )
    path = Path(file)
    if not path.is_file():
        raise MissingOwnNetworkError(
            f"no file {str(path)!r}; --network module.py:factory names a Python file of yours"
        )
    found = getattr(_module(path), name, None)
    if not callable(found):
        raise OwnNetworkError(
            f"{str(path)!r} has no function or class {name!r}; check the name behind the colon"
        )
    factory: Callable[[], object] = found
    return factory


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As for a script: it may import its neighbours, and dataclasses in it find their module.
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules.setdefault(path.stem, module)
    _files[str(spec.origin)] = str(path)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise OwnNetworkError(
            f"{str(path)!r} cannot be loaded ({_words(error)}); run it with python to see where"
        ) from error
    finally:
        sys.path.pop(0)
        if sys.modules.get(path.stem) is module:
            del sys.modules[path.stem]
    return module


def _call(reference: str, factory: Callable[[], object]) -> object:
    try:
        return factory()
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise OwnNetworkError(
            f"{reference!r} fails when it is called without arguments ({_words(error)})"
        ) from error


def _normalization(reference: str, model: object) -> tuple[tuple[float, ...], tuple[float, ...]]:
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


def _load_weights(reference: str, model: nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise MissingOwnNetworkError(
            f"no weights at {str(path)!r}; save them with "
            "safetensors.torch.save_file(model.state_dict(), path)"
        )
    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise OwnNetworkError(
            f"{str(path)!r} is not a safetensors file ({_words(error)}); save the state dict as one"
        ) from error
    damaged = [
        name
        for name, tensor in state.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if damaged:
        raise OwnNetworkError(
            f"{str(path)!r}: {damaged[0]!r} is not finite in {len(damaged)} of {len(state)} "
            "tensors; is the checkpoint damaged?"
        )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise OwnNetworkError(
            f"{str(path)!r} does not fit {reference!r}: {_words(error)}"
        ) from error


def _words(error: BaseException) -> str:
    """What an error says, in one line of bearable length."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:240]
