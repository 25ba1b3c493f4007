"""Files that other tools take: plain Verilog, test benches that check themselves, timing
constraints.
"""

from .any_element import export_element
from .element import export_array, export_mac
from .multiplier import ExportError, export, verilog

__all__ = ["ExportError", "export", "export_array", "export_element", "export_mac", "verilog"]
