"""Verilog that a strict linter has nothing to say about, whatever the circuit; Verilator is the
judge.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from simulators import lint, needs_icarus, needs_verilator, simulate

from hdl import yosys
from hdl.export.multiplier import export, verilog
from hdl.multipliers.imported import ImportedDesign
from hdl.multipliers.netlist import NetlistDesign
from hdl.multipliers.spec import MultiplierSpec
from hdl.yosys import gate_netlist

#: A user's Verilog -> the rules that it breaks. Ports are x, y and z.
OWN = {
    "a product": ("[5:0]", "[3:0]", "assign z = x * y;", set()),
    "mixed widths": ("[5:0]", "[3:0]", "assign z = x + y;", {"WIDTH"}),
    "even widths": ("[3:0]", "[3:0]", "assign z = {8{x[0]}} & {y, 4'd0} | {x, y};", set()),
    "a short operand": ("[3:0]", "[3:0]", "assign z = {8{x[3]}} & {y, 4'd0};", {"UNUSEDSIGNAL"}),
    "cases": (
        "[3:0]",
        "[2:0]",
        "reg [6:0] r; assign z = r; always @* casez (x) 4'b1???: r = {1'b0, y, 3'b0}; "
        "4'b01??: r = {2'b0, y, 2'b0}; 4'b001?: r = {3'b0, y, 1'b0}; "
        "default: r = x[0] ? {4'd0, y} : 7'd0; endcase",
        set(),
    ),
    "a carry along a vector": (
        "[1:0]",
        "[1:0]",
        "wire [4:0] c; genvar i; assign c[0] = 0; wire [3:0] s = {x, y}; "
        "generate for (i = 0; i < 4; i = i + 1) begin: g assign c[i+1] = s[i] & c[i] | x[0]; "
        "assign z[i] = s[i] ^ c[i]; end endgenerate",
        {"UNOPTFLAT"},
    ),
    "a look-up table": (
        "[1:0]",
        "[1:0]",
        "wire [63:0] t = 64'h9630_6420_3210_0000; assign z = t[{x, y} * 4 +: 4];",
        {"UNUSEDSIGNAL"},
    ),
    "bits from elsewhere": (
        "[3:0]",
        "[3:0]",
        "wire [11:4] w = {x, y}; wire [0:3] u = y; assign z = w ^ {4'd0, u};",
        set(),
    ),
    "all sorts of operators": (
        "[3:0]",
        "[3:0]",
        "assign z = (x * y) + (x == y) - (x != 3) + (^x) + (x >>> 1) + ($signed(x) >>> y)"
        " + (x && y) + (x > y);",
        {"WIDTH"},
    ),
}


def own(folder: Path, x: str, y: str, body: str) -> ImportedDesign:
    bits = sum(int(match) + 1 for match in re.findall(r"\[(\d+):", x + y))
    text = f"module mine(input {x} x, input {y} y, output [{bits - 1}:0] z); {body} endmodule\n"
    (folder / "own.v").write_text(text)
    return ImportedDesign.read(f"{folder}/own.v:mine", signed=False)


def silenced(text: str) -> set[str]:
    rules = re.findall(r"^/\* verilator lint_off (\w+) \*/ // \w", text, re.MULTILINE)
    assert rules == re.findall(r"^/\* verilator lint_on (\w+) \*/$", text, re.MULTILINE)
    return set(rules)


@needs_verilator
@pytest.mark.parametrize("kind", OWN)
def test_own_verilog_is_silenced_where_it_has_to_be(kind: str, tmp_path: Path) -> None:
    x, y, body, rules = OWN[kind]
    design = own(tmp_path, x, y, body)
    text, file = verilog(design), tmp_path / f"{design.identifier}.v"
    file.write_text(text)
    assert lint(file) == ""
    assert silenced(text) - {"UNUSEDSIGNAL"} == rules - {"UNUSEDSIGNAL"}
    assert rules <= silenced(text)
    # Each is needed.
    for rule in silenced(text):
        file.write_text(re.sub(rf"/\* verilator lint_off {rule} .*\n", "", text))
        assert f"%Warning-{rule}" in lint(file)
    assert_same(design.rtlil(), text, design.identifier)


def assert_same(rtlil: str, verilog: str, name: str) -> None:
    commands = ["read_verilog in.v", "proc", "write_rtlil out.il"]
    back = yosys.run(commands, inputs={"in.v": verilog}, outputs=["out.il"])["out.il"]
    np.testing.assert_array_equal(
        gate_netlist.gates(back, top=name).evaluate_all(), gate_netlist.gates(rtlil).evaluate_all()
    )


ODD_NAMES = ['`include"/etc/passwd"', "`define", '"x', "//y", "/*z", "*/", "carry$1", "g[0].s", "é"]


@needs_icarus
@needs_verilator
def test_names_that_are_traps_are_numbered(tmp_path: Path) -> None:
    """Verilog allows them, and preprocessors stumble over them, or do what they say."""
    wires = " ".join(
        rf"wire \{name} ; assign \{name} = x[{i % 4}] & y[{i % 3}];"
        for i, name in enumerate(ODD_NAMES)
    )
    sums = " ^ ".join(rf"\{name} " for name in ODD_NAMES)
    body = f"{wires} wire r; assign r = {sums}; assign z = {{{{7{{r}}}}, x[0]}};"
    design = own(tmp_path, "[3:0]", "[3:0]", body)
    verilog_file, bench, *_ = export(design, tmp_path)
    assert simulate(tmp_path, verilog_file, bench) == "PASS 256 pairs\n"
    assert lint(verilog_file) == ""
    assert not any(name in verilog_file.read_text() for name in ("`include", "`define", "/*z"))
    assert "g[0].s" in verilog_file.read_text()


def test_nothing_is_silenced_without_need() -> None:
    assert silenced(verilog(MultiplierSpec.parse("exact"))) == set()
    assert silenced(verilog(MultiplierSpec.parse("udm"))) == set()
    assert silenced(verilog(MultiplierSpec.parse("tm:k=2"))) == {"UNUSEDSIGNAL"}
    made = NetlistDesign(2, 2, False, "&0,2 &0,3 &1,2 &1,3 ^5,6 > 4 8 7 L")
    assert silenced(verilog(made)) == set()
    without_b1 = NetlistDesign(2, 2, False, "&0,2 &1,2 > 4 5 L L")
    assert silenced(verilog(without_b1)) == {"UNUSEDSIGNAL"}
