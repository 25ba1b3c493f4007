"""What repeats in an accelerator: the multiply-accumulate element and the systolic array of them,
and what they cost.
"""

from .mac import MacSpec, ProcessingElement, datapath_rtlil
from .synthesis import ArrayReport, DotProducts, MacReport, synthesize_array, synthesize_mac
from .systolic import SystolicArray

__all__ = [
    "ArrayReport",
    "DotProducts",
    "MacReport",
    "MacSpec",
    "ProcessingElement",
    "SystolicArray",
    "datapath_rtlil",
    "synthesize_array",
    "synthesize_mac",
]
