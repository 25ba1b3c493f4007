"""The search as a whole: what is asked, the phases, the bookkeeping, the result."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .accelerators import with_accelerator
    from .exploring import YOSYS_CACHE, explore
    from .ledger import Progress
    from .request import SEARCH_FILE, Search, record_search, recorded_search

__all__ = [
    "SEARCH_FILE",
    "YOSYS_CACHE",
    "Progress",
    "Search",
    "explore",
    "record_search",
    "recorded_search",
    "with_accelerator",
]

__getattr__ = names_of(
    __name__,
    {
        "accelerators": "with_accelerator",
        "exploring": "YOSYS_CACHE explore",
        "ledger": "Progress",
        "request": "SEARCH_FILE Search record_search recorded_search",
    },
)
