# amaranth: UnusedElaboratable=no
"""A systolic array of elements of any form, as Amaranth RTL.

Operands of A enter on the left and move right, one element a cycle; the array delays row i by i
cycles (the skew), so that what belongs together is fed in one cycle. A cycle takes as many products
in each element as it has lanes.

*Output-stationary.* Element (i, j) keeps the sum of row i of A times column j of B; operands of B
enter at the top and move down, column j being delayed by j cycles. A matrix product (rows x K) @ (K
x columns) takes

1. ceil(K / lanes) cycles that feed `lanes` columns of A and rows of B each, with `enable` 1 and
   `drain` 0; operands beyond K are zero,
2. rows + columns - 1 cycles with `enable` 0 (with pipelined elements one more), in which the last
   operands reach the last element and are added,
3. `rows` cycles with `drain` 1: the sums move down, and before edge n of these (n = 0 ..) `total`
   shows row `rows` - 1 - n.

Draining shifts zeros in from above, so the array is clear afterwards, and so it is after power-up
once 2 * rows + columns cycles with `enable` 0 and `drain` 1 have passed.

*Weight-stationary.* Element (i, j) keeps `lanes` weights of column j, those of terms i * lanes and
on, and adds their products with activations to the sum that comes from above. A product (P x K) @
(K x columns) of at most rows * lanes terms takes

1. `rows` cycles with `load` 1 and `enable` 0, in which weights move down, those of the last row
   first,
2. P cycles with `enable` 1, one row of A each: `a` has its K terms, zeros beyond K,
3. rows + columns - 1 cycles with `enable` 0 (with pipelined elements one more) until the last sum
   is out.

Sums are not delayed inside: with d = 1, pipelined 2, what `above_total` has of column j in a cycle
is added to the products of the operands that were fed j + d cycles before, and after the edge of a
cycle `total` has column j of those fed rows - 1 + j + d cycles before. So sums of more terms go out
and come in again in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..errors import InputError
from ..multipliers.elaboration import black_box
from .datapath import ElementComponent
from .element import Element

__all__ = ["MAX_SIDE", "SystolicArray", "check_sides", "parse_sides", "skew_registers"]

MAX_SIDE = 64


class SystolicArray(wiring.Component):
    """Rows x columns of chained elements with their skew registers.

    Inputs `a` (rows * lanes operands, row 0 and in it lane 0 in the lowest bits), `b` (columns *
    lanes operands), `enable`, and `drain`, or with weight-stationary elements `load` and
    `above_total` (columns * sum_bits); output `total` (columns * sum_bits): the sums of the lowest
    row, column 0 in the lowest bits. Where a sum is that of two words, there are `above_carries`
    and `carries`, too. Raises InputError for sides outside 1..MAX_SIDE. The elements are part of
    it, or the Verilog module `element_module`.
    """

    def __init__(
        self, element: Element, rows: int, columns: int, *, element_module: str = ""
    ) -> None:
        check_sides(rows, columns)
        self.element, self.rows, self.columns = element, rows, columns
        self.element_module = element_module
        widths, lanes, bits = element.lane.operand_widths, element.lanes, element.sum_bits
        ports = {
            "a": In(rows * lanes * widths.a),
            "b": In(columns * lanes * widths.b),
            "enable": In(1),
        }
        if element.form.keeps_weights:
            ports["load"] = In(1)
            ports |= {f"above_{word}": In(columns * bits) for word in element.words}
        else:
            ports["drain"] = In(1)
        super().__init__(ports | {word: Out(columns * bits) for word in element.words})

    def elaborate(self, platform: object) -> Module:
        m, element, form = Module(), self.element, self.element.form
        widths, lanes, bits = element.lane.operand_widths, element.lanes, element.sum_bits
        flags_b = form.gated and not form.keeps_weights
        late = max(self.rows, self.columns) if flags_b else self.rows
        enables = list(_delayed(m, self.enable, "enable", late))
        above: list[ElementComponent] = []
        for i in range(self.rows):
            size = lanes * widths.a
            *_, a = _delayed(m, self.a[i * size : (i + 1) * size], f"a{i}", i + 1)
            left, enable = a, enables[i]
            if form.gated:
                enable = _nonzero(m, a, widths.a, element.multiplier.width_a, enable, f"row{i}")
            row: list[ElementComponent] = []
            for j in range(self.columns):
                one = ElementComponent(element, chained=True)
                m.submodules[f"element_{i}_{j}"] = (
                    black_box(one, self.element_module, clocked=True)
                    if self.element_module
                    else one
                )
                if above:
                    down: Value = above[j].b_out
                    sums: list[Value] = [getattr(above[j], word) for word in element.words]
                    if form.gated:
                        m.d.comb += one.enable_b.eq(above[j].enable_b_out)
                else:
                    size = lanes * widths.b
                    down = self.b[j * size : (j + 1) * size]
                    if not form.keeps_weights:
                        *_, down = _delayed(m, down, f"b{j}", j + 1)
                    if form.gated:
                        begun = self.load if form.keeps_weights else enables[j]
                        flags = _nonzero(
                            m, down, widths.b, element.multiplier.width_b, begun, f"column{j}"
                        )
                        m.d.comb += one.enable_b.eq(flags)
                    sums = []
                    if form.keeps_weights:
                        sums = [
                            getattr(self, f"above_{word}")[j * bits : (j + 1) * bits]
                            for word in element.words
                        ]
                for word, value in zip(element.words, sums, strict=bool(sums)):
                    m.d.comb += getattr(one, f"above_{word}").eq(value)
                m.d.comb += [one.a.eq(left), one.b.eq(down), one.enable.eq(enable)]
                if form.keeps_weights:
                    m.d.comb += one.load.eq(self.load)
                else:
                    m.d.comb += one.clear.eq(self.drain)
                left, enable = one.a_out, one.enable_out
                row.append(one)
            above = row
        for j, one in enumerate(above):
            for word in element.words:
                m.d.comb += getattr(self, word)[j * bits : (j + 1) * bits].eq(getattr(one, word))
        return m


def _delayed(m: Module, value: Value, name: str, count: int) -> Iterator[Value]:
    """`value` after 0, 1, .., count - 1 cycles."""
    yield value
    for cycle in range(1, count):
        register = Signal(len(value), name=f"{name}_skew{cycle}")
        m.d.sync += register.eq(value)
        value = register
        yield value


def _nonzero(
    m: Module, operands: Value, width: int, magnitude: int, enable: Value, name: str
) -> Value:
    """The flags of the lanes of which the operand, `width` bits with its sign, is other than zero
    in its `magnitude` bits, where `enable` is 1.
    """
    flags = Signal(len(operands) // width, name=f"{name}_nonzero")
    m.d.comb += flags.eq(
        Cat(
            operands[start : start + magnitude].any() & enable
            for start in range(0, len(operands), width)
        )
    )
    return flags


def parse_sides(text: str) -> tuple[int, int]:
    """Reads rows and columns of an array, `8x8`. Raises InputError."""
    match = re.fullmatch(r"(\d{1,3})x(\d{1,3})", text, re.ASCII)
    if match is None:
        raise InputError(f"array {text!r} is not ROWSxCOLUMNS; write for example 8x8")
    rows, columns = int(match[1]), int(match[2])
    check_sides(rows, columns)
    return rows, columns


def check_sides(rows: int, columns: int) -> None:
    """Raises InputError for sides outside 1..MAX_SIDE."""
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE):
        raise InputError(
            f"an array of {rows} x {columns} elements is outside 1 x 1 .. {MAX_SIDE} x "
            f"{MAX_SIDE}; give ROWSxCOLUMNS"
        )


def skew_registers(element: Element, rows: int, columns: int) -> int:
    """One-bit registers that the skew takes: row i delays its operands by i cycles, and unless
    weights stay, column j by j; enables pass along the rows' edge, and where registers hold for
    zeros along the columns' as well.
    """
    form, widths = element.form, element.lane.operand_widths
    a = rows * (rows - 1) // 2 * element.lanes * widths.a
    if form.keeps_weights:
        return a + rows - 1
    b = columns * (columns - 1) // 2 * element.lanes * widths.b
    return a + b + (max(rows, columns) if form.gated else rows) - 1
