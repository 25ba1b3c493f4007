"""Export of a processing element: Verilog-2001 of one module each for multiplier and element, a
file each, a test bench that checks itself, and what other tools need to build it.

The multiplier is the module that `hdl.export.multiplier` exports, so that another one with the same
ports can take its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from ..elements.mac import MacSpec, ProcessingElement
from ..multipliers.elaboration import component_rtlil
from ..operands import OperandEncoding
from .cocotb_tests import clocked_test
from .multiplier import verilog
from .project import Project, write_project
from .texts import comment, written_by
from .verilog_module import FAIL_SIMULATION, TIMESCALE, verilog_module

__all__ = [
    "FORMATS",
    "clocked_project",
    "export_mac",
    "mac_identifier",
    "mac_modules",
    "mac_project",
    "module_text",
    "packed",
]

BENCH_CYCLES = 4096

FORMATS = {
    OperandEncoding.TWOS_COMPLEMENT: "two's complement",
    OperandEncoding.UNSIGNED: "unsigned",
    OperandEncoding.SIGN_MAGNITUDE: "a magnitude with its sign as the highest bit",
}


def mac_identifier(spec: MacSpec) -> str:
    """Verilog identifier and file name of a processing element: `mac24_mul8u_drum_k4`, with `u`
    behind the width of unsigned sums and `p` behind that of pipelined elements."""
    marks = f"{'' if spec.signed_sum else 'u'}{'p' if spec.pipelined else ''}"
    return f"mac{spec.accumulator_bits}{marks}_{spec.multiplier.identifier}"


def mac_modules(spec: MacSpec) -> dict[str, str]:
    """The processing element and its multiplier: Verilog-2001 texts by the names of the modules."""
    name = mac_identifier(spec)
    element = ProcessingElement(spec, multiplier_module=spec.multiplier.identifier)
    total = "two's complement" if spec.signed_sum else "unsigned"
    steps = [
        (
            "At a clock edge a_out, b_out and enable_out take a, b and enable. At the same edge "
            "total starts again at zero where clear is 1,"
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
                "are registered. At the same edge total starts again at zero where clear is 1, and "
                "the product registered before the edge"
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
    return {
        name: f"{header}\n{module_text(element, name, str(spec))}",
        spec.multiplier.identifier: verilog(spec.multiplier),
    }


def mac_project(spec: MacSpec) -> Project:
    """The element for other tools to build. Its tests apply random operands, enables and clears,
    and know the sum that every cycle must show.
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
    return clocked_project(
        mac_identifier(spec),
        str(spec),
        mac_modules(spec),
        inputs,
        ("a_out", "b_out", "enable_out"),
        spec.accumulator_bits,
        [[value] for value in expected.tolist()],
        checked,
    )


def export_mac(spec: MacSpec, folder: Path | str) -> list[Path]:
    """Writes the project of the element into the folder `<identifier>` of `folder`, made if absent:
    the same files as of a multiplier, and the multiplier's Verilog. Raises hdl.export.ExportError.
    """
    return write_project(mac_project(spec), folder)


def module_text(component: wiring.Component, name: str, subject: str) -> str:
    return verilog_module(
        component_rtlil(component, name, clocked=True), name, name, subject=subject
    )


def packed(values: list[int], bits: int) -> int:
    """Values modulo 2^bits side by side, the first in the lowest bits."""
    mask = (1 << bits) - 1
    return sum((value & mask) << bits * i for i, value in enumerate(values))


def clocked_project(
    name: str,
    title: str,
    modules: Mapping[str, str],
    inputs: Mapping[str, tuple[int, Iterable[int]]],
    unchecked: Iterable[str],
    sum_bits: int,
    expected: list[list[int]],
    checked: NDArray[np.bool_],
    *,
    words: Sequence[str] = ("total",),
) -> Project:
    """A project whose tests apply one word of `inputs` (bits, and a value for each cycle) a cycle
    and, where `checked`, compare the sum of the outputs `words` after the clock edge of that cycle.
    Other outputs are `unchecked`.
    """
    total_bits = sum_bits * len(expected[0])
    widths = {port: bits for port, (bits, _) in inputs.items()}
    cycles = _cycles(inputs, total_bits, sum_bits, expected, checked)
    return Project(
        name=name,
        title=title,
        modules=modules,
        inputs=widths,
        clocked=True,
        bench=_bench(
            name, widths, unchecked, words, total_bits, sum_bits, cycles, int(checked.sum())
        ),
        cocotb_test=clocked_test(
            name, [f"{module}.v" for module in modules], widths, words, total_bits, sum_bits
        ),
        vectors="".join(f"{cycle:x}\n" for cycle in cycles),
    )


