"""All changes at once: against making each change and simulating it."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_eval import zoo
from cnn_eval.prediction import LossModel
from dse.search.synthesis.gate_walk import State, error_matrix
from dse.search.synthesis.pairs import Pairs, packed, unpacked
from dse.search.synthesis.price_ladder import Workplace
from dse.search.synthesis.screening import screen
from hdl.cells import CellLibrary
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths

ENCODING, WIDTHS = OperandEncoding.SIGN_MAGNITUDE, Widths(4, 3)


@pytest.fixture(scope="module")
def workplace() -> Workplace:
    profile = zoo.load_profile("resnet20", ENCODING, WIDTHS)
    loss = LossModel(profile, zoo.load_predictor("resnet20", ENCODING))
    return Workplace(loss, CellLibrary.load(), profile.operand_distribution())


@pytest.fixture(scope="module")
def state(workplace: Workplace) -> State:
    start = MultiplierSpec.parse("bam:h=0,v=2,tree=array,width=4x3")
    return State.of(start, workplace)


def test_bits_are_packed_and_unpacked() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (3, 100), dtype=np.uint8)
    words = packed(bits)
    assert words.shape == (3, 2)
    assert int(words[1, 0]) & 1 == bits[1, 0]
    np.testing.assert_array_equal(unpacked(words, 100), bits)


def test_effects_and_savings_are_those_of_the_changed_circuit(
    workplace: Workplace, state: State
) -> None:
    every = workplace.every_pair
    around = workplace.loss.around(state.errors)
    screened = screen(state.circuit, every, around, state.prices, np.random.default_rng(1))
    before = state.errors.ravel().astype(np.float64)
    now_pp = float(around.drops_pp(np.zeros(1))[0])
    assert screened.drop_pp == pytest.approx(now_pp)
    rng = np.random.default_rng(2)
    compared = 0
    for _ in range(400):
        place = tuple(int(rng.integers(size)) for size in screened.drops_pp.shape)
        change = screened.change(place)
        if not np.isfinite(screened.drops_pp[place]):
            sources = (change.by,) if isinstance(change.by, int) else change.by.inputs
            assert any(state.circuit.fanout_cones[change.net, source] for source in sources)
            continue
        circuit = state.circuit.replaced(change)
        d = error_matrix(circuit, every).ravel() - before
        effect = around.gradient @ d + ((around.components @ d) ** 2).sum()
        effect += around.variances @ d**2
        expected = float(around.drops_pp(np.array([effect]))[0])
        assert screened.drops_pp[place] == pytest.approx(expected, rel=1e-3, abs=1e-3)
        # What is saved is a lower bound, but for half an inverter: cleaning may find more.
        saved = state.circuit.area_um2 - circuit.area_um2
        slack = state.circuit.inverter.area_um2 / 2
        if isinstance(change.by, int) and change.by > 1:
            assert screened.area_um2[place] <= saved + slack + 1e-3
        compared += 1
    assert compared > 200


def test_the_best_changes_come_first(workplace: Workplace, state: State) -> None:
    every = workplace.every_pair
    around = workplace.loss.around(state.errors)
    screened = screen(state.circuit, every, around, state.prices, np.random.default_rng(1))
    worth = (
        screened.area_um2 / state.circuit.area_um2 + screened.energy_fj / state.circuit.energy_fj
    ) / 2 - 0.1 * (screened.drops_pp - screened.drop_pp)
    best = screened.best(0.1, 10)
    assert len(best) == 10
    found = np.sort(worth[np.isfinite(worth)].ravel())[::-1]
    first = screened.change(tuple(int(i) for i in np.unravel_index(np.argmax(worth), worth.shape)))
    assert best[0] == first
    assert found[9] > 0
    assert screened.best(1e6, 10) == [] or found[0] > 0
    assert len(screened.new) > 0
    assert screened.candidates == screened.drops_pp.size


def test_important_pairs_are_the_most_important(workplace: Workplace) -> None:
    importance = np.random.default_rng(0).random(128)
    pairs = Pairs.important(workplace.operands, importance, 64)
    assert len(pairs) == 64
    rest = np.setdiff1d(np.arange(128), pairs.index)
    assert importance[pairs.index].min() > importance[rest].max()
    assert pairs.weights.sum() < workplace.operands.joint().sum()
