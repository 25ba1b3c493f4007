"""Operands of a multiplier: how integers become operand codes, how often each code comes, and in
which order.

An operand **code** is the unsigned integer that the bits of a port spell; its **value** is what the
multiplier takes it for: the code itself, or its two's complement reading on a signed multiplier.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

__all__ = [
    "OUTPUT_STATIONARY",
    "OperandDistribution",
    "OperandEncoding",
    "OperandOrder",
    "Width",
    "Widths",
    "code_values",
    "largest_product",
    "operand_widths",
    "values_of_codes",
]

_SUM_TOLERANCE = 1e-6


Width: TypeAlias = int | tuple[int, int]
"""Bits of both operands of a multiplier, or those of a and those of b."""


class Widths(NamedTuple):
    """Bits of the operands a and b of a multiplier."""

    a: int
    b: int

    @classmethod
    def of(cls, width: Width) -> Widths:
        """One number stands for both operands."""
        return cls(width, width) if isinstance(width, int) else cls(*width)

    @classmethod
    def parse(cls, text: str) -> Widths:
        """Reads `8` (8 bits each) or `8x5` (8 of a, 5 of b). Raises ValueError."""
        a, separator, b = text.partition("x")
        return cls(int(a), int(b if separator else a))

    @property
    def product(self) -> int:
        """Bits of the product."""
        return self.a + self.b

    def exchanged(self) -> Widths:
        """The widths of the multiplier with its operands exchanged."""
        return Widths(self.b, self.a)

    def __str__(self) -> str:
        return str(self.a) if self.a == self.b else f"{self.a}x{self.b}"


class OperandEncoding(StrEnum):
    """How the quantized integers of a network meet the operand codes of a multiplier."""

    TWOS_COMPLEMENT = "twos_complement"
    """Signed integers on a signed multiplier."""
    SIGN_MAGNITUDE = "sign_magnitude"
    """Magnitudes on an unsigned multiplier; the sign is an exclusive or beside it."""
    UNSIGNED = "unsigned"
    """Affine unsigned integers with zero points on an unsigned multiplier; the correction terms are
    exact.
    """

    @property
    def signed(self) -> bool:
        """Whether the multiplier reads its operand codes as two's complement."""
        return self is OperandEncoding.TWOS_COMPLEMENT

    @classmethod
    def fitting(cls, *, signed: bool, among: Iterable[OperandEncoding] = ()) -> OperandEncoding:
        """The first of these encodings that multipliers of this signedness are for; of all, two's
        complement or sign and magnitude.
        """
        return next(encoding for encoding in among or cls if encoding.signed == signed)

    def check(self, *, signed: bool, name: str) -> None:
        """Raises InputError where a multiplier of this signedness reads its operand codes
        otherwise; `name` is the multiplier's.
        """
        if self.signed != signed:
            is_, needs = ("a signed", "an unsigned") if signed else ("an unsigned", "a signed")
            raise InputError(
                f"{name} is {is_} multiplier, and the encoding {self} needs {needs} one; change "
                "signed= or the encoding"
            )


def operand_widths(encoding: OperandEncoding, activation_bits: int, weight_bits: int) -> Widths:
    """The operand widths of the multiplier that a network quantized to these bits needs: a is the
    activation, b the weight.

    As sign and magnitude, weights end at +-(2^(weight_bits - 1) - 1), so that a magnitude has a bit
    less; activations that are never negative use all of theirs.

    Raises InputError outside 2 to 8 bits.
    """
    if not (2 <= activation_bits <= 8 and 2 <= weight_bits <= 8):
        raise InputError(
            f"activations of {activation_bits} and weights of {weight_bits} bits: give 2 to 8"
        )
    return Widths(activation_bits, weight_bits - (encoding is OperandEncoding.SIGN_MAGNITUDE))


