"""Layers that multiply through a product table, and the accuracy measured with them."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .ground_truth import GroundTruth, Multipliers
    from .measurement import (
        EMULATION_VERSION,
        Measurement,
        emulate,
        exact_first_and_last,
        fitted_table,
        measure_top1,
    )
    from .sensitivity import layer_sensitivities
    from .table_convolution import EmulationError, PairProducts, Path, TableConvolution

__all__ = [
    "EMULATION_VERSION",
    "EmulationError",
    "GroundTruth",
    "Measurement",
    "Multipliers",
    "PairProducts",
    "Path",
    "TableConvolution",
    "emulate",
    "exact_first_and_last",
    "fitted_table",
    "layer_sensitivities",
    "measure_top1",
]

__getattr__ = names_of(
    __name__,
    {
        "ground_truth": "GroundTruth Multipliers",
        "measurement": (
            "EMULATION_VERSION Measurement emulate exact_first_and_last fitted_table measure_top1"
        ),
        "sensitivity": "layer_sensitivities",
        "table_convolution": "EmulationError PairProducts Path TableConvolution",
    },
)
