"""The search on real parts: the shipped network, real synthesis; a small budget of evaluations keeps it quick."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dse.budget import Budget
from dse.explore import Progress, Search, explore
from dse.run import Exploration
from hdl.operands import OperandEncoding

FAMILIES = ("bam", "tm", "exact")
EVALUATIONS = 30


def small_search(seed: int = 1) -> Search:
    return Search(
        network="resnet20",
        encoding=OperandEncoding.SIGN_MAGNITUDE,
        budget=Budget.parse("area"),
        evaluations=EVALUATIONS,
        population=12,
        seed=seed,
        families=FAMILIES,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Exploration:
    return explore(small_search(), tmp_path_factory.mktemp("undisturbed") / "points.sqlite", workers=2)


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


def test_the_front_depends_on_the_seed_alone(undisturbed: Exploration, tmp_path: Path) -> None:
    assert explore(small_search(), tmp_path / "one.sqlite", workers=1).front == undisturbed.front


def test_a_warm_store_evaluates_nothing_again(undisturbed: Exploration, tmp_path: Path) -> None:
    store = tmp_path / "points.sqlite"
    first = explore(small_search(), store, workers=2)
    before = sqlite3.connect(store).execute("SELECT * FROM results ORDER BY spec").fetchall()
    states: list[Progress] = []
    second = explore(small_search(), store, workers=0, on_progress=states.append)  # no worker: an evaluation would never return
    assert second.front == first.front == undisturbed.front
    assert second.points == first.points
    assert states[-1].evaluations == EVALUATIONS
    assert sqlite3.connect(store).execute("SELECT * FROM results ORDER BY spec").fetchall() == before


def start(folder: Path) -> subprocess.Popen[str]:
    command = [
        "explore",
        "--network",
        "resnet20",
        "--families",
        ",".join(FAMILIES),
        "--evaluations",
        str(EVALUATIONS),
        "--out",
        str(folder),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "dse", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for_points(folder: Path, count: int) -> dict[str, str]:
    """Rows of the running search's store, once it has `count` of them."""
    for _ in range(600):
        time.sleep(0.1)
        if (folder / "points.sqlite").exists():
            database = sqlite3.connect(folder / "points.sqlite", timeout=10)
            try:
                rows = dict(database.execute("SELECT spec, result FROM results").fetchall())
            except sqlite3.OperationalError:
                rows = {}
            finally:
                database.close()
            if len(rows) >= count:
                return rows
    raise AssertionError("the search makes no progress")


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed)
    before = wait_for_points(killed, 8)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    resumed = subprocess.run(
        [sys.executable, "-m", "dse", "explore", "--resume", "--out", str(killed)], capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    after = wait_for_points(killed, EVALUATIONS)
    assert {spec: after[spec] for spec in before} == before
    undisturbed = start(whole)
    _, errors = undisturbed.communicate()
    assert undisturbed.returncode == 0, errors
    assert (killed / "front.csv").read_text() == (whole / "front.csv").read_text()
    check_results(whole)


def test_an_interrupt_keeps_everything(tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for_points(tmp_path, 10)
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"go on with dse explore --resume --out {tmp_path}" in out
    assert json.loads((tmp_path / "run.json").read_text())["interrupted"]
    assert (tmp_path / "report.html").exists()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


def check_results(folder: Path) -> None:
    """The folder holds the table, plots, report and Verilog of one front."""
    with (folder / "front.csv").open() as file:
        front = list(csv.DictReader(file))
    run = Exploration.load(folder)
    assert [row["spec"] for row in front] == [point.spec for point in run.front.points]
    assert (folder / "front_area_drop.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((folder / "verilog").glob("*_tb.v"))) == len(front)
    page = _Text()
    page.feed((folder / "report.html").read_text())
    assert all(row["spec"] in page.text for row in front)
