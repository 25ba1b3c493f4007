"""The search on real parts: the shipped network, real synthesis; a small budget of evaluations
keeps it quick.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_eval.prediction.architectural_error import FEATURES
from cnn_eval.zoo import load_predictor
from dse.api.runs import load_run, redraw
from dse.engine import YOSYS_CACHE, Progress, Search, explore, record_search
from dse.evaluation.executor import LocalProcesses
from dse.evaluation.point import DesignPoint
from dse.evaluation.store import PointStore
from dse.evaluation.workbench import Evaluation, Reading, Workbench
from dse.evaluation.workers import Failure
from dse.search.budget import Budget
from dse.search.exploration import Exploration
from dse.search.space import SpaceError
from hdl.cells.library import CellLibrary
from hdl.cost.synthesis import map_design
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding
from hdl.tables.metrics import error_metrics
from hdl.tables.product_table import ProductTable

FAMILIES = ("bam", "tm", "exact")
EVALUATIONS = 34


def small_search(seed: int = 1) -> Search:
    return Search(
        network="resnet20",
        encodings=(OperandEncoding.SIGN_MAGNITUDE,),
        budget=Budget.parse("area"),
        evaluations=EVALUATIONS,
        population=12,
        seed=seed,
        families=FAMILIES,
        activation_bits=5,
        weight_bits=5,
    )


def of_8_bits() -> Search:
    """As networks without correction have them."""
    return replace(small_search(), activation_bits=0, weight_bits=0)


@pytest.fixture(scope="module")
def undisturbed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("undisturbed") / "points.sqlite"


@pytest.fixture(scope="module")
def undisturbed(undisturbed_store: Path) -> Exploration:
    return explore(small_search(), undisturbed_store, executor=LocalProcesses(2))


@pytest.fixture
def store(undisturbed: Exploration, undisturbed_store: Path, tmp_path: Path) -> Path:
    """A store without points; what Yosys made is known, so that evaluating again is quick."""
    shutil.copy(undisturbed_store.with_name(YOSYS_CACHE), tmp_path / YOSYS_CACHE)
    return tmp_path / "points.sqlite"


@pytest.mark.slow
def test_a_search_finds_designs_that_beat_exact(undisturbed: Exploration) -> None:
    front = undisturbed.front.points
    assert len(undisturbed.points) == EVALUATIONS
    assert not undisturbed.failures
    assert undisturbed.baseline.area_ratio == undisturbed.baseline.power_ratio == 1
    assert undisturbed.baseline.predicted_drop_pp == 0
    assert min(point.area_ratio for point in front) < 0.6
    assert undisturbed.pick is not None
    assert undisturbed.pick.area_ratio < 1
    assert undisturbed.pick.predicted_drop_pp <= 1
    assert undisturbed.history[-1].evaluations == EVALUATIONS


@pytest.mark.slow
def test_exact_multipliers_of_every_width_compete(undisturbed: Exploration) -> None:
    """As a tree, serially, and in the form that Yosys gives to a * b."""
    for widths in ("5x4", "8x7"):
        for kind in ("", "tree=serial,", "kind=behavioural,"):
            assert f"exact:{kind}width={widths}" in {point.spec for point in undisturbed.points}


@pytest.mark.slow
def test_the_front_is_synthesized_with_the_best_effort(undisturbed: Exploration) -> None:
    point = undisturbed.front.points[0]
    assert point.effort == "best"
    assert (
        point.area_um2
        == map_design(
            MultiplierSpec.parse(point.spec), CellLibrary.load(), effort="best"
        ).netlist.area_um2
    )


@pytest.mark.slow
def test_the_front_depends_on_the_seed_alone(undisturbed: Exploration, store: Path) -> None:
    """Not on the number of workers, and not on workers that are killed while they work."""
    killed = []

    def kill(state: Progress) -> None:
        if state.evaluations in (9, 27) and state.evaluations not in killed and not state.finished:
            killed.append(state.evaluations)
            (worker,) = multiprocessing.active_children()
            worker.kill()

    found = explore(small_search(), store, executor=LocalProcesses(1), on_progress=kill)
    assert killed == [9, 27]
    assert not found.failures
    assert (found.front, found.points) == (undisturbed.front, undisturbed.points)


@pytest.mark.slow
def test_a_warm_store_evaluates_nothing_again(
    undisturbed: Exploration, undisturbed_store: Path
) -> None:
    before = (
        sqlite3.connect(undisturbed_store)
        .execute("SELECT * FROM known ORDER BY context, item")
        .fetchall()
    )
    states: list[Progress] = []
    second = explore(
        small_search(), undisturbed_store, executor=LocalProcesses(0), on_progress=states.append
    )  # an evaluation would never return
    assert second.front == undisturbed.front
    assert second.points == undisturbed.points
    assert states[-1].evaluations == EVALUATIONS
    assert (
        sqlite3.connect(undisturbed_store)
        .execute("SELECT * FROM known ORDER BY context, item")
        .fetchall()
        == before
    )


class InstantPool:
    """Workers that make figures up, other ones for each effort. `fail` are designs that fail at the
    best effort.
    """

    benches: list[Workbench]
    fail: tuple[str, ...]
    interrupt_after: int | None

    def __init__(self, count: int, set_up: Any, *, time_limit_s: float) -> None:
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
        replace(small_search(), delay_target_ps=1500),
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
        SpaceError, match="own Verilog does not tell its number format; name one with --encoding"
    ):
        explore(
            replace(search, seeds=(f"{tmp_path}/mine.v:top",)),
            tmp_path / "points.sqlite",
            executor=LocalProcesses(1),
        )


@pytest.mark.slow
def test_magnitudes_are_costed_with_their_signs_among_several_formats() -> None:
    texts = ("tm:k=4,width=8x7", "tm:k=4,signed=1")
    alone = [
        Workbench(("resnet20",), (encoding,), corrected=False).evaluator()(text)
        for encoding, text in zip(BOTH, texts, strict=True)
    ]
    among = Workbench(("resnet20",), BOTH, corrected=False).evaluator()
    magnitudes, complements = (among(text) for text in texts)
    assert complements == alone[1]
    for cost in ("area_um2", "delay_ps", "energy_fj"):
        assert magnitudes[cost] > alone[0][cost]
    same = ("encoding", "med", "ame", "readings")
    assert [magnitudes[name] for name in same] == [alone[0][name] for name in same]


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


def start(folder: Path, **arguments: Any) -> subprocess.Popen[str]:
    """The small search as a process of its own, in a process group of its own."""
    record_search(small_search(), folder)
    # Whoever runs the tests in the background may have them ignore Ctrl-C, which children inherit.
    heed = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from "
        "dse.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", heed, "explore", "--resume", "--out", str(folder)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **arguments,
    )


def wait_for_points(folder: Path, count: int) -> dict[str, str]:
    """Rows of the running search's store, once it has `count` of them."""
    for _ in range(600):
        time.sleep(0.1)
        if (folder / "points.sqlite").exists():
            database = sqlite3.connect(folder / "points.sqlite", timeout=10)
            try:
                rows = dict(
                    database.execute(
                        "SELECT context || item, result FROM known WHERE result LIKE '%area_um2%'"
                    ).fetchall()
                )
            except sqlite3.OperationalError:
                rows = {}
            finally:
                database.close()
            if len(rows) >= count:
                return rows
    raise AssertionError("the search makes no progress")


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(undisturbed: Exploration, store: Path) -> None:
    folder = store.parent
    process = start(folder)
    before = wait_for_points(folder, 8)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    resumed = start(folder)
    _, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    after = wait_for_points(folder, EVALUATIONS)
    assert {key: after[key] for key in before} == before
    found = check_results(folder)
    assert (found.front, found.points) == (undisturbed.front, undisturbed.points)


