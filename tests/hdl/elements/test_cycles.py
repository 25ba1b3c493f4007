"""Operands of consecutive cycles: shares of zeros and of pairs of them, and what these cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hdl.cells.library import CellLibrary
from hdl.elements.cycles import DotProducts, ElementCycles
from hdl.elements.element import Element
from hdl.elements.element_cost import synthesize_element
from hdl.elements.synthesis import bit_activity
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandDistribution

LIBRARY = CellLibrary.load()
EXACT = MultiplierSpec.parse("exact:width=4x3")
SHARES = np.array([0.5, 0.2, 0.0, 1.0])
#: Along terms, along pixels; the last two layers leave no choice.
RUNS = np.array([[0.8, 0.3, 0.6, 0.6], [0.5, 0.2, 0.6, 0.6]])
DRAWN = 40_000


def work(runs: np.ndarray | None) -> DotProducts:
    """Four layers; activations of 4 bits with a sign, zero or uniform among the others."""
    a = np.repeat((1 - SHARES)[:, None] / 31, 32, axis=1)
    a[:, 0] = SHARES
    b = np.full((4, 16), 1 / 16)
    operands = OperandDistribution(np.full(4, 0.25), a, b, "zeros")
    return DotProducts(operands, np.full(4, 400), runs)


def draw(one: DotProducts, layer: int, *, keeps_weights: bool = False) -> list[np.ndarray]:
    """Activations of three consecutive cycles of a layer, none anew."""
    layers = np.full(DRAWN, layer)
    pairs = one.consecutive(
        np.random.default_rng(0), layers, [layers < 0] * 3, keeps_weights=keeps_weights
    )
    return [a for a, _ in pairs]


@pytest.mark.parametrize("layer", range(4))
def test_every_cycle_has_the_operands_of_the_layer(layer: int) -> None:
    for a in draw(work(RUNS), layer):
        assert (a == 0).mean() == pytest.approx(SHARES[layer], abs=0.01)
        # The other codes are as likely as each other.
        counts = np.bincount(a, minlength=32)[1:] / DRAWN
        np.testing.assert_allclose(counts, (1 - SHARES[layer]) / 31, atol=0.004)


@pytest.mark.parametrize("keeps_weights", [False, True])
@pytest.mark.parametrize("layer", [0, 1])
def test_zeros_follow_zeros_as_often_as_given(layer: int, keeps_weights: bool) -> None:
    first, second, third = draw(work(RUNS), layer, keeps_weights=keeps_weights)
    given, share = RUNS[int(keeps_weights), layer], SHARES[layer]
    for before, after in ((first, second), (second, third)):
        assert ((before == 0) & (after == 0)).mean() == pytest.approx(share * given, abs=0.01)
    # Beyond its neighbours, a cycle tells nothing.
    came = (first == 0) & (second != 0) & (third == 0)
    expected = share * (1 - given) * share * (1 - given) / (1 - share)
    assert came.mean() == pytest.approx(expected, abs=0.01)


def test_a_dot_product_begins_without_a_past() -> None:
    layers = np.zeros(DRAWN, dtype=np.int64)
    anew = [layers < 0, np.arange(DRAWN) % 2 == 0]
    (first, _), (second, _) = work(RUNS).consecutive(
        np.random.default_rng(0), layers, anew, keeps_weights=False
    )
    both = (first == 0) & (second == 0)
    assert both[anew[1]].mean() == pytest.approx(0.25, abs=0.01)
    assert both[~anew[1]].mean() == pytest.approx(0.4, abs=0.01)


def test_the_share_of_zeros_bounds_how_seldom_they_follow() -> None:
    """Of 80 % zeros at most 20 % are followed by another code."""
    one = work(np.full((2, 4), 0.1))
    a = one.operands.a.copy()
    a[0] = 0.2 / 31
    a[0, 0] = 0.8
    one = replace(one, operands=replace(one.operands, a=a))
    runs = one.zero_runs(keeps_weights=False)
    assert runs is not None
    assert runs == pytest.approx([0.75, 0.1, 0.1, 1.0])
    assert (draw(one, 0)[2] == 0).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("form", ["mac:gate=zero", "dot:lanes=2", "dot:lanes=2,stationary=weight"])
def test_with_the_probability_of_independent_draws_the_registers_are_as_before(form: str) -> None:
    element = Element.make(form, EXACT, terms=400)
    chances = []
    for runs in (None, np.stack([SHARES, SHARES])):
        cycles = ElementCycles(element, work(runs))
        before, after = cycles.draw(np.random.default_rng(3), DRAWN // 4)
        a = before["a0"], after["a0"]
        chances.append(
            [(a[0] == 0).mean(), ((a[0] == 0) & (a[1] == 0)).mean(), (a[0] == a[1]).mean()]
        )
    assert chances[0] == pytest.approx(chances[1], abs=0.02)


@pytest.mark.parametrize("keeps_weights", [False, True])
def test_bits_toggle_as_often_as_they_are_drawn_to(keeps_weights: bool) -> None:
    one = work(RUNS)
    ones, toggles = bit_activity(
        one.operands.weights, one.operands.a, one.zero_runs(keeps_weights=keeps_weights)
    )
    drawn = [draw(one, layer, keeps_weights=keeps_weights) for layer in range(4)]
    for bit in range(5):
        assert ones[bit] == pytest.approx(
            np.mean([(a >> bit & 1).mean() for a, _, _ in drawn]), abs=0.01
        )
        assert toggles[bit] == pytest.approx(
            np.mean([((a ^ after) >> bit & 1).mean() for a, after, _ in drawn]), abs=0.01
        )


def test_independent_zeros_toggle_bits_as_without_them() -> None:
    operands = work(None).operands
    for found, expected in zip(
        bit_activity(operands.weights, operands.a, SHARES),
        bit_activity(operands.weights, operands.a),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["mac:gate=zero", "dot:lanes=2,gate=zero", "dot:lanes=2"])
def test_longer_runs_of_zeros_are_cheaper(form: str) -> None:
    """Registers that hold change as often as operands come that are not zero, runs or not: in a
    `mac` the flags and clock gates alone change less.
    """
    element = Element.make(form, EXACT, terms=400)
    layer = work(None).operands.layer(0)
    short, long = (
        synthesize_element(
            element, LIBRARY, DotProducts(layer, np.array([400]), np.full((2, 1), run))
        )
        for run in (0.1, 0.9)
    )
    assert long.energy_fj < 0.97 * short.energy_fj
    assert long.zero_share == short.zero_share
    assert "but for zeros of consecutive activations" in long.assumptions
