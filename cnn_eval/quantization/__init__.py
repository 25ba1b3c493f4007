"""Networks on integers: operand coding, geometry of convolutions, folded batch normalization, quantized layers."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .coding import OperandCoding
    from .folding import FoldingError, fold_batch_norm
    from .geometry import Geometry, padded_indices, patches
    from .quantized_network import (
        ExactConvolution,
        QuantizationError,
        QuantizedLayer,
        QuantizedNetwork,
        quantize,
        quantize_as,
        quantize_weights,
    )

__all__ = [
    "ExactConvolution",
    "FoldingError",
    "Geometry",
    "OperandCoding",
    "QuantizationError",
    "QuantizedLayer",
    "QuantizedNetwork",
    "fold_batch_norm",
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
        "folding": "FoldingError fold_batch_norm",
        "geometry": "Geometry padded_indices patches",
        "quantized_network": "ExactConvolution QuantizationError QuantizedLayer QuantizedNetwork quantize quantize_as quantize_weights",
    },
)
