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
    """A bench with nothing on it."""

    def files(self) -> dict[str, Path]:
        return {}

    def moved(self, folder: Path, kept: Path) -> EmptyBench:
        return self


def sleeper(bench: EmptyBench) -> Callable[[str], dict[str, Any]]:
    """A task is so many seconds of sleep, and a number."""

    def sleep(task: str) -> dict[str, Any]:
        time.sleep(float(task.split()[0]))
        return {}

    return sleep
