"""The mixed-integer program against every assignment there is."""

from __future__ import annotations

import ctypes
import os
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import milp

from dse.search.layer_program import InfeasibleError, LayerProgram
from hdl.errors import InputError


def enumerated(program: LayerProgram, limit: float) -> float | None:
    """The least cost, by trying everything."""
    layers, designs = program.costs.shape
    rows = np.arange(layers)
    costs = [
        program.costs[rows, choice].sum()
        for choice in map(list, product(range(designs), repeat=layers))
        if len(set(choice)) <= program.kinds and program.losses[rows, choice].sum() <= limit
    ]
    return min(costs, default=None)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    layers=st.integers(1, 4),
    designs=st.integers(1, 4),
    kinds=st.integers(1, 4),
    share=st.floats(0, 1),
)
def test_it_finds_the_least_cost_there_is(
    seed: int, layers: int, designs: int, kinds: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    # Whole numbers: sums are what they are.
    costs, losses = rng.integers(0, 50, (2, layers, designs)).astype(float)
    program = LayerProgram(costs, losses, min(kinds, designs))
    limit = np.floor(share * losses.max(axis=1).sum())
    expected = enumerated(program, limit)
    if expected is None:
        with pytest.raises(InfeasibleError, match=f"loses at most {limit:g}"):
            program.solve(limit)
        return
    found = program.solve(limit)
    assert (found.cost, found.proven) == (expected, True)
    rows = np.arange(layers)
    assert found.cost == costs[rows, list(found.choice)].sum()
    assert found.loss == losses[rows, list(found.choice)].sum() <= limit
    assert len(set(found.choice)) <= program.kinds


def test_what_it_costs_in_every_layer_decides_not_the_sum_of_a_design() -> None:
    # Designs are good in one layer each; with one kind only the middle one keeps the limit.
    costs = np.array([[1.0, 5.0, 9.0], [9.0, 5.0, 1.0]])
    losses = np.array([[0.0, 1.0, 4.0], [4.0, 1.0, 0.0]])
    assert LayerProgram(costs, losses, 1).solve(2.0).choice == (1, 1)
    assert LayerProgram(costs, losses, 2).solve(2.0).choice == (0, 2)


def test_figures_of_any_size() -> None:
    costs, losses = np.array([[1e12, 2e12]]), np.array([[1e-9, 0.0]])
    assert LayerProgram(costs, losses, 1).solve(1e-9).choice == (0,)
    assert LayerProgram(costs, losses, 1).solve(0.5e-9).choice == (1,)
    nothing = LayerProgram(np.zeros((2, 2)), np.zeros((2, 2)), 1).solve(0.0)
    assert (nothing.cost, nothing.loss, nothing.proven) == (0.0, 0.0, True)


def test_of_equal_designs_one_is_asked_for() -> None:
    program = LayerProgram(np.ones((3, 5)), np.ones((3, 5)), 3)
    assert program.solve(3.0).choice == (0, 0, 0)


def test_more_kinds_than_designs() -> None:
    for kinds in (0, 3):
        with pytest.raises(InputError, match=f"{kinds} kinds of 2 designs: give 1 to 2"):
            LayerProgram(np.ones((3, 2)), np.ones((3, 2)), kinds)


def test_an_infeasible_limit_says_what_is_feasible() -> None:
    program = LayerProgram(np.ones((3, 2)), np.full((3, 2), 0.5), 1)
    with pytest.raises(
        InfeasibleError, match=r"no assignment of 1 kind loses at most 1; .* it would be 1\.5"
    ):
        program.solve(1.0)


def test_what_the_solver_prints_is_no_part_of_the_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def talkative(*arguments: Any, **options: Any) -> Any:
        ctypes.CDLL(None).puts(b"from C")
        print("from Python")
        os.write(1, b"at once")
        return milp(*arguments, **options)

    monkeypatch.setattr("dse.search.layer_program.milp", talkative)
    program = LayerProgram(np.ones((2, 2)), np.ones((2, 2)), 1)
    print("before")
    assert program.solve(2.0).cost == 2
    ctypes.CDLL(None).fflush(None)
    print("after")
    assert [line for line in capfd.readouterr().out.splitlines() if "Python" not in line] == [
        "before",
        "after",
    ]
