"""Export: a multiplier as plain Verilog-2001, a test bench that checks itself, and timing
constraints.

Products are checked against the table that the error metrics were computed from, so that whoever
synthesizes the design elsewhere can tell that it still has the errors it was chosen for.
"""

from __future__ import annotations

import importlib.metadata
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import yosys
from ..errors import MissingError
from ..files import MissingFileError, write_whole
from ..multipliers.multiplier import Multiplier
from ..operands import Widths
from ..yosys import gate_netlist

__all__ = [
    "ExportError",
    "comment",
    "constraints",
    "export",
    "test_bench",
    "verilog",
    "write_texts",
    "written_by",
]

MAX_EXHAUSTIVE_BENCH_BITS = 20
"""A test bench tries all pairs of operands of up to this many bits together, half of which may be
b's.
"""

SAMPLED_PAIRS = 1 << 16
"""Operand pairs that a test bench of a wider multiplier tries."""

_PAIRS_PER_ROW = 256


class ExportError(MissingError):
    """A place that cannot be written: one line with the path and the reason."""


def verilog(multiplier: Multiplier) -> str:
    """The multiplier as one Verilog-2001 module `multiplier.identifier`, flattened, with the ports
    a, b, p in this order.
    """
    return (
        _header(multiplier)
        + "\n"
        + _module(multiplier.rtlil(), multiplier.identifier, multiplier.name)
    )


def _module(circuit: str, name: str, subject: str) -> str:
    commands = [
        "read_rtlil in.il",
        "hierarchy -top multiplier",
        "proc",
        "flatten -noscopeinfo",
        "opt_clean",
    ]
    commands += [
        "rename -enumerate -pattern _n%_",
        f"rename multiplier {name}",
        "write_verilog -noattr -norename out.v",
    ]
    text = yosys.run(
        commands, inputs={"in.il": circuit}, outputs=["out.v"], subject=f"Verilog of {subject}"
    )["out.v"]
    return text[text.index("module ") :].rstrip() + "\n"


def test_bench(multiplier: Multiplier) -> str:
    """A Verilog-2001 test bench, module `<identifier>_tb`, with the expected products inside.

    It prints exactly one line, `PASS <n> pairs` or `FAIL <m> of <n> pairs, first: ...`, and ends
    the simulation. Up to 10 x 10 bits it tries every operand pair, beyond that corners and random
    pairs, SAMPLED_PAIRS together. Its parameter STEP is the time for a product to settle, in ns.
    """
    gates = gate_netlist.gates(multiplier.rtlil(), subject=multiplier.name)
    widths, bits = multiplier.widths, multiplier.width_p
    # The products of one a are one word of the bench, and simulators bound its length.
    if widths.product <= MAX_EXHAUSTIVE_BENCH_BITS and widths.b <= MAX_EXHAUSTIVE_BENCH_BITS // 2:
        products: NDArray[np.int64] = gates.evaluate_all().astype(np.int64)
        coverage = "every pair of operand codes"
        memories = [_memory("expected", products, bits)]
        operands = "a = i; b = j;"
    else:
        a, b = _sampled_operands(widths)
        products = gates.evaluate(a, b)
        coverage = f"corner cases and random operands, {products.size} pairs together"
        memories = [
            _memory("expected", products, bits),
            _memory("operands", a << widths.b | b, widths.product),
        ]
        operands = f"{{a, b}} = operands[i][{widths.product} * j +: {widths.product}];"
    name, top = multiplier.identifier, bits - 1
    declarations = "".join(f"  {declaration}\n" for declaration, _ in memories)
    contents = "".join(f"    {line}\n" for _, lines in memories for line in lines)
    return f"""\
{comment(f"Test bench of {multiplier.name}: tries {coverage}.", "Prints one line, PASS or FAIL.")}
`timescale 1ns / 1ps
module {name}_tb;
  parameter STEP = 10;
{_operand_registers("a", "b", widths)}  wire [{top}:0] p;
  // Row i, lowest bits first: the product codes of the pairs (i, 0), (i, 1), ...
{declarations}\
  reg [{top}:0] want, first_p, first_want;
{_operand_registers("first_a", "first_b", widths)}  integer i, j, failures;

  {name} dut (.a(a), .b(b), .p(p));

  initial begin
{contents}\
    failures = 0;
    for (i = 0; i < {products.shape[0]}; i = i + 1)
      for (j = 0; j < {products.shape[1]}; j = j + 1) begin
        {operands}
        #STEP want = expected[i][{bits} * j +: {bits}];
        if (p !== want) begin
          if (failures == 0) begin
            first_a = a; first_b = b; first_p = p; first_want = want;
          end
          failures = failures + 1;
        end
      end
    if (failures == 0)
      $display("PASS {products.size} pairs");
    else
      $display("FAIL %0d of {products.size} pairs, first: a=%h b=%h p=%h expected=%h",\
 failures, first_a, first_b, first_p, first_want);
    $finish(0);
  end
endmodule
"""


