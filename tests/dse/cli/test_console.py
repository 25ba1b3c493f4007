"""Progress where there is no terminal: what a log file gets."""

from __future__ import annotations

import pytest

from dse.cli import console


def test_lines_of_a_log_say_how_far_it_is_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with console.progress_bar("calibrate", 40) as update:
        for seconds, done, state in (
            (1, 2, "too early for a line"),
            (3, 4, "drum:k=4"),
            (20, 5, "less than a tenth"),
            (34, 5, "half a minute without a line"),
            (1000, 8, "slow"),
            (7000, 20, "slower"),
            (8000, 40, ""),
        ):
            now = 100.0 + seconds
            update(done, state)
    assert capsys.readouterr().err.splitlines() == [
        "calibrate 4/40  drum:k=4",
        "calibrate 5/40  half a minute without a line  (about 3:58 left)",
        "calibrate 8/40  slow  (about 1:06:40 left)",
        "calibrate 20/40  slower  (about 1:56:40 left)",
        "calibrate 40/40",
    ]
