"""Which images of a data set do what: those that judge never calibrate, correct or make
profiles.
"""

from __future__ import annotations

from dataclasses import dataclass

from .dataset import Dataset, DatasetError

__all__ = ["CALIBRATION_IMAGES", "CORRECTION_IMAGES", "ImageRoles"]

#: The last images of a data set choose the ranges of activations, round the weights and make
#: profiles.
CALIBRATION_IMAGES = 256
#: The images before them correct multipliers: so many, or an eighth of a smaller data set.
CORRECTION_IMAGES = 512
_LEAST_CORRECTION_IMAGES = 64


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
        spare = len(data) - 2 * CALIBRATION_IMAGES
        correcting = min(
            CORRECTION_IMAGES, max(_LEAST_CORRECTION_IMAGES, min(len(data) // 8, spare))
        )
        calibrating = len(data) - CALIBRATION_IMAGES
        judging = calibrating - correcting
        if judging < CALIBRATION_IMAGES:
            least = 2 * CALIBRATION_IMAGES + _LEAST_CORRECTION_IMAGES
            raise DatasetError(
                f"{data.name!r} has {len(data)} images; {least} or more are needed, "
                f"{CALIBRATION_IMAGES} of them to calibrate and "
                f"{correcting} to correct"
            )
        return cls(
            data.head(judging), data.part(judging, calibrating), data.part(calibrating, len(data))
        )
