"""Work that takes time and nothing else, for `bench/cluster.py`. Workers import this: nothing heavy
stands here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["EmptyBench", "sleeper"]


@dataclass(frozen=True)
class EmptyBench:
    """What an executor asks of a workbench, where there is nothing on it."""

    liberty: Path | None = None
    zoo_folder: Path | None = None
    yosys_cache: Path | None = None

    def profile_paths(self) -> list[Path]:
        return []


def sleeper(bench: EmptyBench) -> Callable[[str], dict[str, Any]]:
    """A task is so many seconds of sleep, and a number."""

    def sleep(task: str) -> dict[str, Any]:
        time.sleep(float(task.split()[0]))
        return {}

    return sleep
