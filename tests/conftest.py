"""Fixtures that every test file may use."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from made_once import folder_of_the_run

from dse.engine import YOSYS_CACHE
from hdl import yosys


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference material that does not ship with the project: golden figures, cell libraries,
    images.
    """
    folder = Path(os.environ.get("AMELIORATE_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(
            f"reference material is absent: {folder} (tests/README.md tells what it is and where "
            "to get it)"
        )
    return folder


@pytest.fixture(scope="session")
def yosys_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Yosys has made in any test of this run, whichever worker it was in."""
    return folder_of_the_run(tmp_path_factory) / YOSYS_CACHE


@pytest.fixture(autouse=True)
def nothing_is_made_twice(yosys_results: Path) -> None:
    """A result depends on commands and inputs alone, and many tests ask for the same circuits."""
    yosys.keep_results(yosys_results)


@pytest.fixture(scope="session")
def run_folder(yosys_results: Path) -> Callable[[Path], Path]:
    """Makes a folder for a search, which finds what Yosys has made in other tests."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / YOSYS_CACHE).symlink_to(yosys_results)
        return folder

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first in each worker's share, module by module in turn, so that none is left
    with them when all others are done: pytest-xdist hands out what is collected in shares of equal
    length, and of these moves the ends.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    fast = iter([item for item in items if item.get_closest_marker("slow") is None])
    modules = [list(found) for _, found in itertools.groupby(slow, lambda item: item.path)]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        ordered += itertools.chain.from_iterable(modules[worker::workers])
        end = len(items) * (worker + 1) // workers
        ordered += itertools.islice(fast, max(end - len(ordered), 0))
    items[:] = [*ordered, *fast]


def pytest_collection_finish() -> None:
    """What thousands of collected tests hold lives as long as the run: garbage collections need not
    look at it again.
    """
    gc.collect()
    gc.freeze()
