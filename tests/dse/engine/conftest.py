"""The small search, done once, and a store for others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_once import made_once
from small_run import small_search

from dse.engine import explore
from dse.evaluation.executor import LocalProcesses
from dse.search.exploration import Exploration


@pytest.fixture(scope="module")
def undisturbed_store(
    tmp_path_factory: pytest.TempPathFactory, run_folder: Callable[[Path], Path]
) -> Path:
    def make(folder: Path) -> None:
        store = run_folder(folder) / "points.sqlite"
        explore(small_search(), store, executor=LocalProcesses(2)).save(folder)

    return made_once(tmp_path_factory, "small_search", make) / "points.sqlite"


@pytest.fixture(scope="module")
def undisturbed(undisturbed_store: Path) -> Exploration:
    return Exploration.load(undisturbed_store.parent)


@pytest.fixture
def store(tmp_path: Path, run_folder: Callable[[Path], Path]) -> Path:
    """A store without points; what Yosys made is known, so that evaluating again is quick."""
    return run_folder(tmp_path) / "points.sqlite"
