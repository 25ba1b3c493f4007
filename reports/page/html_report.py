"""The report of a search: front.csv, the figures, and report.html, one file that needs nothing
else.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from dse.evaluation import DesignPoint
from dse.ground_truth import mean_deviation_pp
from dse.search import COSTS, Exploration, recommended
from hdl.files import write_whole

from ..figures.captions import COST_FIELDS, count, saving
from ..figures.convergence import convergence_figure
from ..figures.front import front_figures
from ..figures.rendering import css_variable, inline_svg, write_figure
from ..figures.style import DARK, Mark, elided, family_marks
from ..figures.verification import verification_figure, verified
from .accelerator_words import image_unit, level_rows, operand_verdict, saving_verdict
from .data_sizing_words import sizing_rows, sizing_verdict
from .tables import cell, write_front_csv

__all__ = ["REPORT_FILE", "TABLE_FILE", "write_report"]

REPORT_FILE, TABLE_FILE = "report.html", "front.csv"

_CAPTIONS = {
    "front_area_drop": "Area against predicted drop. The line joins the designs that no other "
    "beats in these two; marks off the line are on the front because of another objective. The "
    "dotted line joins the exact multipliers of all operand widths.",
    "front_power_drop": (
        "Power against predicted drop. Power at a fixed rate of operations goes "
        "as the energy of one operation."
    ),
    "front_delay_drop": "Delay against predicted drop.",
    "front_area_power": (
        "Area against power. Below the dashed line a design saves more power than area."
    ),
    "convergence": (
        "How the search went. A curve that still rises says that more evaluations would pay."
    ),
    "verification": (
        "Emulation, image by image with the design's product table, beside the "
        "prediction from its architectural error."
    ),
}
_OPTIONAL_FIGURES = ("front_delay_drop", "verification")
_MOST_FAILURES = 100
_TIMES = "\N{MULTIPLICATION SIGN}"

#: Column of the report's table -> heading, and what the heading means.
_TABLE = {
    "area_ratio": (f"Area {_TIMES}", "relative to the exact multiplier"),
    "power_ratio": (f"Power {_TIMES}", "energy per operation, relative to the exact multiplier"),
    "delay_ratio": (f"Delay {_TIMES}", "relative to the exact multiplier"),
    "predicted_drop_pp": ("Drop", "predicted drop in top-1, percentage points"),
    "spread_pp": ("±", "one standard deviation of the predictor, percentage points"),
    "beyond_area_pct": (
        "Area beyond %",
        "area saved beyond the cheapest exact multiplier that is as accurate",
    ),
    "beyond_energy_pct": (
        "Energy beyond %",
        "energy saved beyond the cheapest exact multiplier that is as accurate",
    ),
    "emulated_drop_pp": ("Emulated", "emulated drop in top-1, percentage points"),
    "emulated_images": ("Images", "images emulated"),
    "width_a": ("A bits", "operand bits of the activation"),
    "width_b": ("W bits", "operand bits of the weight"),
    "mred_pct": (
        "MRED %",
        "mean relative error distance over the nonzero products, uniform operands",
    ),
    "nmed_pct": ("NMED %", "normalized mean error distance, uniform operands"),
    "er_pct": ("ER %", "error rate, uniform operands"),
    "wce": ("WCE", "worst-case error"),
    "ame": ("AME", "architectural mean error in this network"),
    "area_um2": ("µm²", "area"),
    "energy_fj": ("fJ", "energy per operation"),
    "delay_ps": ("ps", "delay of the longest path"),
    "leakage_nw": ("nW", "leakage power"),
}


@dataclass(frozen=True)
class _Figure:
    """A figure as the page shows it."""

    name: str
    caption: str
    svg: Markup


def write_report(
    exploration: Exploration, folder: Path, *, verilog: Mapping[str, str] | None = None
) -> Path:
    """Writes front.csv, the figures (PNG and SVG) and report.html into `folder`, over those of an
    earlier report.

    Args:
        verilog: spec -> path of its Verilog, relative to `folder`.

    Returns:
        The path of report.html.

    Raises:
        hdl.files.MissingFileError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_front_csv(exploration, folder / TABLE_FILE)
    figures = _write_figures(exploration, folder)
    page = folder / REPORT_FILE
    write_whole(page, _page(exploration, folder, figures, verilog or {}))
    return page


def _write_figures(exploration: Exploration, folder: Path) -> list[_Figure]:
    drawn = front_figures(exploration)
    if verified(exploration):
        drawn["verification"] = verification_figure(exploration)
    drawn["convergence"] = convergence_figure(exploration)
    for name in _OPTIONAL_FIGURES:
        if name not in drawn:  # an earlier report may have left one that no longer holds
            (folder / f"{name}.png").unlink(missing_ok=True)
            (folder / f"{name}.svg").unlink(missing_ok=True)
    tips = {number: _tip(point) for number, point in enumerate(exploration.front.points)}
    figures = []
    for name, figure in drawn.items():
        document = write_figure(figure, folder, name)
        element = inline_svg(document, prefix=name, label=_CAPTIONS[name], tips=tips)
        figures.append(_Figure(name, _CAPTIONS[name], Markup(element)))
    return figures


