"""The small search, done once, and a store that knows what Yosys made in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from made_once import made_once
from small_search import small_search

from dse.engine import YOSYS_CACHE, explore
from dse.evaluation.executor import LocalProcesses
from dse.search.exploration import Exploration


@pytest.fixture(scope="module")
def undisturbed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        store = folder / "points.sqlite"
        explore(small_search(), store, executor=LocalProcesses(2)).save(folder)

    return made_once(tmp_path_factory, "small_search", make) / "points.sqlite"


@pytest.fixture(scope="module")
def undisturbed(undisturbed_store: Path) -> Exploration:
    return Exploration.load(undisturbed_store.parent)


@pytest.fixture
def store(undisturbed_store: Path, tmp_path: Path) -> Path:
    """A store without points; what Yosys made is known, so that evaluating again is quick."""
    shutil.copy(undisturbed_store.with_name(YOSYS_CACHE), tmp_path / YOSYS_CACHE)
    return tmp_path / "points.sqlite"
