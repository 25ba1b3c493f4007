# amaranth: UnusedElaboratable=no
"""Systolic arrays: matrix products in Amaranth's simulator equal sums over the product table. Every
form runs on its own bench in tests/hdl/export/test_array.py.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from amaranth.sim import Simulator, SimulatorContext
from numpy.typing import NDArray

from hdl.elements.element import Element
from hdl.elements.mac import MacSpec
from hdl.elements.systolic import SystolicArray, skew_registers
from hdl.errors import InputError
from hdl.multipliers.elaboration import component_rtlil
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, values_of_codes
from hdl.tables.product_table import ProductTable


def packed(values: NDArray[np.int64], bits: int) -> int:
    return sum(int(value) << bits * i for i, value in enumerate(values.ravel()))


def unpacked(word: int, bits: int, count: int) -> NDArray[np.int64]:
    return np.array([word >> bits * i & (1 << bits) - 1 for i in range(count)])


def simulate(array: SystolicArray, feed) -> None:
    simulator = Simulator(array)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.run()


def simulated_product(
    element: Element, a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Codes of the sums that the array drains for operand codes a (rows, steps, lanes) and b
    (columns, steps, lanes).
    """
    rows, columns = len(a), len(b)
    array = SystolicArray(element, rows, columns)
    widths, drained = element.lane.operand_widths, list[NDArray[np.int64]]()

    async def feed(ctx: SimulatorContext) -> None:
        ctx.set(array.drain, 1)
        for _ in range(2 * rows + columns):
            await ctx.tick()
        ctx.set(array.drain, 0)
        ctx.set(array.enable, 1)
        for step in range(a.shape[1]):
            ctx.set(array.a, packed(a[:, step], widths.a))
            ctx.set(array.b, packed(b[:, step], widths.b))
            await ctx.tick()
        ctx.set(array.enable, 0)
        for _ in range(rows + columns - 1 + element.form.pipelined):
            await ctx.tick()
        ctx.set(array.drain, 1)
        for _ in range(rows):
            words = [ctx.get(getattr(array, word)) for word in element.words]
            drained.insert(0, sum(unpacked(word, element.sum_bits, columns) for word in words))
            await ctx.tick()

    simulate(array, feed)
    return np.array(drained) % (1 << element.sum_bits)


