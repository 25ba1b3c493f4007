"""What predicted losses of layers learn from emulated assignments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dse.ground_truth.assignments import loss_factors


def choices_of(layers: int, designs: int, count: int) -> NDArray[np.intp]:
    return np.random.default_rng(0).integers(0, designs, (count, layers))


def drops_of(losses: NDArray[np.float64], choices: NDArray[np.intp]) -> NDArray[np.float64]:
    """Emulated drops, were the losses true."""
    drops: NDArray[np.float64] = losses[np.arange(len(losses)), choices].sum(axis=1)
    return drops


def test_nothing_is_learned_from_what_was_predicted() -> None:
    losses, choices = np.random.default_rng(0).random((5, 3)), choices_of(5, 3, 8)
    found = loss_factors(losses, choices, list(drops_of(losses, choices)))
    np.testing.assert_allclose(found, np.ones((5, 3)))
    none = np.empty((0, 5), dtype=np.intp)
    np.testing.assert_allclose(loss_factors(losses, none, []), np.ones((5, 3)))


def test_a_gain_that_all_assignments_show() -> None:
    losses, choices = np.random.default_rng(0).random((6, 3)), choices_of(6, 3, 40)
    found = loss_factors(losses, choices, list(1.6 * drops_of(losses, choices)))
    np.testing.assert_allclose(found, np.full((6, 3), 1.6), rtol=0.03)


def test_a_layer_that_hurts_more_than_predicted() -> None:
    rng, layer = np.random.default_rng(1), np.array([0.8, 0.8, 2.0, 0.8])[:, None]
    losses, choices = 2 * rng.random((4, 3)), choices_of(4, 3, 400)
    drops = drops_of(losses * layer, choices) + 0.2 * rng.standard_normal(400)
    found = loss_factors(losses, choices, list(drops))
    np.testing.assert_allclose(found, np.tile(layer, 3), atol=0.15)


def test_a_design_that_hurts_less_than_predicted_alone() -> None:
    # Once in all layers: the other designs are as they were, but for the gain that may be common.
    losses = np.full((20, 2), 0.05)
    found = loss_factors(losses, np.zeros((1, 20), dtype=np.intp), [0.1])
    assert (found[:, 0] < 0.4).all()
    assert (found[:, 1] > found[:, 0] + 0.1).all()


def test_few_emulations_move_what_is_not_told_apart_together() -> None:
    # One assignment, all layers alike: it loses double, and each layer is taken to.
    found = loss_factors(np.full((4, 1), 0.5), np.zeros((1, 4), dtype=np.intp), [4.0])
    np.testing.assert_allclose(found, np.full((4, 1), 2), rtol=0.02)


def test_no_layer_becomes_free() -> None:
    choices = np.zeros((9, 3), dtype=np.intp)
    assert (loss_factors(np.ones((3, 1)), choices, [-5.0] * 9) == 0.1).all()
