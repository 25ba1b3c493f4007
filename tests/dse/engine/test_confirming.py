"""Searches at the level of the element and of the array, with figures made up in place of
synthesis: those of the multiplier by its spec, in elements a form's share and the operands' on top.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_eval.datasets import Dataset
from cnn_eval.prediction.architectural_error import FEATURES
from dse.api.exporting import exported_designs
from dse.api.progress import silent
from dse.api.runs import compare, deliver
from dse.engine import Search, explore
from dse.evaluation.executor import LocalProcesses
from dse.evaluation.workbench import Evaluation, Reading, Workbench
from dse.evaluation.workers import Crew
from dse.ground_truth.emulator import Accuracy
from dse.ground_truth.verification import verify
from dse.search.budget import Budget
from dse.search.exploration import Exploration, RunError
from hdl.errors import InputError
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable

FORMS = ("dot:lanes=4", "mac:gate=zero")
SEARCH = Search(
    network="resnet20",
    encodings=(OperandEncoding.SIGN_MAGNITUDE,),
    budget=Budget.parse("area"),
    max_drop_pp=60,
    evaluations=100,
    population=12,
    families=("bam", "tm", "exact"),
    level="element",
    forms=FORMS,
)


class MadeUpPool:
    """Workers that know figures without synthesis; in elements they can be interrupted."""

    asked: list[tuple[str, str]]
    interrupt_after: int | None

    def __init__(self, count: int, set_up: Any, *, time_limit_s: float, crew: Crew) -> None:
        (self.bench,) = set_up.args

    def __exit__(self, *error: object) -> None:
        pass

    def run(self, tasks: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for task in tasks:
            if self.bench.level != "multiplier":
                elements = sum(level != "multiplier" for level, _ in self.asked)
                if elements == self.interrupt_after:
                    raise KeyboardInterrupt
            self.asked.append((self.bench.level, task))
            yield task, made_up(self.bench, task)


def made_up(bench: Workbench, task: str) -> dict[str, Any]:
    spec, form = bench.placed(task)
    rng = np.random.default_rng(zlib.crc32(spec.encode()))
    features, share = rng.uniform(0, 0.1, len(FEATURES)), rng.uniform(0.5, 1)
    widths = MultiplierSpec.parse(spec).widths
    own = 40 * share * widths.a * widths.b * (0.9 if bench.effort == "best" else 1)
    around = {"": 0, "mac": 300, "dot:lanes=4": 50, "mac:gate=zero": 310}[form] * widths.product
    return asdict(
        Evaluation(
            circuit=task,
            encoding="sign_magnitude",
            width_a=widths.a,
            width_b=widths.b,
            area_um2=own + around,
            delay_ps=1000 + own,
            energy_fj=own / 3 + around * (0.1 if "gate" in form else 1),
            leakage_nw=1.0,
            effort=bench.effort,
            er_pct=0.0 if spec.startswith("exact") else 10.0,
            me=0.0,
            med=0.0,
            nmed_pct=0.0,
            mred_pct=0.0,
            wce=7,
            ame=0.0,
            readings={"resnet20": Reading(tuple(features.tolist()), 80.0)},
            sum_bits=20 if form else 0,
            array_area_um2=64.0 * (own + around) if bench.array else None,
            image_energy_nj=5e4 if bench.array else None,
            image_latency_us=900.0 if bench.array else None,
            utilization_pct=75.0 if bench.array else None,
        )
    )


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> type[MadeUpPool]:
    MadeUpPool.asked, MadeUpPool.interrupt_after = [], None
    monkeypatch.setattr("dse.evaluation.executor.WorkerPool", MadeUpPool)
    return MadeUpPool


def explored(folder: Path, search: Search = SEARCH) -> Exploration:
    folder.mkdir(exist_ok=True)
    return explore(search, folder / "points.sqlite", executor=LocalProcesses(1))


def test_front_and_pick_are_elements_that_were_chosen_among_multipliers(
    pool: type[MadeUpPool], tmp_path: Path
) -> None:
    found = explored(tmp_path)
    assert (found.level, found.baseline.element, found.baseline.area_ratio) == ("element", "mac", 1)
    assert {point.element for point in found.points} == {"mac", *FORMS}
    assert {point.level for point in found.points} == {"element"}
    assert len(found.screened) == SEARCH.evaluations == len(found.multipliers)
    assert {point.level for point in found.screened} == {"multiplier"}
    alone = {point.spec: point for point in found.screened}
    widths = {(point.width_a, point.width_b) for point in found.screened}
    for form in FORMS:
        exact = {
            (point.width_a, point.width_b)
            for point in found.points
            if point.element == form and point.family == "exact"
        }
        assert exact == widths
    for point in found.points:
        assert point.area_ratio == point.area_um2 / found.baseline.area_um2
        assert point.power_ratio == point.energy_fj / found.baseline.energy_fj
        assert point.predicted_drop_pp == pytest.approx(alone[point.spec].predicted_drop_pp)
    assert found.pick in found.front.points
    assert {alone[point.spec].effort for point in found.front.points} == {"best"}
    assert {point.spec for point in found.front_multipliers} == {
        point.spec for point in found.front.points
    }
    found.save(tmp_path)
    assert Exploration.load(tmp_path) == replace(
        found, settings=json.loads(json.dumps(found.settings))
    )
    exported = [design.name for design, _ in exported_designs(str(tmp_path))]
    assert sorted(exported) == sorted({point.spec for point in found.front.points})


def test_no_design_that_was_left_out_would_be_on_the_front(
    pool: type[MadeUpPool], tmp_path: Path
) -> None:
    """But for what is alike: costs in elements are linear here, so that estimates are right."""
    found = explored(tmp_path)
    bench = replace(Workbench(SEARCH.networks, SEARCH.encodings), level="element")
    front = found.front.points
    for one in found.screened:
        for form in FORMS:
            cost = made_up(bench, f"{one.spec} in {form}")
            assert any(
                point.area_um2 <= 1.02 * cost["area_um2"]
                and point.energy_fj <= 1.02 * cost["energy_fj"]
                and point.predicted_drop_pp <= one.predicted_drop_pp + 1e-9
                for point in front
            ), (one.spec, form)


def test_the_same_seed_gives_the_same_front_and_a_warm_store_asks_nothing(
    pool: type[MadeUpPool], tmp_path: Path
) -> None:
    found = explored(tmp_path / "one")
    assert explored(tmp_path / "two").front == found.front
    pool.asked = []
    assert explored(tmp_path / "one").front == found.front
    assert pool.asked == []


@pytest.mark.parametrize("after", [0, 20])
def test_an_interrupt_keeps_what_is_there(
    pool: type[MadeUpPool], tmp_path: Path, after: int
) -> None:
    whole = explored(tmp_path / "whole")
    pool.asked, pool.interrupt_after = [], after
    found = explored(tmp_path / "run")
    assert found.interrupted
    assert found.level == ("element" if after else "multiplier")
    assert len(found.points) == (after or SEARCH.evaluations)
    found.save(tmp_path)
    Exploration.load(tmp_path)
    pool.interrupt_after = None
    assert explored(tmp_path / "run").front == whole.front


def test_the_front_is_exported_as_elements(
    pool: type[MadeUpPool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = explored(tmp_path)
    first = replace(found, front=replace(found.front, points=found.front.points[:2]))
    shown: dict[str, str] = {}
    monkeypatch.setattr(
        "reports.page.write_report", lambda *_, verilog, **__: shown.update(verilog)
    )
    deliver(first, tmp_path, silent)
    assert list(shown) == [point.name for point in first.front.points]
    for point, path in zip(first.front.points, shown.values(), strict=True):
        element = found.element(point)
        assert element is not None
        assert (element.form.kind, element.sum_bits) == (point.element.partition(":")[0], 20)
        assert path == f"verilog/{element.identifier}/{element.identifier}.v"
        assert f"module {element.identifier}" in (tmp_path / path).read_text()


def test_a_search_at_the_level_of_the_array(
    pool: type[MadeUpPool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same as in elements, with other costs; its front is exported as arrays."""
    found = explored(tmp_path, replace(SEARCH, level="array", array="2x3"))
    assert found.level == "array"
    assert {point.array for point in found.points} == {"2x3"}
    assert found.baseline.element == "mac"
    assert {point.array for point in found.screened} == {""}
    assert [point.utilization_pct for point in found.front.points] == [75.0] * len(
        found.front.points
    )
    found.save(tmp_path)
    assert Exploration.load(tmp_path) == replace(
        found, settings=json.loads(json.dumps(found.settings))
    )
    first = replace(found, front=replace(found.front, points=found.front.points[:1]))
    shown: dict[str, str] = {}
    monkeypatch.setattr(
        "reports.page.write_report", lambda *_, verilog, **__: shown.update(verilog)
    )
    deliver(first, tmp_path, silent)
    element = first.element(first.front.points[0])
    assert element is not None
    ((name, path),) = shown.items()
    assert name == first.front.points[0].name
    assert path.startswith(f"verilog/array2x3_{element.identifier}/array2x3_")
    assert (tmp_path / path).exists()


