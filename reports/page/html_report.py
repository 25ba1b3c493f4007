"""The report of a search: front.csv, the figures, and report.html, one file that needs nothing
else.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from dse.evaluation import DesignPoint
from dse.ground_truth import mean_deviation_pp, verified
from dse.search import COSTS, Exploration, recommended
from hdl.files import write_whole

from ..figures.captions import COST_FIELDS, count, saving
from ..figures.convergence import convergence_figure
from ..figures.element import layer_energy_figure
from ..figures.front import front_figures
from ..figures.rendering import css_variable, inline_svg, write_figure
from ..figures.style import DARK, Mark, elided, family_marks
from ..figures.verification import verification_figure
from .accelerator_words import image_unit, level_rows, operand_verdict, saving_verdict
from .data_sizing_words import sizing_rows, sizing_verdict
from .design_drawings import drawings
from .page_data import NumberedDesign, ShownRun, numbered_designs, page_data
from .tables import HEADINGS, cell, write_front_csv

__all__ = ["COMPARISON_FILE", "REPORT_FILE", "TABLE_FILE", "write_report"]

REPORT_FILE, TABLE_FILE, COMPARISON_FILE = "report.html", "front.csv", "compared.html"
# Parts of the page's script, in the order in which they build on each other.
_SCRIPTS = ("words", "store", "scale", "chart", "panel", "table", "report")

#: Figure -> its title and what is to be said about it.
_CAPTIONS = {
    "front_area_drop": (
        "Area against accuracy",
        "Area against predicted drop. The line joins the designs that no other beats in these two; "
        "marks off the line are on the front because of another objective. The dotted line joins "
        "the exact multipliers of all operand widths.",
    ),
    "front_power_drop": (
        "Power against accuracy",
        "Power against predicted drop. Power at a fixed rate of operations goes as the energy of "
        "one operation.",
    ),
    "front_delay_drop": ("Delay against accuracy", "Delay against predicted drop."),
    "front_area_power": (
        "Area against power",
        "Area against power. Below the dashed line a design saves more power than area.",
    ),
    "layers": (
        "Energy by layer",
        "What the layers of the network use for an image in the array of the pick.",
    ),
    "convergence": (
        "Course of the search",
        "How the search went. A curve that still rises says that more evaluations would pay.",
    ),
    "verification": (
        "Emulated against predicted drops",
        "Emulation, image by image with the design's product table, beside the prediction from its "
        "architectural error.",
    ),
}
_OPTIONAL_FIGURES = ("front_delay_drop", "layers", "verification")
_MOST_FAILURES = 100
_TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class _Figure:
    """A figure as the page shows it."""

    name: str
    title: str
    caption: str
    svg: Markup


def write_report(
    exploration: Exploration,
    folder: Path,
    *,
    verilog: Mapping[str, str] | None = None,
    beside: ShownRun | None = None,
) -> Path:
    """Writes front.csv, the figures (PNG and SVG) and report.html into `folder`, over those of an
    earlier report.

    Args:
        verilog: spec -> path of its Verilog, relative to `folder`.
        beside: another run to lay over this one; the page is compared.html then.

    Returns:
        The path of the page.

    Raises:
        hdl.files.MissingFileError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_front_csv(exploration, folder / TABLE_FILE)
    figures = _write_figures(exploration, folder)
    page = folder / (REPORT_FILE if beside is None else COMPARISON_FILE)
    own = ShownRun(folder.absolute().name, exploration, verilog or {})
    write_whole(page, _page([own] if beside is None else [own, beside], folder, figures))
    return page


def _write_figures(exploration: Exploration, folder: Path) -> list[_Figure]:
    drawn = front_figures(exploration)
    if verified(exploration):
        drawn["verification"] = verification_figure(exploration)
    accelerator = exploration.accelerator
    if accelerator is not None and accelerator.layers:
        array = f"{accelerator.rows} {_TIMES} {accelerator.columns}"
        drawn["layers"] = layer_energy_figure(
            f"{accelerator.spec}, {array} array", accelerator.layers
        )
    drawn["convergence"] = convergence_figure(exploration)
    for name in _OPTIONAL_FIGURES:
        if name not in drawn:  # an earlier report may have left one that no longer holds
            (folder / f"{name}.png").unlink(missing_ok=True)
            (folder / f"{name}.svg").unlink(missing_ok=True)
    tips = {number: _tip(point) for number, point in enumerate(exploration.front.points)}
    figures = []
    for name, figure in drawn.items():
        document = write_figure(figure, folder, name)
        element = inline_svg(document, prefix=name, label=_CAPTIONS[name][1], tips=tips)
        figures.append(_Figure(name, *_CAPTIONS[name], Markup(element)))
    return figures