def constraints(multiplier: Multiplier, *, max_delay_ns: float = 10.0) -> str:
    """Synopsys Design Constraints for a flow whose library counts time in ns: one delay limit, no
    clock.
    """
    return f"""\
# {_ascii(multiplier.name)}: combinational, from the operands a and b to the product p.
# Set the limit to the share of the clock period that the multiplier may take, in the library's\
 time unit (here ns).
set max_delay {max_delay_ns:g}
set_max_delay $max_delay -from [get_ports {{a[*] b[*]}}] -to [get_ports {{p[*]}}]
# Driving cell and load depend on the library and the surroundings:
# set_driving_cell -lib_cell <buffer> [get_ports {{a[*] b[*]}}]
# set_load <capacitance> [get_ports {{p[*]}}]
"""


def export(multiplier: Multiplier, folder: Path | str) -> list[Path]:
    """Writes `<identifier>.v`, `<identifier>_tb.v` and `<identifier>.sdc` into `folder`, made if
    absent. Raises ExportError.
    """
    name = multiplier.identifier
    texts = {
        f"{name}.v": verilog(multiplier),
        f"{name}_tb.v": test_bench(multiplier),
        f"{name}.sdc": constraints(multiplier),
    }
    return write_texts(texts, Path(folder))


def write_texts(texts: Mapping[str, str], folder: Path) -> list[Path]:
    """Writes files of the given names and texts into `folder`, made if absent. Raises
    ExportError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            write_whole(folder / file, text.encode("ascii"))
    except OSError as error:
        raise ExportError(
            f"{folder}: cannot write Verilog there ({error.strerror or error}); choose another "
            "folder"
        ) from error
    except MissingFileError as error:
        raise ExportError(str(error)) from error
    return [folder / file for file in texts]


def _header(multiplier: Multiplier) -> str:
    sign = "signed" if multiplier.signed else "unsigned"
    what = (
        f"{multiplier.identifier}: {multiplier.width_a} x {multiplier.width_b} bit {sign} "
        f"multiplier {multiplier.name}"
    )
    return comment(what, "", *multiplier.description, written_by())


def comment(*lines: str) -> str:
    """A Verilog comment of these lines, in ASCII."""
    return "\n".join(f"// {_ascii(line)}".rstrip() for line in lines)


def _ascii(text: str) -> str:
    """One line of ASCII: comments of a file that any tool reads, which nothing can end early."""
    letters = unicodedata.normalize("NFKD", text.replace("\N{MULTIPLICATION SIGN}", "x"))
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(letters.encode("ascii", "replace").decode().split())


def written_by() -> str:
    """The line of a header that says what wrote the file."""
    try:
        version = importlib.metadata.version("ameliorate")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed)"
    return f"Written by Ameliorate {version} with Yosys {yosys.version()}."


def _memory(name: str, values: NDArray[np.int64], bits: int) -> tuple[str, Iterator[str]]:
    """Declaration and assignments of a memory whose words are the rows of `values`, the first value
    in the lowest bits.
    """
    rows, columns = values.shape
    return f"reg [{bits * columns - 1}:0] {name} [0:{rows - 1}];", (
        f"{name}[{row}] = {bits * columns}'h{_hexadecimal(values[row], bits)};"
        for row in range(rows)
    )


def _hexadecimal(values: NDArray[np.int64], bits: int) -> str:
    binary = (values[:, None] >> np.arange(bits) & 1).astype(np.uint8).ravel()
    return np.packbits(binary, bitorder="little")[::-1].tobytes().hex()


def _operand_registers(a: str, b: str, widths: Widths) -> str:
    """Declarations of a register for each operand."""
    if widths.a == widths.b:
        return f"  reg [{widths.a - 1}:0] {a}, {b};\n"
    return f"  reg [{widths.a - 1}:0] {a};\n  reg [{widths.b - 1}:0] {b};\n"


def _sampled_operands(widths: Widths) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of corner codes and random pairs, in rows of `_PAIRS_PER_ROW`; the same at every
    call.
    """
    corners = np.array(np.meshgrid(*(_corner_codes(width) for width in widths))).reshape(2, -1)
    rng = np.random.default_rng(max(widths))
    random = [rng.integers(0, 1 << width, SAMPLED_PAIRS - corners.shape[1]) for width in widths]
    a, b = np.concatenate([corners, random], axis=1).reshape(2, -1, _PAIRS_PER_ROW)
    return a, b


def _corner_codes(width: int) -> NDArray[np.int64]:
    top = 1 << width - 1
    return np.unique(
        np.array([0, 1, 2, 3, top - 1, top, top + 1, 2 * top - 2, 2 * top - 1]) % (2 * top)
    )