def test_runs_of_different_levels_are_not_compared(pool: type[MadeUpPool], tmp_path: Path) -> None:
    explored(tmp_path / "one").save(tmp_path / "one")
    alone = replace(SEARCH, level="multiplier", forms=())
    explored(tmp_path / "two", alone).save(tmp_path / "two")
    with pytest.raises(InputError, match=r"'.*one' is at the level of the element, '.*two' of the"):
        compare(tmp_path / "one", tmp_path / "two")


def test_accuracies_are_emulated_with_the_products_that_elements_add(
    pool: type[MadeUpPool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one multiplier in three elements there are two tables: a product of zero is zero where
    registers hold.
    """
    found, spec = explored(tmp_path), "bam:h=0,v=1,comp=1,width=3x2"
    forms = ("mac", "dot:lanes=4", "mac:gate=zero")
    points = tuple(
        replace(
            found.points[0],
            spec=spec,
            family="bam",
            element=form,
            er_pct=50.0,
            predicted_drop_pp=1.0,
        )
        for form in forms
    )
    tables: list[ProductTable] = []

    class Emulates:
        def measure_all(self, subjects: list[Any], *, on_progress: Any) -> list[Accuracy]:
            tables.extend(table for table, _ in subjects if table is not None)
            return [
                Accuracy(90.0, 90.0)
                if table is None
                else Accuracy(80.0 if table.products[0, 0] else 85.0, 85.0)
                for table, _ in subjects
            ]

    monkeypatch.setattr(
        "dse.ground_truth.verification.emulators_of", lambda *_, **__: {"resnet20": Emulates()}
    )
    front = replace(found.front, points=points)
    run = replace(found, points=points, front=front, pick=points[1])
    roles: Any = None
    images = Dataset("black", np.zeros((9, 8, 8, 3), np.uint8), np.zeros(9, np.int64), ("a", "b"))
    judged = verify(run, roles, images, tmp_path / "points.sqlite", count=5)
    assert len(tables) == 2
    drops = {point.element: point.emulated_drop_pp for point in judged.front.points}
    assert drops == {"mac": 10.0, "dot:lanes=4": 10.0, "mac:gate=zero": 5.0}
    assert judged.pick is not None
    assert judged.pick.emulated_drop_pp == 10.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level": "chip"}, "unknown level 'chip'; search at one of multiplier, element, array"),
        ({"level": "array"}, "array '' is not ROWSxCOLUMNS; write for example 8x8"),
        ({"array": "8x8"}, "array '8x8' in a search at the level of the element; search at the "),
        ({"level": "multiplier"}, "element 'dot:lanes=4' in a search of bare multipliers"),
        (
            {"budget": Budget("area", delay_target_ps=900.0)},
            "a delay target of 900 ps is of bare multipliers",
        ),
        (
            {"objectives": ("area", "power")},
            "objectives area,power without accuracy: the budget area is kept by area and accuracy",
        ),
        ({"forms": ("dot:lanes=99",)}, r"a dot element of 99 lanes is outside 2\.\.32"),
    ],
)
def test_what_does_not_fit_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SEARCH, **changes)


def test_a_run_with_points_of_another_level_is_refused(
    pool: type[MadeUpPool], tmp_path: Path
) -> None:
    found = explored(tmp_path)
    replace(found, points=found.screened).save(tmp_path)
    with pytest.raises(RunError, match="is not at the level of the element"):
        Exploration.load(tmp_path)
    replace(found, screened=()).save(tmp_path)
    with pytest.raises(RunError, match="not among those that were screened"):
        Exploration.load(tmp_path)
