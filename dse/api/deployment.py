"""A corrected network as files, for who deploys it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .accuracy import read_network
from .formats import fitting_encoding
from .reading import Multiplier, multiplier

if TYPE_CHECKING:
    from cnn_eval.deployment import Deployment

__all__ = ["correct"]


def correct(
    design: Multiplier | str,
    *,
    network: str,
    data: Path | str,
    encoding: str = "",
    weights: Path | str | None = None,
    image_px: int = 0,
    zoo: Path | str | None = None,
) -> Deployment:
    """Corrects a network for a multiplier: integer weights, scales and biases, the product table
    and the other operations, to be saved.

    Args:
        network: of the zoo, or your own, `module.py:factory`, with its `weights`.
        data: images, as `cnn_eval.datasets.load_dataset` takes them; the last 256 calibrate what
            has no profile, and those before them correct.
        encoding: number format; the one that fits the multiplier's signedness where none is named.
        image_px: size that image folders are read at; 0: the network's.
        zoo: folder that networks and their profiles are looked for in first.

    Raises:
        InputError: one of the arguments cannot be used, they do not fit each other, or the network
            has operations that a bundle has no word for.
    """
    from cnn_eval.datasets import ImageRoles, load_dataset
    from cnn_eval.deployment import deployment
    from cnn_eval.prediction import profiled_widths
    from cnn_eval.zoo import ground_truth

    design = multiplier(design) if isinstance(design, str) else design
    number_format = fitting_encoding(encoding, signed=design.signed)
    folder, own = (None if path is None else Path(path) for path in (zoo, weights))
    trained = read_network(network, own, folder)
    table = design.table().within(profiled_widths(number_format)[0])
    roles = ImageRoles.of(load_dataset(Path(data), image_px=image_px or trained.image_px))
    truth = ground_truth(trained, number_format, roles, folder=folder)
    correction = truth.correction(table)
    assert correction is not None
    return deployment(truth.quantized(table.widths), table, correction, trained.name)
