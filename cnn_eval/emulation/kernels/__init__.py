"""Convolution through a product table on the CPU: where activation codes lie, the vector code that
adds rows of products, and single lookups.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .code_windows import ChannelCodes, CodeLayout
    from .depthwise import DepthwiseWeights, convolve_depthwise
    from .row_accumulation import LookupWeights, PackedWeights, ProductColumns, convolve

__all__ = [
    "ChannelCodes",
    "CodeLayout",
    "DepthwiseWeights",
    "LookupWeights",
    "PackedWeights",
    "ProductColumns",
    "convolve",
    "convolve_depthwise",
]

__getattr__ = names_of(
    __name__,
    {
        "code_windows": "ChannelCodes CodeLayout",
        "depthwise": "DepthwiseWeights convolve_depthwise",
        "row_accumulation": "LookupWeights PackedWeights ProductColumns convolve",
    },
)
