"""The errors of a product table over its operands, coarse enough to be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.operands import code_values
from hdl.tables import ProductTable

__all__ = ["ErrorMap"]

# Colors end here when the few larger errors would leave the others pale.
_COLOR_QUANTILE, _PALE = 0.99, 3


@dataclass(frozen=True)
class ErrorMap:
    """Mean errors of blocks of operand pairs.

    Attributes:
        errors: product less exact product, shape (blocks of a, blocks of b), by ascending values.
        block: operands a block has, of a and of b.
        values_a, values_b: the lowest and the highest value of each operand.
        worst: the greatest distance from zero.
        limit: the distance at which colors end, at most `worst`.
    """

    errors: NDArray[np.float64]
    block: tuple[int, int]
    values_a: NDArray[np.int64]
    values_b: NDArray[np.int64]
    worst: float
    limit: float

    @classmethod
    def of(cls, table: ProductTable, most_rows: int) -> ErrorMap:
        """The map of a table, of at most `most_rows` blocks each way."""
        codes = [code_values(width, signed=table.signed) for width in table.widths]
        values_a, values_b = (np.sort(values) for values in codes)
        errors = table.errors[np.ix_(*map(np.argsort, codes))].astype(np.float64)
        block_a, block_b = (max(1, len(values) // most_rows) for values in codes)
        errors = errors.reshape(len(values_a) // block_a, block_a, -1, block_b).mean(axis=(1, 3))
        distance = np.abs(errors)
        worst, usual = float(distance.max()), float(np.quantile(distance, _COLOR_QUANTILE))
        limit = usual if 0 < _PALE * usual < worst else worst
        return cls(errors, (block_a, block_b), values_a, values_b, worst, limit)
