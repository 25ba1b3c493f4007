from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from design_points import OBJECTIVES, make_point

from cnn_eval import zoo
from cnn_eval.datasets import ImageRoles, load_dataset
from cnn_eval.emulation.measurement import measure_top1
from cnn_eval.zoo import shipped_network
from dse.evaluation.point import DesignPoint
from dse.ground_truth.verification import (
    Verification,
    choose,
    mean_deviation_pp,
    recalled,
    unseen,
    verified,
    verify,
)
from dse.search.budget import Budget
from dse.search.data_sizing import recommended
from dse.search.exploration import Exploration, Recalibration
from dse.search.front import ParetoFront
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables.product_table import ProductTable


def exploration(points: list[DesignPoint], max_drop_pp: float = 1.0) -> Exploration:
    front = ParetoFront.of(points, OBJECTIVES, worst_drop_pp=78)
    budget = Budget.parse("area")
    return Exploration(
        network="resnet8",
        encodings=("sign_magnitude", "twos_complement")[
            : 1 + any("signed=1" in point.spec for point in points)
        ],
        data="CIFAR-10 (JPEG)",
        exact_top1_pct=88.0,
        chance_pct=10.0,
        budget=budget,
        max_drop_pp=max_drop_pp,
        baseline=max(points, key=lambda point: point.area_ratio),
        points=tuple(points),
        front=front,
        pick=recommended(front.points, budget, max_drop_pp).point,
        history=(),
        settings={},
        failures={},
    )


def slope(count: int) -> list[DesignPoint]:
    """A front on which area falls as the predicted drop rises to 60 points."""
    drops = 60 * np.linspace(0, 1, count) ** 3
    return [
        make_point(f"spec{index:03}", 1 - index / (2 * count), drop=float(drop))
        for index, drop in enumerate(drops)
    ]


def test_useful_designs_and_the_pick_are_chosen() -> None:
    found = exploration(slope(100))
    chosen = choose(found.front.points, 8, pick=found.pick)
    assert len(chosen) == len({point.spec for point in chosen}) == 8
    assert found.pick in chosen
    assert chosen[0].predicted_drop_pp < 0.1
    assert 20 < chosen[-1].predicted_drop_pp <= 30
    # The middle of the 62 that lose at most 30 points, and those of their thirds.
    names = [[point.spec for point in choose(slope(79), count)] for count in (1, 3)]
    assert names == [["spec031"], ["spec010", "spec031", "spec051"]]


def test_a_small_front_is_chosen_whole() -> None:
    found = exploration(slope(4)[:3])
    assert sorted(
        choose(found.front.points, 8, pick=found.pick), key=lambda point: point.spec
    ) == sorted(found.front.points, key=lambda point: point.spec)


def test_hopeless_fronts_are_chosen_from_all_the_same() -> None:
    assert len(choose([make_point("bad", 0.1, drop=70.0)], 8)) == 1


def test_nothing_verified_has_no_deviation() -> None:
    assert mean_deviation_pp(exploration(slope(5))) is None


@pytest.fixture(scope="module")
def roles(shared: Path) -> ImageRoles:
    """A few images of each role: what is measured is the same as with many."""
    whole = ImageRoles.of(load_dataset(shared / "data" / "cifar10-jpeg-test.npz"))
    return ImageRoles(whole.judging.head(48), whole.correction.head(32), whole.calibration)


@pytest.mark.slow
def test_verified_designs_carry_what_emulation_measures(roles: ImageRoles, tmp_path: Path) -> None:
    points = [
        make_point("exact:width=8x7", 1.0),
        make_point("tm:k=2", 0.6, drop=0.9),
        make_point("tm:k=5,width=8x7", 0.1, drop=3.0),
    ]
    states: list[Verification] = []
    sample = roles.judging.head(40)
    found = verify(
        exploration(points),
        roles,
        sample,
        tmp_path / "points.sqlite",
        count=3,
        on_progress=states.append,
    )
    truth = zoo.ground_truth(zoo.zoo_network("resnet8"), OperandEncoding.SIGN_MAGNITUDE, roles)
    exact = truth.measure(Widths(8, 7), sample).top1_pct
    for point in found.front.points:
        measured = truth.measure(
            ProductTable.of(MultiplierSpec.parse(point.spec)).for_operands([Widths(8, 7)]), sample
        ).top1_pct
        assert point.emulated_top1_pct == measured
        assert point.emulated_drop_pp == pytest.approx(exact - measured)
        assert point.emulated_images == 40
    assert found.pick is not None
    assert found.pick.emulated_images == 40
    assert {point.spec for point in found.points if point.emulated_images} == {
        point.spec for point in points
    }
    assert states[-1].done == states[-1].total
    deviation = np.mean(
        [abs(point.predicted_drop_pp - point.emulated_drop_pp) for point in found.front.points]
    )  # type: ignore[operator]
    assert mean_deviation_pp(found) == pytest.approx(deviation)


