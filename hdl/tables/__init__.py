"""Everything a multiplier computes as a table of products, and what follows from it: error metrics
and the operand bits that count.
"""

from .metrics import METRICS_VERSION, ErrorMetrics, error_metrics, error_rank
from .operand_window import OperandWindow, window_of
from .product_table import MAX_BITS, ProductTable, TableError, TableMissingError
from .sampled_metrics import SampledMetrics, sampled_error_metrics

__all__ = [
    "MAX_BITS",
    "METRICS_VERSION",
    "ErrorMetrics",
    "OperandWindow",
    "ProductTable",
    "SampledMetrics",
    "TableError",
    "TableMissingError",
    "error_metrics",
    "error_rank",
    "sampled_error_metrics",
    "window_of",
]
