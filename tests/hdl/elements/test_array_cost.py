"""A network in an array: cycles by counting what every element does in every cycle, energies that
add up.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hdl.cells.library import CellLibrary
from hdl.elements.array_cost import InferenceReport, LayerShape, array_inference, layer_cycles
from hdl.elements.cycles import DotProducts
from hdl.elements.element import Element
from hdl.elements.element_cost import synthesize_element
from hdl.elements.register_cost import register_leakage_nw
from hdl.elements.systolic import skew_registers
from hdl.errors import InputError
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandDistribution

LIBRARY = CellLibrary.load()
EXACT = MultiplierSpec.parse("exact:width=4x3")


COUNTED = (
    *("cycles", "adding", "passing", "loading", "a_moves", "b_moves"),
    *("activations", "weights", "sums_out"),
)


def tiles(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def counted(element: Element, rows: int, columns: int, layer: LayerShape) -> dict[str, int]:
    """Tile by tile and cycle by cycle, as the array's description says; what each element does."""
    form, lanes = element.form, element.lanes
    last = rows + columns - 1 + form.pipelined
    found = dict.fromkeys(COUNTED, 0)
    terms = tiles(layer.terms, lanes)
    for _ in range(layer.groups):
        for across in tiles(layer.channels, columns):
            if form.keeps_weights:
                for down in tiles(len(terms), rows):
                    found["cycles"] += rows + layer.pixels + last
                    found["loading"] += rows * rows * columns
                    for _, i, _ in product(range(layer.pixels), range(rows), across):
                        found["adding" if i < len(down) else "passing"] += 1
                    found["a_moves"] += layer.pixels * sum(range(len(down)))
                    kept = sum(len(terms[step]) for step in down)
                    found["activations"] += layer.pixels * kept
                    found["weights"] += kept * len(across)
                    found["sums_out"] += layer.pixels * len(across)
                continue
            for down in tiles(layer.pixels, rows):
                found["cycles"] += len(terms) + last + rows
                found["passing"] += rows * rows * columns
                found["adding"] += len(terms) * len(down) * len(across)
                found["a_moves"] += len(terms) * sum(range(len(down)))
                found["b_moves"] += len(terms) * sum(range(len(across)))
                found["activations"] += len(down) * layer.terms
                found["weights"] += len(across) * layer.terms
                found["sums_out"] += len(down) * len(across)
    return found


SHAPES = [
    LayerShape("convolution", 10, 7, 30),
    LayerShape("exactly", 8, 8, 32),
    LayerShape("linear", 1, 10, 13),
    LayerShape("grouped", 6, 4, 9, groups=3),
    LayerShape("depthwise", 9, 1, 9, groups=5),
]


@pytest.mark.parametrize("layer", SHAPES, ids=lambda layer: layer.name)
@pytest.mark.parametrize(
    "form",
    [
        "mac",
        "dot:lanes=4,pipeline=1",
        "mac:stationary=weight",
        "dot:lanes=4,stationary=weight,pipeline=1",
    ],
)
@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (2, 5), (1, 1)])
def test_cycles_are_those_that_one_counts(
    form: str, layer: LayerShape, rows: int, columns: int
) -> None:
    element = Element.make(form, EXACT)
    found = layer_cycles(element, rows, columns, layer)
    expected = counted(element, rows, columns, layer)
    assert {name: getattr(found, name) for name in expected} == expected
    everything = found.adding + found.passing + found.loading + found.idle
    assert everything == found.cycles * rows * columns
    assert found.sums_in == found.sums_out - layer.outputs
    assert found.idle >= 0


def test_a_layer_of_resnet20_by_hand() -> None:
    """1,024 pixels of 16 channels, 144 terms, in 8 x 8: 128 x 2 tiles of 18 steps, or 2 x 3 loads
    of 64 terms.
    """
    layer = LayerShape("layer1.0.conv1", 1024, 16, 144)
    sums, weights = (
        layer_cycles(Element.make(form, EXACT), 8, 8, layer)
        for form in ("dot:lanes=8", "dot:lanes=8,stationary=weight")
    )
    assert sums.cycles == 128 * 2 * (18 + 15 + 8)
    assert weights.cycles == 2 * 3 * (8 + 1024 + 15)
    assert sums.adding == weights.adding == 1024 * 16 * 18
    assert (sums.sums_out, weights.sums_out, weights.sums_in) == (16384, 3 * 16384, 2 * 16384)


