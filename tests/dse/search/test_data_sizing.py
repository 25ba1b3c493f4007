"""What approximate designs save beyond exact multipliers of fewer bits, on points made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from design_points import make_point

from dse.evaluation.point import DesignPoint
from dse.search.budget import Budget
from dse.search.data_sizing import (
    exact_line,
    is_exact,
    preferred,
    recommended,
    with_savings_beyond_exact,
)


def exact(text: str, area: float, drop: float, power: float | None = None) -> DesignPoint:
    return replace(make_point(text, area, area if power is None else power, drop), er_pct=0.0)


AREA = Budget("area")
POINTS = [
    exact("exact", 1.0, 0.0),
    exact("exact:width=5x4", 0.4, 0.5, power=0.3),
    exact("exact:width=4x3", 0.2, 1.0, power=0.4),
    make_point("tm:k=2", 0.5, 0.5, 0.2),
    make_point("bam:h=0,v=3,width=5x4", 0.3, 0.2, 0.7),
    make_point("bam:h=0,v=2,width=4x3", 0.25, 0.1, 1.2),
]


def test_savings_count_from_the_cheapest_exact_multiplier_that_is_as_accurate() -> None:
    found = {point.spec: point for point in with_savings_beyond_exact(POINTS, AREA)}
    assert found["tm:k=2"].beyond_area_pct == pytest.approx(50)  # only the widest is as accurate
    assert found["bam:h=0,v=3,width=5x4"].beyond_area_pct == pytest.approx(25)
    assert found["bam:h=0,v=3,width=5x4"].beyond_energy_pct == pytest.approx(100 / 3)
    # By area the 4x3 is the rival, by energy the 5x4.
    assert found["bam:h=0,v=2,width=4x3"].beyond_area_pct == pytest.approx(-25)
    assert found["bam:h=0,v=2,width=4x3"].beyond_energy_pct == pytest.approx(200 / 3)
    assert all(point.beyond_area_pct is None for point in found.values() if is_exact(point))


def test_an_exact_multiplier_is_a_rival_by_what_was_emulated_as_well() -> None:
    """Savings are not told too large: a rival by prediction stays one."""
    points = [
        replace(exact("exact:width=5x3", 0.15, 1.3), emulated_drop_pp=0.4),
        replace(exact("exact:width=5x4", 0.3, 0.5), emulated_drop_pp=1.5),
        replace(make_point("tm:k=2", 0.2, drop=0.8), emulated_drop_pp=0.9),
        make_point("tm:k=1", 0.2, drop=0.8),
    ]
    found = {point.spec: point.beyond_area_pct for point in with_savings_beyond_exact(points, AREA)}
    assert found["tm:k=2"] == pytest.approx(100 * (1 - 0.2 / 0.15))
    assert found["tm:k=1"] == pytest.approx(100 * (1 - 0.2 / 0.3))


def test_an_exact_multiplier_that_is_too_slow_is_no_rival() -> None:
    slow = replace(exact("exact:width=5x4", 0.2, 0.5), delay_ps=3000)
    points = [POINTS[0], slow, make_point("tm:k=2", 0.5, drop=0.5)]
    for target_ps, beyond_pct in ((None, -150), (2500, 50)):
        budget = Budget("area", delay_target_ps=target_ps)
        *_, found = with_savings_beyond_exact(points, budget)
        assert found.beyond_area_pct == pytest.approx(beyond_pct)


def test_nothing_exact_is_as_accurate() -> None:
    (found,) = with_savings_beyond_exact([make_point("tm:k=2", 0.5, drop=0.2)], AREA)
    assert (found.beyond_area_pct, found.beyond_energy_pct) == (None, None)


def test_the_line_of_exact_multipliers_falls() -> None:
    assert [point.spec for point in exact_line(POINTS, lambda point: point.area_ratio)] == [
        "exact:width=4x3",
        "exact:width=5x4",
        "exact",
    ]
    assert [point.spec for point in exact_line(POINTS, lambda point: point.power_ratio)] == [
        "exact:width=5x4",
        "exact",
    ]


def test_the_cheapest_within_drop_and_limit_is_recommended() -> None:
    assert recommended(POINTS, Budget.parse("area"), 0.8).point == POINTS[4]
    assert recommended(POINTS, Budget.parse("area"), 1.0).point == POINTS[2]
    assert recommended(POINTS, Budget.parse("area=0.6"), 0.1).point is None
    assert recommended(POINTS, Budget.parse("power=0.25"), 1.0).point == POINTS[4]


def test_of_equal_designs_the_exact_one_is_recommended() -> None:
    twins = [make_point("tm:k=1", 0.2, 0.1, 0.3), exact("exact:width=4x3", 0.2, 0.9)]
    assert recommended(twins, Budget.parse("area"), 1.0).point == twins[1]


@pytest.mark.parametrize("elsewhere", ["power", "delay"])
def test_what_costs_more_elsewhere_is_recommended_only_where_nothing_else_is_left(
    elsewhere: str,
) -> None:
    costly = make_point("dralm:t=6", 0.3, drop=0.6, **{elsewhere: 1.95})
    assert recommended([*POINTS[:2], costly], Budget.parse("area"), 1.0).point == POINTS[1]
    found = recommended([POINTS[0], costly], Budget.parse("area=0.5"), 1.0)
    assert found.point == costly
    assert found.warning == (
        f"dralm:t=6 takes more than the exact multiplier elsewhere ({elsewhere} x1.95); nothing "
        "else keeps area=0.5 at this accuracy"
    )


def test_the_order_of_preference_has_what_costs_more_elsewhere_last() -> None:
    costly = make_point("dralm:t=6", 0.1, 1.95, 0.6)
    beyond = make_point("tm:k=1", 0.7, 0.7, 0.0)
    ordered = preferred([costly, beyond, *POINTS], Budget.parse("area=0.6"))
    assert ordered[-1] == costly
    assert beyond not in ordered
    areas = [point.area_ratio for point in ordered[:-1]]
    assert areas == sorted(areas)


def test_delay_costs_nothing_where_it_is_said_which_is_soon_enough() -> None:
    """With a delay target netlists are as small as they may be, and just on time."""
    budget = Budget("area", delay_target_ps=2200)
    just_in_time = replace(exact("exact:width=5x4", 0.3, 0.1), delay_ratio=1.05, delay_ps=2100)
    found = recommended([*POINTS[:1], POINTS[3], just_in_time], budget, 1.0)
    assert (found.point, found.warning) == (just_in_time, "")
    assert recommended([POINTS[3], just_in_time], Budget("area"), 1.0).point == POINTS[3]


def test_of_designs_of_one_cost_the_one_that_takes_less_of_the_others_is_recommended() -> None:
    twins = [
        exact("exact:width=4x3", 0.2, 0.5, power=0.3),
        exact("exact:tree=wallace,width=4x3", 0.2, 0.5, power=0.2),
    ]
    assert recommended(twins, AREA, 1.0).point == twins[1]
