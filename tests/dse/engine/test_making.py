"""Searches that make designs of their own: what enters the front, and that an interruption changes
nothing."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_once import made_once

from dse.api.exploring import explore as start
from dse.api.runs import load_run, redraw
from dse.api.synthesis import synthesize
from dse.engine import Progress, Search, explore, record_search
from dse.evaluation import LocalProcesses
from dse.search import Budget, Exploration
from dse.search.synthesis import rounds
from hdl.errors import InputError
from hdl.multipliers import parse_multiplier
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
STORE = "points.sqlite"
#: Walks go less far than they would, which is for speed.
REACH_PP = 8.0
SEARCH = Search(
    network="resnet20",
    encodings=(OperandEncoding.SIGN_MAGNITUDE,),
    budget=Budget.parse("area"),
    evaluations=24,
    population=8,
    families=("tm",),
    activation_bits=4,
    weight_bits=4,
    walks=2,
)


@pytest.fixture(scope="module", autouse=True)
def short_walks() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "_LEAST_REACH_PP", REACH_PP)
        yield


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, run_folder: Callable[[Path], Path]
) -> tuple[Exploration, Path]:
    def make(folder: Path) -> None:
        explore(SEARCH, run_folder(folder) / STORE, executor=LocalProcesses(2)).save(folder)
        redraw(folder)

    folder = made_once(tmp_path_factory, "search_with_walks", make)
    return Exploration.load(folder), folder


def test_made_designs_are_on_the_front(whole: tuple[Exploration, Path]) -> None:
    found, folder = whole
    assert found.made
    assert not found.failures
    on_front = [point for point in found.front.points if point.family == "net"]
    assert on_front
    lists = [point for point in found.points if point.family == "terms"]
    assert lists, "made by walks over terms: the families are others"
    names = {design.name for design in found.made}
    for point in on_front:
        assert point.spec in names
        assert point.beyond_area_pct is not None
    run = load_run(folder)
    assert run.exploration.made == found.made
    made = next(design for design in run.front if design.spec == on_front[0].spec)
    # What a run leaves as Verilog is a multiplier like any other.
    top = made.multiplier.design.identifier
    verilog = folder / "verilog" / top / f"{top}.v"
    read = parse_multiplier(f"{verilog}:{top}")
    expected = made.multiplier.design.table().products
    assert (ProductTable.of(read).products == expected).all()


def test_what_walks_leave_goes_to_neighbours_of_the_front(
    whole: tuple[Exploration, Path],
) -> None:
    found, _ = whole
    assert len(found.points) + len(found.failures) >= SEARCH.evaluations
    assert found.history[-1].evaluations == SEARCH.evaluations


#: The search alone, as everything that comes after it needs no walks.
SCRIPT = """
import sys
from pathlib import Path
from dse.engine import explore, recorded_search
from dse.evaluation import LocalProcesses
from dse.search.synthesis import rounds
run = Path(sys.argv[1])
rounds._LEAST_REACH_PP = float(sys.argv[2])
explore(
    recorded_search(run),
    run / "points.sqlite",
    executor=LocalProcesses(1),
    on_progress=lambda state: print(state.walks, flush=True),
)
"""


def kill_in_a_walk(folder: Path) -> None:
    """Does the search as a process of its own, and kills it in the middle of its first walk."""
    record_search(SEARCH, folder)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(REACH_PP)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert process.stdout is not None
    assert "(0, 1)\n" in process.stdout
    # Until a walk ends nothing else goes on.
    known = rows(folder)
    time.sleep(0.2)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert rows(folder) == known


def rows(folder: Path) -> set[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(folder / STORE, timeout=30)) as store:
        return set(store.execute("SELECT context, item, result FROM known"))


def test_a_killed_walk_and_an_interrupted_round_go_on_the_same(
    whole: tuple[Exploration, Path], store: Path
) -> None:
    found, _ = whole
    kill_in_a_walk(store.parent)
    known = rows(store.parent)

    def interrupt(state: Progress) -> None:
        if state.walks == (1, 1):
            raise KeyboardInterrupt

    stopped = explore(SEARCH, store, executor=LocalProcesses(1), on_progress=interrupt)
    assert stopped.interrupted
    resumed = explore(SEARCH, store, executor=LocalProcesses(1))
    assert resumed.front == found.front
    assert resumed.points == found.points
    assert resumed.made == found.made
    assert known <= rows(store.parent)


def test_designs_for_several_networks(whole: tuple[Exploration, Path], store: Path) -> None:
    alone = {point.spec: point for point in whole[0].points if point.family == "tm"}
    folder = store.parent
    asked = replace(SEARCH, walks=1, others=("resnet8",))
    found = explore(asked, store, executor=LocalProcesses(1))
    assert found.networks == ("resnet20", "resnet8")
    assert any(point.family in ("net", "terms") for point in found.points)
    for point in found.points:
        assert [one.network for one in point.networks] == ["resnet20", "resnet8"]
        assert point.predicted_drop_pp == max(one.predicted_drop_pp for one in point.networks)
        if point.spec in alone:
            drop_pp = alone[point.spec].predicted_drop_pp
            assert point.networks[0].predicted_drop_pp == pytest.approx(drop_pp)
    found.save(folder)
    assert Exploration.load(folder) == found
    redraw(folder)
    header = (folder / "front.csv").read_text().splitlines()[0]
    assert header.endswith("predicted_drop_pp.resnet8,spread_pp.resnet8,emulated_drop_pp.resnet8")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("resnet20,resnet20", "the same one twice; name each once"),
        ("resnet20,", "an empty name; separate networks by one comma"),
        ("resnet20,other.py:make", "only the first may be a file of your own; 'other.py:make'"),
        ("resnet20,resnet8-fashion", "different data .*; leave out --recalibrate and --verify"),
    ],
)
def test_networks_that_do_not_go_together(network: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        start(network, data=tmp_path / "images.npz", recalibrate=4, out=tmp_path / "run")


def test_designs_are_made_without_a_search_too(tmp_path: Path) -> None:
    arguments = {"start": ["exact:width=4x3"], "max_drop": 3.0, "walks": 2}
    made = synthesize("resnet20", **arguments, out=tmp_path)  # type: ignore[arg-type]
    assert {one.multiplier.design.family for one in made} <= {"net", "terms"}
    assert any(one.name.startswith("terms:") for one in made)
    assert [one.predicted_drop_pp for one in made] == sorted(one.predicted_drop_pp for one in made)
    assert all(one.predicted_drop_pp <= 3 for one in made)
    with (tmp_path / "designs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [one.name for one in made]
    assert all((tmp_path / row["verilog"]).is_file() for row in rows)


@pytest.mark.slow
def test_walks_start_from_own_verilog_with_operand_bits_tied_off(tmp_path: Path) -> None:
    path = tmp_path / "mul.v"
    path.write_text("module top(input [7:0] a, b, output [15:0] p); assign p = a * b; endmodule")
    made = synthesize("resnet20", start=[f"{path}:top@3x2"], max_drop=20, walks=1, workers=1)
    assert {one.multiplier.design.widths for one in made} == {(3, 2)}
    with pytest.raises(InputError, match=f"give one of these, or tie operand bits off: {path}:top"):
        synthesize("resnet20", start=[f"{path}:top"])


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("exact:width=7x7", "multiplies 7x7 bits; 'resnet20' is profiled for 8x7, 8x4"),
        ("exact:signed=1", "is a signed multiplier"),
        ("nothing", "no multiplier family is called 'nothing'"),
    ],
)
def test_starts_that_do_not_fit(start: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        synthesize("resnet20", start=[start])
