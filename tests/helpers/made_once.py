"""What is dear to make and several tests read: made once a run, whichever workers they are in."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["folder_of_the_run", "made_once"]


def folder_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a run."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name, which `make` fills; tests copy what they would change."""
    base = folder_of_the_run(factory)
    folder, lock = base / name, base / f"{name}.lock"
    with lock.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if lock.stat().st_size == 0:
            shutil.rmtree(folder, ignore_errors=True)  # half made
            folder.mkdir()
            make(folder)
            file.write("made")
            file.flush()
    return folder
