"""Files that other tools take: plain Verilog, test benches that check themselves, timing
constraints, and projects that simulators, linters and layout flows build.
"""

from .any_element import export_element
from .array import array_identifier, export_array
from .element import export_mac
from .multiplier import export, verilog
from .texts import ExportError

__all__ = [
    "ExportError",
    "array_identifier",
    "export",
    "export_array",
    "export_element",
    "export_mac",
    "verilog",
]
