"""Searches whose workers make figures up: efforts, formats, and what goes wrong at the end."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_run import EVALUATIONS, of_8_bits, small_search

from cnn_eval.prediction.architectural_error import FEATURES
from cnn_eval.zoo import load_predictor
from dse.engine import explore
from dse.evaluation.executor import LocalProcesses
from dse.evaluation.point import DesignPoint
from dse.evaluation.workbench import Evaluation, Reading, Workbench
from dse.evaluation.workers import Crew, Failure
from dse.search.budget import Budget
from dse.search.exploration import Exploration
from dse.search.space import SpaceError
from hdl.errors import InputError
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths


class InstantPool:
    """Workers that make figures up, other ones for each effort. `fail` are designs that fail at the
    best effort.
    """

    benches: list[Workbench]
    fail: tuple[str, ...]
    interrupt_after: int | None

    def __init__(self, count: int, set_up: Any, *, time_limit_s: float, crew: Crew) -> None:
        (self.bench,) = set_up.args
        self.benches.append(self.bench)

    def __enter__(self) -> InstantPool:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run(self, tasks: list[str]) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
        for number, task in enumerate(tasks):
            if self.bench.effort == "best" and number == self.interrupt_after:
                raise KeyboardInterrupt
            failed = self.bench.effort == "best" and task in self.fail
            yield task, Failure(f"{task}: too slow") if failed else made_up(task, self.bench.effort)


def made_up(spec: str, effort: str) -> dict[str, Any]:
    rng = np.random.default_rng(zlib.crc32(f"{effort} {spec}".encode()))
    figures = rng.uniform(1, 2, 10) * (1 if effort == "best" else 100)
    features = np.random.default_rng(zlib.crc32(spec.encode())).uniform(0, 0.1, len(FEATURES))
    encoding = "twos_complement" if "signed=1" in spec else "sign_magnitude"
    errors = (figures[4:9] / 100).tolist()
    widths = MultiplierSpec.parse(spec).widths
    return asdict(
        Evaluation(
            *(
                spec,
                encoding,
                *widths,
                *figures[:4].tolist(),
                effort,
                *errors,
                7,
                0.0,
                {"resnet20": Reading(tuple(features.tolist()), 80.0)},
            )
        )
    )


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> type[InstantPool]:
    InstantPool.benches, InstantPool.fail, InstantPool.interrupt_after = [], (), None
    monkeypatch.setattr("dse.evaluation.executor.WorkerPool", InstantPool)
    return InstantPool


def check_ratios(points: Iterable[DesignPoint], exact: DesignPoint) -> None:
    for point in points:
        assert point.effort == exact.effort
        assert point.area_ratio == point.area_um2 / exact.area_um2
        assert point.delay_ratio == point.delay_ps / exact.delay_ps
        assert point.power_ratio == point.energy_fj / exact.energy_fj


def test_no_ratio_mixes_efforts(instant: type[InstantPool], tmp_path: Path) -> None:
    found = explore(
        replace(small_search(), budget=Budget("area", delay_target_ps=1500)),
        tmp_path / "points.sqlite",
        executor=LocalProcesses(1),
    )
    assert [(bench.effort, bench.delay_target_ps) for bench in instant.benches] == [
        ("fast", 1500),
        ("best", 1500),
    ]
    exact = {
        point.spec: point
        for point in found.points
        if point.family == "exact" and (point.width_a, point.width_b) == (8, 7)
    }
    assert found.baseline == min(exact.values(), key=lambda point: point.area_um2 * point.energy_fj)
    best = [point for point in found.points if point.effort == "best"]
    assert set(best) > set(exact.values())
    assert set(found.front.points) <= set(best)
    check_ratios(best, found.baseline)
    fast = {spec: made_up(spec, "fast") for spec in exact}
    of_search = min(
        fast.values(), key=lambda figures: float(figures["area_um2"] * figures["energy_fj"])
    )
    others = [point for point in found.points if point.effort == "fast"]
    assert len(others) + len(best) == EVALUATIONS
    for point in others:
        assert point.area_ratio == point.area_um2 / of_search["area_um2"]
        assert point.power_ratio == point.energy_fj / of_search["energy_fj"]


def test_what_the_user_names_is_evaluated_however_few_evaluations_there_are(
    instant: type[InstantPool], tmp_path: Path
) -> None:
    seeds = ("tm:k=3,width=8x7", "bam:h=0,v=6,width=8x7")
    search = replace(of_8_bits(), corrected=False, evaluations=1, seeds=seeds)
    found = explore(search, tmp_path / "points.sqlite", executor=LocalProcesses(1))
    assert set(seeds) <= {point.spec for point in found.points}


def test_a_search_of_few_bits_stays_among_them(instant: type[InstantPool], tmp_path: Path) -> None:
    """The exact multipliers of the widest operands are there to be compared with."""
    found = explore(small_search(), tmp_path / "points.sqlite", executor=LocalProcesses(1))
    widths = {point.widths for point in found.points if point.family != "exact"}
    assert widths == {Widths(5, 4)}
    assert found.baseline.widths == Widths(8, 7)


def test_where_delay_is_the_budget_it_is_traded_and_exact_ones_are_fast(
    instant: type[InstantPool], tmp_path: Path
) -> None:
    budget = Budget("delay")
    search = replace(small_search(), budget=budget, objectives=budget.objectives, max_drop_pp=50.0)
    found = explore(search, tmp_path / "points.sqlite", executor=LocalProcesses(1))
    specs = {point.spec for point in found.points}
    assert {"exact:tree=wallace,width=5x4", "exact:kind=booth,width=5x4"} <= specs
    useful = [one for one in found.comparable if max(one.power_ratio, one.area_ratio) <= 1]
    assert found.pick == min(useful, key=lambda point: point.delay_ps)


def test_what_misses_the_delay_target_is_not_picked(
    instant: type[InstantPool], tmp_path: Path
) -> None:
    budget = Budget("area", delay_target_ps=1.5)
    search = replace(small_search(), max_drop_pp=50.0, budget=budget)
    found = explore(search, tmp_path / "points.sqlite", executor=LocalProcesses(1))
    assert found.pick is not None
    assert found.pick.delay_ps <= 1.5
    assert found.pick.area_um2 > min(point.area_um2 for point in found.comparable)


def test_a_form_that_holds_no_product_is_refused_at_once(tmp_path: Path) -> None:
    search = replace(small_search(), level="element", forms=("dot:lanes=8", "mac:bits=4"))
    with pytest.raises(
        InputError, match=r"^mac:bits=4: a sum of 4 bits is narrower than the 9 of a product of exa"
    ):
        explore(search, tmp_path / "points.sqlite", executor=LocalProcesses(1))
    assert not list(tmp_path.iterdir())


BOTH = (OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.TWOS_COMPLEMENT)


def test_formats_and_orders_are_searched_as_one(instant: type[InstantPool], tmp_path: Path) -> None:
    search = replace(
        of_8_bits(), encodings=BOTH, corrected=False, swap=True, evaluations=60, population=30
    )
    found = explore(search, tmp_path / "points.sqlite", executor=LocalProcesses(1))
    forms = {
        (point.encoding, "swap=1" in point.spec)
        for point in found.points
        if point.family != "exact"
    }
    assert forms == {(str(encoding), swapped) for encoding in BOTH for swapped in (False, True)}
    exact = [point for point in found.points if point.family == "exact"]
    assert len(exact) >= 2 * 7
    assert found.baseline == min(exact, key=lambda point: point.area_um2 * point.energy_fj)
    assert min(point.predicted_drop_pp for point in found.points) >= 0
    accuracy = {
        encoding: load_predictor("resnet20", encoding, corrected=False).exact_top1_pct
        for encoding in BOTH
    }
    assert found.exact_top1_pct == max(accuracy.values())
    for point in found.points:
        assert point.predicted_drop_pp == pytest.approx(
            found.exact_top1_pct - point.predicted_top1_pct
        )
    assert sorted(found.encodings) == ["sign_magnitude", "twos_complement"]
    found.save(tmp_path)
    assert Exploration.load(tmp_path) == replace(
        found, settings=json.loads(json.dumps(found.settings))
    )
    (tmp_path / "mine.v").write_text(
        "module top(input [7:0] x, y, output [15:0] z); assign z = x * y; endmodule"
    )
    with pytest.raises(
        SpaceError, match="own Verilog does not tell which of the search's number formats"
    ):
        explore(
            replace(search, seeds=(f"{tmp_path}/mine.v:top",)),
            tmp_path / "points.sqlite",
            executor=LocalProcesses(1),
        )


@pytest.mark.parametrize("after", [0, 3])
def test_an_interrupt_at_the_end_leaves_the_front_of_the_search(
    instant: type[InstantPool], tmp_path: Path, after: int
) -> None:
    whole = explore(small_search(), tmp_path / "whole.sqlite", executor=LocalProcesses(1))
    instant.interrupt_after = after
    found = explore(small_search(), tmp_path / "points.sqlite", executor=LocalProcesses(1))
    assert found.interrupted
    assert found.baseline.effort == "fast"
    check_ratios(found.points, found.baseline)
    instant.interrupt_after = None
    again = explore(small_search(), tmp_path / "points.sqlite", executor=LocalProcesses(1))
    assert (again.front, again.points, again.interrupted) == (whole.front, whole.points, False)


def test_a_design_that_fails_at_the_best_effort_is_named_and_not_on_the_front(
    instant: type[InstantPool], tmp_path: Path
) -> None:
    whole = explore(small_search(), tmp_path / "whole.sqlite", executor=LocalProcesses(1))
    lost = next(point.spec for point in whole.front.points if point.spec != whole.baseline.spec)
    instant.fail = (lost,)
    found = explore(small_search(), tmp_path / "points.sqlite", executor=LocalProcesses(1))
    assert found.failures == {lost: f"{lost}: too slow"}
    assert lost not in {point.spec for point in found.front.points}
    assert next(point for point in found.points if point.spec == lost).effort == "fast"


def test_two_searches_share_a_store(instant: type[InstantPool], tmp_path: Path) -> None:
    whole = explore(small_search(), tmp_path / "whole.sqlite", executor=LocalProcesses(1))
    found: list[Exploration] = []
    searches = [
        threading.Thread(
            target=lambda: found.append(
                explore(small_search(), tmp_path / "points.sqlite", executor=LocalProcesses(1))
            )
        )
        for _ in range(3)
    ]
    for thread in searches:
        thread.start()
    for thread in searches:
        thread.join()
    assert [(one.front, one.points, one.failures) for one in found] == [
        (whole.front, whole.points, {})
    ] * 3
