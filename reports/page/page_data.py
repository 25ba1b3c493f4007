"""What the page's script knows: the designs of one run or of two with their figures, the rule by
which each run picks, and the axes that plots may have.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from dse.evaluation import Accelerator, DesignPoint
from dse.search import COSTS, Exploration, is_exact, preferred
from hdl.files import FileError, read_bytes

from ..figures.captions import COST_FIELDS
from ..figures.front import HIGHEST_RATIO
from ..figures.rendering import css_variable
from ..figures.style import family_marks
from .tables import COLUMNS, HEADINGS

__all__ = ["NumberedDesign", "ShownRun", "numbered_designs", "page_data"]

# More designs off the front than these would make the page heavy and the plots gray.
_MOST_OFF_THE_FRONT = 2000
_LONGEST_VERILOG_BYTES, _MOST_VERILOG_BYTES = 1 << 18, 1 << 20
_COST_FIELDS = [field for fields in COST_FIELDS.values() for field in fields[:2]]
_UNITS = ("µm²", "fJ", "ps", "nW")
_TEXTS = ("spec", "level", "element", "array", "family", "encoding", "effort")
_LEVELS = {
    "multiplier": "Multiplier by itself",
    "element": "Element, with accumulator and registers",
    "array": "Systolic array of elements",
}
#: Field of a design -> how an axis names it.
_AXES = {
    "predicted_drop_pp": "Predicted drop, points",
    "emulated_drop_pp": "Emulated drop, points",
    "predicted_top1_pct": "Predicted top-1, %",
    "area_ratio": "Area (exact = 1)",
    "power_ratio": "Power (exact = 1)",
    "delay_ratio": "Delay (exact = 1)",
    "area_um2": "Area, µm²",
    "energy_fj": "Energy, fJ",
    "delay_ps": "Delay, ps",
}
# Limits that the slider stops at, in percentage points: from, to, step.
_STOPS_PP = ((0.0, 2.0, 0.05), (2.0, 5.0, 0.1), (5.0, 10.0, 0.25), (10.0, 100.0, 1.0))


@dataclass(frozen=True)
class ShownRun:
    """A run on a page.

    Attributes:
        name: what the page calls it.
        verilog: spec -> path of its Verilog, relative to the page's folder.
    """

    name: str
    exploration: Exploration
    verilog: Mapping[str, str]


@dataclass(frozen=True)
class NumberedDesign:
    """A design on a page: its place in the list of designs is its number.

    Attributes:
        run: number of the run that evaluated it.
    """

    point: DesignPoint
    run: int
    on_front: bool


def numbered_designs(runs: Sequence[ShownRun]) -> list[NumberedDesign]:
    """The designs of a page: the fronts of all runs, then what else they evaluated, of each run
    :data:`_MOST_OFF_THE_FRONT`: baseline and pick, the cheapest of what may be picked, and then of
    the others.
    """
    on_front = [
        NumberedDesign(point, number, True)
        for number, run in enumerate(runs)
        for point in run.exploration.front.points
    ]
    others = [
        NumberedDesign(point, number, False)
        for number, run in enumerate(runs)
        for point in _off_the_front(run.exploration)
    ]
    return on_front + others


def _off_the_front(exploration: Exploration) -> list[DesignPoint]:
    comparable = exploration.comparable
    known = {point.name: point for point in (*exploration.points, *comparable)}
    for point in exploration.front.points:
        known.pop(point.name, None)
    named = {one.name for one in (exploration.baseline, exploration.pick) if one is not None}
    pickable = {point.name for point in comparable}
    ordered = sorted(
        known.values(),
        key=lambda one: (
            one.name not in named,
            one.name not in pickable,
            exploration.budget.value(one),
            one.name,
        ),
    )
    return ordered[:_MOST_OFF_THE_FRONT]


def page_data(runs: Sequence[ShownRun], designs: Sequence[NumberedDesign], folder: Path) -> Markup:
    """JSON to put into a script element of a page in `folder`: no `<` in it ends the element."""
    number = {(one.run, one.point.name): index for index, one in enumerate(designs)}
    found = {
        "fields": _fields(designs),
        "run": [one.run for one in designs],
        "front": sum(one.on_front for one in designs),
        "headings": [
            {
                "field": field,
                "name": f"{meaning.capitalize()}, {heading}" if heading in _UNITS else heading,
                "meaning": meaning,
                "digits": _digits(field),
            }
            for field, (heading, meaning) in HEADINGS.items()
        ]
        + [
            {"field": field, "name": f"Drop of {network}", "meaning": title, "digits": 3}
            for field, network, title in _network_axes(designs)
        ],
        "axes": _axes(runs, designs),
        "levels": _levels(runs, designs, number),
        "limits": _limits([run.exploration for run in runs]),
        "marks": _marks(designs),
        "runs": [_run(index, run, number) for index, run in enumerate(runs)],
        "verilog": _verilog(runs, number, folder),
    }
    text = json.dumps(found, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))


def _run(index: int, run: ShownRun, number: Mapping[tuple[int, str], int]) -> dict[str, Any]:
    """A run: its limits, and in `preferred` the numbers of the designs that keep the budget, in the
    order in which they are picked.
    """
    exploration = run.exploration
    pick = exploration.pick
    return {
        "name": run.name,
        "cost_field": COSTS[exploration.budget.cost],
        "cost_limit": exploration.budget.limit,
        "max_drop_pp": exploration.max_drop_pp,
        "pick": None if pick is None else number[index, pick.name],
        "preferred": [
            number[index, point.name]
            for point in preferred(exploration.comparable, exploration.budget)
            if (index, point.name) in number
        ],
        "baseline": number[index, exploration.baseline.name],
    }


def _fields(designs: Sequence[NumberedDesign]) -> dict[str, list[Any]]:
    """Field of a design -> its values; but for the drop, by which designs are picked, to more
    digits than are shown.
    """
    points = [one.point for one in designs]
    fields: dict[str, list[Any]] = {
        field: [getattr(point, field) for point in points] for field in _TEXTS
    } | {"spec": [point.name for point in points]}
    for field in COLUMNS:
        if field not in _TEXTS:
            fields[field] = [_figure(point, field) for point in points]
    for field, network, _ in _network_axes(designs):
        fields[field] = [
            next((one.predicted_drop_pp for one in point.networks if one.network == network), None)
            for point in points
        ]
    return fields | {"exact": [is_exact(point) for point in points]}


def _network_axes(designs: Sequence[NumberedDesign]) -> list[tuple[str, str, str]]:
    """Of each network of a search for several, the field of its drops, its name, and a title."""
    networks = dict.fromkeys(net.network for one in designs for net in one.point.networks)
    return [
        (f"predicted_drop_pp of {network}", network, f"Predicted drop of {network}, points")
        for network in networks
    ]


def _figure(point: DesignPoint, field: str) -> float | None:
    value: float | None = getattr(point, field)
    if value is None or field == "predicted_drop_pp" or isinstance(value, int):
        return value
    return float(f"{value:.7g}")


def _digits(field: str) -> int | None:
    """Digits behind the point; None where a number of significant ones says it."""
    form = COLUMNS[field]
    return int(form[1:-1]) if form.endswith("f") else None if form.endswith("g") else 0


def _axes(runs: Sequence[ShownRun], designs: Sequence[NumberedDesign]) -> list[dict[str, Any]]:
    absolute = {fields[0]: cost for cost, fields in COST_FIELDS.items()}
    ratios = {fields[1]: cost for cost, fields in COST_FIELDS.items()}
    axes = []
    for field, title in _AXES.items():
        if all(getattr(one.point, field) is None for one in designs):
            continue
        most = None
        if field in ratios or field in absolute:
            most = max(_most(run.exploration, field, absolute) for run in runs)
        axes.append(
            {
                "field": field,
                "title": title,
                "kind": "drop" if field.endswith("drop_pp") else "cost" if most else "accuracy",
                "less_is_better": field != "predicted_top1_pct",
                "most": most,
            }
        )
    return axes + [
        {"field": field, "title": title, "kind": "drop", "less_is_better": True, "most": None}
        for field, _, title in _network_axes(designs)
    ]


def _most(exploration: Exploration, field: str, absolute: Mapping[str, str]) -> float:
    """The highest value that a cost's axis goes to."""
    unit = float(getattr(exploration.baseline, field)) if field in absolute else 1.0
    pick = exploration.pick
    return max(HIGHEST_RATIO * unit, 0.0 if pick is None else 1.05 * float(getattr(pick, field)))


