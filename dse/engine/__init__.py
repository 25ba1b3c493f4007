"""The search as a whole: what is asked, the phases, the bookkeeping, the result."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .accelerators import with_accelerator
    from .assigning import (
        ASSIGNMENT_OBJECTIVES,
        LayerChoices,
        check_objective,
        layer_choices,
        recalibrated,
    )
    from .exploring import YOSYS_CACHE, explore
    from .ledger import Progress
    from .request import SEARCH_FILE, Search, record_search, recorded_search

__all__ = [
    "ASSIGNMENT_OBJECTIVES",
    "SEARCH_FILE",
    "YOSYS_CACHE",
    "LayerChoices",
    "Progress",
    "Search",
    "check_objective",
    "explore",
    "layer_choices",
    "recalibrated",
    "record_search",
    "recorded_search",
    "with_accelerator",
]

__getattr__ = names_of(
    __name__,
    {
        "accelerators": "with_accelerator",
        "assigning": (
            "ASSIGNMENT_OBJECTIVES LayerChoices check_objective layer_choices recalibrated"
        ),
        "exploring": "YOSYS_CACHE explore",
        "ledger": "Progress",
        "request": "SEARCH_FILE Search record_search recorded_search",
    },
)
