"""The prefix adder, and bits that are added with a factor or with a sign, against integers."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Signal
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.circuits.adders import prefix_add
from hdl.circuits.columns import Columns
from hdl.yosys.gate_netlist import gates


@pytest.mark.parametrize("width", [1, 2, 3, 6])
@pytest.mark.parametrize("carried", [False, True])
def test_prefix_adders_add(width: int, carried: bool) -> None:
    """All pairs of numbers, with the lowest bit of a as the carry in, too."""
    m = Module()
    a, b, p = (Signal(width * of, name=name) for name, of in (("a", 1), ("b", 1), ("p", 2)))
    columns = [[a[place], b[place]] for place in range(width)]
    m.d.comb += p.eq(Cat(prefix_add(m, columns, carry=a[0] if carried else None)))
    found = gates(rtlil.convert(m, name="multiplier", ports=[a, b, p], emit_src=False))
    x, y = np.indices((1 << width, 1 << width))
    np.testing.assert_array_equal(
        found.evaluate_all(), (x + y + (x & 1 if carried else 0)) % (1 << width)
    )


@settings(deadline=None, max_examples=6)
@given(
    weights=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    constant=st.integers(-300, 300),
    factor=st.integers(-200, 200),
)
def test_columns_of_another_sum_are_added_or_subtracted(
    weights: list[int], constant: int, factor: int
) -> None:
    """Bits of b with their weights and a constant, with the sign that a[0] gives; a[1] with its
    factor.
    """
    m = Module()
    a, b, p = Signal(2, name="a"), Signal(len(weights), name="b"), Signal(12, name="p")
    columns, other = Columns(m, 12), Columns(m, 12)
    for place, weight in enumerate(weights):
        (other.subtract if place % 2 else other.add)(weight, b[place])
    other.add_constant(constant)
    low, high = other.extremes()
    columns.include(other, a[0])
    columns.add_multiple(factor, a[1])
    m.d.comb += p.eq(columns.sum(adder=prefix_add))
    found = gates(rtlil.convert(m, name="multiplier", ports=[a, b, p], emit_src=False))
    x, y = np.indices((4, 1 << len(weights)))
    value = constant + sum(
        (y >> place & 1) * (-1 if place % 2 else 1) << weight
        for place, weight in enumerate(weights)
    )
    assert (low, high) == (value.min(), value.max())
    expected = np.where(x & 1, -value, value) + factor * (x >> 1)
    np.testing.assert_array_equal(found.evaluate_all(), expected % (1 << 12))
