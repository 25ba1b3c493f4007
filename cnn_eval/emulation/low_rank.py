"""Products of low rank as sums of a few ordinary convolutions, in exact integers.

The products of many designs, as a matrix over activations and weights, are a sum of a few terms
that separate: ``product(x, w) = sum over r of u_r(x) * v_r(w)``. An operand truncation has one, an
error matrix of rank r at most r + 1. A layer is then one convolution with r times as many input
channels, the transformed activations, on any device.

The factors are integers: the rows of the product matrix span a lattice, and a basis of the lattice
has as many vectors as the rank. With integer factors floating-point sums are exact as long as no
partial sum can leave the integers of the type; :func:`Factors.largest_sum` bounds the partial sums
with a layer's own weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Factors", "factorize"]

_LARGEST = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Factors:
    """products = activations @ weights, all integers.

    Attributes:
        activations: int64, (A, rank).
        weights: int64, (rank, W).
    """

    activations: NDArray[np.int64]
    weights: NDArray[np.int64]

    @property
    def rank(self) -> int:
        return len(self.weights)

    def largest_sum(self, weight_index: NDArray[np.integer]) -> float:
        """No partial sum of a layer can exceed this magnitude.

        Args:
            weight_index: (o, positions), the weights of each output channel, counted from the
                smallest.
        """
        reach = np.abs(self.activations).max(0).astype(np.float64) @ np.abs(
            self.weights
        )  # (W,): of one weight's terms together
        return float(reach[weight_index].sum(1).max())


def factorize(products: NDArray[np.int32], most: int) -> Factors | None:
    """Integer factors of (A, W) products, or None where their rank exceeds `most` or elimination
    leaves the range of 31 bits.
    """
    matrix = products.astype(np.int64)
    basis = _lattice_basis(matrix, most)
    if basis is None:
        return None
    basis = _reduced(basis)
    # Coordinates are integers because the basis spans the lattice; rounding removes what floating
    # point adds, and the product is checked.
    activations = np.rint(
        np.linalg.lstsq(basis.T.astype(np.float64), matrix.T.astype(np.float64))[0].T
    ).astype(np.int64)
    return Factors(activations, basis) if np.array_equal(activations @ basis, matrix) else None


def _lattice_basis(matrix: NDArray[np.int64], most: int) -> NDArray[np.int64] | None:
    """A basis of the lattice that the rows of `matrix` span, by integer elimination (Hermite normal
    form without its back substitution).
    """
    if not matrix.any():
        return np.zeros((1, matrix.shape[1]), np.int64)
    rows = np.unique(matrix, axis=0)
    basis: list[NDArray[np.int64]] = []
    while rows.any():
        if len(basis) == most:
            return None
        column = int(np.argmax(rows.any(0)))
        while True:
            (used,) = np.nonzero(rows[:, column])
            least = used[np.argmin(np.abs(rows[used, column]))]
            if len(used) == 1:
                break
            # One step of Euclid's algorithm for all rows at once.
            quotient = np.rint(rows[:, column] / rows[least, column]).astype(np.int64)
            quotient[least] = 0
            rows -= np.multiply.outer(quotient, rows[least])
            if np.abs(rows).max() > _LARGEST:
                return None
        basis.append(rows[least])
        rows = np.delete(rows, least, 0)
    return np.stack(basis)


def _reduced(basis: NDArray[np.int64]) -> NDArray[np.int64]:
    """A basis of the same lattice with shorter vectors: each is reduced by the others until nothing
    gets shorter.
    """
    basis = basis.copy()
    changed = True
    while changed:
        changed = False
        for i in range(len(basis)):
            for j in range(len(basis)):
                if i != j:
                    quotient = int(np.rint(basis[i] @ basis[j] / (basis[j] @ basis[j])))
                    candidate = basis[i] - quotient * basis[j]
                    if candidate @ candidate < basis[i] @ basis[i]:
                        basis[i], changed = candidate, True
    return basis
