"""Row accumulation on the CPU: where activation codes lie, and the vector code that adds rows of
products.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .code_windows import CodeLayout
    from .row_accumulation import LookupWeights, PackedWeights, ProductColumns, convolve

__all__ = ["CodeLayout", "LookupWeights", "PackedWeights", "ProductColumns", "convolve"]

__getattr__ = names_of(
    __name__,
    {
        "code_windows": "CodeLayout",
        "row_accumulation": "LookupWeights PackedWeights ProductColumns convolve",
    },
)