def _page(runs: Sequence[ShownRun], folder: Path, figures: list[_Figure]) -> str:
    """The page of the first of the runs, with the second one laid over it."""
    exploration, verilog = runs[0].exploration, runs[0].verilog
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    front, pick, in_chip = exploration.front.points, exploration.pick, exploration.accelerator
    marks = family_marks(point.family for run in runs for point in run.exploration.front.points)
    designs = numbered_designs(runs)
    script = _script()
    sizing = sizing_rows(exploration)
    return environment.get_template("report.html.j2").render(
        run=exploration,
        policy=_policy(script),
        script=script,
        data=page_data(runs, designs, folder),
        drawings=drawings(runs, designs),
        runs=runs,
        colors=[(css_variable(light), light, dark) for light, dark in DARK.items()],
        title=(
            f"{elided(', '.join(exploration.networks), 40)}: multipliers for "
            f"{exploration.budget.words}"
        ),
        savings=None
        if pick is None
        else [saving(getattr(pick, field), cost) for cost, field in COSTS.items()],
        pick_row=next(
            (
                number
                for number, point in enumerate(front)
                if pick is not None and point.name == pick.name
            ),
            None,
        ),
        limit=(
            f"{exploration.max_drop_pp:g} percentage "
            f"point{'' if exploration.max_drop_pp == 1 else 's'}"
        ),
        nearest=[] if pick is not None else _nearest(exploration),
        costs=COST_FIELDS,
        warning=""
        if pick is None
        else recommended([pick], exploration.budget, exploration.max_drop_pp).warning,
        place=_place(exploration.baseline),
        memory=exploration.settings.get("memory_pj_per_byte", 0),
        forms=list(dict.fromkeys(point.element for point in exploration.points)),
        sizing=sizing,
        sizing_verdict=sizing_verdict(exploration, sizing),
        verdict=None if in_chip is None else saving_verdict(in_chip),
        levels=[] if in_chip is None else level_rows(in_chip),
        image_unit="" if in_chip is None else image_unit(in_chip),
        operand_verdict=operand_verdict(exploration.operand_energies, exploration.network),
        figures=figures,
        table=HEADINGS,
        mixed=len(exploration.encodings) > 1,
        rows=[
            _row(number, one, runs[one.run], marks)
            for number, one in enumerate(designs)
            if one.on_front
        ],
        links={spec: quote(path) for spec, path in verilog.items()},
        families=len({point.family for point in front}),
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


def _place(exact: DesignPoint) -> str:
    """Where the multiplier is that ratios refer to; empty where it is by itself."""
    array = f", in an array of {exact.array}," if exact.array else ""
    return f" in a {exact.element}{array}" if exact.element else ""


def _script() -> Markup:
    """The page's script: its parts one after another."""
    folder = Path(__file__).parent
    return Markup("\n".join((folder / f"{name}.js").read_text("utf-8") for name in _SCRIPTS))


def _policy(script: str) -> str:
    """The page's content security policy: its own script runs and no other, nothing is loaded."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _row(
    number: int, design: NumberedDesign, run: ShownRun, marks: Mapping[str, Mark]
) -> dict[str, Any]:
    point = design.point
    path = run.verilog.get(point.name)
    return {
        "number": number,
        "run": run.name,
        "spec": point.name,
        "format": point.encoding.replace("_", " "),
        "color": css_variable(marks[point.family].color),
        "href": None if path is None else quote(path),
        "cells": [(cell(point, column), getattr(point, column)) for column in HEADINGS],
    }


def _nearest(exploration: Exploration) -> list[tuple[str, DesignPoint]]:
    """Which designs come nearest to being picked, and in which sense."""
    points, budget = exploration.front.points, exploration.budget
    found = []
    if budget.limited and (within := [point for point in points if budget.excess(point) <= 0]):
        nearest = min(within, key=lambda point: (point.drop_pp, budget.value(point), point.name))
        found.append((f"Least drop that keeps {budget.words}", nearest))
    if right := [point for point in points if point.drop_pp <= exploration.max_drop_pp]:
        nearest = min(right, key=lambda point: (budget.value(point), point.drop_pp, point.name))
        found.append(
            (
                f"Least {budget.cost} with a drop within {exploration.max_drop_pp:g}",
                nearest,
            )
        )
    if not found and points:
        found.append(
            (
                "Least drop",
                min(points, key=lambda point: (point.drop_pp, budget.value(point), point.name)),
            )
        )
    return found


def _tip(point: DesignPoint) -> str:
    costs = ", ".join(
        f"{cost} {_TIMES}{getattr(point, field):.3f}" for cost, field in COSTS.items()
    )
    emulated = (
        "" if point.emulated_drop_pp is None else f", emulated {cell(point, 'emulated_drop_pp')}"
    )
    return (
        f"{elided(point.name, 120)}\n{costs}\npredicted drop {point.predicted_drop_pp:.2f} ± "
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
