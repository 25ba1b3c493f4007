from __future__ import annotations

import pytest

from dse.search.budget import Budget, BudgetError, parse_objectives


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
