"""What layers' losses learn from emulated assignments."""

from __future__ import annotations

import numpy as np

from dse.ground_truth.assignments import layer_factors


def test_nothing_is_learned_from_what_was_predicted() -> None:
    losses = np.random.default_rng(0).random((5, 8))
    np.testing.assert_allclose(layer_factors(losses, losses.sum(axis=1)), 1)
    np.testing.assert_allclose(layer_factors(np.empty((0, 8)), []), 1)


def test_a_gain_that_all_assignments_show() -> None:
    losses = np.random.default_rng(0).random((40, 6))
    np.testing.assert_allclose(layer_factors(losses, 1.6 * losses.sum(axis=1)), 1.6, rtol=0.02)


def test_a_layer_that_hurts_more_than_predicted() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([0.8, 0.8, 2.0, 0.8])
    losses = 2 * rng.random((200, 4))
    drops = losses @ truth + 0.2 * rng.standard_normal(200)
    np.testing.assert_allclose(layer_factors(losses, drops), truth, atol=0.1)


def test_few_emulations_move_what_is_not_told_apart_together() -> None:
    # One assignment, all layers alike: it loses double, and each layer is taken to.
    np.testing.assert_allclose(layer_factors(np.full((1, 4), 0.5), [4.0]), 2, rtol=0.02)


def test_no_layer_becomes_free() -> None:
    assert (layer_factors(np.ones((9, 3)), [-5.0] * 9) == 0.1).all()
