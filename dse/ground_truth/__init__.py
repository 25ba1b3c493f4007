"""Emulations that check a search: during it, for the predictor to learn from, and after it, for the
front.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .assignments import loss_factors
    from .emulation import Emulation, measured, request_text, screened
    from .emulator import EXACT, Emulator, emulators_of
    from .recalibration import Recalibrator
    from .verification import (
        Verification,
        choose,
        mean_deviation_pp,
        recalled,
        unseen,
        verified,
        verify,
    )

__all__ = [
    "EXACT",
    "Emulation",
    "Emulator",
    "Recalibrator",
    "Verification",
    "choose",
    "emulators_of",
    "loss_factors",
    "mean_deviation_pp",
    "measured",
    "recalled",
    "request_text",
    "screened",
    "unseen",
    "verified",
    "verify",
]

__getattr__ = names_of(
    __name__,
    {
        "assignments": "loss_factors",
        "emulation": "Emulation measured request_text screened",
        "emulator": "EXACT Emulator emulators_of",
        "recalibration": "Recalibrator",
        "verification": "Verification choose mean_deviation_pp recalled unseen verified verify",
    },
)
