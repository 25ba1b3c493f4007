"""The files of the zoo, loaded and saved: weights, profiles and predictors. Only weights and
roundings need torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdl.files import Count, Figure, Name, Percent, check_regular, decode_json, words
from hdl.operands import OperandEncoding, Widths

from ..prediction.predictor import AccuracyPredictor
from ..prediction.profile import NetworkProfile
from .paths import (
    SHIPPED,
    ZooError,
    folders,
    predictor_path,
    predictor_suffix,
    profile_path,
    profile_widths,
    rounding_path,
    weights_path,
)
from .shapes import with_channels

if TYPE_CHECKING:
    from torch import nn

    from ..quantization.rounding import Rounding

__all__ = [
    "ModelCard",
    "load_card",
    "load_model",
    "load_predictor",
    "load_profile",
    "load_rounding",
    "save_model",
]

# A weight tensor stored as int8 has its scales, one per output channel, beside it.
_SCALE = ".scale"
_LIMIT_BYTES = 4 << 30
_MOST_PX = 4096


@dataclass(frozen=True)
class ModelCard:
    """What goes with weights.

    Attributes:
        network: name of the architecture, see :func:`cnn_eval.networks.build_network`.
        image_px: image size the network is built for.
        mean, std: per-channel normalization of images in [0, 1], one number a channel.
        data: what it was trained and measured on.
        float_top1_pct: accuracy of these weights over `test_images` images.
        recipe: how they were trained, for a reader.
    """

    network: Name
    classes: tuple[Name, ...]
    image_px: Count
    mean: tuple[Figure, ...]
    std: tuple[Figure, ...]
    data: Name
    float_top1_pct: Percent
    test_images: Count
    recipe: str


def load_profile(
    name: str,
    encoding: OperandEncoding,
    widths: Widths | None = None,
    *,
    corrected: bool = True,
    folder: Path | None = None,
) -> NetworkProfile:
    """The network's profile under an encoding, for operands of (width_a, width_b) bits; None takes
    the widest.

    Raises:
        ZooError: there is none; the message names what there is.
        cnn_eval.prediction.ProfileError: the file is damaged.
    """
    widths = widths or profile_widths(name, encoding, corrected=corrected, folder=folder)[0]
    path = profile_path(name, encoding, widths, corrected=corrected, folder=folder)
    profile = NetworkProfile.load(path)
    found = (profile.network, profile.encoding, profile.widths, profile.corrected)
    if found != (name, encoding, widths, corrected):
        what = (
            f"{words(profile.network)} under {profile.encoding}, "
            f"{profile.width_a}x{profile.width_b} bits"
        )
        raise ZooError(
            f"{str(path)!r} is of {what}, not what its name says; make it again with `dse profile`"
        )
    return with_channels(profile, SHIPPED / f"{name}.safetensors")


def load_rounding(name: str, *, folder: Path | None = None) -> Rounding | None:
    """The learned rounding of the network's weights, if there is one. Raises
    cnn_eval.quantization.RoundingError.
    """
    from ..quantization.rounding import Rounding

    path = rounding_path(name, folder=folder)
    return None if path is None else Rounding.load(path)


def load_predictor(
    name: str, encoding: OperandEncoding, *, corrected: bool = True, folder: Path | None = None
) -> AccuracyPredictor:
    """The network's accuracy predictor under an encoding; where there is none, one transferred from
    the other networks that have one.

    Raises:
        ZooError: there is none, and nothing to transfer from, or no profile; the message names what
            there is.
        cnn_eval.prediction.PredictorError: a file is damaged.
    """
    try:
        path = predictor_path(name, encoding, corrected=corrected, folder=folder)
    except ZooError:
        if len(others := _other_predictors(name, encoding, corrected, folder)) < 2:
            raise
        profile = load_profile(name, encoding, corrected=corrected, folder=folder)
        return AccuracyPredictor.transferred(
            others,
            network=name,
            encoding=str(encoding),
            corrected=corrected,
            data=profile.data,
            exact_top1_pct=profile.exact_top1_pct,
            chance_pct=profile.chance_pct,
        )
    return AccuracyPredictor.load(path)


def _other_predictors(
    name: str, encoding: OperandEncoding, corrected: bool, folder: Path | None
) -> list[AccuracyPredictor]:
    """The predictors of all other networks, in the order of their names; the user's own where the
    zoo that ships has one of that name.
    """
    suffix = f".{predictor_suffix(encoding, corrected=corrected)}"
    paths = {
        path.name.removesuffix(suffix): path
        for place in reversed(folders(folder))
        for path in place.glob(f"*{suffix}")
    }
    return [AccuracyPredictor.load(paths[other]) for other in sorted(paths) if other != name]


def load_model(name: str, *, folder: Path | None = None) -> tuple[nn.Module, ModelCard]:
    """The trained network in evaluation mode, and its card.

    Raises:
        ZooError: there are no such weights, or the file is damaged.
    """
    import torch

    from ..networks.architectures import build_network

    path = weights_path(name, folder=folder)
    with _weights_of(path, framework="pt") as file:
        card = _card(file.metadata() or {})
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    model = build_network(
        card.network,
        classes=len(card.classes),
        image_px=card.image_px,
        image_channels=len(card.mean),
    )
    state = {}
    for key, tensor in stored.items():
        if key.endswith(_SCALE):
            continue
        if tensor.dtype == torch.int8:
            scale = stored.get(key + _SCALE)
            if scale is None or tensor.ndim == 0 or scale.shape != tensor.shape[:1]:
                raise ZooError(
                    f"{str(path)!r}: {words(key)} has no scale for each of its channels; save the "
                    "weights again with `dse train`"
                )
            tensor = tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
        state[key] = tensor.float() if tensor.is_floating_point() else tensor
        if not bool(torch.isfinite(state[key]).all()):
            raise ZooError(
                f"{str(path)!r}: {words(key)} is not finite; is the file damaged? Train the "
                "network again"
            )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ZooError(
            f"{str(path)!r} does not fit the architecture {card.network!r}: {reason}"
        ) from error
    return model.eval(), card


def load_card(name: str, *, folder: Path | None = None) -> ModelCard:
    """The card of a trained network alone, without torch.

    Raises:
        ZooError: there are no such weights, or the file is damaged.
    """
    with _weights_of(weights_path(name, folder=folder), framework="numpy") as file:
        return _card(file.metadata() or {})


@contextmanager
def _weights_of(path: Path, framework: str) -> Iterator[Any]:
    """The open file of weights. Raises ZooError where it holds none, also while it is read."""
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path, limit_bytes=_LIMIT_BYTES)
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ZooError(
            f"{str(path)!r} does not hold weights as `dse train` saves them ({words(error)}); "
            "save them again"
        ) from error


def save_model(model: nn.Module, card: ModelCard, path: Path, *, eight_bits: bool = True) -> None:
    """Writes weights with their card: convolutions and linear layers as int8 with a scale per
    output channel, or as float32 like the rest.

    Eight bits per weight are what the quantized network multiplies with anyway (quantization finds
    the same integers again). What was trained for fewer bits is not safe with them: many weights
    come to lie where rounding is close to either side.
    """
    import torch
    from safetensors.torch import save_file

    tensors = {}
    for key, tensor in model.state_dict().items():
        tensors[key] = tensor.detach().clone().contiguous()
        if eight_bits and tensor.ndim > 1:
            scale = (
                tensor.flatten(1)
                .abs()
                .amax(1)
                .float()
                .clamp_min(torch.finfo(torch.float32).tiny * 127)
                / 127
            )
            tensors[key] = (
                (tensor / scale.view(-1, *[1] * (tensor.ndim - 1)))
                .round()
                .to(torch.int8)
                .contiguous()
            )
            tensors[key + _SCALE] = scale
    save_file(tensors, path, metadata={"card": json.dumps(asdict(card))})


def _card(metadata: dict[str, str]) -> ModelCard:
    card = decode_json(metadata["card"], ModelCard, "the card")
    if (
        not card.classes
        or len(card.mean) != len(card.std)
        or not card.mean
        or min(card.std) <= 0
        or not 1 <= card.image_px <= _MOST_PX
    ):
        raise ValueError(
            "the card has no classes, or no mean and positive std for each channel, or no size of "
            "images up to 4096"
        )
    return card
