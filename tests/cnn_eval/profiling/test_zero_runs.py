"""Zeros after zeros, against counting pair by pair."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cnn_eval.profiling.zero_runs import ZeroRuns
from cnn_eval.quantization.coding import OperandCoding
from cnn_eval.quantization.geometry import Geometry
from hdl.operands import OperandEncoding

ENCODINGS = {
    OperandCoding(OperandEncoding.SIGN_MAGNITUDE, 3, 3, negative=True): 7,
    OperandCoding(OperandEncoding.TWOS_COMPLEMENT, 3, 3, negative=False): 0,
    OperandCoding(OperandEncoding.UNSIGNED, 3, 3, negative=True, zero_point=2): 0,
}


def counted(
    zeros: list[list[list[bool]]],
) -> tuple[float, float]:
    """Of the zeros [pixel][group][term] of one image."""
    terms = [pair for pixel in zeros for group in pixel for pair in pairwise(group)]
    pixels = [
        pair
        for one, other in pairwise(zeros)
        for groups in zip(one, other, strict=True)
        for pair in zip(*groups, strict=True)
    ]
    along = [[after for before, after in pairs if before] for pairs in (terms, pixels)]
    return sum(along[0]) / len(along[0]), sum(along[1]) / len(along[1])


@pytest.mark.parametrize("coding", ENCODINGS, ids=lambda coding: str(coding.encoding))
@pytest.mark.parametrize(
    "geometry",
    [
        Geometry((3, 3)),
        Geometry((3, 2), stride=(2, 1), groups=2),
        Geometry((2, 2), dilation=(2, 1), groups=4),
    ],
    ids=lambda geometry: f"{geometry.kernel}, {geometry.groups} groups",
)
def test_pairs_are_those_that_one_counts(coding: OperandCoding, geometry: Geometry) -> None:
    values = len(coding.activation_values)
    image = np.random.default_rng(0).integers(0, values, (7, 6, 4)).astype(np.uint8)
    # Half of the codes are zeros.
    image[np.random.default_rng(1).random(image.shape) < 0.5] = ENCODINGS[coding]
    (height, width), (stride_y, stride_x) = geometry.output_size(7, 6), geometry.stride
    channels = 4 // geometry.groups
    zeros = [
        [
            [
                bool(
                    image[
                        y * stride_y + i * geometry.dilation[0],
                        x * stride_x + j * geometry.dilation[1],
                        group * channels + channel,
                    ]
                    == ENCODINGS[coding]
                )
                for i in range(geometry.kernel[0])
                for j in range(geometry.kernel[1])
                for channel in range(channels)
            ]
            for group in range(geometry.groups)
        ]
        for y in range(height)
        for x in range(width)
    ]
    runs = ZeroRuns()
    runs.add(image[None], coding, geometry)
    assert runs.probabilities == pytest.approx(counted(zeros))


def test_no_pair_is_of_two_images() -> None:
    """One image of zeros and one without any: where one zero is, all are."""
    coding = OperandCoding(OperandEncoding.SIGN_MAGNITUDE, 3, 3, negative=False)
    images = np.stack([np.zeros((4, 4, 2), np.uint8), np.full((4, 4, 2), 3, np.uint8)])
    runs = ZeroRuns()
    runs.add(images, coding, Geometry((1, 1)))
    assert runs.probabilities == (1, 1)


def test_without_pairs_it_is_the_share_of_zeros() -> None:
    """A linear layer has one pixel; of one term, it has no pairs at all."""
    coding = OperandCoding(OperandEncoding.SIGN_MAGNITUDE, 3, 3, negative=False)
    runs = ZeroRuns()
    runs.add(np.array([0, 0, 5, 0], np.uint8).reshape(1, 1, 1, 4), coding, Geometry((1, 1)))
    assert runs.probabilities == (0.5, 0.75)
    runs = ZeroRuns()
    runs.add(np.array([0, 3, 5, 0], np.uint8).reshape(4, 1, 1, 1), coding, Geometry((1, 1)))
    assert runs.probabilities == (0.5, 0.5)
