"""How the integers of a quantized layer become operand codes of the multiplier, and products come back.

Everything downstream works on *values*: activation integers x and weight integers w of one layer, each a contiguous range. A coding turns
the multiplier's error matrix, indexed by operand code, into the integer products of all value pairs (:meth:`OperandCoding.products`), and a
matrix over value pairs back into one over operand codes (:meth:`OperandCoding.fold`); the two are adjoint on errors:
``sum(G * (products(E) - exact)) == sum(fold(G) * E)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.operands import OperandEncoding

__all__ = ["OperandCoding"]


@dataclass(frozen=True)
class OperandCoding:
    """Operand codes of one layer.

    With half = 2^(width - 1), weights are symmetric in every encoding: -(half - 1) .. half - 1. Activations and codes:

    * two's complement: x in -(half - 1) .. half - 1, from 0 if never negative; codes modulo 2^width.
    * sign-magnitude: magnitudes on the multiplier, and the exclusive or of the sign bits on its product (the sign bit of 0 is 0). x in
      0 .. 2^width - 1 if never negative (there is no sign to store), else -(half - 1) .. half - 1.
    * unsigned: codes x + zero_point and w + half; the terms that the zero points add to the products are subtracted exactly.

    Attributes:
        negative: whether activations may be negative.
        zero_point: code of the activation 0; only the unsigned encoding has it, and only with negative activations.
    """

    encoding: OperandEncoding
    width: int
    negative: bool
    zero_point: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 8:
            raise ValueError(f"networks are quantized to 2 to 8 bits, not {self.width}")
        if self.zero_point and not (self.encoding is OperandEncoding.UNSIGNED and self.negative):
            raise ValueError("only the unsigned encoding of activations that may be negative has a zero point")

    @property
    def activation_range(self) -> tuple[int, int]:
        """Smallest and largest activation integer."""
        half = 1 << (self.width - 1)
        if self.encoding is OperandEncoding.UNSIGNED:
            return -self.zero_point, 2 * half - 1 - self.zero_point
        if self.negative:
            return -(half - 1), half - 1
        return 0, half - 1 if self.encoding is OperandEncoding.TWOS_COMPLEMENT else 2 * half - 1

    @property
    def weight_range(self) -> tuple[int, int]:
        """Smallest and largest weight integer."""
        half = 1 << (self.width - 1)
        return -(half - 1), half - 1

    @property
    def activation_values(self) -> NDArray[np.int64]:
        """All activation integers in order, shape (A,)."""
        low, high = self.activation_range
        return np.arange(low, high + 1)

    @property
    def weight_values(self) -> NDArray[np.int64]:
        """All weight integers in order, shape (W,)."""
        low, high = self.weight_range
        return np.arange(low, high + 1)

    def activation_codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(operand code, sign beside the multiplier) of every activation value, each (A,)."""
        return self._codes(self.activation_values, self.zero_point)

    def weight_codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(operand code, sign beside the multiplier) of every weight value, each (W,)."""
        return self._codes(self.weight_values, 1 << (self.width - 1))

    def _codes(self, values: NDArray[np.int64], zero_point: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ones = np.ones_like(values)
        match self.encoding:
            case OperandEncoding.TWOS_COMPLEMENT:
                return values & ((1 << self.width) - 1), ones
            case OperandEncoding.SIGN_MAGNITUDE:
                return np.abs(values), np.where(values < 0, -1, ones)
            case _:
                return values + zero_point, ones

    def products(self, errors: NDArray[np.int32]) -> NDArray[np.int32]:
        """What the hardware adds up for every pair of values.

        Args:
            errors: approximate minus exact product, (2^width, 2^width), [activation code, weight code].

        Returns:
            (A, W) [activation value, weight value]: x * w plus the error with its sign.
        """
        (a, a_sign), (b, b_sign) = self.activation_codes(), self.weight_codes()
        exact = np.multiply.outer(self.activation_values, self.weight_values)
        return (exact + np.multiply.outer(a_sign, b_sign) * errors[np.ix_(a, b)]).astype(np.int32)

    def fold(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Adjoint of the errors' way into :meth:`products`: (..., A, W) over value pairs -> (..., 2^width, 2^width) over code pairs."""
        (a, a_sign), (b, b_sign) = self.activation_codes(), self.weight_codes()
        return _one_hot(a, a_sign, self.width) @ values @ _one_hot(b, b_sign, self.width).T

    def fold_activations(self, histogram: NDArray[np.floating], *, signed: bool) -> NDArray[np.float64]:
        """Histogram over activation values (A,) -> over codes (2^width,); `signed` counts values of negative sign negatively."""
        code, sign = self.activation_codes()
        return _one_hot(code, sign if signed else np.ones_like(sign), self.width) @ histogram

    def fold_weights(self, histogram: NDArray[np.floating], *, signed: bool) -> NDArray[np.float64]:
        """Histogram over weight values (W,) -> over codes (2^width,); `signed` counts values of negative sign negatively."""
        code, sign = self.weight_codes()
        return _one_hot(code, sign if signed else np.ones_like(sign), self.width) @ histogram


def _one_hot(codes: NDArray[np.int64], signs: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """(2^width, len(codes)): the sign of each value in the row of its code."""
    matrix = np.zeros((1 << width, len(codes)))
    matrix[codes, np.arange(len(codes))] = signs
    return matrix
