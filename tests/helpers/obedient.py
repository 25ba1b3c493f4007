"""Work that does as it is told. Nothing heavy is imported, so that workers start at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EmptyBench:
    """A bench with nothing on it."""

    def files(self) -> dict[str, Path]:
        return {}

    def moved(self, folder: Path, kept: Path) -> EmptyBench:
        return self


def obedient(bench: EmptyBench, beside: bytes = b"") -> Callable[[str], dict[str, Any]]:
    """Does as the task's first word says; `-once`: the first time that a file is named.

    Args:
        beside: travels, and is not looked at.
    """

    def evaluate(task: str) -> dict[str, Any]:
        action, _, rest = task.partition(" ")
        if action.endswith("-once"):
            if Path(rest).exists():
                action = ""
            else:
                Path(rest).touch()
        if action in ("die", "die-once"):
            os.kill(os.getpid(), signal.SIGKILL)
        while action == "after" and not Path(rest).exists():
            time.sleep(0.01)
        if action == "wait-once":
            time.sleep(300)
        if action == "loop":
            while True:
                pass
        if action == "raise":
            raise ValueError("no such family")
        return {"task": task, "folder": os.getcwd()}

    return evaluate


def broken(bench: EmptyBench) -> Callable[[str], dict[str, Any]]:
    raise OSError("cell library is unreadable")
