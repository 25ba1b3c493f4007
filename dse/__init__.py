"""Finds approximate multipliers that make a CNN accelerator smaller, cooler and still right: the
search, and the front door to all of it.

    >>> import dse
    >>> dse.multiplier("drum:k=4").metrics().wce
    ...
    >>> dse.predict("drum:k=4", network="resnet20").drop_pp
    ...
    >>> dse.explore("resnet20", budget="area", out="runs/first").pick.multiplier.verilog()
    ...

docs/from-python.md goes through them. Names are loaded when they are asked for.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .api import (
        Assigned,
        EmulatedAccuracy,
        FoundDesign,
        MadeMultiplier,
        Multiplier,
        PredictedAccuracy,
        Retrained,
        Run,
        Stage,
        assign,
        correct,
        emulate,
        explore,
        families,
        load_run,
        multiplier,
        predict,
        resume,
        retrain,
        synthesize,
    )

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

__getattr__ = names_of(__name__, {"api": " ".join(__all__)})