def _cycles(
    inputs: Mapping[str, tuple[int, Iterable[int]]],
    total_bits: int,
    sum_bits: int,
    expected: list[list[int]],
    checked: NDArray[np.bool_],
) -> list[int]:
    """A number for each cycle. From the highest bits down: whether total is compared, its value
    then, and the inputs.
    """
    in_bits = sum(bits for bits, _ in inputs.values())
    columns = [(bits, [int(value) for value in values]) for bits, values in inputs.values()]
    words = []
    for cycle, sums in enumerate(expected):
        word = 0
        for bits, values in columns:
            word = word << bits | values[cycle]
        check = int(checked[cycle])
        total = packed(sums, sum_bits) if check else 0
        words.append((check << total_bits | total) << in_bits | word)
    return words


def _bench(
    name: str,
    inputs: Mapping[str, int],
    unchecked: Iterable[str],
    words: Sequence[str],
    total_bits: int,
    sum_bits: int,
    cycles: list[int],
    count: int,
) -> str:
    """A bench that applies a number of `_cycles` a cycle, `count` of which compare the sum of the
    outputs `words`.
    """
    bits = 1 + total_bits + sum(inputs.values())
    contents = "\n".join(f"    cycles[{i}] = {bits}'h{cycle:x};" for i, cycle in enumerate(cycles))
    declarations = "\n".join(
        f"  reg {f'[{width - 1}:0] ' if width > 1 else ''}{port};" for port, width in inputs.items()
    )
    outputs = "\n".join(f"  wire [{total_bits - 1}:0] {word};" for word in words)
    total = words[0]
    if len(words) > 1:
        total = "sum_of_words"
        # Sums side by side have no carry between them.
        slices = [f"[{low + sum_bits - 1}:{low}]" for low in range(0, total_bits, sum_bits)]
        sums = [" + ".join(f"{word}{place}" for word in words) for place in reversed(slices)]
        outputs += f"\n  wire [{total_bits - 1}:0] {total} = {{{', '.join(sums)}}};"
    ports = ", ".join(f".{port}({port})" for port in ("clk", *inputs, *words))
    instance = f"  {name} dut ({ports});"
    if open_ports := "".join(f", .{port}()" for port in unchecked):
        instance = f"""\
  // Registered operands are for the neighbours in an array.
  /* verilator lint_off PINCONNECTEMPTY */
  {name} dut ({ports}{open_ports});
  /* verilator lint_on PINCONNECTEMPTY */"""
    head = comment(
        f"Test bench of {name}: one line of inputs and the expected sums for every cycle.",
        "Prints one line, PASS or FAIL.",
    )
    return f"""\
{head}
{TIMESCALE}\
module {name}_tb;
  parameter PERIOD = 10;
  reg clk;
{declarations}
{outputs}
  // Whether total is compared after the edge, its value then, and the inputs before the edge.
  reg [{bits - 1}:0] cycles [0:{len(cycles) - 1}];
  reg check;
  reg [{total_bits - 1}:0] want, first_total, first_want;
  integer i, first, failures;

{instance}

  initial begin
{contents}
    failures = 0;
    clk = 0;
    for (i = 0; i < {len(cycles)}; i = i + 1) begin
      {{check, want, {", ".join(inputs)}}} = cycles[i];
      #(PERIOD / 2) clk = 1;
      #(PERIOD / 2) clk = 0;
      if (check && {total} !== want) begin
        if (failures == 0) begin
          first = i; first_total = {total}; first_want = want;
        end
        failures = failures + 1;
      end
    end
    if (failures == 0)
      $display("PASS {count} sums");
    else begin
      $display("FAIL %0d of {count} sums, first: cycle %0d total=%h expected=%h",\
 failures, first, first_total, first_want);
{FAIL_SIMULATION}\
    end
    $finish(0);
  end
endmodule
"""
