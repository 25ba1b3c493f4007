"""Networks of the user's own, with their weights.

An own network is a factory in a Python file, or one of torchvision's, and weights in a safetensors
file. The file is the user's own code and runs as such. Images are given to the network in [0, 1],
normalized by the network's attributes `mean` and `std` (one number a channel) where it has them;
image files are resized to its `image_px` by its `resampling`. Where its attribute `fold_batch_norm`
is True, weights contain the batch normalization behind them.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from ..onnx.file import OnnxError, read_onnx
from ..onnx.network import onnx_network
from ..quantization.folding import fold_batch_norm
from .published import torchvision_factory
from .references import ONNX, TORCHVISION
from .trained import (
    MissingOwnNetworkError,
    OwnNetworkError,
    TrainedNetwork,
    described,
    normalization_of,
    trained_network,
)

__all__ = ["fault_of_user_code", "load_own_network"]


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
    if reference.endswith(ONNX):
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

    mean, std = normalization_of(reference, Noted())
    image_px = max(side or 1 for side in graph.shape[2:])
    return TrainedNetwork(Path(reference).stem, model, mean, std, image_px)


def fault_of_user_code(error: BaseException) -> str | None:
    """What to say of an error that came from a file of the user's own network, wherever it was
    called; None where it did not.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in _files:
            return (
                f"{_files[frame.filename]!r} fails in line {frame.lineno} ({described(error)}); "
                "run the network with python to see why"
            )
    return None


#: The user's own files that were loaded, as Python calls them -> as the user does.
_files: dict[str, str] = {}


def _factory(reference: str) -> Callable[[], object]:
    if reference.startswith(TORCHVISION):
        return torchvision_factory(reference.removeprefix(TORCHVISION))
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
            f"{str(path)!r} cannot be loaded ({described(error)}); run it with python to see where"
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
            f"{reference!r} fails when it is called without arguments ({described(error)})"
        ) from error


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
            f"{str(path)!r} is not a safetensors file ({described(error)}); save the state dict as "
            "one"
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
            f"{str(path)!r} does not fit {reference!r}: {described(error)}"
        ) from error
