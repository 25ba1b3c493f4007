"""Costs of circuits as somebody else's flow found them, from a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hdl.errors import InputError
from hdl.files import read_bytes

LIMIT_BYTES = 16 << 20


class Cost(NamedTuple):
    """Area and energy of one operation, of whatever flow they are."""

    area: float
    energy: float


def read_costs(path: Path, area: str, energy: str, only: Sequence[str]) -> dict[str, Cost]:
    """The least area and the least energy of each circuit's rows. Raises InputError."""
    text = read_bytes(path, limit_bytes=LIMIT_BYTES).decode(errors="replace")
    rows = csv.DictReader(text.splitlines())
    wanted = dict(_condition(one) for one in only)
    missing = sorted({"circuit", area, energy, *wanted} - set(rows.fieldnames or ()))
    if missing:
        raise InputError(
            f"{path}: has no column {missing[0]!r}; there are {', '.join(rows.fieldnames or ())}"
        )
    found: dict[str, Cost] = {}
    for row in rows:
        if any(row[column] != value for column, value in wanted.items()):
            continue
        name = row["circuit"]
        try:
            cost = Cost(float(row[area]), float(row[energy]))
        except (TypeError, ValueError):
            cost = Cost(0, 0)
        if not all(0 < figure < float("inf") for figure in cost):
            raise InputError(
                f"{path}: {name} has the area {row[area]!r} and the energy {row[energy]!r}; give "
                "positive numbers"
            )
        found[name] = Cost(*map(min, zip(cost, found.get(name, cost), strict=True)))
    return found


def _condition(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--only {text}: give COLUMN=VALUE")
    return column, value
