"""Trained networks as graphs whose multiplications all lie in layers that can be quantized."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .capturing import capture
    from .multiplications import CaptureError, Multiplication, count_multiplications
    from .product import ActivationProduct

__all__ = [
    "ActivationProduct",
    "CaptureError",
    "Multiplication",
    "capture",
    "count_multiplications",
]

__getattr__ = names_of(
    __name__,
    {
        "capturing": "capture",
        "multiplications": "CaptureError Multiplication count_multiplications",
        "product": "ActivationProduct",
    },
)
