"""Placing adders as cells: random networks of adders, inverters, constants and gates keep their
function, with either kind of cell.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hdl import yosys
from hdl.cells.library import CellLibrary
from hdl.cost.adder_placement import FIND_ADDERS, FIND_FULL_ADDERS, adder_cells, placed_verilog
from hdl.cost.equivalence import counterexample
from hdl.cost.synthesis import map_design, map_with_every_recipe
from hdl.multipliers.elaboration import rtlil
from hdl.multipliers.spec import MultiplierSpec

WIDTH = 4


def random_design(seed: int) -> str:
    """RTLIL of adders and gates over random nets: operands may be complemented, constant or the
    same net, results unused.
    """
    draw = random.Random(seed)
    nets = [f"{port}[{bit}]" for port in "ab" for bit in range(WIDTH)]
    lines = []
    for index in range(24):
        x, y, z = (draw.choice(["", "", "~"]) + draw.choice([*nets[-10:], *nets]) for _ in range(3))
        kind = draw.choice(["full", "full", "full", "half", "increment", "gate"])
        z = {"full": z, "half": "1'b0", "increment": "1'b1", "gate": z}[kind]
        if kind == "gate":
            lines.append(
                f"wire g{index} = "
                f"{draw.choice([f'{x} & {y}', f'{x} | {y}', f'{z} ? {x} : {y}', f'{x} ^ {y}'])};"
            )
            nets.append(f"g{index}")
        else:
            lines.append(
                f"wire x{index} = {x} ^ {y}, s{index} = x{index} ^ {z}, c{index} = {x} & {y} | "
                f"x{index} & {z};"
            )
            nets += [f"s{index}", f"c{index}"]
    bits = ", ".join(
        draw.choice(["", "~"]) + net for net in draw.sample(nets[2 * WIDTH :], 2 * WIDTH)
    )
    ports = f"input [{WIDTH - 1}:0] a, b; output [{2 * WIDTH - 1}:0] p;"
    verilog = (
        f"module multiplier (a, b, p); {ports} {' '.join(lines)} assign p = {{{bits}}}; endmodule"
    )
    return yosys.run(
        ["read_verilog in.v", "proc", "write_rtlil out.il"],
        inputs={"in.v": verilog},
        outputs=["out.il"],
    )["out.il"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("recipe", ["adders-area", "all-adders-flow"])
def test_random_networks_keep_their_function(
    seed: int, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hdl.cost.synthesis.EFFORTS", {"fast": ("area", recipe)})
    monkeypatch.setattr("hdl.cost.synthesis._smallest", lambda candidates: candidates[-1])
    text = random_design(seed)
    mapped = map_design(text, CellLibrary.load())
    assert mapped.recipe == recipe
    assert counterexample(text, mapped.netlist) is None


@pytest.mark.parametrize("seed", range(3))
def test_random_networks_with_full_adder_cells(
    seed: int, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = CellLibrary.load(shared / "pdk/sky130_fd_sc_hd__tt_025C_1v80.lib.gz")
    monkeypatch.setattr("hdl.cost.synthesis.EFFORTS", {"fast": ("all-adders-flow",)})
    text = random_design(100 + seed)
    mapped = map_design(text, library)
    assert any(instance.cell.name.endswith("__fa_1") for instance in mapped.netlist.instances)
    assert counterexample(text, mapped.netlist) is None


def test_a_tree_needs_no_inverters() -> None:
    """48 full and 8 half adders of an 8x8 multiplier: two exclusive-ors and a carry cell each, and
    no inverter between them.
    """
    library = CellLibrary.load()
    cells = adder_cells(library)
    assert cells is not None
    assert cells.full is None
    for find, half_adders in ((FIND_FULL_ADDERS, 0), (FIND_ADDERS, 8)):
        commands = ["read_rtlil in.il", "proc", "flatten", "techmap", *find, "write_json out.json"]
        inputs = {"in.il": rtlil(MultiplierSpec.parse("exact:tree=dadda"))}
        text = yosys.run(commands, inputs=inputs, outputs=["out.json"])["out.json"]
        verilog = placed_verilog(text, "multiplier", cells)
        assert verilog is not None
        assert verilog.count("sg13g2_a22oi_1 ") == 48
        assert (
            verilog.count("sg13g2_xor2_1 ") + verilog.count("sg13g2_xnor2_1 ")
            == 2 * 48 + half_adders
        )
    mapped = map_with_every_recipe(MultiplierSpec.parse("exact:tree=dadda"), library)[
        "all-adders-flow"
    ]
    assert not any(instance.cell.is_inverter for instance in mapped.netlist.instances)


def test_a_design_without_adders_has_nothing_to_place() -> None:
    cells = adder_cells(CellLibrary.load())
    assert cells is not None
    verilog = (
        "module multiplier (a, b, p); input [1:0] a, b; output [3:0] p; assign p = {a & b, "
        "a | b}; endmodule"
    )
    commands = ["read_verilog in.v", "proc", *FIND_FULL_ADDERS, "write_json out.json"]
    text = yosys.run(commands, inputs={"in.v": verilog}, outputs=["out.json"])["out.json"]
    assert placed_verilog(text, "multiplier", cells) is None
