# amaranth: UnusedElaboratable=no
"""The systolic array: matrix products in Amaranth's simulator equal sums over the product table."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator, SimulatorContext
from numpy.typing import NDArray

from hdl.elements.mac import MacSpec
from hdl.elements.systolic import SystolicArray, skew_registers
from hdl.errors import InputError
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, values_of_codes
from hdl.tables.product_table import ProductTable


def packed(values: NDArray[np.int64], bits: int) -> int:
    return sum(int(value) << bits * i for i, value in enumerate(values))


def unpacked(word: int, bits: int, count: int) -> list[int]:
    return [word >> bits * i & (1 << bits) - 1 for i in range(count)]


def simulated_product(
    spec: MacSpec, a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Codes of the sums that the array drains for operand codes a (rows, K) and b (K, columns)."""
    rows, columns = len(a), b.shape[1]
    array = SystolicArray(spec, rows, columns)
    drained: list[list[int]] = []

    async def feed(ctx: SimulatorContext) -> None:
        ctx.set(array.drain, 1)
        for _ in range(2 * rows + columns):
            await ctx.tick()
        ctx.set(array.drain, 0)
        ctx.set(array.enable, 1)
        for k in range(a.shape[1]):
            ctx.set(array.a, packed(a[:, k], spec.operand_widths.a))
            ctx.set(array.b, packed(b[k], spec.operand_widths.b))
            await ctx.tick()
        ctx.set(array.enable, 0)
        for _ in range(rows + columns - 1):
            await ctx.tick()
        ctx.set(array.drain, 1)
        for _ in range(rows):
            drained.insert(0, unpacked(ctx.get(array.total), spec.accumulator_bits, columns))
            await ctx.tick()

    simulator = Simulator(array)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.run()
    return np.array(drained)


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("drum:k=4", 4, 4),
        ("bam:h=0,v=6,signed=1", 2, 3),
        ("drum:k=4,width=8x5", 2, 3),
        ("exact:width=3x6,signed=1", 3, 1),
    ],
)
def test_matrix_products_are_sums_over_the_table(text: str, rows: int, columns: int) -> None:
    multiplier = MultiplierSpec.parse(text)
    spec, table = MacSpec.make(multiplier), ProductTable.of(multiplier).products.astype(np.int64)
    rng = np.random.default_rng(1)
    a, b = (
        rng.integers(0, 1 << spec.operand_widths.a, (rows, 7)),
        rng.integers(0, 1 << spec.operand_widths.b, (7, columns)),
    )
    products = table[a[:, :, None] % len(table), b[None] % table.shape[1]]
    if not multiplier.signed:
        products = np.where(
            (a[:, :, None] >= len(table)) != (b[None] >= table.shape[1]), -products, products
        )
    sums = values_of_codes(simulated_product(spec, a, b), spec.accumulator_bits, signed=True)
    np.testing.assert_array_equal(sums, products.sum(axis=1))


def test_unsigned_sums_wrap_at_the_accumulator_width() -> None:
    spec = MacSpec.make(MultiplierSpec.parse("exact:width=4"), OperandEncoding.UNSIGNED, 9)
    a, b = np.full((2, 40), 15), np.full((40, 1), 15)
    np.testing.assert_array_equal(simulated_product(spec, a, b), np.full((2, 1), 40 * 225 % 512))


@pytest.mark.parametrize(("rows", "columns"), [(0, 4), (4, 65)])
def test_sides_out_of_range_are_refused(rows: int, columns: int) -> None:
    with pytest.raises(
        InputError,
        match=(
            rf"^an array of {rows} x {columns} elements is outside 1 x 1 \.\. 64 x 64; give "
            r"ROWSxCOLUMNS$"
        ),
    ):
        SystolicArray(MacSpec.make(MultiplierSpec.parse("exact")), rows, columns)


def test_skew_registers_are_those_of_the_rtl() -> None:
    spec = MacSpec.make(MultiplierSpec.parse("exact:width=4"))
    assert skew_registers(spec, 1, 1) == 0
    assert skew_registers(spec, 3, 2) == (3 + 1) * 5 + 2
