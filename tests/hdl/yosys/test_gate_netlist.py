"""Gates and their bit-parallel evaluation, against evaluation one operand pair at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl import yosys
from hdl.yosys.gate_netlist import Gate, GateNetlist, NetlistError, gates

TRUTH: dict[str, Callable[..., int]] = {
    "$_BUF_": lambda a: a,
    "$_NOT_": lambda a: 1 - a,
    "$_AND_": lambda a, b: a & b,
    "$_NAND_": lambda a, b: 1 - (a & b),
    "$_OR_": lambda a, b: a | b,
    "$_NOR_": lambda a, b: 1 - (a | b),
    "$_XOR_": lambda a, b: a ^ b,
    "$_XNOR_": lambda a, b: 1 - (a ^ b),
    "$_ANDNOT_": lambda a, b: a & (1 - b),
    "$_ORNOT_": lambda a, b: a | (1 - b),
    "$_MUX_": lambda a, b, s: b if s else a,
}
ARITY = {"$_BUF_": 1, "$_NOT_": 1, "$_MUX_": 3}


def one_pair(netlist: GateNetlist, a: int, b: int) -> int:
    values = {0: 0, 1: 1}
    values |= {net: a >> bit & 1 for bit, net in enumerate(netlist.a)}
    values |= {net: b >> bit & 1 for bit, net in enumerate(netlist.b)}
    for gate in netlist.gates:
        values[gate.output] = TRUTH[gate.kind](*(values[net] for net in gate.inputs))
    return sum(values[net] << bit for bit, net in enumerate(netlist.p))


@st.composite
def netlists(draw: st.DrawFn) -> GateNetlist:
    widths = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    bits = sum(widths)
    a, b = range(2, 2 + widths[0]), range(2 + widths[0], 2 + bits)
    made: list[Gate] = []
    for _ in range(draw(st.integers(0, 30))):
        kind = draw(st.sampled_from(sorted(TRUTH)))
        net = 2 + bits + len(made)
        made.append(
            Gate(kind, tuple(draw(st.integers(0, net - 1)) for _ in range(ARITY.get(kind, 2))), net)
        )
    p = tuple(draw(st.integers(0, 1 + bits + len(made))) for _ in range(bits))
    return GateNetlist(tuple(made), tuple(a), tuple(b), p)


@settings(max_examples=150, deadline=None)
@given(netlists())
def test_any_gates_evaluate_as_one_pair_at_a_time(netlist: GateNetlist) -> None:
    codes_a, codes_b = (np.arange(1 << width) for width in netlist.widths)
    expected = [[one_pair(netlist, a, b) for b in codes_b.tolist()] for a in codes_a.tolist()]
    np.testing.assert_array_equal(netlist.evaluate_all(), expected)
    np.testing.assert_array_equal(netlist.evaluate(codes_a[:, None], codes_b), expected)


def rtlil_of(body: str, ports: str = "input [3:0] a, input [3:0] b, output [7:0] p") -> str:
    commands = ["read_verilog in.v", "proc", "write_rtlil out.il"]
    return yosys.run(
        commands,
        inputs={"in.v": f"module multiplier({ports});\n{body}\nendmodule\n"},
        outputs=["out.il"],
    )["out.il"]


@pytest.mark.parametrize("width", [4, 9, 12])
def test_products_of_yosys_own_multiplier(width: int) -> None:
    ports = f"input [{width - 1}:0] a, input [{width - 1}:0] b, output [{2 * width - 1}:0] p"
    values = np.arange(1 << width)
    np.testing.assert_array_equal(
        gates(rtlil_of("assign p = a * b;", ports)).evaluate_all(),
        np.multiply.outer(values, values),
    )


def test_operands_are_not_swapped_and_sampled_operands_broadcast() -> None:
    netlist = gates(rtlil_of("assign p = {a, 4'b0} - {4'b0, b};"))
    assert netlist.evaluate_all()[3, 5] == 3 * 16 - 5
    assert netlist.evaluate([[3], [4]], [5, 6]).tolist() == [[43, 42], [59, 58]]
    assert netlist.evaluate([], []).shape == (0,)
    with pytest.raises(ValueError, match="between 0 and 15"):
        netlist.evaluate(16, 0)


def test_sixteen_bits_are_sampled_but_not_enumerated() -> None:
    netlist = gates(
        rtlil_of("assign p = a * b;", "input [15:0] a, input [15:0] b, output [31:0] p")
    )
    a, b = np.random.default_rng(1).integers(0, 1 << 16, (2, 1000))
    np.testing.assert_array_equal(netlist.evaluate(a, b), a * b)
    with pytest.raises(ValueError, match="up to 24 can"):
        netlist.evaluate_all()


def test_undefined_bits_are_zero() -> None:
    assert not gates(rtlil_of("assign p[3:0] = 4'bx;")).evaluate_all().any()


@pytest.mark.parametrize(
    ("body", "ports", "message"),
    [
        (
            "reg [7:0] q; always @* if (a[0]) q = b; assign p = q;",
            None,
            r"^m: .* is a \$_DLATCH_.*combinational gates only$",
        ),
        (
            "assign p = 0;",
            "input [3:0] a, input [4:0] b, output [7:0] p",
            r"^m: ports are input a\[4\], input b\[5\], output p\[8\]; ",
        ),
        (
            "assign y = 0;",
            "input [3:0] a, input [3:0] b, output [7:0] y",
            r"^m: ports are .*; a multiplier has inputs a of m",
        ),
        ("wire x = ~(x & a[0]); assign p = {8{x}};", None, "^m: there is a combinational loop"),
    ],
)
def test_what_is_no_multiplier_is_refused_in_one_line(
    body: str, ports: str | None, message: str
) -> None:
    text = rtlil_of(body, ports) if ports else rtlil_of(body)
    with pytest.raises(NetlistError, match=message) as caught:
        gates(text, subject="m")
    assert "\n" not in str(caught.value)
