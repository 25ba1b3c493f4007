"""Networks on integers: operand coding, geometry of convolutions, folded batch normalization,
quantized layers.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .coding import OperandCoding
    from .correction import (
        Correction,
        CorrectionError,
        Reference,
        corrected,
        derive_correction,
    )
    from .folding import FoldingError, fold_batch_norm
    from .geometry import Geometry, padded_indices, patches
    from .learned_rounding import LEARNED_RANGES, learn_rounding
    from .mixing import mixed
    from .products import QuantizedProduct
    from .quantized_layer import ExactConvolution, QuantizedLayer, quantize_weights
    from .quantized_network import QuantizationError, QuantizedNetwork, quantize, quantize_as
    from .rounding import Rounding, RoundingError

__all__ = [
    "LEARNED_RANGES",
    "Correction",
    "CorrectionError",
    "ExactConvolution",
    "FoldingError",
    "Geometry",
    "OperandCoding",
    "QuantizationError",
    "QuantizedLayer",
    "QuantizedNetwork",
    "QuantizedProduct",
    "Reference",
    "Rounding",
    "RoundingError",
    "corrected",
    "derive_correction",
    "fold_batch_norm",
    "learn_rounding",
    "mixed",
    "padded_indices",
    "patches",
    "quantize",
    "quantize_as",
    "quantize_weights",
]

__getattr__ = names_of(
    __name__,
    {
        "coding": "OperandCoding",
        "correction": "Correction CorrectionError Reference corrected derive_correction",
        "folding": "FoldingError fold_batch_norm",
        "geometry": "Geometry padded_indices patches",
        "learned_rounding": "LEARNED_RANGES learn_rounding",
        "mixing": "mixed",
        "products": "QuantizedProduct",
        "rounding": "Rounding RoundingError",
        "quantized_layer": "ExactConvolution QuantizedLayer quantize_weights",
        "quantized_network": "QuantizationError QuantizedNetwork quantize quantize_as",
    },
)
