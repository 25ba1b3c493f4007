from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.search.space import Design, DesignSpace, SpaceError
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.imported import ImportedDesign
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import Widths

W8 = Widths(8, 8)
EIGHT = {False: [W8]}


@pytest.mark.parametrize(("width", "signed"), [(4, False), (8, False), (8, True), (12, True)])
def test_every_move_ends_at_a_valid_multiplier_of_the_space(width: int, signed: bool) -> None:
    space = DesignSpace.of(operands={signed: [Widths(width, width)]})
    rng = np.random.default_rng(7)
    specs: list[Design] = list(space.sample(60, rng))
    for _ in range(10):
        specs = [space.mutate(spec, rng) for spec in specs]
        specs = [
            child
            for one, other in zip(specs, reversed(specs), strict=True)
            for child in space.recombine(one, other, rng)
        ][:60]
        for spec in specs:
            assert MultiplierSpec.parse(str(spec)) == spec
            assert (spec.widths, spec.signed, spec.swapped) == ((width, width), signed, False)
            assert spec.family in space.families


@given(st.integers(0, 2**32 - 1))
def test_the_same_generator_gives_the_same_designs(seed: int) -> None:
    space = DesignSpace.of(operands=EIGHT)
    first, second = (space.sample(10, np.random.default_rng(seed)) for _ in range(2))
    assert first == second


def test_a_sample_takes_turns_among_families() -> None:
    space = DesignSpace.of(operands=EIGHT)
    sample = space.sample(len(space.families), np.random.default_rng(0))
    assert len({str(spec) for spec in sample}) == len(sample)
    assert len({spec.family for spec in sample}) >= 0.8 * len(space.families)


def test_a_space_too_small_gives_what_it_has() -> None:
    space = DesignSpace.of(["mitchell"], operands=EIGHT)
    assert [str(spec) for spec in space.sample(10, np.random.default_rng(0))] == ["mitchell"]


def test_mutation_reaches_every_neighbour() -> None:
    space = DesignSpace.of(["drum"], operands=EIGHT)
    start = MultiplierSpec.make("drum", k=5)
    rng = np.random.default_rng(1)
    assert {space.mutate(start, rng).integer("k") for _ in range(200)} >= {3, 4, 6, 7}


def test_lists_of_terms_stay_lists_of_their_operands() -> None:
    forms = {False: [Widths(8, 5), Widths(3, 3)], True: [Widths(5, 3)]}
    space = DesignSpace.of(["terms"], operands=forms, swap=True)
    rng = np.random.default_rng(5)
    specs: list[Design] = list(space.sample(40, rng))
    assert len(specs) == 40
    joined = moved = 0
    for _ in range(10):
        specs = [space.mutate(spec, rng) for spec in specs]
        for spec in specs:
            assert isinstance(spec, MultiplierSpec)
            assert MultiplierSpec.parse(str(spec)) == spec
            joined += "|" in spec.choice("sum")
            moved += "." in spec.choice("sum")
    assert {spec.widths for spec in specs} == {(8, 5), (3, 3), (5, 3)}
    assert joined > 100
    assert moved > 100


def test_formats_and_orders_are_drawn_and_mutated_where_the_space_has_them() -> None:
    space, rng = (
        DesignSpace.of(["drum"], operands={False: [W8], True: [W8]}, swap=True),
        np.random.default_rng(2),
    )
    every = {(False, False), (False, True), (True, False), (True, True)}
    assert {(form.signed, form.swapped) for form in space.forms} == every
    assert {(spec.signed, spec.swapped) for spec in space.sample(30, rng)} == every
    start = MultiplierSpec.make("drum", k=5)
    neighbours = [space.mutate(start, rng) for _ in range(300)]
    assert {(spec.signed, spec.swapped) for spec in neighbours} == every
    assert sum((spec.signed, spec.swapped) == (False, False) for spec in neighbours) > 120
    other = MultiplierSpec.make("drum", k=3, signed=True, swapped=True)
    for _ in range(20):
        one, two = space.recombine(start, other, rng)
        assert isinstance(one, MultiplierSpec)
        assert isinstance(two, MultiplierSpec)
        assert (one.signed, one.swapped, two.signed, two.swapped) == (False, False, True, True)


def test_unknown_families_are_named() -> None:
    with pytest.raises(
        SpaceError, match=rf"unknown family 'drumm'; known are {', '.join(FAMILIES)}"
    ):
        DesignSpace.of(["drumm"], operands=EIGHT)


def test_own_designs_take_part_as_they_are() -> None:
    space, rng = DesignSpace.of(("tm", "bam"), operands=EIGHT), np.random.default_rng(0)
    own = ImportedDesign("mine.v:top#12345678", 8, 8, False, "")
    spec = MultiplierSpec.parse("tm:k=2")
    assert space.recombine(own, spec, rng) == (own, spec)
    assert {space.mutate(own, rng).family for _ in range(20)} == {"tm", "bam"}


def test_widths_are_drawn_and_mutated_where_the_space_has_them() -> None:
    several = [Widths(8, 7), Widths(5, 4), Widths(3, 2)]
    space, rng = DesignSpace.of(operands={False: several}), np.random.default_rng(4)
    specs: list[Design] = list(space.sample(80, rng))
    assert {spec.widths for spec in specs} == set(several)
    for _ in range(10):
        specs = [space.mutate(spec, rng) for spec in specs]
        specs = [
            child
            for one, other in zip(specs, reversed(specs), strict=True)
            for child in space.recombine(one, other, rng)
        ][:80]
        assert all(
            MultiplierSpec.parse(str(spec)) == spec and spec.widths in several for spec in specs
        )
    mask = MultiplierSpec.make("mask", width=Widths(5, 4), bits="ff0f0")
    assert {space.mutate(mask, rng).widths for _ in range(100)} == set(several)
