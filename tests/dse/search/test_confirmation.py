"""Which designs are set in elements, on points made by hand: costs in elements go exactly as the
estimates say that they do.
"""

from __future__ import annotations

from dataclasses import replace

from design_points import OBJECTIVES, make_point

from dse.evaluation.point import DesignPoint, placed_name
from dse.search.confirmation import exact_of_each_width, worth_placing

DOT, MAC = "dot:lanes=8", "mac"


def point(spec: str, area: float, power: float, drop: float, bits: tuple[int, int]) -> DesignPoint:
    return make_point(
        spec,
        area,
        power,
        drop,
        width_a=bits[0],
        width_b=bits[1],
        er_pct=0.0 if spec.startswith("exact") else 50.0,
    )


def in_element(point: DesignPoint, form: str) -> DesignPoint:
    """A mac has three times the registers of a dot, and both add a little of their own."""
    bits = (3 if form == MAC else 1) * 0.02 * (point.width_a + point.width_b)
    return replace(
        point,
        level="element",
        element=form,
        area_ratio=0.1 + bits + 0.5 * point.area_ratio,
        power_ratio=0.2 + bits + 0.4 * point.power_ratio,
    )


EXACT = [
    point("exact", 1.0, 1.0, 0.0, (8, 7)),
    point("exact:width=6x5", 0.55, 0.5, 0.1, (6, 5)),
    point("exact:width=5x4", 0.4, 0.3, 0.4, (5, 4)),
    point("exact:width=4x3", 0.25, 0.1, 1.5, (4, 3)),
]
PLACED = [in_element(one, form) for one in EXACT for form in (DOT, MAC)]


def test_of_the_exact_multipliers_of_a_width_one_is_placed() -> None:
    larger = point("exact:tree=wallace", 1.2, 0.9, 0.0, (8, 7))
    other_format = replace(EXACT[0], encoding="twos_complement", spec="exact:signed=1")
    approximate = point("tm:k=2", 0.1, 0.1, 3.0, (8, 7))
    found = exact_of_each_width([larger, *EXACT, other_format, approximate])
    assert set(found) == {*EXACT, other_format}


def test_what_is_beaten_by_a_wider_multiplier_may_win_in_an_element() -> None:
    """The registers that it saves are seen in the exact ones."""
    wide, narrow = (
        point("tm:k=2", 0.30, 0.2, 0.3, (8, 7)),
        point("bam:h=0,v=2,width=5x4", 0.32, 0.2, 0.3, (5, 4)),
    )
    found = worth_placing([*EXACT, wide, narrow], PLACED, OBJECTIVES)
    assert placed_name(narrow.spec, DOT) in found
    assert placed_name(wide.spec, DOT) not in found


def test_a_form_that_loses_with_every_design_is_not_looked_at() -> None:
    found = worth_placing([*EXACT, point("tm:k=2", 0.3, 0.2, 0.3, (5, 4))], PLACED, OBJECTIVES)
    assert {name.rpartition(" in ")[2] for name in found} == {DOT}


def test_near_misses_are_looked_at_and_others_are_not() -> None:
    best = point("bam:h=0,v=2,width=5x4", 0.30, 0.20, 0.3, (5, 4))
    near = point("bam:h=0,v=1,width=5x4", 0.31, 0.20, 0.3, (5, 4))
    far = point("udm:width=5x4", 0.39, 0.29, 0.3, (5, 4))
    wasteful = point("bam:h=0,v=3,width=5x4", 0.29, 0.40, 0.3, (5, 4))
    right = point("bam:h=0,v=1,comp=1,width=5x4", 0.31, 0.20, 0.2, (5, 4))
    found = worth_placing([*EXACT, best, near, far, wasteful, right], PLACED, OBJECTIVES)
    assert [placed_name(one.spec, DOT) in found for one in (best, near, right)] == [True] * 3
    assert [placed_name(one.spec, DOT) in found for one in (far, wasteful)] == [False] * 2


def test_of_multipliers_that_are_alike_one_stands_for_all() -> None:
    twin = point("bam:h=0,v=0,width=5x4", 0.4, 0.3, 0.4, (5, 4))
    found = worth_placing([twin, *EXACT], PLACED, OBJECTIVES)
    assert placed_name("exact:width=5x4", DOT) in found
    assert placed_name(twin.spec, DOT) not in found