def expected_product(
    element: Element, a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sums of products by the multiplier's table, with the signs beside it; a product of zero is
    zero where registers hold.
    """
    table = ProductTable.of(element.multiplier).products.astype(np.int64)
    a, b = a[:, None], b[None]
    low_a, low_b = a % len(table), b % table.shape[1]
    products = table[low_a, low_b]
    if element.encoding is OperandEncoding.SIGN_MAGNITUDE:
        products = np.where((a >= len(table)) != (b >= table.shape[1]), -products, products)
    if element.form.gated:
        products = products * (low_a != 0) * (low_b != 0)
    return products.sum(axis=(2, 3))


def random_operands(
    element: Element, rows: int, columns: int, steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    a, b = (
        rng.integers(0, 1 << width, (side, steps, element.lanes))
        * (rng.random((side, steps, element.lanes)) < 0.7)
        for width, side in zip(element.lane.operand_widths, (rows, columns), strict=True)
    )
    return a, b


@pytest.mark.parametrize(
    ("form", "text", "rows", "columns"),
    [
        ("mac", "drum:k=4", 4, 4),
        ("mac", "bam:h=0,v=6,signed=1", 2, 3),
        ("mac", "drum:k=4,width=8x5", 2, 3),
        ("mac:pipeline=1", "exact:width=3x6,signed=1", 3, 1),
        ("mac:gate=zero", "bam:h=0,v=2,width=4,comp=3", 3, 2),
        ("dot:lanes=3,adder=carry_save,gate=zero,pipeline=1", "mitchell:width=4", 2, 3),
    ],
)
def test_matrix_products_are_sums_over_the_table(
    form: str, text: str, rows: int, columns: int
) -> None:
    element = Element.make(form, MultiplierSpec.parse(text))
    a, b = random_operands(element, rows, columns, 7)
    sums = values_of_codes(simulated_product(element, a, b), element.sum_bits, signed=True)
    np.testing.assert_array_equal(sums, expected_product(element, a, b))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("mac:stationary=weight,pipeline=1", "drum:k=3,width=4"),
        ("dot:lanes=2,stationary=weight,gate=zero", "bam:h=0,v=2,width=4,comp=3"),
    ],
)
def test_sums_of_more_terms_than_there_are_weights_go_out_and_come_in_again(
    form: str, text: str
) -> None:
    """Two loads of 3 rows of weights for 5 activation vectors, in 2 columns."""
    element = Element.make(form, MultiplierSpec.parse(text))
    rows, columns, pixels, tiles = 3, 2, 5, 2
    lanes, bits, widths = element.lanes, element.sum_bits, element.lane.operand_widths
    a, b = random_operands(element, pixels, columns, tiles * rows)
    array, late = SystolicArray(element, rows, columns), 1 + element.form.pipelined
    sums = np.zeros((pixels, columns), dtype=np.int64)

    async def feed(ctx: SimulatorContext) -> None:
        nonlocal sums
        for tile in range(tiles):
            terms = slice(tile * rows, (tile + 1) * rows)
            ctx.set(array.load, 1)
            for row in reversed(range(rows)):
                ctx.set(array.b, packed(b[:, terms][:, row], widths.b))
                await ctx.tick()
            ctx.set(array.load, 0)
            before, sums = sums, np.zeros((pixels, columns), dtype=np.int64)
            for cycle in range(pixels + rows + columns - 1 + element.form.pipelined):
                fed = cycle < pixels
                ctx.set(array.enable, fed)
                ctx.set(array.a, packed(a[cycle, terms], widths.a) if fed else 0)
                entering = cycle - late - np.arange(columns)
                known = (entering >= 0) & (entering < pixels)
                starts = np.where(
                    known, before[np.clip(entering, 0, pixels - 1), np.arange(columns)], 0
                )
                ctx.set(array.above_total, packed(starts, bits))
                await ctx.tick()
                shown = unpacked(ctx.get(array.total), bits, columns)
                for j in range(columns):
                    pixel = cycle - (rows - 1) - j - late
                    if 0 <= pixel < pixels:
                        sums[pixel, j] = shown[j]

    simulate(array, feed)
    assert lanes * rows * tiles == a[0].size
    np.testing.assert_array_equal(
        values_of_codes(sums, bits, signed=True), expected_product(element, a, b)
    )


def test_unsigned_sums_wrap_at_the_accumulator_width() -> None:
    spec = MacSpec.make(MultiplierSpec.parse("exact:width=4"), OperandEncoding.UNSIGNED, 9)
    a, b = np.full((2, 40, 1), 15), np.full((1, 40, 1), 15)
    np.testing.assert_array_equal(
        simulated_product(Element.of_mac(spec), a, b), np.full((2, 1), 40 * 225 % 512)
    )


@pytest.mark.parametrize(("rows", "columns"), [(0, 4), (4, 65)])
def test_sides_out_of_range_are_refused(rows: int, columns: int) -> None:
    with pytest.raises(
        InputError,
        match=(
            rf"^an array of {rows} x {columns} elements is outside 1 x 1 \.\. 64 x 64; give "
            r"ROWSxCOLUMNS$"
        ),
    ):
        SystolicArray(Element.make("mac", MultiplierSpec.parse("exact")), rows, columns)


@pytest.mark.parametrize(
    "form",
    [
        "mac",
        "dot:lanes=2",
        "dot:lanes=2,gate=zero",
        "dot:lanes=2,stationary=weight",
        "dot:lanes=2,gate=zero,stationary=weight",
    ],
)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 2), (2, 3)])
def test_skew_registers_are_those_of_the_rtl(form: str, rows: int, columns: int) -> None:
    element = Element.make(form, MultiplierSpec.parse("exact:width=4x3"))
    array = SystolicArray(element, rows, columns, element_module="element")
    text = component_rtlil(array, "array", clocked=True)
    skew = re.findall(r"^  wire (?:width (\d+) )?\\\w+_skew\d+$", text, re.M)
    assert sum(int(width or 1) for width in skew) == skew_registers(element, rows, columns)


def test_skew_registers_of_a_rectangular_array() -> None:
    element = Element.make("mac", MultiplierSpec.parse("exact:width=4"))
    assert skew_registers(element, 1, 1) == 0
    assert skew_registers(element, 3, 2) == (3 + 1) * 5 + 2
