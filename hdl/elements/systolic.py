# amaranth: UnusedElaboratable=no
"""An output-stationary systolic array of multiply-accumulate elements, as Amaranth RTL.

Element (i, j) keeps the sum of row i of A times column j of B. Operands of A enter on the left and
move right, those of B enter at the top and move down, one element a cycle; the array delays row i
by i cycles and column j by j cycles itself (the skew), so that one step of the product, column k of
A and row k of B, is fed in one cycle with `enable` at 1.

A matrix product (rows x K) @ (K x columns) takes

1. K cycles that feed the steps k = 0 .. K-1 with `enable` 1 and `drain` 0,
2. rows + columns - 1 cycles with `enable` 0 (with `pipelined` elements one more), in which the last
   operands reach the last element and are added,
3. `rows` cycles with `drain` 1: the sums move down, and before edge n of these (n = 0 ..) `total`
   shows row `rows` - 1 - n.

Draining shifts zeros in from above, so the array is clear afterwards, and so it is after power-up
once 2 * rows + columns cycles with `enable` 0 and `drain` 1 have passed.
"""

from __future__ import annotations

from collections.abc import Iterator

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..errors import InputError
from ..multipliers.elaboration import black_box
from .mac import MacSpec, ProcessingElement

__all__ = ["MAX_SIDE", "SystolicArray", "check_sides", "skew_registers"]

MAX_SIDE = 64


class SystolicArray(wiring.Component):
    """Rows x columns of chained processing elements with their skew registers.

    Inputs `a` (rows * operand_widths.a, row 0 in the lowest bits), `b` (columns * operand_widths.b,
    column 0 in the lowest bits), `enable` and `drain`; output `total` (columns * accumulator_bits):
    the sums of the lowest row, column 0 in the lowest bits. Raises InputError for sides outside
    1..MAX_SIDE. The elements are part of it, or the Verilog module `element_module`.
    """

    def __init__(self, spec: MacSpec, rows: int, columns: int, *, element_module: str = "") -> None:
        check_sides(rows, columns)
        self.spec, self.rows, self.columns = spec, rows, columns
        self.element_module = element_module
        widths, bits = spec.operand_widths, spec.accumulator_bits
        inputs = {
            "a": In(rows * widths.a),
            "b": In(columns * widths.b),
            "enable": In(1),
            "drain": In(1),
        }
        super().__init__({**inputs, "total": Out(columns * bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        widths, bits = self.spec.operand_widths, self.spec.accumulator_bits
        enables = list(_delayed(m, self.enable, "enable", self.rows))
        above: list[ProcessingElement] = []
        for i in range(self.rows):
            *_, a = _delayed(m, self.a[i * widths.a : (i + 1) * widths.a], f"a{i}", i + 1)
            left, enable = a, enables[i]
            row: list[ProcessingElement] = []
            for j in range(self.columns):
                element = ProcessingElement(self.spec, chained=True)
                inside = (
                    black_box(element, self.element_module, clocked=True)
                    if self.element_module
                    else element
                )
                m.submodules[f"element_{i}_{j}"] = inside
                if above:
                    down: Value = above[j].b_out
                    m.d.comb += element.above.eq(above[j].total)
                else:
                    *_, down = _delayed(
                        m, self.b[j * widths.b : (j + 1) * widths.b], f"b{j}", j + 1
                    )
                m.d.comb += [
                    element.a.eq(left),
                    element.b.eq(down),
                    element.enable.eq(enable),
                    element.clear.eq(self.drain),
                ]
                left, enable = element.a_out, element.enable_out
                row.append(element)
            above = row
        for j, element in enumerate(above):
            m.d.comb += self.total[j * bits : (j + 1) * bits].eq(element.total)
        return m


def _delayed(m: Module, value: Value, name: str, count: int) -> Iterator[Value]:
    """`value` after 0, 1, .., count - 1 cycles."""
    yield value
    for cycle in range(1, count):
        register = Signal(len(value), name=f"{name}_skew{cycle}")
        m.d.sync += register.eq(value)
        value = register
        yield value


def check_sides(rows: int, columns: int) -> None:
    """Raises InputError for sides outside 1..MAX_SIDE."""
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE):
        raise InputError(
            f"an array of {rows} x {columns} elements is outside 1 x 1 .. {MAX_SIDE} x "
            f"{MAX_SIDE}; give ROWSxCOLUMNS"
        )


def skew_registers(spec: MacSpec, rows: int, columns: int) -> int:
    """One-bit registers that the skew takes: row i delays its operand by i cycles, column j by j,
    and enables pass along the rows' edge.
    """
    widths = spec.operand_widths
    return rows * (rows - 1) // 2 * widths.a + columns * (columns - 1) // 2 * widths.b + rows - 1
