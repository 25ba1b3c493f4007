"""The front door from Python: multipliers by name, accuracies predicted and measured, searches.
`dse` offers the same names.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .accuracy import EmulatedAccuracy, PredictedAccuracy, emulate, predict
    from .deployment import correct
    from .reading import Multiplier, families, multiplier
    from .runs import FoundDesign, Run, Stage, explore, load_run, resume
    from .synthesis import MadeMultiplier, synthesize

__all__ = [
    "EmulatedAccuracy",
    "FoundDesign",
    "MadeMultiplier",
    "Multiplier",
    "PredictedAccuracy",
    "Run",
    "Stage",
    "correct",
    "emulate",
    "explore",
    "families",
    "load_run",
    "multiplier",
    "predict",
    "resume",
    "synthesize",
]

__getattr__ = names_of(
    __name__,
    {
        "accuracy": "EmulatedAccuracy PredictedAccuracy emulate predict",
        "deployment": "correct",
        "reading": "Multiplier families multiplier",
        "runs": "FoundDesign Run Stage explore load_run resume",
        "synthesis": "MadeMultiplier synthesize",
    },
)
