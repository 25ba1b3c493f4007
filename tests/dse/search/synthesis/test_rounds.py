"""Rounds of walks: where they start, what is worth an evaluation, the forms they are kept in."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from design_points import make_point

from dse.evaluation.point import DesignPoint
from dse.search.synthesis.rounds import (
    MadeDesigns,
    WalkRequest,
    planned_walks,
    worth_evaluating,
)
from hdl.files import decode_json
from hdl.multipliers import MultiplierSpec, NetlistDesign
from hdl.operands import Widths


def exact(text: str, area: float, drop: float) -> DesignPoint:
    point = make_point(text, area, drop=drop)
    widths = Widths.parse(text.rpartition("=")[2])
    known = {"width_a": widths.a, "width_b": widths.b, "er_pct": 0.0}
    return replace(point, area_um2=2000 * area, energy_fj=400 * area, **known)


POINTS = [
    exact("exact:width=8x7", 0.55, 0.0),
    exact("exact:tree=array,width=8x7", 0.6, 0.0),  # of each widths the cheapest
    exact("exact:width=8x6", 1.0, 0.0),  # far from the cheapest that is allowed
    exact("exact:width=8x4", 0.5, 0.2),
    exact("exact:width=8x2", 0.45, 0.9),  # 5x3 takes much less and loses no more
    exact("exact:width=5x3", 0.2, 0.4),
    exact("exact:width=3x2", 0.1, 9.0),  # beyond what walks go to
]
FRONT = [make_point(f"tm:k={k}", 0.5 / k, drop=0.7 * k) for k in range(1, 5)]


def planned(count: int, number: int) -> list[WalkRequest]:
    return planned_walks(POINTS, FRONT, count, number=number, max_drop_pp=1.0, seed=2)


def test_the_first_walks_start_from_promising_exact_multipliers() -> None:
    starts = [request.start for request in planned(6, 0)]
    assert starts == ["exact:width=8x7", "exact:width=8x4", "exact:width=5x3"] * 2
    assert {request.max_drop_pp for request in planned(6, 0)} == {6.0}


def test_walks_over_terms_and_over_gates_take_turns() -> None:
    """In each round the other starts, and over gates where a start has no terms."""
    first, second = ([request.terms for request in planned(6, number)] for number in (0, 1))
    assert first == [True, False] * 3
    assert second == [False, True, False, True, False, True]
    without = [make_point(f"drum:k={k}", 0.5 / k, drop=0.7 * k) for k in range(3, 6)]
    requests = planned_walks(POINTS, without, 6, number=1, max_drop_pp=1.0, seed=2)
    assert [request.terms for request in requests] == [False, True, False, True, False, False]


def test_later_walks_start_from_the_front_too() -> None:
    requests = planned(6, 1)
    assert sum(request.start.startswith("tm:") for request in requests) == 3
    seeds = {request.seed for number in range(3) for request in planned(6, number)}
    assert len(seeds) == 18
    assert [request.start for request in planned(1, 0)] == ["exact:width=8x4"]
    assert planned_walks([], [], 4, number=0, max_drop_pp=1.0, seed=1) == []


def test_a_request_is_read_back() -> None:
    request = planned(2, 0)[1]
    assert decode_json(request.text, WalkRequest, "a walk") == request


def design(name: str) -> NetlistDesign:
    """One of several designs, told apart by their second gate."""
    return NetlistDesign(2, 2, False, f"&0,2 {name} > 4 5 L L")


ONE, TWO, THREE, FOUR = (design(gate) for gate in ("&1,2", "|1,2", "^1,2", "~&1,2"))


LIST = MultiplierSpec.parse("terms:sum=00+01|10,width=2")


def made(**changed: Any) -> MadeDesigns:
    drops_pp, area_um2, energy_fj = (1.0, 2.0, 3.0), (50.0, 40.0, 45.0), (5.0, 4.0, 4.5)
    found = MadeDesigns(9, (ONE, TWO, THREE), (), drops_pp, area_um2, energy_fj)
    return replace(found, **changed)


def test_what_others_beat_is_not_evaluated() -> None:
    other = MadeDesigns(9, (FOUR,), (), (0.5,), (60.0,), (6.0,))
    assert worth_evaluating([made(), other], (), 10) == [FOUR, ONE, TWO]
    assert worth_evaluating([made(), other], [ONE.name], 10) == [FOUR, TWO]
    assert worth_evaluating([made(), other], (), 2) == [FOUR, TWO]
    assert worth_evaluating([made(), other], (), 0) == []
    assert worth_evaluating([], (), 5) == []
    terms = MadeDesigns(9, (), (LIST.name,), (0.7,), (55.0,), (5.5,))
    assert worth_evaluating([made(), other, terms], (), 10) == [FOUR, LIST, ONE, TWO]


def test_designs_of_two_formats_do_not_beat_each_other() -> None:
    signed = MultiplierSpec.parse("terms:sum=00,width=3x2,signed=1")
    dearer = MadeDesigns(9, (), (str(signed),), (1.0,), (55.0,), (5.5,))
    assert worth_evaluating([made(), dearer], (), 10) == [ONE, signed, TWO]


def test_walks_are_kept_and_damaged_rows_are_not_believed() -> None:
    assert MadeDesigns.from_dict(asdict(made())) == made()
    assert MadeDesigns.from_dict(asdict(made(drops_pp=(1.0,)))) is None
    assert MadeDesigns.from_dict({}) is None
    lists = MadeDesigns(9, (), (LIST.name,), (0.7,), (55.0,), (5.5,))
    assert MadeDesigns.from_dict(asdict(lists)) == lists
    assert lists.designs == (LIST,)
    assert MadeDesigns.from_dict(asdict(replace(lists, specs=("terms:sum=0z",)))) is None
    broken = asdict(made())
    broken["netlists"][0]["netlist"] = "&0,99 > 4 5 L L"
    assert MadeDesigns.from_dict(broken) is None
    assert made().designs[0].widths == Widths(2, 2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_starts_are_as_many_as_walks(count: int) -> None:
    assert len(planned(count, 0)) == len(planned(count, 2)) == count
