"""Which images do what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cnn_eval.datasets.dataset import Dataset, DatasetError
from cnn_eval.datasets.roles import ImageRoles


def numbered(count: int) -> Dataset:
    """Images that know their place."""
    places = np.arange(count)
    images = (
        np.stack([places & 255, places >> 8 & 255, places >> 16], axis=1)
        .astype(np.uint8)
        .reshape(count, 1, 1, 3)
    )
    return Dataset("numbers", images, places % 2, ("even", "odd"))


@pytest.mark.parametrize(
    ("count", "judging", "correction", "calibration"),
    [
        (320, 176, 64, 80),
        (500, 311, 64, 125),
        (575, 361, 71, 143),
        (576, 256, 64, 256),
        (577, 256, 65, 256),
        (2000, 1494, 250, 256),
        (4096, 3328, 512, 256),
        (10_000, 9232, 512, 256),
    ],
)
def test_every_image_has_one_role(
    count: int, judging: int, correction: int, calibration: int
) -> None:
    data = numbered(count)
    roles = ImageRoles.of(data)
    assert (len(roles.judging), len(roles.correction), len(roles.calibration)) == (
        judging,
        correction,
        calibration,
    )
    parts = (roles.judging, roles.correction, roles.calibration)
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), data.images)
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), data.labels)
    assert {(part.name, part.classes) for part in parts} == {("numbers", ("even", "odd"))}


def test_few_large_images_correct() -> None:
    """Their activations are held in memory all at once."""
    data = numbered(2000)
    wide = replace(data, images=np.zeros((2000, 1, 65, 3), np.uint8))
    roles = ImageRoles.of(wide)
    assert (len(roles.judging), len(roles.correction), len(roles.calibration)) == (1680, 64, 256)


@pytest.mark.parametrize("count", [0, 64, 319])
def test_too_few(count: int) -> None:
    message = (
        f"'numbers' has {count} images; 320 or more are needed, a quarter of them to calibrate "
        "and 64 to correct"
    )
    with pytest.raises(DatasetError, match=message):
        ImageRoles.of(numbered(count))
