"""What multiplies: specs of the families and their circuits, the user's own Verilog, either for
fewer operand bits or with sign logic.
"""

from .drawing import can_vary, draw, moved_value
from .elaboration import MultiplierComponent, black_box, component_rtlil, dots, product, rtlil
from .families import FAMILIES, Family, Parameter, SignedForm
from .imported import ImportedDesign, import_folder
from .multiplier import Multiplier
from .narrowing import as_made, narrowed, tied_off_hint, within
from .netlist import NetlistDesign, NetlistDesignError, NetlistGate
from .parsing import named_multiplier, parse_multiplier
from .sign_logic import SignLogic, sign_logic_rtlil
from .spec import MultiplierSpec, SpecError
from .terms_list import (
    Term,
    as_terms,
    exact_terms,
    moved_terms,
    parse_terms,
    summed_terms,
    term_values,
    terms_text,
)
from .verilog_import import ImportedDesignError, ImportedDesignMissingError, import_verilog

__all__ = [
    "FAMILIES",
    "Family",
    "ImportedDesign",
    "ImportedDesignError",
    "ImportedDesignMissingError",
    "Multiplier",
    "MultiplierComponent",
    "MultiplierSpec",
    "NetlistDesign",
    "NetlistDesignError",
    "NetlistGate",
    "Parameter",
    "SignLogic",
    "SignedForm",
    "SpecError",
    "Term",
    "as_made",
    "as_terms",
    "black_box",
    "can_vary",
    "component_rtlil",
    "dots",
    "draw",
    "exact_terms",
    "import_folder",
    "import_verilog",
    "moved_terms",
    "moved_value",
    "named_multiplier",
    "narrowed",
    "parse_multiplier",
    "parse_terms",
    "product",
    "rtlil",
    "sign_logic_rtlil",
    "summed_terms",
    "term_values",
    "terms_text",
    "tied_off_hint",
    "within",
]
