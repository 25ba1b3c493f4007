"""Export of a multiplier: plain Verilog-2001, a test bench that checks itself, and what other tools
need to build it.

Products are checked against the table that the error metrics were computed from, so that whoever
synthesizes the design elsewhere can tell that it still has the errors it was chosen for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..multipliers.multiplier import Multiplier
from ..operands import Widths
from ..yosys import gate_netlist
from .cocotb_tests import combinational_test
from .project import Project, write_project
from .texts import comment, written_by
from .verilog_module import FAIL_SIMULATION, TIMESCALE, verilog_module

__all__ = ["export", "project", "verilog"]

MAX_EXHAUSTIVE_BENCH_BITS = 20
"""A test bench tries all pairs of operands of up to this many bits together, half of which may be
b's.
"""

SAMPLED_PAIRS = 1 << 16
"""Operand pairs that a test bench of a wider multiplier tries."""

_PAIRS_PER_ROW = 256


def verilog(multiplier: Multiplier) -> str:
    """The multiplier as one Verilog-2001 module `multiplier.identifier`, flattened, with the ports
    a, b, p in this order.
    """
    module = verilog_module(
        multiplier.rtlil(), "multiplier", multiplier.identifier, subject=multiplier.name
    )
    return f"{comment(_title(multiplier), '', *multiplier.description, written_by())}\n{module}"


def project(multiplier: Multiplier) -> Project:
    """The multiplier with its tests, for other tools to build."""
    name, widths, trial = multiplier.identifier, multiplier.widths, _Trial.of(multiplier)
    return Project(
        name=name,
        title=_title(multiplier),
        modules={name: verilog(multiplier)},
        inputs={"a": widths.a, "b": widths.b},
        clocked=False,
        bench=_bench(multiplier, trial),
        cocotb_test=combinational_test(
            name, [f"{name}.v"], widths, multiplier.width_p, trial.columns, trial.coverage
        ),
        vectors="".join(f"{line}\n" for line in trial.lines(widths, multiplier.width_p)),
    )


def export(multiplier: Multiplier, folder: Path | str) -> list[Path]:
    """Writes the project of the multiplier into the folder `<identifier>` of `folder`, made if
    absent: `<identifier>.v`, `<identifier>_tb.v`, `<identifier>.sdc` and what tools want, in this
    order. Raises ExportError.
    """
    return write_project(project(multiplier), folder)


def _title(multiplier: Multiplier) -> str:
    sign = "signed" if multiplier.signed else "unsigned"
    return (
        f"{multiplier.identifier}: {multiplier.width_a} x {multiplier.width_b} bit {sign} "
        f"multiplier {multiplier.name}"
    )


@dataclass(frozen=True)
class _Trial:
    """What a test tries: up to 10 x 10 bits every operand pair, beyond that corners and random
    pairs, SAMPLED_PAIRS together.

    Attributes:
        products: the expected product codes, in rows.
        operands: codes a and b of each; None where row and column are the codes.
        coverage: which pairs these are.
    """

    products: NDArray[np.int64]
    operands: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    coverage: str

    @classmethod
    def of(cls, multiplier: Multiplier) -> _Trial:
        gates = gate_netlist.gates(multiplier.rtlil(), subject=multiplier.name)
        widths = multiplier.widths
        # The products of one a are one word of the bench, and simulators bound its length.
        half = MAX_EXHAUSTIVE_BENCH_BITS // 2
        if widths.product <= MAX_EXHAUSTIVE_BENCH_BITS and widths.b <= half:
            products = gates.evaluate_all().astype(np.int64)
            return cls(products, None, "every pair of operand codes")
        a, b = _sampled_operands(widths)
        products = gates.evaluate(a, b)
        pairs = f"corner cases and random operands, {products.size} pairs together"
        return cls(products, (a, b), pairs)

    @property
    def columns(self) -> int:
        """Pairs of a row."""
        return int(self.products.shape[1])

    def operand_words(self, widths: Widths) -> NDArray[np.int64] | None:
        """The codes of a pair as one number, a above b."""
        return None if self.operands is None else self.operands[0] << widths.b | self.operands[1]

    def lines(self, widths: Widths, bits: int) -> Iterator[str]:
        """The rows in hexadecimal, the first pair in the lowest bits: operands, where they are
        needed, and products.
        """
        operands = self.operand_words(widths)
        for row, products in enumerate(self.products):
            word = _hexadecimal(products, bits)
            yield (
                word
                if operands is None
                else f"{_hexadecimal(operands[row], widths.product)} {word}"
            )


def _bench(multiplier: Multiplier, trial: _Trial) -> str:
    """A Verilog-2001 test bench, module `<identifier>_tb`, with the expected products inside.

    It prints exactly one line, `PASS <n> pairs` or `FAIL <m> of <n> pairs, first: ...`, and ends
    the simulation. Its parameter STEP is the time for a product to settle, in ns.
    """
    name, widths, bits = multiplier.identifier, multiplier.widths, multiplier.width_p
    products, pairs = trial.products, trial.products.size
    memories = [_memory("expected", products, bits)]
    operands = f"a = i[{widths.a - 1}:0]; b = j[{widths.b - 1}:0];"
    words = trial.operand_words(widths)
    if words is not None:
        memories.append(_memory("operands", words, widths.product))
        operands = f"{{a, b}} = operands[i][{widths.product} * j +: {widths.product}];"
    declarations = "".join(f"  {declaration}\n" for declaration, _ in memories)
    contents = "".join(f"    {line}\n" for _, lines in memories for line in lines)
    about = f"Test bench of {multiplier.name}: tries {trial.coverage}."
    return f"""\
{comment(about, "Prints one line, PASS or FAIL.")}
{TIMESCALE}\
module {name}_tb;
  parameter STEP = 10;
{_operand_registers("a", "b", widths)}  wire [{bits - 1}:0] p;
  // Row i, lowest bits first: the product codes of the pairs (i, 0), (i, 1), ...
{declarations}\
  reg [{bits - 1}:0] want, first_p, first_want;
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
      $display("PASS {pairs} pairs");
    else begin
      $display("FAIL %0d of {pairs} pairs, first: a=%h b=%h p=%h expected=%h",\
 failures, first_a, first_b, first_p, first_want);
{FAIL_SIMULATION}\
    end
    $finish(0);
  end
endmodule
"""


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
