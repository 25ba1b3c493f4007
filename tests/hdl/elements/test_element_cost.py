"""Cost of elements: the same as that of processing elements where they are the same, parts that add
up, registers that hold, and cycles that follow each other as the logic computes them.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from hdl import yosys
from hdl.cells.liberty_writer import write_library
from hdl.cells.library import CellLibrary
from hdl.cost.switching_activity import input_bits, simulate
from hdl.cost.synthesis import map_design
from hdl.cost.timing import analyze
from hdl.elements.cycles import WEIGHT_STAYS, DotProducts, ElementCycles
from hdl.elements.datapath import ElementComponent, element_rtlil, stage_bits
from hdl.elements.element import Element
from hdl.elements.element_cost import ElementReport, synthesize_element
from hdl.elements.mac import MacSpec
from hdl.elements.register_cost import clock_gate_area_um2, clock_gate_energy_fj
from hdl.elements.synthesis import synthesize_mac
from hdl.errors import InputError
from hdl.multipliers.elaboration import component_rtlil
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandDistribution, OperandEncoding

LIBRARY = CellLibrary.load()
EXACT = MultiplierSpec.parse("exact:width=4x3")


def work_with_zeros(element: Element, share: float, terms: int = 12) -> DotProducts:
    """Operands of which a share is zero, the others uniform."""
    a, b = (
        np.full((1, 1 << width), (1 - share) / ((1 << width) - 1))
        for width in element.lane.operand_widths
    )
    a[0, 0] = b[0, 0] = share
    return DotProducts(OperandDistribution(np.ones(1), a, b, "zeros"), np.array([terms]))


@pytest.fixture(scope="module")
def gated() -> ElementReport:
    element = Element.make("dot:lanes=4,gate=zero", EXACT)
    return synthesize_element(element, LIBRARY, work_with_zeros(element, 0.5))


def test_a_mac_costs_what_a_processing_element_does() -> None:
    element = Element.make("mac:bits=15", EXACT)
    own = synthesize_element(element, LIBRARY)
    other = synthesize_mac(MacSpec.make(EXACT), LIBRARY)
    assert own.sum_bits == 15
    assert own.registers == other.registers
    assert own.area_um2 == pytest.approx(other.area_um2, rel=0.02)
    assert own.period_ps == pytest.approx(other.period_ps, rel=0.1)
    assert own.energy_fj == pytest.approx(other.energy_fj, rel=0.05)
    assert own.multiplier == other.multiplier


def test_parts_add_up(gated: ElementReport) -> None:
    assert gated.area_um2 == pytest.approx(
        gated.logic_area_um2 + gated.register_area_um2 + gated.gating_area_um2
    )
    assert gated.area_per_lane_um2 == gated.area_um2 / 4
    assert gated.energy_fj == pytest.approx(
        gated.logic_energy_fj + gated.register_energy_fj + gated.gating_energy_fj
    )
    # Four lanes of 5 + 4 bits with a flag each, and the sum.
    assert gated.registers == 4 * (5 + 4 + 1) + gated.sum_bits
    assert gated.clock_gates == 4
    assert gated.gating_area_um2 == pytest.approx(4 * clock_gate_area_um2(LIBRARY))
    assert gated.zero_share == pytest.approx(1 - 0.25 * (1 - 1 / 31) * (1 - 1 / 15), abs=0.02)
    assert gated.to_json()["multiplier_area_um2"] == gated.multiplier.area_um2


def test_operations_per_area_and_energy(gated: ElementReport) -> None:
    """Four lanes, twelve terms: three cycles a sum, every lane in use. 2 x 4 operations a cycle."""
    assert gated.utilization == 1
    assert gated.tops == pytest.approx(8 / gated.period_ps)
    assert gated.tops_per_mm2 == pytest.approx(gated.tops / (gated.area_um2 * 1e-6))
    watts = 4 * gated.energy_fj * 1e-15 / (gated.period_ps * 1e-12) + gated.leakage_nw * 1e-9
    assert gated.tops_per_w == pytest.approx(gated.tops / watts)


def test_lanes_without_a_term_count() -> None:
    """Nine terms in four lanes take three cycles."""
    element = Element.make("dot:lanes=4", EXACT)
    cycles = ElementCycles(element, work_with_zeros(element, 0.1, terms=9))
    assert cycles.cycles_per_product == pytest.approx(3 / 9)
    before, _ = cycles.draw(np.random.default_rng(0), 3000)
    last = (before["a1"] == 0) & (before["a2"] == 0) & (before["a3"] == 0)
    assert last.mean() == pytest.approx(1 / 3, abs=0.04)


def test_a_slower_clock_takes_less_power_for_less_work(gated: ElementReport) -> None:
    element = Element.make("dot:lanes=4,gate=zero", EXACT)
    slow = synthesize_element(
        element, LIBRARY, work_with_zeros(element, 0.5), clock_ps=2 * gated.period_ps
    )
    assert slow.tops == pytest.approx(gated.tops / 2)
    assert slow.energy_fj == gated.energy_fj
    assert slow.tops_per_w < gated.tops_per_w  # leakage takes twice as long


def test_a_clock_that_is_too_fast_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"^mac of exact:width=2, sign_magnitude, 13-bit sum: a clock of 100 ps is faster "
        r"than its least period; give --clock \d+ or more, pipeline=1 or adder=prefix$",
    ):
        synthesize_element(
            Element.make("mac", MultiplierSpec.parse("exact:width=2")), LIBRARY, clock_ps=100
        )


def test_registers_do_not_clock_where_all_operands_are_zero() -> None:
    """What is left: one flag, and two clock gates that stay shut."""
    element = Element.make("mac:gate=zero", EXACT)
    idle = synthesize_element(element, LIBRARY, work_with_zeros(element, 1.0, terms=1000))
    flag_fj = 10.81 + 10.70 + 2.76976 * 1.44
    shut_fj = clock_gate_energy_fj(LIBRARY, open_share=0, enable_toggles=0, registers=9, slew_ps=20)
    assert idle.register_energy_fj == pytest.approx(flag_fj, rel=0.1)
    assert idle.gating_energy_fj == pytest.approx(2 * shut_fj, rel=0.1)
    # The flip-flop of a gate, and the clock pin of an AND gate beyond it.
    assert flag_fj < shut_fj < flag_fj + 10


def test_weights_that_stay_do_not_clock() -> None:
    moving, staying = (
        synthesize_element(Element.make(form, EXACT), LIBRARY)
        for form in ("dot:lanes=2", "dot:lanes=2,stationary=weight")
    )
    # The enable, two lanes of 5 + 4 bits, the sum: as many, and one clock gate.
    assert staying.registers == moving.registers
    assert (moving.clock_gates, staying.clock_gates) == (0, 1)
    assert staying.register_energy_fj < moving.register_energy_fj
    assert f"a weight stays for {WEIGHT_STAYS} cycles" in staying.assumptions


def test_sums_that_may_wrap_are_said_so() -> None:
    element = Element.make("mac:bits=8", EXACT)
    report = synthesize_element(element, LIBRARY)
    assert report.safe_terms == 127 // 105
    assert report.assumptions.endswith("sums of 256 products may wrap")


@pytest.mark.slow
@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize(
    ("form", "encoding"),
    [
        ("mac:adder=carry_save", OperandEncoding.SIGN_MAGNITUDE),
        ("mac:gate=zero,pipeline=1", OperandEncoding.SIGN_MAGNITUDE),
        ("dot:lanes=3,gate=zero", OperandEncoding.UNSIGNED),
        ("dot:lanes=3,gate=zero,pipeline=1", OperandEncoding.SIGN_MAGNITUDE),
        ("dot:lanes=2,pipeline=1", OperandEncoding.TWOS_COMPLEMENT),
    ],
)
def test_the_logic_computes_the_next_cycle(
    form: str, encoding: OperandEncoding, chained: bool
) -> None:
    """The gates' next sum in one cycle, next flags and next register behind the lanes are those
    that the cycles drawn go on with; a held accumulator aside.
    """
    multiplier = MultiplierSpec.make("exact", width=(3, 2), signed=encoding.signed)
    element = Element.make(form, multiplier, encoding)
    netlist = map_design(element_rtlil(element, chained=chained), LIBRARY).netlist
    work = work_with_zeros(element, 0.4, terms=7)
    cycles = ElementCycles(element, work, chained=chained)
    before, after = cycles.draw(np.random.default_rng(0), 120)
    timing, bits = analyze(netlist), input_bits(netlist, {**before})
    settled = np.array([simulate(netlist, timing, row, row).ones for row in bits[:, None]]) // 2

    def output(port: str) -> np.ndarray:
        nets = list(netlist.outputs[port])
        return (settled[:, nets] << np.arange(len(nets))).sum(axis=1)

    def live(state: dict[str, np.ndarray]) -> np.ndarray:
        return state["live"] if "live" in state else state["enable"] & state["enable_b"]

    mask = (1 << element.sum_bits) - 1
    total = np.sum([output(f"next_{word}") for word in element.words], axis=0) & mask
    following = np.sum([after[word] for word in element.words], axis=0) & mask
    moves = np.ones(120, dtype=bool)
    if element.form.gated and element.lanes == 1:
        moves = (before["working"] | before["clear"]) == 1
    np.testing.assert_array_equal(total[moves], following[moves])
    if element.form.gated and not chained:
        np.testing.assert_array_equal(output("next_live"), after["live"])
    if element.form.pipelined:
        holds = element.form.gated and element.lanes == 1
        stays = live(before) == 0 if holds else ~moves & moves
        np.testing.assert_array_equal(output("next_stage")[~stays], after["stage"][~stays])
        np.testing.assert_array_equal(before["stage"][stays], after["stage"][stays])
        assert stage_bits(element) == len(netlist.outputs["next_stage"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        "mac:pipeline=1",
        "mac:gate=zero",
        "dot:lanes=2,gate=zero",
        "dot:lanes=2,gate=zero,stationary=weight",
        "dot:lanes=2,stationary=weight,adder=carry_save",
    ],
)
@pytest.mark.parametrize("chained", [False, True])
def test_registers_are_those_of_the_rtl(form: str, chained: bool) -> None:
    """As Yosys maps them."""
    element = Element.make(form, EXACT, terms=20)
    report = synthesize_element(element, LIBRARY, chained=chained)
    text = component_rtlil(ElementComponent(element, chained=chained), "element", clocked=True)
    library = write_library(LIBRARY, LIBRARY.cells.values(), [LIBRARY.flip_flop])
    netlist = yosys.run(
        [
            "read_rtlil in.il",
            "synth -flatten -top element",
            "dfflibmap -liberty cells.lib",
            "write_json out.json",
        ],
        inputs={"in.il": text, "cells.lib": library},
        outputs=["out.json"],
    )["out.json"]
    cells = [cell["type"] for cell in json.loads(netlist)["modules"]["element"]["cells"].values()]
    assert cells.count(LIBRARY.flip_flop.name) == report.registers


def test_cycles_in_which_nothing_is_added() -> None:
    """Standing still costs clock pins, of gated registers none; a sum that passes costs its
    toggles; weights come only where they stay.
    """
    still, gated, keeps = (
        synthesize_element(Element.make(form, EXACT), LIBRARY, chained=True)
        for form in ("dot:lanes=2", "dot:lanes=2,gate=zero", "dot:lanes=2,stationary=weight")
    )
    of_zeros_fj, of_ones_fj = (pins + 2.76976 * 1.44 for pins in (10.81 + 10.70, 11.04 + 21.10))
    assert of_zeros_fj < still.idle_fj / still.registers < of_ones_fj
    assert gated.idle_fj < 0.8 * still.idle_fj
    for one in (still, gated, keeps):
        assert one.idle_fj < one.passing_fj < one.energy_fj * one.lanes
    assert still.loading_fj == gated.loading_fj == 0 < keeps.idle_fj < keeps.loading_fj