def work_of(element: Element) -> DotProducts:
    """Two layers with many zeros."""
    a, b = (
        np.stack([np.full(1 << width, 0.5 / ((1 << width) - 1)) for _ in range(2)])
        for width in element.lane.operand_widths
    )
    a[:, 0] = b[:, 0] = 0.5
    macs = np.array([layer.macs for layer in SHAPES[:2]])
    operands = OperandDistribution(macs / macs.sum(), a, b, "zeros")
    return DotProducts(operands, np.array([layer.terms for layer in SHAPES[:2]]))


@pytest.fixture(scope="module", params=["dot:lanes=4,gate=zero", "dot:lanes=4,stationary=weight"])
def case(request: pytest.FixtureRequest) -> tuple[Element, InferenceReport]:
    element = Element.make(request.param, EXACT, terms=32)
    return element, inference(element)


def inference(element: Element, **options: float) -> InferenceReport:
    return array_inference(element, 3, 2, LIBRARY, work_of(element), SHAPES[:2], **options)


def test_areas_and_energies_add_up(case: tuple[Element, InferenceReport]) -> None:
    element, found = case
    alone = synthesize_element(element, LIBRARY, work_of(element), chained=True)
    assert found.element == alone
    edge = skew_registers(element, 3, 2)
    assert found.area_um2 == pytest.approx(6 * alone.area_um2 + edge * LIBRARY.flip_flop.area_um2)
    # Every product costs what it costs in an element, whatever else is going on.
    assert sum(layer.adding_nj for layer in found.layers) == pytest.approx(
        1e-6 * found.macs * alone.energy_fj
    )
    assert found.macs == sum(layer.macs for layer in SHAPES[:2])
    assert found.energy_fj * found.macs == pytest.approx(
        1e6 * sum(layer.energy_nj for layer in found.layers)
    )
    leakage_nw = 6 * alone.leakage_nw + edge * register_leakage_nw(LIBRARY.flip_flop)
    assert sum(layer.leakage_nj for layer in found.layers) == pytest.approx(
        1e-6 * leakage_nw * found.latency_us
    )
    for layer in found.layers:
        parts = (layer.adding_nj, layer.waiting_nj, layer.edge_nj, layer.leakage_nj)
        assert all(part > 0 for part in parts)
        assert layer.memory_nj == 0
    assert found.mac_area_um2 * found.utilization * found.element.lanes * 6 == pytest.approx(
        found.area_um2
    )
    assert found.to_json()["layers"][1]["name"] == "exactly"


def test_what_stands_still_costs_its_clock_pins(case: tuple[Element, InferenceReport]) -> None:
    element, found = case
    waiting = sum(
        taken.idle * found.element.idle_fj
        + taken.passing * found.element.passing_fj
        + taken.loading * found.element.loading_fj
        for taken in (layer_cycles(element, 3, 2, layer) for layer in SHAPES[:2])
    )
    assert sum(layer.waiting_nj for layer in found.layers) == pytest.approx(1e-6 * waiting)


def test_a_slower_clock_leaks_longer_and_memory_costs_where_it_is_said_to(
    case: tuple[Element, InferenceReport],
) -> None:
    element, found = case
    other = inference(element, clock_ps=2 * found.period_ps, memory_pj_per_byte=3.0)
    assert other.latency_us == pytest.approx(2 * found.latency_us)
    for before, after in zip(found.layers, other.layers, strict=True):
        assert after.leakage_nj == pytest.approx(2 * before.leakage_nj)
        assert (after.adding_nj, after.waiting_nj) == (before.adding_nj, before.waiting_nj)
        moved = after.activation_bytes + after.weight_bytes + after.sum_bytes
        assert after.memory_nj == pytest.approx(3e-3 * moved)
    taken = layer_cycles(element, 3, 2, SHAPES[0])
    first = other.layers[0]
    assert first.activation_bytes == taken.activations * 5 / 8
    assert first.weight_bytes == taken.weights * 4 / 8
    assert first.sum_bytes == (taken.sums_out + taken.sums_in) * element.sum_bits / 8


def test_sides_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="an array of 0 x 8 elements is outside 1 x 1"):
        layer_cycles(Element.make("mac", EXACT), 0, 8, SHAPES[0])
