"""Cost of elements and arrays: registers as Yosys maps them, energies by hand, areas and energies
that add up.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hdl import yosys
from hdl.cells.liberty_writer import write_library
from hdl.cells.library import CellLibrary
from hdl.cost.switching_activity import input_bits, simulate
from hdl.cost.synthesis import map_design
from hdl.cost.timing import analyze
from hdl.elements.cycles import DotProducts
from hdl.elements.mac import MacDatapath, MacSpec, ProcessingElement, datapath_rtlil
from hdl.elements.register_cost import register_energies_fj, setup_ps
from hdl.elements.synthesis import (
    MacReport,
    _CycleSampler,
    synthesize_array,
    synthesize_mac,
)
from hdl.multipliers.elaboration import component_rtlil
from hdl.multipliers.imported import ImportedDesign
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandDistribution, OperandEncoding

LIBRARY = CellLibrary.load()
SPEC = MacSpec.make(MultiplierSpec.parse("exact:width=4"))


@pytest.fixture(scope="module")
def report() -> MacReport:
    return synthesize_mac(SPEC, LIBRARY)


def test_registers_are_those_that_yosys_maps(report: MacReport) -> None:
    text = component_rtlil(ProcessingElement(SPEC), "element", clocked=True)
    library = write_library(LIBRARY, LIBRARY.cells.values(), [LIBRARY.flip_flop])
    commands = [
        "read_rtlil in.il",
        "synth -flatten -top element",
        "dfflibmap -liberty cells.lib",
        "write_json out.json",
    ]
    netlist = yosys.run(
        commands, inputs={"in.il": text, "cells.lib": library}, outputs=["out.json"]
    )["out.json"]
    cells = [cell["type"] for cell in json.loads(netlist)["modules"]["element"]["cells"].values()]
    assert cells.count(LIBRARY.flip_flop.name) == report.registers == 5 + 5 + 1 + 16
    assert not any("DFF" in cell for cell in cells)


def test_parts_add_up(report: MacReport) -> None:
    assert report.area_um2 == pytest.approx(
        report.multiplier_area_um2 + report.accumulator_area_um2 + report.register_area_um2
    )
    assert report.register_area_um2 == pytest.approx(report.registers * LIBRARY.flip_flop.area_um2)
    assert report.accumulator_area_um2 > 0
    assert report.energy_fj == pytest.approx(report.logic_energy_fj + report.register_energy_fj)
    assert report.logic_energy_fj > report.multiplier.energy_fj
    assert report.energy_error_fj < 0.01 * report.energy_fj
    assert report.to_json()["multiplier_delay_ps"] == report.multiplier.delay_ps


def test_the_period_holds_register_logic_and_setup(report: MacReport) -> None:
    """More than the logic by itself, by the register's delay and setup: 150 to 160 ps and 110 ps at
    the least by the Liberty file.
    """
    logic = map_design(component_rtlil(MacDatapath(SPEC), "multiplier"), LIBRARY).timing.delay_ps
    assert 200 < report.period_ps - logic < 500


def test_register_energy_of_one_that_never_changes_is_that_of_its_clock() -> None:
    """CLK tables of sg13g2_dfrbpq_1 at 18.6 ps: 10.81 + 10.70 fJ holding 0, 11.04 + 21.10 fJ
    holding 1; C V^2 of 2.77 fF at 1.2 V.
    """
    still = register_energies_fj(
        LIBRARY.flip_flop,
        1.2,
        toggles=np.zeros(2),
        ones=np.array([0.0, 1.0]),
        load_ff=np.zeros(2),
        data_toggles=np.zeros(2),
        data_slew_ps=18.6,
        clock_slew_ps=18.6,
    )
    np.testing.assert_allclose(
        still, np.array([10.81 + 10.70, 11.04 + 21.10]) + 2.76976 * 1.44, rtol=1e-3
    )


def test_register_energy_of_one_that_always_changes() -> None:
    """No rising CLK energy then; falling ones of data unlike output; mean Q energy, its load, and
    mean D energy, at the first entries.
    """
    busy = register_energies_fj(
        LIBRARY.flip_flop,
        1.2,
        toggles=np.ones(1),
        ones=np.full(1, 0.5),
        load_ff=np.ones(1),
        data_toggles=np.ones(1),
        data_slew_ps=18.6,
        clock_slew_ps=18.6,
    )
    clock, data = (20.69 + 35.08) / 2 + 2.76976 * 1.44, (1.52 + 1.149 + 11.8 + 8.781) / 4
    assert busy.item() == pytest.approx(clock + data + (25.11 + 25.96) / 2 + 0.5 * 1.44, rel=1e-3)


def test_setup_is_the_librarys() -> None:
    np.testing.assert_allclose(
        setup_ps(LIBRARY.flip_flop, np.array([[18.6, 516.36]]), 18.6), [[112.5, 291.8]], rtol=1e-3
    )


def test_zeros_cost_clock_energy_only() -> None:
    codes = np.zeros((1, 1 << SPEC.operand_widths.a))
    codes[0, 0] = 1
    idle = synthesize_mac(
        SPEC,
        LIBRARY,
        DotProducts(OperandDistribution(np.ones(1), codes, codes, "zeros"), np.array([8])),
    )
    clock_fj = 10.81 + 10.70 + 2.76976 * 1.44
    assert idle.multiplier.energy_fj == 0
    # One register, the enable, holds 1.
    assert idle.register_energy_fj == pytest.approx(
        idle.registers * clock_fj + 0.23 + 10.4, rel=0.01
    )


def test_registers_of_a_rectangular_element() -> None:
    """Operands of 5 and 3 bits with their signs, the enable and a sum of 8 + 8 bits; row 1 and 2 of
    the skew delay 6 bits, column 1 4.
    """
    spec = MacSpec.make(MultiplierSpec.parse("exact:width=5x3"))
    array = synthesize_array(spec, 3, 2, LIBRARY)
    assert array.element.registers == 6 + 4 + 1 + 16
    assert array.edge_registers == 3 * 6 + 1 * 4 + 2


def test_the_array_is_its_elements_and_the_skew() -> None:
    array = synthesize_array(SPEC, 3, 2, LIBRARY)
    assert array.edge_registers == (3 + 1) * 5 + 2
    assert array.area_um2 == pytest.approx(
        6 * array.element.area_um2 + array.edge_registers * LIBRARY.flip_flop.area_um2
    )
    assert array.energy_fj == pytest.approx(array.element.energy_fj + array.edge_energy_fj)
    assert array.edge_energy_fj > array.edge_registers * 21 / 6


@pytest.mark.slow
@pytest.mark.parametrize("encoding", [OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.UNSIGNED])
@pytest.mark.parametrize(
    ("chained", "pipelined"), [(False, False), (True, False), (True, True), (False, True)]
)
def test_the_logic_computes_the_sums_that_the_next_cycle_starts_with(
    encoding: OperandEncoding, chained: bool, pipelined: bool
) -> None:
    """The gates' next sum in one cycle is the sum that the sampler continues with: the same dot
    products in hardware and numpy.
    """
    spec = MacSpec.make(MultiplierSpec.parse("mitchell:width=5x3"), encoding, pipelined=pipelined)
    netlist = map_design(
        component_rtlil(MacDatapath(spec, chained=chained), "multiplier"), LIBRARY
    ).netlist
    before, after = _CycleSampler(spec, DotProducts.uniform(spec, 5), chained).draw(
        np.random.default_rng(0), 200
    )
    bits = input_bits(netlist, {**before})
    # Settled values of single operations that change nothing: ones counts them twice.
    timing = analyze(netlist)
    settled = np.array([simulate(netlist, timing, row, row).ones for row in bits[:, None]]) // 2
    for port, following in (("p", "total"), *([("next_product", "product")] if pipelined else [])):
        nets = list(netlist.outputs[port])
        np.testing.assert_array_equal(
            (settled[:, nets] << np.arange(len(nets))).sum(axis=1), after[following]
        )


def test_a_pipeline_register_shortens_the_period_and_costs_flip_flops(report: MacReport) -> None:
    """A product of 8 bits, its sign and its enable are registered; neither part of the logic takes
    as long as both in a row.
    """
    pipelined = synthesize_mac(MacSpec.make(SPEC.multiplier, pipelined=True), LIBRARY)
    assert pipelined.registers == report.registers + 8 + 1 + 1
    assert pipelined.period_ps < report.period_ps
    assert pipelined.register_energy_fj > report.register_energy_fj


def test_the_logic_around_ones_own_multiplier_is_that_around_a_familys(tmp_path: Path) -> None:
    """The same multiplier as Verilog: the same sums at the same inputs, hence the same costs but
    for what mapping makes of other names.
    """
    (tmp_path / "own.v").write_text(
        "module m(input [3:0] x, input [3:0] y, output [7:0] z); assign z = x * y; endmodule"
    )
    own = MacSpec.make(ImportedDesign.read(f"{tmp_path}/own.v:m", signed=False))
    netlists = [map_design(datapath_rtlil(each), LIBRARY).netlist for each in (own, SPEC)]
    before, _ = _CycleSampler(SPEC, DotProducts.uniform(SPEC, 5), False).draw(
        np.random.default_rng(0), 100
    )
    sums = []
    for netlist in netlists:
        bits = input_bits(netlist, {**before})
        timing = analyze(netlist)
        settled = (
            np.array([simulate(netlist, timing, row, row).ones for row in bits[:, None]])[
                :, list(netlist.outputs["p"])
            ]
            // 2
        )
        sums.append((settled << np.arange(SPEC.accumulator_bits)).sum(axis=1))
    np.testing.assert_array_equal(*sums)
    report = synthesize_mac(own, LIBRARY)
    assert report.multiplier_area_um2 < report.area_um2 - report.register_area_um2
    assert report.registers == 5 + 5 + 1 + 16
