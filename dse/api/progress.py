"""How far a run is, for who shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["OnProgress", "Stage", "silent"]


@dataclass(frozen=True)
class Stage:
    """How far a run is, for a progress display: `done` of `total` of what the stage `name` does,
    and a few words on its state.
    """

    name: str
    done: int
    total: int
    state: str


OnProgress = Callable[[Stage], None]


def silent(stage: Stage) -> None:
    """Ignores progress."""
