"""Export of a processing element or a systolic array: Verilog-2001 of one module each for
multiplier, element and array, a test bench that checks itself, and timing constraints.

The multiplier is the module that `hdl.export.multiplier` exports, so that another one with the same
ports can take its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from .. import yosys
from ..elements.mac import MacSpec, ProcessingElement
from ..elements.systolic import SystolicArray
from ..multipliers.elaboration import component_rtlil
from ..operands import OperandEncoding
from .multiplier import comment, verilog, write_texts, written_by

__all__ = [
    "FORMATS",
    "array_bench",
    "array_verilog",
    "bench_text",
    "constraints_text",
    "export_array",
    "export_mac",
    "mac_bench",
    "mac_identifier",
    "mac_verilog",
    "module_text",
    "packed",
]

BENCH_CYCLES = 4096
BENCH_TILES = 4
BENCH_DEPTH = 64
DEFAULT_PERIOD_NS = 10.0

FORMATS = {
    OperandEncoding.TWOS_COMPLEMENT: "two's complement",
    OperandEncoding.UNSIGNED: "unsigned",
    OperandEncoding.SIGN_MAGNITUDE: "a magnitude with its sign as the highest bit",
}


def mac_identifier(spec: MacSpec, *, chained: bool = False) -> str:
    """Verilog identifier and file name of a processing element: `mac24_mul8u_drum_k4`, with `u`
    behind the width of unsigned sums and `p` behind that of pipelined elements; an element for
    arrays begins with `element`."""
    kind = "element" if chained else "mac"
    marks = f"{'' if spec.signed_sum else 'u'}{'p' if spec.pipelined else ''}"
    return f"{kind}{spec.accumulator_bits}{marks}_{spec.multiplier.identifier}"


def array_identifier(spec: MacSpec, rows: int, columns: int) -> str:
    """Verilog identifier and file name of an array: `array4x4_mac24_mul8u_drum_k4`."""
    return f"array{rows}x{columns}_{mac_identifier(spec)}"


def mac_verilog(spec: MacSpec, *, chained: bool = False) -> str:
    """The processing element and its multiplier, a Verilog-2001 module each."""
    name = mac_identifier(spec, chained=chained)
    element = ProcessingElement(spec, chained=chained, multiplier_module=spec.multiplier.identifier)
    total = "two's complement" if spec.signed_sum else "unsigned"
    load = "takes the value of above" if chained else "starts again at zero"
    steps = [
        (
            "At a clock edge a_out, b_out and enable_out take a, b and enable. At the same edge "
            f"total {load} where clear is 1,"
        ),
        (
            "and the product of a_out and b_out is added to it where enable_out is 1 (their values "
            "before the edge)."
        ),
    ]
    if spec.pipelined:
        steps = [
            (
                "At a clock edge a_out, b_out and enable_out take a, b and enable, and their "
                "product and enable_out, before the edge,"
            ),
            (
                f"are registered. At the same edge total {load} where clear is 1, and the product "
                "registered before the edge"
            ),
            "is added to it where its enable is 1.",
        ]
    header = comment(
        f"{name}: {spec}",
        "",
        *steps,
        f"Operands are {FORMATS[spec.encoding]}; total is {total}. No reset.",
        written_by(),
    )
    return f"{verilog(spec.multiplier)}\n{header}\n{module_text(element, name, str(spec))}"


def array_verilog(spec: MacSpec, rows: int, columns: int) -> str:
    """The array, its element and its multiplier, a Verilog-2001 module each. Raises InputError for
    sides out of range.
    """
    name = array_identifier(spec, rows, columns)
    array = SystolicArray(spec, rows, columns, element_module=mac_identifier(spec, chained=True))
    header = comment(
        f"{name}: {rows} x {columns} output-stationary systolic array, {spec}",
        "",
        (
            f"A matrix product ({rows} x K) @ (K x {columns}): K cycles with enable 1, a = column "
            "k of the left matrix"
        ),
        (
            f"and b = row k of the right one; {_last_steps(spec, rows, columns)} cycles with "
            f"enable 0; {rows} cycles with drain 1, in which"
        ),
        (
            f"total shows the rows of the result, row {rows - 1} first. Row 0 and column 0 are in "
            "the lowest bits. The skew is inside."
        ),
        f"After power-up: {2 * rows + columns} cycles with enable 0 and drain 1.",
        f"Operands are {FORMATS[spec.encoding]}.",
        written_by(),
    )
    return f"{mac_verilog(spec, chained=True)}\n{header}\n{module_text(array, name, name)}"


def mac_bench(spec: MacSpec) -> str:
    """A test bench of the element: random operands, enables and clears, and the sum that every
    cycle must show.
    """
    rng = np.random.default_rng(spec.accumulator_bits)
    a, b = (rng.integers(0, 1 << width, BENCH_CYCLES) for width in spec.operand_widths)
    enable, clear = rng.random(BENCH_CYCLES) < 0.9, rng.random(BENCH_CYCLES) < 0.02
    # The first cycles bring the registers into a known state.
    delay = 1 + spec.pipelined
    enable[: 1 + delay], clear[: 1 + delay] = False, True
    added = np.where(enable, spec.products(a, b), 0)
    expected = np.zeros(BENCH_CYCLES, dtype=np.int64)
    for cycle in range(delay, BENCH_CYCLES):
        start = 0 if clear[cycle] else expected[cycle - 1]
        expected[cycle] = start + added[cycle - delay]
    inputs = {
        "a": (spec.operand_widths.a, a),
        "b": (spec.operand_widths.b, b),
        "enable": (1, enable),
        "clear": (1, clear),
    }
    checked = np.arange(BENCH_CYCLES) >= delay
    return bench_text(
        mac_identifier(spec),
        inputs,
        spec.accumulator_bits,
        [[value] for value in expected.tolist()],
        checked,
    )


def array_bench(spec: MacSpec, rows: int, columns: int) -> str:
    """A test bench of the array: products of random matrices, one after the other."""
    rng = np.random.default_rng(rows * columns)
    operand = spec.operand_widths
    cycles: list[tuple[int, int, int, int]] = [(0, 0, 0, 1)] * (2 * rows + columns)
    checked = [False] * len(cycles)
    expected: list[list[int]] = [[0] * columns] * len(cycles)

    def spend(cycle: tuple[int, int, int, int], result: list[int] | None = None) -> None:
        cycles.append(cycle)
        checked.append(result is not None)
        expected.append(result or [0] * columns)

    for _ in range(BENCH_TILES):
        a = rng.integers(0, 1 << operand.a, (rows, BENCH_DEPTH))
        b = rng.integers(0, 1 << operand.b, (BENCH_DEPTH, columns))
        sums = spec.products(a[:, :, None], b[None]).sum(axis=1)
        for k in range(BENCH_DEPTH):
            spend((packed(a[:, k].tolist(), operand.a), packed(b[k].tolist(), operand.b), 1, 0))
        for _ in range(_last_steps(spec, rows, columns)):
            spend((0, 0, 0, 0))
        for row in reversed(range(rows)):
            # Before the edge that moves them on: the sums of the lowest row.
            checked[-1], expected[-1] = True, sums[row].tolist()
            spend((0, 0, 0, 1))
    widths = {"a": rows * operand.a, "b": columns * operand.b, "enable": 1, "drain": 1}
    inputs = {
        name: (bits, [cycle[i] for cycle in cycles])
        for i, (name, bits) in enumerate(widths.items())
    }
    return bench_text(
        array_identifier(spec, rows, columns),
        inputs,
        spec.accumulator_bits,
        expected,
        np.array(checked),
    )


def export_mac(spec: MacSpec, folder: Path | str) -> list[Path]:
    """Writes `<identifier>.v`, `<identifier>_tb.v` and `<identifier>.sdc` of the element. Raises
    hdl.export.ExportError.
    """
    name = mac_identifier(spec)
    return write_texts(
        {
            f"{name}.v": mac_verilog(spec),
            f"{name}_tb.v": mac_bench(spec),
            f"{name}.sdc": constraints_text(str(spec)),
        },
        Path(folder),
    )


def export_array(spec: MacSpec, rows: int, columns: int, folder: Path | str) -> list[Path]:
    """Writes the same three files of the array. Raises InputError, hdl.export.ExportError."""
    name = array_identifier(spec, rows, columns)
    texts = {
        f"{name}.v": array_verilog(spec, rows, columns),
        f"{name}_tb.v": array_bench(spec, rows, columns),
    }
    return write_texts({**texts, f"{name}.sdc": constraints_text(str(spec))}, Path(folder))


def _last_steps(spec: MacSpec, rows: int, columns: int) -> int:
    """Cycles from the last operands that are fed until their products are added everywhere."""
    return rows + columns - 1 + spec.pipelined


def module_text(component: wiring.Component, name: str, subject: str) -> str:
    """A component with a clock as one flat Verilog module."""
    commands = [
        "read_rtlil in.il",
        f"hierarchy -top {name}",
        "proc",
        "flatten -noscopeinfo",
        "rename -hide w:*$*",
        "opt_clean",
    ]
    commands += ["rename -enumerate -pattern _n%_", "write_verilog -noattr -norename out.v"]
    text = component_rtlil(component, name, clocked=True)
    verilog = yosys.run(
        commands, inputs={"in.il": text}, outputs=["out.v"], subject=f"Verilog of {subject}"
    )["out.v"]
    return verilog[verilog.index("module ") :].rstrip() + "\n"


def packed(values: list[int], bits: int) -> int:
    """Values modulo 2^bits side by side, the first in the lowest bits."""
    mask = (1 << bits) - 1
    return sum((value & mask) << bits * i for i, value in enumerate(values))


def bench_text(
    name: str,
    inputs: Mapping[str, tuple[int, Iterable[int]]],
    sum_bits: int,
    expected: list[list[int]],
    checked: NDArray[np.bool_],
    *,
    words: Sequence[str] = ("total",),
) -> str:
    """A bench that applies one word of inputs a cycle and, where `checked`, compares the sum of the
    outputs `words` after the clock edge of that cycle.
    """
    total_bits = sum_bits * len(expected[0])
    in_bits = sum(bits for bits, _ in inputs.values())
    columns = [(bits, [int(value) for value in values]) for bits, values in inputs.values()]
    lines = []
    for cycle, sums in enumerate(expected):
        word = 0
        for bits, values in columns:
            word = word << bits | values[cycle]
        check = int(checked[cycle])
        total = packed(sums, sum_bits) if check else 0
        bits = 1 + total_bits + in_bits
        lines.append(
            f"    cycles[{cycle}] = {bits}'h{(check << total_bits | total) << in_bits | word:x};"
        )
    declarations = "\n".join(
        f"  reg {f'[{bits - 1}:0] ' if bits > 1 else ''}{port};"
        for port, (bits, _) in inputs.items()
    )
    ports = ", ".join(f".{port}({port})" for port in [*inputs, *words])
    outputs = "\n".join(f"  wire [{total_bits - 1}:0] {word};" for word in words)
    shown = words[0]
    if len(words) > 1:
        shown = "sum"
        outputs += f"\n  wire [{total_bits - 1}:0] sum = {' + '.join(words)};"
    count, contents = int(checked.sum()), "\n".join(lines)
    head = comment(
        f"Test bench of {name}: one line of inputs and the expected sums for every cycle.",
        "Prints one line, PASS or FAIL.",
    )
    return f"""\
{head}
`timescale 1ns / 1ps
module {name}_tb;
  parameter PERIOD = 10;
  reg clk;
{declarations}
{outputs}
  // Whether total is compared after the edge, its value then, and the inputs before the edge.
  reg [{total_bits + in_bits}:0] cycles [0:{len(expected) - 1}];
  reg check;
  reg [{total_bits - 1}:0] want, first_total, first_want;
  integer i, first, failures;

  {name} dut (.clk(clk), {ports});

  initial begin
{contents}
    failures = 0;
    clk = 0;
    for (i = 0; i < {len(expected)}; i = i + 1) begin
      {{check, want, {", ".join(inputs)}}} = cycles[i];
      #(PERIOD / 2) clk = 1;
      #(PERIOD / 2) clk = 0;
      if (check && {shown} !== want) begin
        if (failures == 0) begin
          first = i; first_total = {shown}; first_want = want;
        end
        failures = failures + 1;
      end
    end
    if (failures == 0)
      $display("PASS {count} sums");
    else
      $display("FAIL %0d of {count} sums, first: cycle %0d total=%h expected=%h",\
 failures, first, first_total, first_want);
    $finish(0);
  end
endmodule
"""


def constraints_text(subject: str) -> str:
    """Timing constraints: one clock."""
    return f"""\
# {subject}: one clock.
# Set the period to what the design has to reach, in the library's time unit (here ns).
set period {DEFAULT_PERIOD_NS:g}
create_clock -name clk -period $period [get_ports clk]
set_input_delay 0 -clock clk [remove_from_collection [all_inputs] [get_ports clk]]
set_output_delay 0 -clock clk [all_outputs]
"""
