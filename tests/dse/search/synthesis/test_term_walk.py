"""Walks over lists of terms: what they make, what they say it loses, and the same each time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from cnn_eval import zoo
from cnn_eval.prediction import LossModel
from dse.search.synthesis.price_ladder import MadeDesign, Workplace
from dse.search.synthesis.term_walk import term_walk
from hdl.cells import CellLibrary
from hdl.cost import synthesize
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

START = MultiplierSpec.parse("exact:tree=array,width=4x3")
REACH_PP = 6.0


def workplace_of(encoding: OperandEncoding, widths: Widths) -> Workplace:
    profile = zoo.load_profile("resnet20", encoding, widths)
    loss = LossModel(profile, zoo.load_predictor("resnet20", encoding))
    return Workplace(loss, CellLibrary.load(), profile.operand_distribution())


@pytest.fixture(scope="module")
def workplace() -> Workplace:
    return workplace_of(OperandEncoding.SIGN_MAGNITUDE, Widths(4, 3))


@pytest.fixture(scope="module")
def made(workplace: Workplace) -> list[MadeDesign]:
    return list(term_walk(START, workplace, max_drop_pp=REACH_PP, seed=1))


def check(one: MadeDesign, workplace: Workplace) -> None:
    assert isinstance(one.design, MultiplierSpec)
    assert one.design.family == "terms"
    errors = ProductTable.of(one.design).errors  # by the gates
    assert one.drop_pp == pytest.approx(float(workplace.loss.drops_pp(errors[None])[0]))


@pytest.mark.slow
def test_a_walk_saves_and_says_what_it_loses(workplace: Workplace, made: list[MadeDesign]) -> None:
    assert len(made) >= 3
    exact = synthesize(START, workplace.library, workplace.operands)
    assert made[-1].area_um2 < 0.8 * exact.area_um2
    assert made[-1].energy_fj < 0.8 * exact.energy_fj
    for one in made:
        check(one, workplace)
        assert one.drop_pp <= REACH_PP
    assert all(one.candidates < other.candidates for one, other in itertools.pairwise(made))


def test_figures_are_those_of_mapping(workplace: Workplace, made: list[MadeDesign]) -> None:
    mapped, energy = workplace.mapped(made[-1].design)
    assert made[-1].area_um2 == mapped.netlist.area_um2
    assert made[-1].energy_fj == energy.energy_fj


def test_the_same_seed_makes_the_same_designs(workplace: Workplace, made: list[MadeDesign]) -> None:
    again = itertools.islice(term_walk(START, workplace, max_drop_pp=REACH_PP, seed=1), 2)
    assert [one.design for one in again] == [one.design for one in made[:2]]
    other = itertools.islice(term_walk(START, workplace, max_drop_pp=REACH_PP, seed=2), 3)
    assert [one.design for one in other] != [one.design for one in made[:3]]


def test_a_walk_goes_on_from_terms(workplace: Workplace, made: list[MadeDesign]) -> None:
    """Perhaps by a repair, while accuracy is dear."""
    found = next(term_walk(made[-1].design, workplace, max_drop_pp=REACH_PP, seed=3))
    check(found, workplace)
    assert found.drop_pp < made[-1].drop_pp or found.area_um2 < made[-1].area_um2


def test_what_is_no_list_of_terms_is_no_start(workplace: Workplace) -> None:
    start = MultiplierSpec.parse("mitchell:width=4x3")
    assert list(term_walk(start, workplace, max_drop_pp=REACH_PP, seed=1)) == []


def test_two_complement(workplace: Workplace) -> None:
    place = replace(
        workplace_of(OperandEncoding.TWOS_COMPLEMENT, Widths(4, 3)), library=workplace.library
    )
    start = MultiplierSpec.parse("exact:tree=array,width=4x3,signed=1")
    for one in itertools.islice(term_walk(start, place, max_drop_pp=8, seed=1), 2):
        check(one, place)
        assert one.design.signed
        np.testing.assert_array_equal(one.design.multiply(0, 0), 0)
