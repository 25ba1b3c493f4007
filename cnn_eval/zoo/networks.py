"""Networks of the zoo, ready to run; torch is loaded when one is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hdl.operands import OperandEncoding

from .files import load_model, load_profile

if TYPE_CHECKING:
    from ..networks.own import TrainedNetwork
    from ..quantization.quantized_network import QuantizedNetwork

__all__ = ["shipped_network", "zoo_network"]


def zoo_network(name: str, *, folder: Path | None = None) -> TrainedNetwork:
    """The network of that name in `folder` or in the zoo that ships. Raises ZooError."""
    from ..networks.own import TrainedNetwork

    model, card = load_model(name, folder=folder)
    return TrainedNetwork(name, model, card.mean, card.std, card.image_px, card.classes)


def shipped_network(name: str, encoding: OperandEncoding, *, folder: Path | None = None) -> QuantizedNetwork:
    """The zoo's network, quantized as its profile says.

    Raises:
        ZooError: no weights or no profile of that name.
    """
    from ..quantization.quantized_network import quantize_as

    model, _ = load_model(name, folder=folder)
    return quantize_as(model, load_profile(name, encoding, folder=folder))
