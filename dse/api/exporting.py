"""What `dse export` exports: a multiplier, or the designs that a run found."""

from __future__ import annotations

from pathlib import Path

from .reading import Multiplier, multiplier
from .runs import load_run

__all__ = ["exported_designs"]


def exported_designs(text: str, *, signed: bool = False) -> list[tuple[Multiplier, str]]:
    """The multiplier of a text, or, where that is the folder of a run, all multipliers on its
    front; each with the number format of its operands, "" where only its signedness says that.

    `signed` and errors as in :func:`dse.multiplier`. Raises dse.search.RunError for a folder that
    holds no run.
    """
    # A folder may be called as a family is: the one that the family was exported to.
    if Path(text).is_dir() and not _is_family(text):
        return [(design.multiplier, design.encoding) for design in load_run(text).front]
    return [(multiplier(text, signed=signed), "")]


def _is_family(text: str) -> bool:
    from hdl.multipliers import FAMILIES

    return text in FAMILIES
