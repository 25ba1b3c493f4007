"""Emulations that check a search: during it, for the predictor to learn from, and after it, for the
front.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .emulator import EXACT, Emulator
    from .recalibration import Recalibrator
    from .verification import Verification, choose, mean_deviation_pp, unseen, verify

__all__ = [
    "EXACT",
    "Emulator",
    "Recalibrator",
    "Verification",
    "choose",
    "mean_deviation_pp",
    "unseen",
    "verify",
]

__getattr__ = names_of(
    __name__,
    {
        "emulator": "EXACT Emulator",
        "recalibration": "Recalibrator",
        "verification": "Verification choose mean_deviation_pp unseen verify",
    },
)
