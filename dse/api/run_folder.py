"""The folder of a run: which search it holds, and what that has found so far."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..engine import Search
    from ..search import Exploration

__all__ = ["left", "own_folder", "search_in"]


def own_folder(wanted: Path, search: Search) -> Path:
    """The folder, or the first of `wanted-2`, `wanted-3` ... that holds no other search."""
    from ..engine import SEARCH_FILE

    numbered = (wanted.with_name(f"{wanted.name}-{number}") for number in count(2))
    return next(
        folder
        for folder in chain([wanted], numbered)
        if not (folder / SEARCH_FILE).exists() or search_in(folder) == search
    )


def search_in(folder: Path) -> Search | None:
    """The search that a folder holds; None where there is none that can be read."""
    from ..engine import recorded_search
    from ..search import RunError

    with suppress(RunError):
        return recorded_search(folder)
    return None


def left(folder: Path, notes: list[str]) -> Exploration | None:
    """The run as it was left; None where it was interrupted before it had a result, or where that
    cannot be read, which is noted.
    """
    from ..search import RUN_FILE, Exploration, RunError

    try:
        return Exploration.load(folder)
    except RunError as error:
        if (folder / RUN_FILE).exists():
            notes.append(f"{error.args[0].partition(';')[0]}; what it verified is left out")
        return None
