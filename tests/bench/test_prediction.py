"""How far predictions are off: what a multiplier is predicted from, and the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.prediction import HEADER, left_out, main, walks_known
from cnn_eval import zoo
from cnn_eval.prediction import AccuracyPredictor

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def few() -> AccuracyPredictor:
    """A predictor of the zoo with every third multiplier of its calibration."""
    predictor = zoo.load_predictor("resnet8", "sign_magnitude", corrected=True)
    return replace(predictor, calibration=predictor.calibration[::3])


def test_circuits_of_walks_are_predicted_from_those_of_other_widths(few: AccuracyPredictor) -> None:
    strictly, _ = left_out(few)
    known = walks_known(few)
    made = np.array([one.family == "net" for one in few.calibration])
    assert 0 < made.sum() < len(made)
    np.testing.assert_array_equal(known[~made], strictly[~made])
    assert (known[made] != strictly[made]).all()


def test_the_tables_have_a_row_for_each_predictor(
    few: AccuracyPredictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few.save(tmp_path / "resnet8.sign_magnitude.predictor.json")
    monkeypatch.setattr("sys.argv", ["prediction", "--zoo", str(tmp_path)])
    main()
    lines = capsys.readouterr().out.replace(r"\|", "").splitlines()
    header, aligned, row = (line.split("|")[1:-1] for line in lines[lines.index("") + 1 :][:3])
    assert len(header) == len(aligned) == len(row) == len(HEADER) + 1
    assert row[0].strip() == "resnet8"
    assert int(row[2]) == len(few.calibration)
