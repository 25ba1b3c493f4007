"""Layers that multiply through a product table, and the accuracy measured with them."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .measurement import EMULATION_VERSION, Measurement, check_table, emulate, exact_first_and_last, measure_top1
    from .table_convolution import EmulationError, PairProducts, Path, TableConvolution

__all__ = [
    "EMULATION_VERSION",
    "EmulationError",
    "Measurement",
    "PairProducts",
    "Path",
    "TableConvolution",
    "check_table",
    "emulate",
    "exact_first_and_last",
    "measure_top1",
]

__getattr__ = names_of(
    __name__,
    {
        "measurement": "EMULATION_VERSION Measurement check_table emulate exact_first_and_last measure_top1",
        "table_convolution": "EmulationError PairProducts Path TableConvolution",
    },
)
