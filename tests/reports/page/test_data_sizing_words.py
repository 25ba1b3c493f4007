"""What the report says of approximate designs beside exact multipliers of fewer bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample_exploration import make_exploration, make_point

from dse.evaluation.point import DesignPoint
from dse.search.budget import Budget
from reports.page.data_sizing_words import sizing_rows, sizing_verdict
from reports.page.html_report import write_report

pytestmark = pytest.mark.usefixtures("coarse_pictures", "no_drawings")


def exact(spec: str, area: float, drop: float, a: int, b: int) -> DesignPoint:
    return make_point(spec, area, area, drop, er_pct=0.0, width_a=a, width_b=b)


EXACT = (
    exact("exact", 1.0, 0.0, 8, 7),
    exact("exact:width=5x4", 0.4, 0.8, 5, 4),
    exact("exact:width=4x3", 0.2, 1.5, 4, 3),
)


def test_one_exact_multiplier_tells_nothing_of_fewer_bits() -> None:
    points = (EXACT[0], make_point("tm:k=2", 0.5, 0.9, 0.4))
    exploration = make_exploration(points, baseline=EXACT[0])
    assert sizing_verdict(exploration, sizing_rows(exploration)) == (
        "No exact multiplier but 8x7 takes part, so that nothing tells what fewer bits alone would "
        "save: search all operand widths, or profile the network for fewer bits (dse profile)."
    )


def test_one_exact_multiplier_a_format_tells_nothing_either() -> None:
    other = exact("exact:signed=1", 1.1, 0.0, 8, 8)
    points = (EXACT[0], other, make_point("tm:k=2", 0.5, 0.9, 0.4))
    exploration = make_exploration(
        points, baseline=EXACT[0], encodings=("sign_magnitude", "twos_complement")
    )
    assert sizing_verdict(exploration, sizing_rows(exploration)).startswith(
        "No exact multiplier but 8x7 and 8x8 takes part"
    )


def test_what_is_too_slow_is_no_competitor(tmp_path: Path) -> None:
    slow = replace(EXACT[1], delay_ps=9000.0)
    points = (EXACT[0], slow, make_point("tm:k=2", 0.5, 0.9, 0.9))
    budget = Budget("area", delay_target_ps=8000.0)
    exploration = replace(make_exploration(points, baseline=EXACT[0]), budget=budget).picked()
    assert exploration.pick == points[2]
    row = sizing_rows(exploration)[1]
    assert (row.exact, row.approximate) == (EXACT[0], points[2])
    page = write_report(exploration, tmp_path).read_text()
    assert "under the budget area within 8000 ps" in page


def test_what_takes_more_elsewhere_buys_nothing() -> None:
    points = (*EXACT, make_point("dralm:t=5", 0.1, 1.8, 0.4))
    exploration = make_exploration(points, baseline=EXACT[0])
    rows = sizing_rows(exploration)
    assert {row.approximate for row in rows} == {None}
    assert {row.words for row in rows} == {
        "nothing: no approximate design is as accurate and takes no more elsewhere"
    }
    assert sizing_verdict(exploration, rows).startswith("Approximation buys no area beyond exact")


def test_an_exact_multiplier_counts_by_what_was_emulated_too() -> None:
    kept = make_point(
        "exact:width=4x3", 0.15, 0.15, 1.3, er_pct=0.0, width_a=4, width_b=3, emulated_drop_pp=0.4
    )
    points = (*EXACT[:2], kept, make_point("tm:k=2", 0.2, 0.2, 0.8, emulated_drop_pp=0.9))
    exploration = make_exploration(points, baseline=EXACT[0])
    row = sizing_rows(exploration)[1]
    assert (row.exact, row.approximate) == (kept, points[3])
    assert row.words == "nothing"


def test_rows_hold_the_cheapest_of_both_kinds_within_each_drop() -> None:
    points = (
        *EXACT,
        make_point("tm:k=2", 0.5, 0.9, 0.4),
        make_point("tm:k=3", 0.3, 0.3, 1.8),
        make_point("tm:k=6", 0.15, 0.1, 4.0),
    )
    exploration = make_exploration(points, baseline=EXACT[0])
    rows = sizing_rows(exploration)
    assert [row.drop_pp for row in rows] == [0.5, 1.0, 2.0, 5.0]
    assert [row.exact and row.exact.spec for row in rows] == [
        "exact",
        "exact:width=5x4",
        "exact:width=4x3",
        "exact:width=4x3",
    ]
    assert [row.approximate and row.approximate.spec for row in rows] == [
        "tm:k=2",
        "tm:k=2",
        "tm:k=3",
        "tm:k=6",
    ]
    assert [row.ratio for row in rows] == pytest.approx([0.5, 1.25, 1.5, 0.75])
    assert [row.words for row in rows] == ["50 % less area", "nothing", "nothing", "25 % less area"]
    assert sizing_verdict(exploration, rows) == (
        "Beyond exact multipliers of fewer bits approximation buys, by drop in points: "
        "50 % less area at 0.5, 25 % less area at 5. It buys nothing at 1, 2. The exact multiplier "
        "is recommended."
    )


def test_the_page_says_when_approximation_buys_nothing(tmp_path: Path) -> None:
    exploration = make_exploration((*EXACT, make_point("tm:k=2", 0.9, 0.9, 0.9)), baseline=EXACT[0])
    assert exploration.pick is not None
    assert exploration.pick.spec == "exact:width=5x4"
    page = write_report(exploration, tmp_path).read_text()
    assert (
        "Approximation buys no area beyond exact multipliers of fewer bits at any of these drops. "
        "The exact multiplier is recommended."
    ) in page
    assert 'id="warning"' not in page


def test_without_exact_multipliers_there_is_nothing_to_compare_with() -> None:
    exploration = make_exploration((make_point("tm:k=2", 0.9, 0.9, 0.9),))
    rows = sizing_rows(exploration)
    assert {row.words for row in rows} == {"no exact multiplier is as accurate"}
    assert sizing_verdict(exploration, rows).startswith("No exact multiplier was evaluated")


def test_a_pick_that_is_worse_in_another_cost_carries_a_warning(tmp_path: Path) -> None:
    exploration = make_exploration(
        (*EXACT[:1], make_point("dralm:t=6", 0.4, 1.9, 0.6)), budget="area=0.5", baseline=EXACT[0]
    )
    page = write_report(exploration, tmp_path).read_text()
    assert 'id="warning"' in page
    assert "dralm:t=6 takes more than the exact multiplier elsewhere (power x1.90)" in page