@dataclass(frozen=True)
class OperandOrder:
    """How the operands of consecutive operations follow each other in a multiplier of an array: a
    new activation comes with every operation, a new weight with every `operations_per_weight`-th. 1
    is an output-stationary array, more a weight-stationary one.

    Raises InputError when a weight would stay for less than one operation.
    """

    operations_per_weight: int = 1

    def __post_init__(self) -> None:
        if self.operations_per_weight < 1:
            raise InputError(
                f"a weight cannot stay for {self.operations_per_weight} operations; give 1 or more"
            )

    @classmethod
    def parse(cls, text: str) -> OperandOrder:
        """Reads `output-stationary`, `weight-stationary=64`, or `weight-stationary`, where a weight
        stays for 256 operations (the pixels of a 16 x 16 output). Raises InputError."""
        name, separator, operations = text.partition("=")
        if name == "weight-stationary" and (not separator or operations.isdecimal()):
            return cls(int(operations) if separator else _OPERATIONS_PER_WEIGHT)
        if text != "output-stationary":
            raise InputError(
                f"unknown operand order {text!r}; use output-stationary, weight-stationary or "
                "weight-stationary=OPERATIONS"
            )
        return OUTPUT_STATIONARY

    def __str__(self) -> str:
        return (
            "output-stationary"
            if self.operations_per_weight == 1
            else f"weight-stationary={self.operations_per_weight}"
        )


OUTPUT_STATIONARY = OperandOrder()
_OPERATIONS_PER_WEIGHT = 256


def values_of_codes(codes: ArrayLike, bits: int, *, signed: bool) -> NDArray[np.int64]:
    """Values of `bits`-bit codes: the codes themselves, or their two's complement reading."""
    codes = np.asarray(codes, dtype=np.int64)
    return codes - ((codes >> (bits - 1)) << bits) if signed else codes


def code_values(width: int, *, signed: bool) -> NDArray[np.int64]:
    """The value of every operand code, shape (2^width,), in the order of the codes."""
    return values_of_codes(np.arange(1 << width), width, signed=signed)


def largest_product(widths: Widths, *, signed: bool) -> int:
    """The largest exact product of operands of these widths."""
    return 1 << widths.product - 2 if signed else ((1 << widths.a) - 1) * ((1 << widths.b) - 1)


