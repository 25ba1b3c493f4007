"""Fixtures that every test file may use."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first in each worker's share, so that none is left with them when all others
    are done: pytest-xdist hands out what is collected in shares of equal length. Of these the last
    modules first: the tutorial takes longer than most, and is alone in the end otherwise.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    modules = [list(found) for _, found in itertools.groupby(slow, lambda item: item.path)]
    slow = [item for module in reversed(modules) for item in module]
    fast = [item for item in items if item.get_closest_marker("slow") is None]
    items[:] = [
        item
        for worker in range(workers)
        for part in (slow, fast)
        for item in part[len(part) * worker // workers : len(part) * (worker + 1) // workers]
    ]
