"""Which images of a data set do what: those that judge never calibrate, correct or make
profiles.
"""

from __future__ import annotations

from dataclasses import dataclass

from .dataset import SMALL_PX, Dataset, DatasetError

__all__ = ["CALIBRATION_IMAGES", "CORRECTION_IMAGES", "ImageRoles"]

#: The last images of a data set choose the ranges of activations, round the weights and make
#: profiles: so many, or a quarter of a data set of fewer than 576.
CALIBRATION_IMAGES = 256
#: The images before them correct multipliers: so many, or an eighth of a smaller data set. Of
#: images of more than 64 pixels a side 64 do, whose many pixels tell as much.
CORRECTION_IMAGES = 512
_LEAST_CORRECTION_IMAGES = 64
_LEAST_IMAGES = 320


@dataclass(frozen=True)
class ImageRoles:
    """A data set, shared out. Labels of the correction are never looked at.

    Attributes:
        judging: accuracies are measured on these, the first ones.
        correction: scale and bias of layers are estimated on these
            (:mod:`cnn_eval.quantization.correction`).
        calibration: activation ranges, roundings and profiles come from these.
    """

    judging: Dataset
    correction: Dataset
    calibration: Dataset

    @classmethod
    def of(cls, data: Dataset) -> ImageRoles:
        """The roles of the images of `data`. Raises DatasetError for too few of them."""
        if len(data) < _LEAST_IMAGES:
            raise DatasetError(
                f"{data.name!r} has {len(data)} images; {_LEAST_IMAGES} or more are needed, a "
                f"quarter of them to calibrate and {_LEAST_CORRECTION_IMAGES} to correct"
            )
        calibrating, correcting = _shares(len(data))
        if max(data.images.shape[1:3]) > SMALL_PX:
            correcting = _LEAST_CORRECTION_IMAGES
        calibrated = len(data) - calibrating
        judging = calibrated - correcting
        return cls(
            data.head(judging), data.part(judging, calibrated), data.part(calibrated, len(data))
        )


def _shares(images: int) -> tuple[int, int]:
    """How many of so many images calibrate, and how many correct."""
    if images < 2 * CALIBRATION_IMAGES + _LEAST_CORRECTION_IMAGES:
        return images // 4, max(_LEAST_CORRECTION_IMAGES, images // 8)
    spare = images - 2 * CALIBRATION_IMAGES
    least = max(_LEAST_CORRECTION_IMAGES, min(images // 8, spare))
    return CALIBRATION_IMAGES, min(CORRECTION_IMAGES, least)
