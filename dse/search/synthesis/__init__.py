"""Multipliers made for the network: walks over circuits that save gates and lose little
accuracy.
"""

from .gate_walk import State, walk
from .pairs import Pairs
from .price_ladder import MadeDesign, Workplace
from .screening import Screened, screen
from .term_walk import term_walk

__all__ = [
    "MadeDesign",
    "Pairs",
    "Screened",
    "State",
    "Workplace",
    "screen",
    "term_walk",
    "walk",
]
