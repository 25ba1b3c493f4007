"""The multipliers that predictors are calibrated on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cnn_eval import zoo
from cnn_eval.prediction.architectural_error import FEATURES, features
from cnn_eval.prediction.candidates import Candidate, calibration_set, profiled_widths
from cnn_eval.prediction.profile import NetworkProfile
from cnn_eval.quantization.coding import OperandCoding
from hdl.operands import OperandEncoding, Widths

MAGNITUDE = OperandEncoding.SIGN_MAGNITUDE
NARROW = (Widths(5, 4), Widths(4, 3))
COUNT = 24


@pytest.fixture(scope="module")
def profiles() -> list[NetworkProfile]:
    return [zoo.load_profile("resnet20", MAGNITUDE, widths) for widths in NARROW]


@pytest.fixture(scope="module")
def chosen(profiles: list[NetworkProfile]) -> list[Candidate]:
    return calibration_set(profiles, COUNT)


def test_the_same_seed_chooses_the_same(
    profiles: list[NetworkProfile], chosen: list[Candidate]
) -> None:
    again = calibration_set(profiles, COUNT)
    assert [str(one.multiplier) for one in again] == [str(one.multiplier) for one in chosen]
    assert [one.features for one in again] == [one.features for one in chosen]
    assert {str(one.multiplier) for one in calibration_set(profiles, COUNT, seed=1)} != {
        str(one.multiplier) for one in chosen
    }


def test_candidates_are_different_multipliers_that_err(
    profiles: list[NetworkProfile], chosen: list[Candidate]
) -> None:
    by_widths = {profile.widths: profile for profile in profiles}
    assert len(chosen) == COUNT
    assert len({one.table.sha256 for one in chosen}) == COUNT
    for one in chosen:
        assert one.table.errors.any()
        assert one.table.widths == one.multiplier.widths
        assert not one.multiplier.signed
        np.testing.assert_allclose(
            one.features, features(by_widths[one.multiplier.widths], one.table.errors)
        )
        assert 0.04 < one.features[FEATURES.index("margin_noise")] < 1


def test_no_family_and_no_widths_take_it_all(chosen: list[Candidate]) -> None:
    widths, families = (
        Counter(key)
        for key in (
            [one.multiplier.widths for one in chosen],
            [one.multiplier.family for one in chosen],
        )
    )
    assert set(widths) == set(NARROW)
    assert min(widths.values()) >= COUNT / 4
    assert len(families) >= 6
    assert max(families.values()) <= COUNT / 3


def test_asking_for_more_than_there_are(profiles: list[NetworkProfile]) -> None:
    everything = calibration_set(profiles[1:], 10_000)
    assert 0 < len(everything) < 10_000
    assert len({one.table.sha256 for one in everything}) == len(everything)


@pytest.mark.parametrize("encoding", list(OperandEncoding))
def test_profiled_widths(encoding: OperandEncoding) -> None:
    found = profiled_widths(encoding)
    assert found[0] == ((8, 7) if encoding is MAGNITUDE else (8, 8))
    assert len(set(found)) == len(found)
    assert sum(found[0]) == max(map(sum, found))
    for widths in found:
        OperandCoding(encoding, *widths, negative=True)