def _page(
    exploration: Exploration, folder: Path, figures: list[_Figure], verilog: Mapping[str, str]
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    front, pick, in_chip = exploration.front.points, exploration.pick, exploration.accelerator
    marks = family_marks(point.family for point in front)
    sizing = sizing_rows(exploration)
    choice = recommended(front, exploration.budget, exploration.max_drop_pp)
    return environment.get_template("report.html.j2").render(
        run=exploration,
        colors=[(css_variable(light), light, dark) for light, dark in DARK.items()],
        title=(
            f"{elided(', '.join(exploration.networks), 40)}: multipliers for {exploration.budget}"
        ),
        savings=None
        if pick is None
        else [saving(getattr(pick, field), cost) for cost, field in COSTS.items()],
        pick_row=next(
            (
                number
                for number, point in enumerate(front)
                if pick is not None and point.spec == pick.spec
            ),
            None,
        ),
        limit=(
            f"{exploration.max_drop_pp:g} percentage "
            f"point{'' if exploration.max_drop_pp == 1 else 's'}"
        ),
        confirmed=_confirmed(exploration),
        nearest=[] if pick is not None else _nearest(exploration),
        costs=COST_FIELDS,
        # Emulation may have changed the pick's figures since, not which design it is.
        warning=choice.warning
        if pick is not None and choice.point is not None and choice.point.spec == pick.spec
        else "",
        sizing=sizing,
        sizing_verdict=sizing_verdict(exploration, sizing),
        verdict=None if in_chip is None else saving_verdict(in_chip),
        levels=[] if in_chip is None else level_rows(in_chip),
        image_unit="" if in_chip is None else image_unit(in_chip),
        operand_verdict=operand_verdict(exploration.operand_energies, exploration.network),
        figures=figures,
        table=_TABLE,
        mixed=len(exploration.encodings) > 1,
        rows=[_row(number, point, verilog, marks) for number, point in enumerate(front)],
        links={spec: quote(path) for spec, path in verilog.items()},
        families=len(marks),
        verified=verified(exploration),
        deviation=mean_deviation_pp(exploration),
        settings=[
            (name.replace("_", " "), _setting(value))
            for name, value in exploration.settings.items()
        ],
        failures=list(exploration.failures.items())[:_MOST_FAILURES],
        resume=f"dse explore --resume --out {shlex.quote(str(folder))}",
        count=count,
        cell=cell,
    )


def _row(
    number: int, point: DesignPoint, verilog: Mapping[str, str], marks: Mapping[str, Mark]
) -> dict[str, Any]:
    path = verilog.get(point.spec)
    return {
        "number": number,
        "spec": point.spec,
        "family": point.family,
        "format": point.encoding.replace("_", " "),
        "color": css_variable(marks[point.family].color),
        "href": None if path is None else quote(path),
        "cells": [(cell(point, column), getattr(point, column)) for column in _TABLE],
    }


def _nearest(exploration: Exploration) -> list[tuple[str, DesignPoint]]:
    """Which designs come nearest to being picked, and in which sense."""
    points, budget = exploration.front.points, exploration.budget
    found = []
    if budget.limit is not None and (
        within := [point for point in points if budget.excess(point) <= 0]
    ):
        nearest = min(
            within, key=lambda point: (point.predicted_drop_pp, budget.value(point), point.spec)
        )
        found.append((f"Least predicted drop with {budget.cost} within {budget.limit:g}", nearest))
    if right := [point for point in points if point.predicted_drop_pp <= exploration.max_drop_pp]:
        nearest = min(
            right, key=lambda point: (budget.value(point), point.predicted_drop_pp, point.spec)
        )
        found.append(
            (
                f"Least {budget.cost} with a predicted drop within {exploration.max_drop_pp:g}",
                nearest,
            )
        )
    if not found and points:
        found.append(
            (
                "Least predicted drop",
                min(
                    points,
                    key=lambda point: (point.predicted_drop_pp, budget.value(point), point.spec),
                ),
            )
        )
    return found


def _confirmed(exploration: Exploration) -> DesignPoint | None:
    """The cheapest emulated design that keeps budget and drop by emulation."""
    budget = exploration.budget
    kept = [
        point
        for point in verified(exploration)
        if point.emulated_drop_pp is not None
        and point.emulated_drop_pp <= exploration.max_drop_pp
        and budget.excess(point) <= 0
    ]
    return min(
        kept,
        key=lambda point: (budget.value(point), point.emulated_drop_pp, point.spec),
        default=None,
    )


def _tip(point: DesignPoint) -> str:
    costs = ", ".join(
        f"{cost} {_TIMES}{getattr(point, field):.3f}" for cost, field in COSTS.items()
    )
    emulated = (
        "" if point.emulated_drop_pp is None else f", emulated {cell(point, 'emulated_drop_pp')}"
    )
    return (
        f"{elided(point.spec, 120)}\n{costs}\npredicted drop {point.predicted_drop_pp:.2f} ± "
        f"{point.spread_pp:.2f}{emulated}"
    )


def _breakable(spec: str) -> Markup:
    """A spec, escaped, that wraps after its commas."""
    return Markup(",<wbr>").join(spec.split(","))


def _setting(value: object) -> str:
    """A value of run.json in words."""
    if value is None:
        return "default"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "all"
    return str(value)
