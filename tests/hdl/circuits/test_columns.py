"""Column addition: any heights, constants of either sign, every tree, against integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Const, Module, Signal, Value
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hdl.circuits.adders import constant_of, full_adder, half_adder, parity, ripple_add
from hdl.circuits.columns import TREES, Columns, add_partial_products, cell_weight
from hdl.operands import Widths
from hdl.yosys.gate_netlist import gates

WIDTH = 6
Codes = NDArray[np.int64]


def outputs(circuit: Callable[[Module, Value, Value], Value]) -> Codes:
    """Twelve-bit outputs of a circuit of two six-bit inputs, for all of their codes: shape (64,
    64).
    """
    m = Module()
    a, b, p = Signal(WIDTH, name="a"), Signal(WIDTH, name="b"), Signal(2 * WIDTH, name="p")
    m.d.comb += p.eq(circuit(m, a, b))
    return (
        gates(rtlil.convert(m, name="multiplier", ports=[a, b, p], emit_src=False))
        .evaluate_all()
        .astype(np.int64)
    )


A, B = (codes.astype(np.int64) for codes in np.indices((1 << WIDTH, 1 << WIDTH)))


def input_bit(index: int) -> Codes:
    return (A >> index if index < WIDTH else B >> index - WIDTH) & 1


placements = st.lists(
    st.tuples(
        st.integers(0, 2 * WIDTH), st.integers(0, 2 * WIDTH - 1), st.booleans(), st.integers(0, 3)
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.parametrize("tree", TREES)
@settings(deadline=None, max_examples=12)
@given(placed=placements, constant=st.integers(-(1 << 14), 1 << 14))
def test_sums_of_any_columns(
    tree: str, placed: list[tuple[int, int, bool, int]], constant: int
) -> None:
    def circuit(m: Module, a: Value, b: Value) -> Value:
        columns = Columns(m, 2 * WIDTH)
        inputs = [*a, *b]
        columns.add_constant(constant)
        for weight, index, negative, arrival in placed:
            (columns.subtract if negative else columns.add)(weight, inputs[index], arrival)
        return columns.sum(tree)

    expected = constant + sum(
        (1 - 2 * negative) * (input_bit(index) << weight) for weight, index, negative, _ in placed
    )
    np.testing.assert_array_equal(outputs(circuit), expected % (1 << 2 * WIDTH))


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("height", [1, 2, 3, 4, 7, 12])
def test_one_tall_column(tree: str, height: int) -> None:
    def circuit(m: Module, a: Value, b: Value) -> Value:
        columns = Columns(m, 2 * WIDTH)
        for bit in [*a, *b][:height]:
            columns.add(2 * WIDTH - 3, bit)
        return columns.sum(tree)

    count = sum(input_bit(index) for index in range(height))
    np.testing.assert_array_equal(outputs(circuit), (count << 2 * WIDTH - 3) % (1 << 2 * WIDTH))


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("constant", [0, 5, -1, 1 << 2 * WIDTH])
def test_constants_alone(tree: str, constant: int) -> None:
    def circuit(m: Module, a: Value, b: Value) -> Value:
        columns = Columns(m, 2 * WIDTH)
        columns.add_constant(constant)
        return columns.sum(tree)

    assert (outputs(circuit) == constant % (1 << 2 * WIDTH)).all()


def test_a_constant_bit_joins_the_constant() -> None:
    def circuit(m: Module, a: Value, b: Value) -> Value:
        columns = Columns(m, 2 * WIDTH)
        columns.add(3, Const(1, 1))
        columns.add(5, Const(0, 1))
        assert columns.constant == 8
        return columns.sum()

    assert (outputs(circuit) == 8).all()


@settings(deadline=None, max_examples=20)
@given(
    kept=st.sets(st.tuples(st.integers(0, WIDTH - 1), st.integers(0, WIDTH - 1))),
    signed=st.booleans(),
    tree=st.sampled_from(list(TREES)),
)
def test_any_set_of_partial_products(kept: set[tuple[int, int]], signed: bool, tree: str) -> None:
    def circuit(m: Module, a: Value, b: Value) -> Value:
        columns = Columns(m, 2 * WIDTH)
        add_partial_products(columns, a, b, signed, lambda row, column: (row, column) in kept)
        return columns.sum(tree)

    expected = sum(
        (
            cell_weight(Widths(WIDTH, WIDTH), signed, row, column)
            * (B >> row & 1)
            * (A >> column & 1)
            for row, column in kept
        ),
        np.zeros_like(A),
    )
    np.testing.assert_array_equal(outputs(circuit), expected % (1 << 2 * WIDTH))


def test_weights_of_signed_cells() -> None:
    assert [
        cell_weight(Widths(4, 4), True, row, column)
        for row, column in ((0, 0), (3, 0), (0, 3), (3, 3), (2, 1))
    ] == [1, -8, -8, 64, 8]
    assert cell_weight(Widths(4, 4), False, 3, 0) == 8
    assert [
        cell_weight(Widths(3, 2), True, row, column) for row, column in ((1, 2), (1, 0), (0, 2))
    ] == [8, -2, -4]


def literals(kinds: str, inputs: Value) -> list[Value]:
    """Adder inputs: a constant for 0 and 1, the next input for x."""
    unused = iter(inputs)
    return [Const(int(kind), 1) if kind in "01" else next(unused) for kind in kinds]


def ones(kinds: str) -> Codes:
    """How many of these inputs are 1."""
    return sum(
        (input_bit(index) for index in range(kinds.count("x"))), np.full_like(A, kinds.count("1"))
    )


@pytest.mark.parametrize(
    "kinds",
    [
        "xxx",
        "xx0",
        "x0x",
        "0xx",
        "xx1",
        "x1x",
        "1xx",
        "x00",
        "x01",
        "x11",
        "10x",
        "000",
        "011",
        "111",
    ],
)
def test_full_adders_with_constant_inputs(kinds: str) -> None:
    def circuit(m: Module, a: Value, b: Value) -> Value:
        x, y, z = literals(kinds, a)
        return Cat(full_adder(m, x, y, z, "adder"))

    np.testing.assert_array_equal(outputs(circuit), ones(kinds))


@pytest.mark.parametrize("kinds", ["xx", "x0", "0x", "x1", "1x", "00", "01", "11"])
def test_half_adders_with_constant_inputs(kinds: str) -> None:
    def circuit(m: Module, a: Value, b: Value) -> Value:
        x, y = literals(kinds, a)
        return Cat(half_adder(m, x, y, "adder"))

    np.testing.assert_array_equal(outputs(circuit), ones(kinds))


@pytest.mark.parametrize("kinds", ["", "1", "11", "x", "x1", "xx1x", "1x1x0", "xxxxxx"])
def test_parity_with_constant_inputs(kinds: str) -> None:
    np.testing.assert_array_equal(
        outputs(lambda m, a, b: parity(m, literals(kinds, a), "parity")), ones(kinds) % 2
    )


def test_ripple_addition_of_uneven_columns() -> None:
    def circuit(m: Module, a: Value, b: Value) -> Value:
        columns = [[a[0]], [a[1], b[1]], [], [a[3], Const(1, 1)], [b[4]], [a[5], b[5]], []]
        return Cat(ripple_add(m, columns, carry=b[0]))

    expected = (A & 0b101011) + (B & 0b110010) + 8 + (B & 1)
    np.testing.assert_array_equal(outputs(circuit), expected % (1 << 7))


def test_constants_are_recognized() -> None:
    assert [constant_of(value) for value in (Const(0, 1), Const(1, 1), Signal())] == [0, 1, None]
