"""Searches as processes that are interrupted or find the disk full."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from small_run import EVALUATIONS, small_search

from dse.engine import record_search
from dse.evaluation.store import PointStore
from dse.search.exploration import Exploration

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def start(folder: Path, **arguments: Any) -> subprocess.Popen[str]:
    """The small search as a process of its own, in a process group of its own."""
    record_search(small_search(), folder)
    # Whoever runs the tests in the background may have them ignore Ctrl-C, which children inherit.
    heed = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from "
        "dse.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", heed, "explore", "--resume", "--out", str(folder)]
    command += ["--workers", "1"]  # ready sooner, and what Yosys makes is known
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


def test_a_run_cut_short_keeps_everything_goes_on_and_ends_the_same(
    undisturbed: Exploration, store: Path
) -> None:
    """Interrupted first, then without room on the disk."""
    folder = store.parent
    process = start(folder)
    before = wait_for_points(folder, 10)
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"go on with dse explore --resume --out {folder}" in out
    assert json.loads((folder / "run.json").read_text())["interrupted"]
    assert (folder / "report.html").exists()
    before = resume_on_a_full_disk(store, before)
    resumed = start(folder)
    _, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    after = wait_for_points(folder, EVALUATIONS)
    assert {key: after[key] for key in before} == before
    found = check_results(folder)
    assert (found.front, found.points) == (undisturbed.front, undisturbed.points)


def resume_on_a_full_disk(store: Path, before: dict[str, str]) -> dict[str, str]:
    """No file may grow past 700 kB, as on a disk without room: the store's journal reaches that in
    the middle of the search. Gives the rows of the store then, `before` among them.
    """
    filled = PointStore(store, "other")
    # Stays in the journal as long as the store is open.
    filled.put("large", {"text": "x" * 560_000})
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
    found = wait_for_points(store.parent, len(before) + 1)
    filled.__exit__(None, None, None)
    assert len(found) < EVALUATIONS
    assert {key: found[key] for key in before} == before
    return found


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
