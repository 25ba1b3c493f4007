"""Networks of the zoo, ready to run; torch is loaded when one is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.operands import OperandEncoding, Widths

from ..prediction.candidates import profiled_widths
from .files import load_model, load_profile, load_rounding
from .paths import ZooError

if TYPE_CHECKING:
    from ..datasets import ImageRoles
    from ..emulation.ground_truth import GroundTruth
    from ..networks.trained import TrainedNetwork
    from ..quantization.quantized_network import QuantizedNetwork

__all__ = ["ground_truth", "shipped_network", "zoo_network"]


def zoo_network(name: str, *, folder: Path | None = None) -> TrainedNetwork:
    """The network of that name in `folder`, in the zoo that ships or in a package.

    Raises:
        ZooError: there is none.
        cnn_eval.networks.PublishedNetworkError: its package is missing or damaged.
    """
    from ..networks.published import PACKAGED, packaged_network
    from ..networks.trained import TrainedNetwork, trained_network

    if name in PACKAGED:
        return trained_network(name, packaged_network(name))
    model, card = load_model(name, folder=folder)
    return TrainedNetwork(name, model, card.mean, card.std, card.image_px, card.classes)


def shipped_network(
    name: str,
    encoding: OperandEncoding,
    widths: Widths | None = None,
    *,
    corrected: bool = True,
    folder: Path | None = None,
) -> QuantizedNetwork:
    """The zoo's network, quantized as its profile for operands of (width_a, width_b) bits says;
    None takes the widest.

    Raises:
        ZooError: no weights or no profile of that name.
    """
    import torch

    from ..capture import capture
    from ..quantization.quantized_network import quantize_as

    model, card = load_model(name, folder=folder)
    profile = load_profile(name, encoding, widths, corrected=corrected, folder=folder)
    known = {layer for layer, _ in model.named_modules()}
    if any(layer.name not in known for layer in profile.layers):
        # Products of two activations are layers in the captured network only.
        model = capture(model, torch.rand(2, len(card.mean), card.image_px, card.image_px))
    return quantize_as(
        model, profile, load_rounding(name, folder=folder) if profile.rounding_sha256 else None
    )


def ground_truth(
    trained: TrainedNetwork,
    encoding: OperandEncoding,
    roles: ImageRoles,
    *,
    corrected: bool = True,
    folder: Path | None = None,
    nearest: bool = False,
) -> GroundTruth:
    """What measures a network in one number format with multipliers of any operand widths.

    Where there is a profile for the widths, the network is quantized as it says; elsewhere on the
    calibration images of `roles`. Weights are rounded as the network's profiles were made with;
    with `nearest` to the nearest integers, for weights that no rounding was learned for. Networks
    are corrected on the correction images.

    Raises:
        hdl.errors.InputError: the network does not take such images, or cannot be quantized; by
            the errors of `cnn_eval.networks`, `cnn_eval.capture` and `cnn_eval.quantization`.
    """
    from ..emulation.ground_truth import GroundTruth
    from ..quantization.quantized_network import quantize_as

    rounding = None if nearest else load_rounding(trained.name, folder=folder)
    trained = trained.captured(roles.calibration)

    def quantized(widths: Widths) -> QuantizedNetwork:
        try:
            profile = load_profile(
                trained.name, encoding, widths, corrected=corrected, folder=folder
            )
        except ZooError:
            return trained.quantized(roles.calibration, encoding, widths, rounding)
        if nearest:
            profile = replace(profile, rounding_sha256="")
        return quantize_as(trained.model, profile, rounding if profile.rounding_sha256 else None)

    return GroundTruth(
        quantized, profiled_widths(encoding)[0], roles.correction if corrected else None
    )
