# amaranth: UnusedElaboratable=no
"""The processing element: what it accepts, what it adds, and what it does cycle by cycle."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator, SimulatorContext

from hdl.elements.mac import MacSpec, ProcessingElement
from hdl.errors import InputError
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding
from hdl.tables.product_table import ProductTable


def test_defaults_follow_the_signedness() -> None:
    unsigned, signed = (
        MacSpec.make(MultiplierSpec.parse(text)) for text in ("exact", "exact:signed=1")
    )
    assert (unsigned.encoding, unsigned.operand_widths, unsigned.accumulator_bits) == (
        OperandEncoding.SIGN_MAGNITUDE,
        (9, 9),
        24,
    )
    assert (signed.encoding, signed.operand_widths, signed.signed_sum) == (
        OperandEncoding.TWOS_COMPLEMENT,
        (8, 8),
        True,
    )


def test_an_encoding_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r" is a signed multiplier, and the encoding unsigned needs an unsigned one; ",
    ):
        MacSpec.make(MultiplierSpec.parse("exact:signed=1"), OperandEncoding.UNSIGNED)


@pytest.mark.parametrize("bits", [15, 41])
def test_an_accumulator_out_of_range_is_refused(bits: int) -> None:
    with pytest.raises(
        InputError,
        match=rf"^exact: an accumulator of {bits} bits is outside 16\.\.40; give a width in bits$",
    ):
        MacSpec.make(MultiplierSpec.parse("exact"), accumulator_bits=bits)


def test_products_of_all_operand_codes() -> None:
    rng = np.random.default_rng(0)
    multiplier = MultiplierSpec.parse("mitchell:width=6")
    table = ProductTable.of(multiplier).products
    a, b = rng.integers(0, 128, (2, 5000))
    signs = (1 - 2 * (a >> 6)) * (1 - 2 * (b >> 6))
    np.testing.assert_array_equal(
        MacSpec.make(multiplier).products(a, b), signs * table[a & 63, b & 63]
    )
    plain = MacSpec.make(multiplier, OperandEncoding.UNSIGNED)
    np.testing.assert_array_equal(plain.products(a & 63, b & 63), table[a & 63, b & 63])
    signed = MultiplierSpec.parse("mitchell:width=6,signed=1")
    np.testing.assert_array_equal(
        MacSpec.make(signed).products(a & 63, b & 63),
        ProductTable.of(signed).products[a & 63, b & 63],
    )


@pytest.mark.parametrize("encoding", OperandEncoding)
def test_registered_products_are_codes_of_the_products(encoding: OperandEncoding) -> None:
    spec = MacSpec.make(
        MultiplierSpec.make("exact", width=(5, 3), signed=encoding.signed), encoding, pipelined=True
    )
    a, b = (np.arange(1 << width) for width in spec.operand_widths)
    products, registered = spec.products(a[:, None], b), spec.product_codes(a[:, None], b)
    magnitudes, sign = registered & 0xFF, registered >> 8
    if encoding is OperandEncoding.SIGN_MAGNITUDE:
        np.testing.assert_array_equal(np.where(sign, -magnitudes, magnitudes), products)
    else:
        np.testing.assert_array_equal(registered, products % 256)


def test_enable_holds_the_sum_and_clear_starts_again() -> None:
    """-3 * 5, then nothing, then 2 * 2, then a new sum with 7 * -1, by hand."""
    element = ProcessingElement(MacSpec.make(MultiplierSpec.parse("exact:width=4")))
    seen = []

    async def feed(ctx: SimulatorContext) -> None:
        for a, b, enable, clear in [
            (19, 5, 1, 1),
            (9, 9, 0, 0),
            (2, 2, 1, 0),
            (7, 17, 1, 0),
            (0, 0, 0, 1),
            (0, 0, 0, 0),
        ]:
            for port, value in (
                (element.a, a),
                (element.b, b),
                (element.enable, enable),
                (element.clear, clear),
            ):
                ctx.set(port, value)
            await ctx.tick()
            seen.append(ctx.get(element.total))

    simulator = Simulator(element)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.run()
    assert seen == [0, -15 & 0xFFFF, -15 & 0xFFFF, -11 & 0xFFFF, -7 & 0xFFFF, -7 & 0xFFFF]
