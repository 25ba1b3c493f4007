"""Multipliers made for the network: walks over circuits that save gates and lose little
accuracy.
"""

from .gate_walk import MadeDesign, Workplace, walk
from .screening import Screened, screen

__all__ = ["MadeDesign", "Screened", "Workplace", "screen", "walk"]
