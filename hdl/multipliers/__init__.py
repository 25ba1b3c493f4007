"""What multiplies: specs of the families and their circuits, the user's own Verilog, and sign logic around either."""

from .elaboration import Multiplier, black_box, component_rtlil, dots, product, rtlil
from .families import FAMILIES, Family, Parameter, SignedForm
from .imported import ImportedDesign, ImportedDesignError, ImportedDesignMissingError, import_verilog
from .sign_logic import SignLogic
from .spec import MultiplierSpec, SpecError

__all__ = [
    "FAMILIES",
    "Family",
    "ImportedDesign",
    "ImportedDesignError",
    "ImportedDesignMissingError",
    "Multiplier",
    "MultiplierSpec",
    "Parameter",
    "SignLogic",
    "SignedForm",
    "SpecError",
    "black_box",
    "component_rtlil",
    "dots",
    "import_verilog",
    "product",
    "rtlil",
]
