"""What repeats in an accelerator: multiply-accumulate and dot-product elements, systolic arrays of
them, and what they and a network in them cost.
"""

from .array_cost import (
    InferenceReport,
    LayerCycles,
    LayerReport,
    LayerShape,
    array_inference,
    layer_cycles,
)
from .columns import sum_columns
from .cycles import DotProducts
from .datapath import ElementComponent, element_rtlil
from .element import DEFAULT_TERMS, Element, added_products, sum_bits
from .element_cost import ElementReport, synthesize_element
from .form import ElementForm
from .mac import MacSpec, ProcessingElement, datapath_rtlil
from .synthesis import ArrayReport, MacReport, synthesize_array, synthesize_mac
from .systolic import SystolicArray, parse_sides

__all__ = [
    "DEFAULT_TERMS",
    "ArrayReport",
    "DotProducts",
    "Element",
    "ElementComponent",
    "ElementForm",
    "ElementReport",
    "InferenceReport",
    "LayerCycles",
    "LayerReport",
    "LayerShape",
    "MacReport",
    "MacSpec",
    "ProcessingElement",
    "SystolicArray",
    "added_products",
    "array_inference",
    "datapath_rtlil",
    "element_rtlil",
    "layer_cycles",
    "parse_sides",
    "sum_bits",
    "sum_columns",
    "synthesize_array",
    "synthesize_element",
    "synthesize_mac",
]
