"""Runs whose reports are opened in a browser, and what is found on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sample_exploration import (
    make_exploration,
    make_point,
    with_accelerator_figures,
)

from dse.search.exploration import Exploration

__all__ = [
    "FRONT",
    "OFF",
    "TIMEOUT_MS",
    "Open",
    "centre",
    "chart_box",
    "exploration",
    "mark",
    "number_of",
    "second_exploration",
    "shown_rows",
]

# Long enough for a machine that does a lot besides; who waits goes on at once.
TIMEOUT_MS = 60_000

#: Designs of a front, small enough to be drawn at once: spec, area, power, drop.
FRONT = (
    ("mask:bits=d200,tree=array,width=4", 0.10, 0.05, 40.0),
    ("bam:h=1,v=4,width=4", 0.22, 0.30, 6.0),
    ("tm:k=2,width=4", 0.30, 0.15, 3.0),
    ("bam:h=0,v=3,width=4", 0.45, 0.50, 1.4),
    ("tm:k=1,width=4", 0.55, 0.35, 0.9),
    ("drum:k=3,width=4", 0.70, 0.60, 0.3),
    ("exact:width=4", 1.00, 1.00, 0.0),
)
OFF = ("mitchell:width=4", 0.80, 0.90, 2.0)

Open = Callable[..., Any]


def exploration() -> Exploration:
    points = tuple(make_point(*values, width_a=4, width_b=4) for values in (*FRONT, OFF))
    return with_accelerator_figures(make_exploration(points, baseline=points[len(FRONT) - 1]))


def second_exploration() -> Exploration:
    points = tuple(
        make_point(spec, 0.9 * area, 0.8 * power, drop + 0.05, width_a=4, width_b=4)
        for spec, area, power, drop in FRONT[2:]
    )
    return make_exploration(points, baseline=points[-1], network="vgg11", max_drop_pp=2.0)


def mark(page: Any, number: int, chart: int = 1) -> Any:
    return page.locator(f"#chart-{chart} [data-number='{number}']")


def number_of(spec: str) -> int:
    """The number of a design of `exploration` on its page: its place on the front."""
    return [values[0] for values in FRONT].index(spec)


def chart_box(page: Any) -> dict[str, float]:
    """Where the first plot is, after it was brought into view."""
    chart = page.locator("#chart-1 svg")
    chart.scroll_into_view_if_needed()
    return chart.bounding_box()


def centre(box: dict[str, float]) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def shown_rows(page: Any) -> set[int]:
    rows = page.locator("#designs tbody tr:not([hidden])")
    return {
        int(name.removeprefix("design-")) for name in rows.evaluate_all("a => a.map(r => r.id)")
    }
