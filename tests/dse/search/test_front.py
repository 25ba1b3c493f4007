from __future__ import annotations

import numpy as np
import pytest
from design_points import OBJECTIVES, make_point
from hypothesis import given
from hypothesis import strategies as st
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from dse.evaluation.point import DesignPoint
from dse.search.front import ParetoFront, objective_values
from hdl.files import decode_json, encode_json


def test_a_point_survives_its_document() -> None:
    point = make_point("drum:k=4", 0.5).emulated(80.0, 84.5, 2000)
    assert decode_json(encode_json(point), DesignPoint, "x") == point
    assert point.emulated_drop_pp == 4.5


@given(st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=40))
def test_the_front_is_the_first_non_dominated_rank(rows: list[tuple[int, int, int]]) -> None:
    points = [
        make_point(f"spec{index:02}", a / 6, b / 6, float(c))
        for index, (a, b, c) in enumerate(rows)
    ]
    front = ParetoFront.of(points, OBJECTIVES, worst_drop_pp=75)
    values = objective_values(points, OBJECTIVES)
    rank0 = NonDominatedSorting().do(
        values, only_non_dominated_front=True
    )  # an independent library
    assert {tuple(row) for row in objective_values(front.points, OBJECTIVES)} == {
        tuple(values[index]) for index in rank0
    }
    assert len({tuple(row) for row in objective_values(front.points, OBJECTIVES)}) == len(
        front.points
    )


def test_the_front_does_not_depend_on_the_order_of_points() -> None:
    rng = np.random.default_rng(3)
    points = [
        make_point(f"spec{index:02}", *rng.integers(1, 4, 2) / 4, drop=float(rng.integers(0, 4)))
        for index in range(30)
    ]
    front = ParetoFront.of(points, OBJECTIVES, worst_drop_pp=75)
    for _ in range(5):
        shuffled = [points[index] for index in rng.permutation(30)]
        assert ParetoFront.of(shuffled, OBJECTIVES, worst_drop_pp=75) == front


def test_hypervolume_of_known_boxes() -> None:
    one = make_point("a", 0.5, 0.5, 0.0)
    assert ParetoFront.of([one], OBJECTIVES, worst_drop_pp=75).hypervolume() == pytest.approx(0.25)
    two = make_point("b", 0.25, 1.0, 37.5)  # adds nothing: its power is the reference's
    assert ParetoFront.of([one, two], OBJECTIVES, worst_drop_pp=75).hypervolume() == pytest.approx(
        0.25
    )
    three = make_point("c", 0.25, 0.75, 37.5)  # adds 0.25 x 0.25 x 0.5
    assert ParetoFront.of(
        [one, three], OBJECTIVES, worst_drop_pp=75
    ).hypervolume() == pytest.approx(0.25 + 0.03125)
    assert ParetoFront.of([], OBJECTIVES, worst_drop_pp=75).hypervolume() == 0


def test_an_exact_multiplier_by_name_stands_for_its_twins() -> None:
    """A multiplier that leaves nothing out is recommended as what it is."""
    twins = [make_point(spec, 0.1, 0.1, 1.0) for spec in ("bam:h=0,v=0", "exact:tree=serial")]
    for points in (twins, twins[::-1]):
        (found,) = ParetoFront.of(points, OBJECTIVES, worst_drop_pp=75).points
        assert found.spec == "exact:tree=serial"


def test_a_design_that_emulation_found_is_in_its_place() -> None:
    front = ParetoFront.of(
        [make_point("a", 0.5, 0.5, 1.0), make_point("b", 0.3, 0.3, 2.0)],
        OBJECTIVES,
        worst_drop_pp=75,
    )
    found = make_point("exact:width=5x3", 0.4, 0.6, 3.0)
    assert [one.spec for one in front.with_point(found).points] == ["b", "exact:width=5x3", "a"]
    assert front.with_point(front.points[0]) is front