@pytest.mark.slow
def test_an_interrupt_keeps_everything(store: Path) -> None:
    folder = store.parent
    process = start(folder)
    wait_for_points(folder, 10)
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"go on with dse explore --resume --out {folder}" in out
    assert json.loads((folder / "run.json").read_text())["interrupted"]
    assert (folder / "report.html").exists()


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_no_point_is_lost(
    undisturbed: Exploration, store: Path
) -> None:
    """No file may grow past 700 kB, as on a disk without room: the store's journal reaches that in
    the middle of the search.
    """
    filled = PointStore(store, "other")
    filled.put(
        "large", {"text": "x" * 560_000}
    )  # stays in the journal as long as the store is open
    process = start(
        store.parent,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (700_000, 700_000)),
    )
    _, errors = process.communicate()
    complaints = [line for line in errors.splitlines() if not line.startswith("search ")]
    assert process.returncode == 3, errors
    assert len(complaints) == 1
    assert re.fullmatch(
        (
            r"dse: point store '.*points\.sqlite': .*; free space, check permissions, or choose "
            r"another --out"
        ),
        complaints[0],
    )
    rows = (
        sqlite3.connect(store)
        .execute("SELECT item FROM known WHERE result LIKE '%area_um2%'")
        .fetchall()
    )
    filled.__exit__(None, None, None)
    assert 0 < len(rows) < EVALUATIONS
    found = explore(small_search(), store, executor=LocalProcesses(2))
    assert (found.front, found.points) == (undisturbed.front, undisturbed.points)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