@dataclass(frozen=True, eq=False)
class OperandDistribution:
    """Probabilities of operand pairs as a mixture over layers, inside each of which the two
    operands are independent.

    `weights` (L,) are the shares of the layers, `a` (L, 2^width_a) and `b` (L, 2^width_b) the
    probabilities of each operand code within a layer (a: the activation, b: the weight). All sums
    are 1. Raises ValueError on anything else.
    """

    weights: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    name: str

    def __post_init__(self) -> None:
        for field in ("weights", "a", "b"):
            array = np.array(getattr(self, field), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, field, array)
        layers = len(self.weights) if self.weights.ndim == 1 else 0
        if not layers or not all(_is_code_table(table, layers) for table in (self.a, self.b)):
            shapes = f"{self.weights.shape}, {self.a.shape} and {self.b.shape}"
            raise ValueError(
                f"operand distribution {self.name!r}: shapes {shapes} are not (L,), (L, 2^m) and "
                "(L, 2^n)"
            )
        for field in ("weights", "a", "b"):
            array = getattr(self, field)
            # Written so that a NaN fails too.
            if not (
                np.all(array >= 0) and np.all(np.abs(array.sum(axis=-1) - 1) <= _SUM_TOLERANCE)
            ):
                raise ValueError(
                    f"operand distribution {self.name!r}: {field} is not made of probabilities "
                    "that sum to 1"
                )

    @classmethod
    def uniform(cls, width: Width) -> OperandDistribution:
        """All operand pairs equally likely."""
        a, b = (np.full((1, 1 << bits), 1 / (1 << bits)) for bits in Widths.of(width))
        return cls(np.ones(1), a, b, "uniform")

    @classmethod
    def from_counts(
        cls, weights: ArrayLike, a: ArrayLike, b: ArrayLike, name: str
    ) -> OperandDistribution:
        """From counts in place of probabilities (a multiplication count per layer, a histogram of
        codes per layer and operand).
        """
        counts = [np.asarray(array, dtype=np.float64) for array in (weights, a, b)]
        with np.errstate(invalid="ignore"):
            shares, of_a, of_b = (array / array.sum(axis=-1, keepdims=True) for array in counts)
        return cls(shares, of_a, of_b, name)

    def on(self, widths: Widths, *, signed: bool) -> OperandDistribution:
        """The operands as a multiplier with wider operand codes gets them: high bits are 0, or on a
        `signed` one repeat the sign.
        """
        a, b = (
            _on_codes(table, narrow, wide, signed=signed)
            for table, narrow, wide in zip((self.a, self.b), self.widths, widths, strict=True)
        )
        return OperandDistribution(self.weights, a, b, self.name)

    def layer(self, index: int) -> OperandDistribution:
        """The operands of one layer."""
        row = slice(index, index + 1)
        return OperandDistribution(np.ones(1), self.a[row], self.b[row], self.name)

    @property
    def widths(self) -> Widths:
        """Bits of the operand codes."""
        return Widths(*(int(table.shape[1]).bit_length() - 1 for table in (self.a, self.b)))

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """Rows `start` to `stop` of `joint()`: shape (stop - start, 2^width_b)."""
        rows: NDArray[np.float64] = (self.weights[:, None] * self.a[:, start:stop]).T @ self.b
        return rows

    def joint(self) -> NDArray[np.float64]:
        """Probability of each pair, shape (2^width_a, 2^width_b), indexed [a code, b code]."""
        return self.rows(0, self.a.shape[1])

    def sample_transitions(
        self, rng: np.random.Generator, count: int, order: OperandOrder = OUTPUT_STATIONARY
    ) -> tuple[NDArray[np.int64], ...]:
        """`count` pairs of consecutive operations: operand codes a0, b0 and then a1, b1, each of
        shape (count,).

        Both operations belong to the same layer, drawn by its share. Operands are independent
        within the layer, except that b1 is b0 where the weight stays. The same generator gives the
        same a0, b0 and a1 whatever the order.
        """
        layers = np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(count), side="right")
        a0, b0, a1, b1 = (
            self._draw(rng, table, layers) for table in (self.a, self.b, self.a, self.b)
        )
        if order.operations_per_weight > 1:
            b1 = np.where(rng.random(count) * order.operations_per_weight < 1, b1, b0)
        return a0, b0, a1, b1

    def sample(
        self, rng: np.random.Generator, layers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """One operand pair of each of these layers: codes a and b, each of the shape (n,) of
        `layers`.
        """
        return self._draw(rng, self.a, layers), self._draw(rng, self.b, layers)

    def _draw(
        self, rng: np.random.Generator, table: NDArray[np.float64], layers: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        # One search serves all layers: layer l occupies the interval [l, l + 1) of the concatenated
        # cumulative sums.
        cumulative = np.cumsum(table, axis=1)
        cumulative /= cumulative[:, -1:]
        steps = (cumulative + np.arange(len(table))[:, None]).ravel()
        found = np.searchsorted(steps, rng.random(len(layers)) + layers, side="right")
        codes = table.shape[1]
        drawn: NDArray[np.int64] = np.minimum(found - layers * codes, _last_possible(table)[layers])
        return drawn


def _is_code_table(table: NDArray[np.float64], layers: int) -> bool:
    """Whether a table has a row for each layer and a column for each code of some number of
    bits.
    """
    codes = table.shape[1] if table.ndim == 2 else 0
    return table.shape == (layers, codes) and codes >= 2 and codes & (codes - 1) == 0


def _last_possible(table: NDArray[np.float64]) -> NDArray[np.int64]:
    """The highest code of each layer that can come at all: rounding at the top of an interval must
    not invent an impossible one.
    """
    return np.asarray(table.shape[1] - 1 - np.argmax(table[:, ::-1] > 0, axis=1), dtype=np.int64)


def _on_codes(
    table: NDArray[np.float64], narrow: int, wide: int, *, signed: bool
) -> NDArray[np.float64]:
    """Probabilities (L, 2^narrow) of codes as probabilities (L, 2^wide) of the codes that mean the
    same.
    """
    found = np.zeros((len(table), 1 << wide))
    found[:, code_values(narrow, signed=signed) & (1 << wide) - 1] = table
    return found
