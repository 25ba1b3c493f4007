"""The front as a table: the columns, their digits, and front.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from dse.evaluation import DesignPoint
from dse.search import Exploration
from hdl.files import write_whole

__all__ = ["COLUMNS", "HEADINGS", "cell", "write_front_csv"]

#: Column of front.csv (a field of :class:`dse.evaluation.DesignPoint`) -> format of its values.
COLUMNS = MappingProxyType(
    {
        "spec": "",
        "family": "",
        "encoding": "",
        "width_a": "d",
        "width_b": "d",
        "area_um2": ".3f",
        "area_ratio": ".4f",
        "delay_ps": ".1f",
        "delay_ratio": ".4f",
        "energy_fj": ".2f",
        "power_ratio": ".4f",
        "leakage_nw": ".3f",
        "effort": "",
        "level": "",
        "element": "",
        "sum_bits": "d",
        "array": "",
        "array_area_um2": ".0f",
        "image_energy_nj": ".1f",
        "image_latency_us": ".2f",
        "utilization_pct": ".1f",
        "ame": ".6g",
        "predicted_top1_pct": ".2f",
        "predicted_drop_pp": ".3f",
        "spread_pp": ".3f",
        "er_pct": ".3f",
        "me": ".3f",
        "med": ".3f",
        "nmed_pct": ".4f",
        "mred_pct": ".4f",
        "wce": "d",
        "beyond_area_pct": ".1f",
        "beyond_energy_pct": ".1f",
        "emulated_top1_pct": ".2f",
        "emulated_drop_pp": ".2f",
        "emulated_images": "d",
        "retrained": "d",
    }
)

#: What stands in front.csv of each network of a search for several, as COLUMN.NETWORK.
_BY_NETWORK = ("predicted_drop_pp", "spread_pp", "emulated_drop_pp")

_TIMES = "\N{MULTIPLICATION SIGN}"

#: Column of the report's table -> heading, and what the heading means.
HEADINGS = MappingProxyType(
    {
        "area_ratio": (f"Area {_TIMES}", "relative to the exact multiplier"),
        "power_ratio": (
            f"Power {_TIMES}",
            "energy per operation, relative to the exact multiplier",
        ),
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
)


def cell(point: DesignPoint, column: str) -> str:
    """A point's value in a column of :data:`COLUMNS`, with the digits that mean something; empty
    where there is none.
    """
    value = getattr(point, column)
    if value is None:
        return ""
    shown = format(value, COLUMNS[column])
    return shown.removeprefix("-") if _is_signed_zero(shown) else shown


def _columns_by_network(networks: Sequence[str]) -> list[str]:
    return [f"{column}.{network}" for network in networks for column in _BY_NETWORK]


def _is_signed_zero(shown: str) -> bool:
    """Whether a formatted number is a zero with a sign, such as -0.00."""
    return shown.startswith("-") and not shown.strip("-0.")


def write_front_csv(exploration: Exploration, path: Path) -> None:
    """Writes the front, one design a row, by ascending first objective, and below it the designs
    that the network was trained on for; UTF-8, with a header. In a search for several networks the
    last columns are the drops of each.

    Raises:
        hdl.files.MissingFileError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = exploration.networks if exploration.others else ()
    writer.writerow([*COLUMNS, *_columns_by_network(several)])
    for point in (*exploration.front.points, *exploration.retrained):
        drops = [
            "" if value is None else format(value, COLUMNS[column])
            for one in point.networks
            for column in _BY_NETWORK
            for value in [getattr(one, column)]
        ]
        writer.writerow([*(cell(point, column) for column in COLUMNS), *drops])
    write_whole(path, text.getvalue())
