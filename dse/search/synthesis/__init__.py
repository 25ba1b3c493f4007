"""Multipliers made for the network: walks over circuits that save gates and lose little
accuracy.
"""

from .gate_walk import MadeDesign, State, Workplace, important_pairs, walk
from .screening import Pairs, Screened, screen

__all__ = [
    "MadeDesign",
    "Pairs",
    "Screened",
    "State",
    "Workplace",
    "important_pairs",
    "screen",
    "walk",
]
