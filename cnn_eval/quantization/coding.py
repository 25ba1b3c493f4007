"""How the integers of a quantized layer become operand codes of the multiplier, and products come
back.

Everything downstream works on *values*: activation integers x and weight integers w of one layer,
each a contiguous range. A coding turns the multiplier's error matrix, indexed by operand code, into
the integer products of all value pairs (:meth:`OperandCoding.products`), and a matrix over value
pairs back into one over operand codes (:meth:`OperandCoding.fold`); the two are adjoint on errors:
``sum(G * (products(E) - exact)) == sum(fold(G) * E)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.operands import OperandEncoding

__all__ = ["OperandCoding"]

_MOST_BITS = 8
# Integers of both signs are bytes.
_MOST_SIGNED = 127


@dataclass(frozen=True)
class OperandCoding:
    """Operand codes of one layer, of a multiplier with operands of `width_a` bits (activation) and
    `width_b` bits (weight).

    Weights are symmetric in every encoding. Activations and codes:

    * two's complement: |x| < 2^(width_a - 1), from 0 if never negative, and |w| < 2^(width_b - 1);
      codes modulo 2^width.
    * sign-magnitude: magnitudes on the multiplier, and the exclusive or of the sign bits on its
      product (the sign bit of 0 is 0). |x| < 2^width_a and |w| < 2^width_b; activations of both
      signs end at 127, so that they are bytes in memory.
    * unsigned: |w| < 2^(width_b - 1); codes x + zero_point and w + 2^(width_b - 1). The terms that
      the zero points add to the products are subtracted exactly.

    Attributes:
        negative: whether activations may be negative.
        zero_point: code of the activation 0; only the unsigned encoding has it, and only with
            negative activations.
    """

    encoding: OperandEncoding
    width_a: int
    width_b: int
    negative: bool
    zero_point: int = 0

    def __post_init__(self) -> None:
        for width in (self.width_a, self.width_b):
            if not 1 <= width <= _MOST_BITS:
                raise ValueError(f"operands of a network have 1 to {_MOST_BITS} bits, not {width}")
        if self.zero_point and not (self.encoding is OperandEncoding.UNSIGNED and self.negative):
            raise ValueError(
                "only the unsigned encoding of activations that may be negative has a zero point"
            )
        if self.activation_range[0] == self.activation_range[1] or not self.weight_range[1]:
            raise ValueError(
                f"{self.width_a}x{self.width_b} bits leave nothing but 0 in {self.encoding}; take "
                "one bit more"
            )

    @property
    def activation_range(self) -> tuple[int, int]:
        """Smallest and largest activation integer."""
        match self.encoding:
            case OperandEncoding.UNSIGNED:
                return -self.zero_point, (1 << self.width_a) - 1 - self.zero_point
            case OperandEncoding.SIGN_MAGNITUDE:
                high = (1 << self.width_a) - 1
            case _:
                high = (1 << self.width_a - 1) - 1
        return (-min(high, _MOST_SIGNED), min(high, _MOST_SIGNED)) if self.negative else (0, high)

    @property
    def weight_range(self) -> tuple[int, int]:
        """Smallest and largest weight integer."""
        high = (1 << self.width_b - (self.encoding is not OperandEncoding.SIGN_MAGNITUDE)) - 1
        high = min(high, _MOST_SIGNED)
        return -high, high

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
        return self._codes(self.activation_values, self.width_a, self.zero_point)

    def weight_codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(operand code, sign beside the multiplier) of every weight value, each (W,)."""
        return self._codes(self.weight_values, self.width_b, 1 << (self.width_b - 1))

    def _codes(
        self, values: NDArray[np.int64], width: int, zero_point: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ones = np.ones_like(values)
        match self.encoding:
            case OperandEncoding.TWOS_COMPLEMENT:
                return values & ((1 << width) - 1), ones
            case OperandEncoding.SIGN_MAGNITUDE:
                return np.abs(values), np.where(values < 0, -1, ones)
            case _:
                return values + zero_point, ones

    def products(self, errors: NDArray[np.int32]) -> NDArray[np.int32]:
        """What the hardware adds up for every pair of values.

        Args:
            errors: approximate minus exact product, (2^width_a, 2^width_b), [activation code,
                weight code].

        Returns:
            (A, W) [activation value, weight value]: x * w plus the error with its sign.
        """
        exact = np.multiply.outer(self.activation_values, self.weight_values)
        return np.asarray(exact + self.value_errors(errors), dtype=np.int32)

    def value_errors(self, errors: NDArray[Any]) -> NDArray[Any]:
        """Errors over code pairs (..., 2^width_a, 2^width_b) over value pairs (..., A, W), with the
        signs beside the multiplier.
        """
        (a, a_sign), (b, b_sign) = self.activation_codes(), self.weight_codes()
        found: NDArray[Any] = errors[..., a[:, None], b] * np.multiply.outer(a_sign, b_sign)
        return found

    def fold(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Adjoint of :meth:`value_errors`: (..., A, W) over value pairs -> (..., 2^width_a,
        2^width_b) over code pairs.
        """
        (a, a_sign), (b, b_sign) = self.activation_codes(), self.weight_codes()
        return _one_hot(a, a_sign, self.width_a) @ values @ _one_hot(b, b_sign, self.width_b).T

    def fold_activations(
        self, histogram: NDArray[np.floating], *, signed: bool
    ) -> NDArray[np.float64]:
        """Histogram over activation values (A,) -> over codes (2^width_a,); `signed` counts values
        of negative sign negatively.
        """
        code, sign = self.activation_codes()
        return _one_hot(code, sign if signed else np.ones_like(sign), self.width_a) @ histogram

    def fold_weights(self, histogram: NDArray[np.floating], *, signed: bool) -> NDArray[np.float64]:
        """Histogram over weight values (W,) -> over codes (2^width_b,); `signed` counts values of
        negative sign negatively.
        """
        code, sign = self.weight_codes()
        return _one_hot(code, sign if signed else np.ones_like(sign), self.width_b) @ histogram


def _one_hot(codes: NDArray[np.int64], signs: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """(2^width, len(codes)): the sign of each value in the row of its code."""
    matrix = np.zeros((1 << width, len(codes)))
    matrix[codes, np.arange(len(codes))] = signs
    return matrix
