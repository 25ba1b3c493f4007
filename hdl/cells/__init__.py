"""Standard cells: Liberty files read, checked and written, and the cell library that ships."""

from .liberty_syntax import LibertyError, LibertyMissingError
from .liberty_writer import mapping_text, write_library
from .library import COMPACT_LIBRARY, CellLibrary
from .standard_cell import (
    MAX_INPUTS,
    Cell,
    FlipFlop,
    InputPin,
    InternalPower,
    LookupTable,
    OutputPin,
    SetupTable,
    TimingArc,
    Unateness,
)

__all__ = [
    "COMPACT_LIBRARY",
    "MAX_INPUTS",
    "Cell",
    "CellLibrary",
    "FlipFlop",
    "InputPin",
    "InternalPower",
    "LibertyError",
    "LibertyMissingError",
    "LookupTable",
    "OutputPin",
    "SetupTable",
    "TimingArc",
    "Unateness",
    "mapping_text",
    "write_library",
]
