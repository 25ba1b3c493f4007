"""Operand pairs that changes are judged on, and their bits, 64 pairs a word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.operands import OperandDistribution, Widths, values_of_codes

__all__ = ["Pairs", "packed", "products", "unpacked"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Operand pairs that changes are judged on.

    Attributes:
        index: of each pair, 2^width_b * (code a) + (code b), (pairs,); a multiple of 64, unless
            there are fewer pairs at all.
        bits: of the operands, those of a first, 64 pairs a word, (operand bits, words).
        weights: probability of each pair, (pairs,).
    """

    index: NDArray[np.int64]
    bits: NDArray[np.uint64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, operands: OperandDistribution, index: NDArray[np.int64]) -> Pairs:
        """The pairs with these numbers."""
        widths = operands.widths
        codes = index >> widths.b, index & (1 << widths.b) - 1
        bits = [
            code >> bit & 1
            for code, width in zip(codes, widths, strict=True)
            for bit in range(width)
        ]
        return cls(index, packed(np.array(bits, np.uint8)), operands.joint().ravel()[index])

    @classmethod
    def all_of(cls, operands: OperandDistribution) -> Pairs:
        """Every operand pair."""
        return cls.of(operands, np.arange(1 << operands.widths.product))

    @classmethod
    def important(
        cls, operands: OperandDistribution, importance: NDArray[np.float64], most: int
    ) -> Pairs:
        """The `most` pairs of the largest importance (2^(width_a + width_b),)."""
        if len(importance) <= most:
            return cls.all_of(operands)
        return cls.of(operands, np.sort(np.argsort(importance, kind="stable")[::-1][:most]))

    def __len__(self) -> int:
        return len(self.index)


def packed(bits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Bits (..., n) as words of 64, (..., ceil(n / 64)), the first bit the lowest."""
    octets = np.packbits(bits, axis=-1, bitorder="little")
    padding = [(0, 0)] * (octets.ndim - 1) + [(0, -octets.shape[-1] % 8)]
    return np.ascontiguousarray(np.pad(octets, padding)).view("<u8")


def unpacked(words: NDArray[np.uint64], count: int) -> NDArray[np.uint8]:
    """Inverse of :func:`packed`: the first `count` bits, (..., count)."""
    octets = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(octets, axis=-1, count=count, bitorder="little")


def products(
    bits: NDArray[np.uint64], count: int, widths: Widths, signed: bool
) -> NDArray[np.int32]:
    """Product values (..., count) from the words of their bits (..., product bits, words)."""
    values = unpacked(bits, count)
    codes = np.zeros((*values.shape[:-2], count), np.int32)
    for bit in range(values.shape[-2]):
        codes |= values[..., bit, :].astype(np.int32) << bit
    return (
        values_of_codes(codes, widths.product, signed=signed).astype(np.int32) if signed else codes
    )
