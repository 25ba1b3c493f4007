"""Files that other tools take: plain Verilog, test benches that check themselves, timing constraints."""

from .element import export_array, export_mac
from .multiplier import ExportError, export, export_imported, imported_verilog, spec_identifier, verilog

__all__ = [
    "ExportError",
    "export",
    "export_array",
    "export_imported",
    "export_mac",
    "imported_verilog",
    "spec_identifier",
    "verilog",
]