@pytest.mark.parametrize(
    ("limit_pp", "pick", "emulated"),
    [
        (
            1.0,
            "exact:width=8x7",
            {"tm:k=5,width=8x7", "tm:k=5,tree=wallace,width=8x7", "exact:width=8x7"},
        ),
        (-1.0, None, {"tm:k=5,width=8x7"}),
    ],
)
def test_a_pick_that_loses_more_than_was_predicted_gives_way(
    roles: ImageRoles, tmp_path: Path, limit_pp: float, pick: str | None, emulated: set[str]
) -> None:
    """Both truncated designs lose tens of points."""
    points = [
        make_point("exact:width=8x7", 1.0),
        make_point("tm:k=5,width=8x7", 0.6, drop=0.2),
        make_point("tm:k=5,tree=wallace,width=8x7", 0.1, drop=0.4),
    ]
    found = verify(
        exploration(points, max_drop_pp=limit_pp),
        roles,
        roles.judging.head(40),
        tmp_path / "points.sqlite",
        count=1,
    )
    assert (None if found.pick is None else found.pick.spec) == pick
    assert {point.spec for point in found.front.points if point.emulated_images} == emulated
    if found.pick is not None:
        assert found.pick.emulated_drop_pp == 0


def verified_once(asked: Exploration, roles: ImageRoles, folder: Path) -> Exploration:
    """With one design of the front emulated, and what follows from it."""
    return verify(asked, roles, roles.judging.head(40), folder / "points.sqlite", count=1)


def test_what_a_refuted_pick_dominated_comes_next(roles: ImageRoles, tmp_path: Path) -> None:
    """Of five truncated columns tens of points are lost, of six leading bits none."""
    points = [
        make_point("exact:width=8x7", 1.0),
        make_point("tm:k=5,width=8x7", 0.1, drop=0.4),
        make_point("drum:k=6,width=8x7", 0.3, drop=0.6),
    ]
    asked = exploration(points, max_drop_pp=10.0)
    assert points[2] not in asked.front.points
    found = verified_once(asked, roles, tmp_path)
    assert found.pick is not None
    assert found.pick.spec == "drum:k=6,width=8x7"
    assert found.pick in found.front.points
    # What was found stays with the search when it goes on without images.
    assert recalled(asked, found) == found
    assert recalled(asked, asked) is asked
    # Accuracies on other images, as many of them, are not put beside these.
    others = verify(asked, roles, roles.judging.part(40, 80), tmp_path / "points.sqlite", count=1)
    assert recalled(others, found) is others


def exact_point(a: int, b: int, area: float, drop: float, kind: str = "") -> DesignPoint:
    spec = f"exact:{kind}width={a}x{b}"
    return make_point(spec, area, drop=drop, width_a=a, width_b=b, er_pct=0.0)


def test_an_exact_multiplier_that_may_keep_the_limit_beats_the_pick(
    roles: ImageRoles, tmp_path: Path
) -> None:
    """Products of 5x3 bits lose a few points at the most. That they are predicted to lose more than
    may be lost, and dominated by a design that is, does not hide them.
    """
    points = [
        exact_point(8, 7, 1.0, 0.0),
        make_point("tm:k=1", 0.6, drop=4.0),
        make_point("tm:k=5,width=8x7", 0.1, drop=11.0),
        exact_point(5, 3, 0.3, 11.5),
        exact_point(5, 3, 0.4, 11.5, "tree=array,"),
        exact_point(3, 2, 0.05, 12.5),  # by more than two spreads of 1 point
    ]
    found = verified_once(exploration(points, max_drop_pp=10.0), roles, tmp_path)
    assert found.pick is not None
    assert found.pick.spec == "exact:width=5x3"
    assert found.pick.drop_pp <= 10
    assert found.pick in found.front.points
    assert points[3] not in exploration(points).front.points
    assert {point.spec for point in found.points if point.emulated_images} == {
        "tm:k=1",
        "exact:width=5x3",
        "exact:tree=array,width=5x3",
    }
    assert [point.spec for point in verified(found)] == ["tm:k=1", "exact:width=5x3"]


