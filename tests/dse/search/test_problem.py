from __future__ import annotations

import pytest
from design_points import make_point

from dse.evaluation.point import DesignPoint
from dse.search.budget import Budget
from dse.search.front import ParetoFront
from dse.search.problem import DesignSearch
from dse.search.space import DesignSpace
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import Widths

OBJECTIVES = ("area", "accuracy")


def invented(spec: MultiplierSpec) -> DesignPoint:
    """A landscape over broken-array multipliers: what is dropped saves area and costs accuracy,
    rows more than columns.
    """
    saved = spec.integer("v") + 2 * spec.integer("h")
    return make_point(
        str(spec),
        area=1 - saved / 40,
        drop=2.0 ** (spec.integer("v") / 2) + 5 * spec.integer("h") + spec.integer("comp") / 1e4,
    )


def run(seed: int, budget: str = "area", generations: int = 6) -> list[list[str]]:
    search = DesignSearch(
        DesignSpace.of(["bam"], operands={False: [Widths(8, 8)]}),
        OBJECTIVES,
        Budget.parse(budget),
        population=12,
        seed=seed,
    )
    asked = []
    for _ in range(generations):
        specs = search.ask()
        asked.append([str(spec) for spec in specs])
        search.tell([invented(spec) for spec in specs])
    return asked


def test_the_same_seed_asks_the_same_and_never_twice() -> None:
    generations = run(3)
    assert generations == run(3)
    assert generations != run(4)
    everything = [text for generation in generations for text in generation]
    assert len(everything) == len(set(everything)) == 72


def test_the_front_grows() -> None:
    generations = run(1, generations=10)
    fronts = []
    for end in (1, 10):
        specs = [
            MultiplierSpec.parse(text) for generation in generations[:end] for text in generation
        ]
        fronts.append(
            ParetoFront.of(map(invented, specs), OBJECTIVES, worst_drop_pp=75).hypervolume()
        )
    assert fronts[1] > fronts[0]


def test_a_limit_draws_the_search_below_it() -> None:
    def share_within(generations: list[list[str]]) -> float:
        points = [
            invented(MultiplierSpec.parse(text))
            for generation in generations[-3:]
            for text in generation
        ]
        return sum(point.area_ratio <= 0.6 for point in points) / len(points)

    assert share_within(run(2, "area=0.6", 10)) > share_within(run(2, "area", 10))


def test_first_designs_come_first_and_failures_are_survived() -> None:
    first = [MultiplierSpec.parse("exact"), MultiplierSpec.parse("drum:k=4")]
    search = DesignSearch(
        DesignSpace.of(["bam"], operands={False: [Widths(8, 8)]}),
        OBJECTIVES,
        Budget.parse("area"),
        population=8,
        seed=1,
        first=first,
    )
    asked = search.ask()
    assert asked[:2] == first
    search.tell([None] * len(asked))
    assert len(search.ask()) == 8


def test_an_exhausted_space_ends_the_search() -> None:
    search = DesignSearch(
        DesignSpace.of(["mitchell"], operands={False: [Widths(8, 8)]}),
        OBJECTIVES,
        Budget.parse("area"),
        population=8,
        seed=1,
    )
    asked = search.ask()
    assert [str(spec) for spec in asked] == ["mitchell"]
    search.tell([make_point("mitchell", 0.7)])
    assert search.ask() == []


@pytest.mark.parametrize("budget", ["area", "area=0.6"])
def test_more_first_designs_than_the_population(budget: str) -> None:
    first = [MultiplierSpec.make("bam", h=0, v=v) for v in range(10)]
    search = DesignSearch(
        DesignSpace.of(["bam"], operands={False: [Widths(8, 8)]}),
        OBJECTIVES,
        Budget.parse(budget),
        population=4,
        seed=1,
        first=first,
    )
    asked = search.ask()
    assert asked == first
    search.tell([invented(spec) for spec in asked])
    assert len(search.ask()) == 4
