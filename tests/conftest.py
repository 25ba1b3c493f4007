"""Fixtures that every test file may use."""

from __future__ import annotations

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
    """The slow ones first, so that no worker is left with one when all others are done."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
