"""The front door from Python: multipliers by name, accuracies predicted and measured, searches.
`dse` offers the same names.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .accuracy import PredictedAccuracy, predict
    from .assigning import Assigned, assign
    from .deployment import correct
    from .emulating import EmulatedAccuracy, emulate
    from .exploring import explore, resume
    from .progress import Stage
    from .reading import Multiplier, families, multiplier
    from .retraining import Retrained, retrain
    from .runs import FoundDesign, Run, load_run
    from .synthesis import MadeMultiplier, synthesize

__all__ = [
    "Assigned",
    "EmulatedAccuracy",
    "FoundDesign",
    "MadeMultiplier",
    "Multiplier",
    "PredictedAccuracy",
    "Retrained",
    "Run",
    "Stage",
    "assign",
    "correct",
    "emulate",
    "explore",
    "families",
    "load_run",
    "multiplier",
    "predict",
    "resume",
    "retrain",
    "synthesize",
]

__getattr__ = names_of(
    __name__,
    {
        "accuracy": "PredictedAccuracy predict",
        "assigning": "Assigned assign",
        "deployment": "correct",
        "emulating": "EmulatedAccuracy emulate",
        "exploring": "explore resume",
        "progress": "Stage",
        "reading": "Multiplier families multiplier",
        "retraining": "Retrained retrain",
        "runs": "FoundDesign Run load_run",
        "synthesis": "MadeMultiplier synthesize",
    },
)
