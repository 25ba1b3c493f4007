"""Integer factors of product matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_eval.emulation.low_rank import factorize


@settings(max_examples=40, deadline=None)
@given(
    rank=st.integers(1, 4),
    shape=st.tuples(st.integers(16, 40), st.integers(8, 40)),
    seed=st.integers(0, 2**32 - 1),
)
def test_factors_multiply_back(rank: int, shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = (rng.integers(-5, 6, (shape[0], rank)) @ rng.integers(-5, 6, (rank, shape[1]))).astype(
        np.int32
    )
    factors = factorize(matrix, 5)
    assert factors is not None
    assert factors.rank == max(np.linalg.matrix_rank(matrix), 1)
    np.testing.assert_array_equal(factors.activations @ factors.weights, matrix)


def test_rank_beyond_the_most_has_no_factors() -> None:
    matrix = np.diag(np.arange(1, 7)).astype(np.int32)
    assert factorize(matrix, 5) is None
    factors = factorize(matrix, 6)
    assert factors is not None
    assert factors.rank == 6
    assert (
        factorize(np.random.default_rng(0).integers(0, 1 << 16, (256, 255)).astype(np.int32), 9)
        is None
    )


def test_exact_products_are_one_outer_product() -> None:
    factors = factorize(np.multiply.outer(np.arange(256), np.arange(-127, 128)).astype(np.int32), 1)
    assert factors is not None
    assert (np.abs(factors.activations).max(), np.abs(factors.weights).max()) == (255, 127)


@pytest.mark.parametrize("rank", [1, 4])
def test_no_partial_sum_exceeds_the_bound(rank: int) -> None:
    rng = np.random.default_rng(1)
    matrix = (rng.integers(-9, 10, (16, rank)) @ rng.integers(-9, 10, (rank, 15))).astype(np.int32)
    factors = factorize(matrix, rank)
    assert factors is not None
    weight_index = rng.integers(0, 15, (3, 50))
    bound = factors.largest_sum(weight_index)
    for _ in range(50):
        terms = (
            factors.activations[rng.integers(0, 16, 50)][None] * factors.weights.T[weight_index]
        )  # (outputs, positions, rank)
        sums = np.cumsum(rng.permuted(terms.reshape(3, -1), axis=1), axis=1)
        assert np.abs(sums).max() <= bound


def test_a_matrix_of_zeros() -> None:
    factors = factorize(np.zeros((4, 3), np.int32), 2)
    assert factors is not None
    assert not (factors.activations @ factors.weights).any()