def test_exact_multipliers_are_tried_where_no_design_keeps_the_limits(
    roles: ImageRoles, tmp_path: Path
) -> None:
    points = [make_point("tm:k=5,width=8x7", 0.1, drop=0.5), exact_point(5, 3, 0.3, 11.5)]
    found = verified_once(exploration(points, max_drop_pp=10.0), roles, tmp_path)
    assert found.pick is not None
    assert found.pick.spec == "exact:width=5x3"
    assert found.front.points == found.points


def test_of_designs_that_multiply_alike_one_is_counted() -> None:
    emulated = {"emulated_drop_pp": 3.0, "emulated_images": 40}
    alike = [exact_point(5, 3, 0.3, 1.0), exact_point(5, 3, 0.2, 1.0, "tree=array,")]
    points = [replace(one, power_ratio=1 - one.area_ratio, **emulated) for one in alike]
    points.append(make_point("tm:k=1", 0.1, drop=2.0, power=0.1, **emulated))
    found = exploration(points)
    assert len(found.front.points) == 3
    assert len(verified(found)) == 2
    assert mean_deviation_pp(found) == pytest.approx((2 + 1) / 2)


def test_each_design_is_emulated_in_its_own_format(roles: ImageRoles, tmp_path: Path) -> None:
    points = [
        make_point("tm:k=3", 0.6, drop=0.9),
        make_point("tm:k=3,signed=1,swap=1", 0.5, drop=3.0),
    ]
    sample = roles.judging.head(40)
    found = verify(
        exploration(points), roles, sample, tmp_path / "points.sqlite", count=2, corrected=False
    )
    network = shipped_network("resnet8", OperandEncoding.TWOS_COMPLEMENT, corrected=False)
    measured = measure_top1(
        network, ProductTable.of(MultiplierSpec.parse(points[1].spec)), sample
    ).top1_pct
    assert found.points[1].emulated_top1_pct == measured
    exact = {point.emulated_top1_pct + point.emulated_drop_pp for point in found.points}  # type: ignore[operator]
    assert len(exact) == 1
    assert exact.pop() >= measure_top1(network, None, sample).top1_pct


@pytest.mark.slow
def test_an_interrupted_verification_goes_on(roles: ImageRoles, tmp_path: Path) -> None:
    points = [make_point("exact", 1.0), make_point("tm:k=3", 0.5, drop=2.0)]

    class Interrupted(Exception):  # noqa: N818
        pass

    def stop(state: Verification) -> None:
        if state.done == 2:
            raise Interrupted

    store = tmp_path / "points.sqlite"
    with pytest.raises(Interrupted):
        verify(exploration(points), roles, roles.judging.head(24), store, count=2, on_progress=stop)
    again = verify(exploration(points), roles, roles.judging.head(24), store, count=2)
    assert again == verify(
        exploration(points), roles, roles.judging.head(24), tmp_path / "other.sqlite", count=2
    )


@pytest.mark.parametrize("corrected", [False, True])
def test_images_that_calibrated_or_measured_exact_products_are_left_out(
    shared: Path, corrected: bool
) -> None:
    data = load_dataset(shared / "data" / "cifar10-jpeg-test.npz")
    encodings = (OperandEncoding.SIGN_MAGNITUDE,)
    predictor = zoo.load_predictor("resnet8", encodings[0], corrected=corrected)
    profile = zoo.load_profile("resnet8", encodings[0], corrected=corrected)
    assert unseen(data, ["resnet8"], encodings, corrected=corrected) == max(
        predictor.images, profile.test_images if corrected else 0
    )
    # Other images are none of these.
    other = replace(data.part(1, 3000), name="others")
    assert unseen(other, ["resnet8"], encodings, corrected=corrected) == 0


def test_what_the_predictor_learned_from_does_not_verify_it(
    roles: ImageRoles, tmp_path: Path
) -> None:
    points = [
        make_point("tm:k=2", 0.6, drop=0.9),
        make_point("tm:k=4", 0.3, drop=2.0),
        make_point("tm:k=5", 0.1, drop=3.0),
    ]
    learned = Recalibration(480, ("tm:k=2", "tm:k=5"), 24, 1.0, 1.0)
    found = verify(
        replace(exploration(points), recalibrations=(learned,)),
        roles,
        roles.judging.head(24),
        tmp_path / "points.sqlite",
        count=3,
    )
    assert {point.spec for point in found.points if point.emulated_images} == {
        "tm:k=2",
        "tm:k=4",
    }  # the pick is verified all the same
