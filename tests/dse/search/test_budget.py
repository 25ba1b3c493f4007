from __future__ import annotations

import pytest
from design_points import make_point

from dse.search.budget import Budget, BudgetError, parse_objectives
from dse.search.data_sizing import preferred


@pytest.mark.parametrize("text", ["area", "power", "delay", "area=0.6", "power=1.25"])
def test_a_budget_round_trips(text: str) -> None:
    assert str(Budget.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["area=0", "area=-1", "area=nan", "area=inf", "area=", "area=small"]
)
def test_a_limit_must_be_positive(text: str) -> None:
    with pytest.raises(
        BudgetError,
        match=(
            r"the limit must be a positive multiple of the exact multiplier's area, e\.g\. "
            r"area=0\.6"
        ),
    ):
        Budget.parse(text)


def test_a_delay_target_limits_too() -> None:
    budget = Budget("area", 0.6, delay_target_ps=1000)
    assert budget.words == "area=0.6 within 1000 ps"
    on_time, late = make_point("a", 0.5, delay=0.4), make_point("b", 0.5, delay=0.6)  # of 2000 ps
    assert budget.excess(on_time) == pytest.approx(-0.1)
    assert budget.excess(late) == pytest.approx(0.2)
    assert preferred([late, on_time], budget) == [on_time]
    assert budget.limited
    assert not Budget("area").limited


@pytest.mark.parametrize(
    ("cost", "objectives"),
    [("power", ("area", "power", "accuracy")), ("delay", ("area", "power", "delay", "accuracy"))],
)
def test_what_is_budgeted_is_traded(cost: str, objectives: tuple[str, ...]) -> None:
    assert Budget(cost).objectives == objectives


def test_an_unknown_cost_lists_the_known() -> None:
    with pytest.raises(BudgetError, match="unknown budget 'price'; use one of area, power, delay"):
        Budget.parse("price")


def test_objectives_are_read_in_order() -> None:
    assert parse_objectives("delay, accuracy,area") == ("delay", "accuracy", "area")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("area", "give two or more different"),
        ("area,area", "give two or more different"),
        ("area,speed", "unknown objective 'speed'"),
    ],
)
def test_bad_objectives_are_refused(text: str, message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        parse_objectives(text)