def check_results(folder: Path) -> Exploration:
    """The run of a folder that holds the table, plots, report and Verilog of its front."""
    with (folder / "front.csv").open() as file:
        front = list(csv.DictReader(file))
    run = Exploration.load(folder)
    assert [row["spec"] for row in front] == [point.spec for point in run.front.points]
    assert (folder / "front_area_drop.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((folder / "verilog").glob("*/*_tb.v"))) == len(front)
    page = _Text()
    page.feed((folder / "report.html").read_text())
    assert all(row["spec"] in page.text for row in front)
    return run


@pytest.mark.slow
def test_own_verilog_is_a_seed(store: Path, tmp_path: Path) -> None:
    """A multiplier without its lowest partial products, written by the user: evaluated like any
    other, and delivered.
    """
    source = tmp_path / "mine.v"
    source.write_text(
        "module top(input [7:0] x, y, output [15:0] z); wire [13:0] high = x[7:1] * y[7:1]; "
        "assign z = {high, 2'b00}; endmodule\n"
    )
    search = replace(
        of_8_bits(),
        corrected=False,
        families=("exact",),
        evaluations=24,
        population=10,
        seeds=(f"{source}:top", "drum:k=4,width=8x7"),
    )
    found = explore(search, store, executor=LocalProcesses(1))
    assert not found.failures
    (own,) = found.imported
    points = {point.spec: point for point in found.points}
    name = f"{own.name}@8x7"  # the network's weights have no more bits
    assert (points[name].family, own.name.startswith(f"{source}:top#")) == ("imported", True)
    # The same rule as tm:k=1, whose errors it must have.
    rule = error_metrics(ProductTable.of(MultiplierSpec.parse("tm:k=1,width=8x7")))
    assert (points[name].wce, points[name].med) == (rule.wce, pytest.approx(rule.med))
    assert "drum:k=4,width=8x7" in points
    found.save(tmp_path)
    loaded = Exploration.load(tmp_path)
    assert loaded.imported == found.imported
    assert name in {point.spec for point in loaded.front.points}
    redraw(tmp_path)
    top = f"{own.identifier}_for8x7"
    verilog = tmp_path / "verilog" / top / f"{top}.v"
    assert f"module {top}(a, b, p);" in verilog.read_text()
    (design,) = (design for design in load_run(tmp_path).front if design.spec == name)
    assert f"module {top}(a, b, p);" in design.multiplier.verilog()
    with pytest.raises(
        SpaceError,
        match="multiplies signed 8x8, and this search is among unsigned multipliers of 8x7",
    ):
        explore(replace(search, seeds=("drum:k=4,signed=1",)), store, executor=LocalProcesses(1))
