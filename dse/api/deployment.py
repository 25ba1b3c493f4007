"""A corrected network as files, for who deploys it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .accuracy import read_network
from .emulating import InLayers, encoding_of
from .reading import Multiplier, designs

if TYPE_CHECKING:
    from cnn_eval.deployment import Deployment

    from ..search import Assignment

__all__ = ["correct"]


def correct(
    design: Multiplier | Assignment | str,
    *,
    network: str,
    data: Path | str,
    encoding: str = "",
    weights: Path | str | None = None,
    labels: Path | str | None = None,
    image_px: int = 0,
    zoo: Path | str | None = None,
) -> Deployment:
    """Corrects a network for a multiplier, or for those of an assignment: integer weights, scales
    and biases, product tables and the other operations, to be saved.

    Args:
        network: of the zoo, or your own, `module.py:factory`, with its `weights`.
        data: images, as `cnn_eval.datasets.load_dataset` takes them; the last 256 calibrate what
            has no profile, and those before them correct.
        encoding: number format; the one that fits the multiplier's signedness where none is named.
        labels: a file with the names of the network's classes, one a line.
        image_px: size that image files are resized to; 0: the network's.
        zoo: folder that networks and their profiles are looked for in first.

    Raises:
        InputError: one of the arguments cannot be used, they do not fit each other, or the network
            has operations that a bundle has no word for.
    """
    from cnn_eval.datasets import ImageRoles
    from cnn_eval.deployment import deployment, read_graph
    from cnn_eval.prediction import profiled_widths
    from cnn_eval.zoo import ground_truth

    design = designs([design])[0] if isinstance(design, str) else design
    number_format = encoding_of(design, encoding)
    folder, own, names = (None if path is None else Path(path) for path in (zoo, weights, labels))
    trained = read_network(network, own, folder, names)
    roles = ImageRoles.of(trained.images(Path(data), image_px))
    truth = ground_truth(trained, number_format, roles, folder=folder)
    subject = InLayers.of(design, truth, profiled_widths(number_format)[0], trained.name)
    quantized = truth.quantized(subject.widths)
    read_graph(quantized)  # before the correction, which takes its time
    correction = truth.correction(subject.multipliers)
    assert correction is not None
    return deployment(quantized, subject.multipliers, correction, trained.name)