def _levels(
    runs: Sequence[ShownRun],
    designs: Sequence[NumberedDesign],
    number: Mapping[tuple[int, str], int],
) -> list[dict[str, Any]]:
    """The levels of a chip that the runs have costs of; `costs`: field -> number of a design -> its
    value. The first level is that of the runs, whose costs are the designs' own.
    """
    own_level = runs[0].exploration.level
    costs: dict[str, dict[str, dict[int, float]]] = {own_level: {}}
    for index, run in enumerate(runs):
        alone = {point.spec: point for point in run.exploration.screened}
        for field in _COST_FIELDS if alone else ():
            costs.setdefault("multiplier", {}).setdefault(field, {}).update(
                (design, float(getattr(alone[one.point.spec], field)))
                for design, one in enumerate(designs)
                if one.run == index
            )
        accelerator = run.exploration.accelerator
        if accelerator is None:
            continue
        own = number.get((index, accelerator.spec))
        exact = number.get((index, accelerator.exact))
        for level in accelerator.levels:
            of_level = costs.setdefault(level.name, {})
            if level.name in (own_level, "multiplier"):
                continue
            for design, is_own in ((exact, False), (own, True)):
                if design is not None:
                    for field, value in _level_costs(accelerator, level.name, is_own).items():
                        of_level.setdefault(field, {})[design] = value
    return [{"name": name, "title": _LEVELS[name], "costs": costs[name]} for name in costs]


