"""The report of a search: its words, its tables, and the HTML page."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .html_report import COMPARISON_FILE, REPORT_FILE, TABLE_FILE, write_report
    from .page_data import ShownRun
    from .tables import COLUMNS, write_front_csv

__all__ = [
    "COLUMNS",
    "COMPARISON_FILE",
    "REPORT_FILE",
    "TABLE_FILE",
    "ShownRun",
    "write_front_csv",
    "write_report",
]

__getattr__ = names_of(
    __name__,
    {
        "html_report": "COMPARISON_FILE REPORT_FILE TABLE_FILE write_report",
        "page_data": "ShownRun",
        "tables": "COLUMNS write_front_csv",
    },
)
