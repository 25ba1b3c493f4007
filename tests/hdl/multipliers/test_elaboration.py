"""Multipliers as Amaranth components: Amaranth's simulator, RTLIL text, the product rule's
shapes.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator, SimulatorContext
from family_checks import assert_gates_follow_the_rule, example, specs
from hypothesis import given, settings
from numpy.typing import NDArray

from hdl.multipliers.elaboration import (
    MultiplierComponent,
    component_rtlil,
    dots,
    product,
    rtlil,
)
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import code_values
from hdl.tables.product_table import ProductTable


def simulated(spec: MultiplierSpec, a: NDArray[np.int64], b: NDArray[np.int64]) -> list[int]:
    """Product codes by Amaranth's own simulator, which shares nothing with the gates of the
    tables.
    """
    multiplier = MultiplierComponent(spec)
    products = []

    async def bench(ctx: SimulatorContext) -> None:
        for code_a, code_b in zip(a.tolist(), b.tolist(), strict=True):
            ctx.set(multiplier.a, code_a)
            ctx.set(multiplier.b, code_b)
            products.append(ctx.get(multiplier.p))

    simulator = Simulator(multiplier)
    simulator.add_testbench(bench)
    simulator.run()
    return products


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("signed", [False, True])
def test_amaranth_simulates_the_same_products(family: str, signed: bool) -> None:
    spec = example(family, signed=signed)
    rng = np.random.default_rng(3)
    corners = np.array([0, 1, 127, 128, 255])
    a = np.concatenate([np.repeat(corners, 5), rng.integers(0, 256, 40)])
    b = np.concatenate([np.tile(corners, 5), rng.integers(0, 256, 40)])
    values = code_values(8, signed=signed)
    assert simulated(spec, a, b) == (product(spec, values[a], values[b]) & 0xFFFF).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_rtlil_is_one_module_and_always_the_same(family: str) -> None:
    spec = example(family)
    text = rtlil(spec)
    again = MultiplierComponent(MultiplierSpec.parse(str(spec)))
    assert text == component_rtlil(again, "multiplier")
    assert re.findall(r"^module (.*)$", text, re.MULTILINE) == [r"\multiplier"]
    ports = re.findall(r"^  wire width (\d+) (input|output) (\d+) (\S+)$", text, re.MULTILINE)
    assert sorted(ports, key=lambda port: port[2]) == [
        ("8", "input", "1", r"\a"),
        ("8", "input", "2", r"\b"),
        ("16", "output", "3", r"\p"),
    ]
    assert "$mem" not in text
    assert "src" not in text


def test_the_module_may_have_another_name() -> None:
    assert rtlil(MultiplierSpec.make("exact", width=4), "mul4").count(r"module \mul4") == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_products_broadcast_and_stay_in_the_output(family: str) -> None:
    spec = example(family, signed=True)
    values = code_values(8, signed=True)
    grid = product(spec, values[:, None], values)
    assert grid.shape == (256, 256)
    assert grid.dtype == np.int64
    assert grid.min() >= -(1 << 15)
    assert grid.max() < 1 << 15
    assert product(spec, -128, 77).shape == ()
    assert (
        product(spec, -128, 77) == grid[-128, 77]
    )  # codes of negative values are counted from the end


@pytest.mark.parametrize(
    "text",
    [
        *(
            "exact:kind=booth,signed=1",
            "bam:h=1,v=4,comp=9",
            "perforate:j=1,k=2,signed=1",
            "drum:k=3,signed=1",
        ),
        *(
            "recursive:hh=perforate[j=1,k=2],width=8",
            "sdlc:d=3,width=5",
            "bam:h=4,v=3,width=4x6",
            "exact:kind=booth,signed=1,width=7x3",
        ),
    ],
)
def test_a_swapped_multiplier_is_the_other_with_its_operands_exchanged(text: str) -> None:
    spec = MultiplierSpec.parse(text)
    swapped = spec.exchanged()
    assert MultiplierSpec.parse(str(swapped)) == swapped
    assert_gates_follow_the_rule(swapped)
    straight = ProductTable.of(spec).products
    np.testing.assert_array_equal(ProductTable.of(swapped).products, straight.T)
    assert (
        spec.family in ("exact", "drum")
        or spec.width_a != spec.width_b
        or (straight != straight.T).any()
    )
    values = code_values(spec.width_a, signed=spec.signed)
    np.testing.assert_array_equal(
        product(swapped, 3, values[:, None]), product(spec, values[:, None], 3)
    )


def test_rows_of_a_swapped_array_belong_to_a() -> None:
    straight, swapped = (
        dots(MultiplierSpec.parse(text)) for text in ("bam:h=1,v=2", "bam:h=1,v=2,swap=1")
    )
    assert straight is not None
    assert swapped is not None
    assert swapped == replace(straight, rows=tuple(f"a{row}" for row in range(8)))
    booth = [dots(MultiplierSpec.parse(f"exact:kind=booth{swap}")) for swap in ("", ",swap=1")]
    assert booth[0] == booth[1]  # digits, whatever operand they are of
    assert dots(MultiplierSpec.parse("drum:k=3,swap=1")) is None


@settings(deadline=None, max_examples=60)
@given(specs(width=8).filter(lambda spec: FAMILIES[spec.family].symmetric))
def test_families_that_say_so_are_symmetric(spec: MultiplierSpec) -> None:
    values = np.arange(256)
    grid = product(spec, values[:, None], values)
    np.testing.assert_array_equal(grid, grid.T)