def _level_costs(accelerator: Accelerator, name: str, own: bool) -> dict[str, float]:
    """Field of a design -> its value at a level, for the accelerator's own design or the exact."""
    level = next(one for one in accelerator.levels if one.name == name)
    period_ps = accelerator.period_ps if own else accelerator.exact_period_ps
    area_um2, energy_fj = (
        (level.area_um2, level.energy_fj) if own else (level.exact_area_um2, level.exact_energy_fj)
    )
    return {
        "area_um2": area_um2,
        "energy_fj": energy_fj,
        "delay_ps": period_ps,
        "area_ratio": area_um2 / level.exact_area_um2,
        "power_ratio": energy_fj / level.exact_energy_fj,
        "delay_ratio": period_ps / accelerator.exact_period_ps,
    }


def _limits(explorations: Sequence[Exploration]) -> list[float]:
    """The drops that the slider stops at, up to the worst of the fronts, in percentage points."""
    worst = max(
        [one.max_drop_pp for one in explorations]
        + [point.predicted_drop_pp for one in explorations for point in one.front.points]
    )
    stops = {
        round(low + step * index, 2)
        for low, high, step in _STOPS_PP
        for index in range(math.ceil((high - low) / step))
    }
    return sorted(
        {stop for stop in stops if stop <= max(worst, 2.0)}
        | {float(one.max_drop_pp) for one in explorations}
    )


def _marks(designs: Sequence[NumberedDesign]) -> dict[str, dict[str, str]]:
    marks = family_marks(one.point.family for one in designs)
    return {
        family: {"color": css_variable(mark.color), "marker": mark.marker}
        for family, mark in marks.items()
    }


def _verilog(
    runs: Sequence[ShownRun], number: Mapping[tuple[int, str], int], folder: Path
) -> dict[int, dict[str, str]]:
    """Number of a design -> link to its Verilog and, as far as there is room, the text itself, as
    base64 of gzip.
    """
    found: dict[int, dict[str, str]] = {}
    room = _MOST_VERILOG_BYTES
    for index, run in enumerate(runs):
        for spec, path in run.verilog.items():
            if (index, spec) not in number:
                continue
            entry = {"href": quote(path)}
            try:
                text = read_bytes(folder / path, limit_bytes=_LONGEST_VERILOG_BYTES)
            except FileError:
                text = b""
            packed = base64.b64encode(gzip.compress(text, mtime=0)).decode()
            if text and len(packed) <= room:
                room -= len(packed)
                entry["packed"] = packed
            found[number[index, spec]] = entry
    return found
