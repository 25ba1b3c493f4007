# amaranth: UnusedElaboratable=no
"""Elements as Amaranth RTL: multipliers in lanes, one accumulator, and their registers.

Timing: operands and `enable` are registered at a clock edge; at the next one the products of all
lanes are added to the sum where `enable` was 1. An output-stationary element keeps the sum, and
starts again from zero where `clear` is 1 at that second edge. A weight-stationary one takes a new
weight where `load` is 1, and its new sum is the products added to the sum `above`. A pipelined
element registers what the lanes add up to and adds it one edge later. Nothing has a reset: hold
`clear` for a few edges while `enable` is 0.

Where registers hold for zeros, each lane has a flag that neither operand was zero, `live`, in place
of `enable`. Its operands move at an edge only where the flag becomes 1, so that the multiplier
stands still otherwise, and the flag takes the old product out of the sum. In a `mac` the
accumulator, and with a pipeline the product, hold as well.

A chained element is one of an array: it hands its operands on to its neighbours, and on `clear` an
output-stationary one takes the sum from above in place of zero, so that sums can be moved out.
Where registers hold for zeros, each holds for its own operand alone, since the neighbour may need
the other one: flags that an operand is not zero come and go with it, and a lane counts where both
do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..circuits.adders import full_adder, prefix_add, ripple_add, wire
from ..circuits.columns import Adder, Columns
from ..multipliers.elaboration import component_rtlil, with_multiplier
from ..operands import OperandEncoding
from .element import Element
from .mac import addend_of, product_of_lane

__all__ = ["ElementComponent", "ElementDatapath", "add_lanes", "element_rtlil", "stage_bits"]


@dataclass(frozen=True)
class _State:
    """What the logic sees: the registers of the operands, lane by lane, `live` (a flag for every
    lane that holds, else the enable), the words that the sum starts from, and `clear`; with a
    pipeline the registers behind the lanes.
    """

    a: Sequence[Value]
    b: Sequence[Value]
    live: Value
    start: Sequence[Value]
    clear: Value
    stage: Value | None = None
    working: Value | None = None


def stage_bits(element: Element) -> int:
    """Bits that a pipeline register holds: of one product with its sign, or of the sum of all
    lanes' products.
    """
    return element.lane.product_bits if element.lanes == 1 else element.lane_sum_bits


def element_rtlil(element: Element, *, chained: bool = False) -> str:
    """RTLIL text of the logic between the registers of an element, top module `multiplier` as
    `hdl.cost.synthesis` takes it.
    """
    return with_multiplier(
        component_rtlil(ElementDatapath(element, chained=chained), "multiplier"), element.multiplier
    )


def _adder(element: Element) -> Adder:
    """The adder of what has to be one word."""
    return ripple_add if element.form.adder == "ripple" else prefix_add


def add_lanes(
    columns: Columns,
    element: Element,
    a: Sequence[Value],
    b: Sequence[Value],
    live: Value,
    module: str = "",
) -> None:
    """Adds the products of the operands of all lanes, one column diagram for all of them.

    A flag of `live` takes a product out of the sum behind the multiplier, which can stand still,
    and where partial products are merged before them, by a weight of zero.
    """
    m, spec = columns.m, element.lane
    widths, signs = spec.multiplier.widths, spec.encoding is OperandEncoding.SIGN_MAGNITUDE
    for index, (x, y) in enumerate(zip(a, b, strict=True)):
        flag = live[index] if element.form.gated else Const(1, 1)
        lane, name = Columns(m, columns.width), f"lane{index}"
        if element.merged:
            factor = _masked(m, y[: widths.b], flag, f"{name}_b")
            spec.multiplier.merge_into(lane, x[: widths.a], factor)
        else:
            product = product_of_lane(m, spec, module, x, y, f"multiplier{index}")
            bits = _masked(m, product[: spec.multiplier.width_p], flag, f"{name}_product")
            for weight, bit in enumerate(bits):
                negative = spec.encoding.signed and weight == len(bits) - 1
                (lane.subtract if negative else lane.add)(weight, bit)
        sign = _masked(m, (x[-1] ^ y[-1]) if signs else Const(0, 1), flag, f"{name}_negative")
        columns.include(lane, sign[0] if signs else None)


def _masked(m: Module, value: Value, live: Value, name: str) -> Value:
    """Named bits of a value, or zeros where `live` is 0."""
    masked = Signal(len(value), name=name)
    known = isinstance(live, Const)
    m.d.comb += masked.eq(value if known else value & live.replicate(len(value)))
    return masked


def _stage(m: Module, element: Element, state: _State, module: str) -> Value:
    """What a pipeline register takes."""
    if element.lanes == 1:
        return product_of_lane(m, element.lane, module, state.a[0], state.b[0])
    columns = Columns(m, stage_bits(element))
    add_lanes(columns, element, state.a, state.b, state.live, module)
    return columns.sum(name="lane_sum", adder=_adder(element))


def _words(
    m: Module, element: Element, columns: Sequence[Sequence[Value]], carry: Value | None = None
) -> list[Value]:
    """The sum of columns of up to two bits, or of up to three where the accumulator is two words,
    as the words of the accumulator.
    """
    if element.form.adder != "carry_save":
        return [Cat(_adder(element)(m, columns, carry=carry))]
    totals: list[Value] = []
    carries: list[Value] = [Const(0, 1) if carry is None else carry]
    if all(len(column) < 3 for column in columns):
        assert carry is None, "two words have no place for a carry"
        padded = [[*column, Const(0, 1), Const(0, 1)] for column in columns]
        return [Cat(column[place] for column in padded) for place in (0, 1)]
    for position, column in enumerate(columns):
        x, y, z, *_ = [*column, Const(0, 1), Const(0, 1)]
        total, over = full_adder(m, x, y, z, f"save{position}")
        totals.append(total)
        carries.append(over)
    return [Cat(totals), Cat(carries[: len(columns)])]


def _next_words(m: Module, element: Element, state: _State, module: str) -> list[Value]:
    """The next value of every word of the accumulator."""
    form, bits = element.form, element.sum_bits
    starts = [Signal(bits, name=f"start_{name}") for name in element.words]
    m.d.comb += [start.eq(value) for start, value in zip(starts, state.start, strict=True)]
    if element.lanes > 1 and not form.pipelined:
        columns = Columns(m, bits)
        for start in starts:
            for weight in range(bits):
                columns.add(weight, start[weight])
        add_lanes(columns, element, state.a, state.b, state.live, module)
        words = _words(m, element, columns.reduced())
        if form.gated:
            return words
        return [Mux(state.live, word, start) for word, start in zip(words, starts, strict=True)]

    working = state.live if state.working is None else state.working
    product = _stage(m, element, state, module) if state.stage is None else state.stage
    carry: Value | None = None
    if element.lanes == 1:
        # While the accumulator holds, the old product may stand: nothing has to move.
        held = form.gated and not form.keeps_weights
        used = wire(m, working | ~state.clear, "counts") if held else working
        addend, carry = addend_of(m, element.lane, product, used)
    else:
        used_bits = [
            bit if form.gated else wire(m, bit & working, f"used{place}")
            for place, bit in enumerate(product)
        ]
        fill = used_bits[-1] if element.lane.signed_sum else Const(0, 1)
        addend = (used_bits + [fill] * bits)[:bits]
    rows = [[*(start[weight] for start in starts), addend[weight]] for weight in range(bits)]
    return _words(m, element, rows, carry)


def _next_live(element: Element, a: Sequence[Value], b: Sequence[Value], enable: Value) -> Value:
    """The flags of the lanes whose next operands a and b are both other than zero."""
    widths = element.multiplier.widths
    return Cat(
        x[: widths.a].any() & y[: widths.b].any() & enable for x, y in zip(a, b, strict=True)
    )


class ElementDatapath(wiring.Component):
    """What lies between the registers of an element: combinational.

    Inputs are the registers: `a0`, `b0`, `a1`, .. of the lanes, `live`, the words of the
    accumulator (of the neighbour's, `above_` in front, in a weight-stationary element, and of both
    in a chained one), with a pipeline `stage` and, except in lanes with flags, `working`; and
    `clear`. Outputs are their next values: `next_total`, .. of the words, `next_stage`, and with
    flags `next_live`, which the next operands `next_a0`, .. and `next_enable` lead to. In a chained
    element the flags of the operands, `enable` and `enable_b`, are in the place of all these.
    """

    def __init__(self, element: Element, *, chained: bool = False) -> None:
        self.element, self.chained = element, chained
        form, widths, bits = element.form, element.lane.operand_widths, element.sum_bits
        lanes = range(element.lanes)
        ports = {
            **{f"a{lane}": In(widths.a) for lane in lanes},
            **{f"b{lane}": In(widths.b) for lane in lanes},
        }
        if form.gated and chained:
            ports |= {"enable": In(element.lanes), "enable_b": In(element.lanes)}
        elif form.gated:
            ports |= {f"next_a{lane}": In(widths.a) for lane in lanes}
            if not form.keeps_weights:
                ports |= {f"next_b{lane}": In(widths.b) for lane in lanes}
            ports["next_enable"] = In(1)
        if not (form.gated and chained):
            ports["live"] = In(element.lanes if form.gated else 1)
        if chained or form.keeps_weights:
            ports |= {f"above_{word}": In(bits) for word in element.words}
        if not form.keeps_weights:
            ports |= {word: In(bits) for word in element.words} | {"clear": In(1)}
        if form.pipelined:
            ports["stage"] = In(stage_bits(element))
            if element.lanes == 1 or not form.gated:
                ports["working"] = In(1)
        ports |= {f"next_{word}": Out(bits) for word in element.words}
        if form.pipelined:
            ports["next_stage"] = Out(stage_bits(element))
        if form.gated and not chained:
            ports["next_live"] = Out(element.lanes)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m, element, form = Module(), self.element, self.element.form
        lanes = range(element.lanes)
        a, b = ([getattr(self, f"{name}{lane}") for lane in lanes] for name in "ab")
        flags = form.gated and self.chained
        state = _State(
            a,
            b,
            self.enable & self.enable_b if flags else self.live,
            _started(self, element),
            _clear(self, element),
            getattr(self, "stage", None),
            getattr(self, "working", None),
        )
        if form.pipelined:
            m.d.comb += self.next_stage.eq(_stage(m, element, state, ""))
        words = _next_words(m, element, state, "")
        for name, word in zip(element.words, words, strict=True):
            m.d.comb += getattr(self, f"next_{name}").eq(word)
        if form.gated and not self.chained:
            next_a = [getattr(self, f"next_a{lane}") for lane in lanes]
            next_b = b if form.keeps_weights else [getattr(self, f"next_b{lane}") for lane in lanes]
            m.d.comb += self.next_live.eq(_next_live(element, next_a, next_b, self.next_enable))
        return m


def _clear(ports: Any, element: Element) -> Value:
    """The input that starts a new sum; a weight-stationary element has none."""
    clear: Value = Const(0, 1) if element.form.keeps_weights else ports.clear
    return clear


def _started(ports: Any, element: Element) -> list[Value]:
    """The words that the next sum starts from: the neighbour's in a weight-stationary element, else
    its own, and where it is cleared the neighbour's in a chained one, or zero.
    """
    above = [getattr(ports, f"above_{word}", None) for word in element.words]
    if element.form.keeps_weights:
        return [word for word in above if word is not None]
    clear, started = ports.clear, []
    for word, neighbour in zip(element.words, above, strict=True):
        mask = clear.replicate(element.sum_bits)
        start = getattr(ports, word) & ~mask
        started.append(start if neighbour is None else start | neighbour & mask)
    return started


class ElementComponent(wiring.Component):
    """An element with its registers.

    Inputs `a` and `b` (lane 0 in the lowest bits), `enable`, and `clear`, or on a weight-stationary
    element `load` and `above_total` (and `above_carries`); outputs `total`, and `carries` where the
    sum is that of two words. A `chained` one has `above_total` in any case, and outputs for its
    neighbours, `a_out`, `b_out` and `enable_out`; where registers hold for zeros, `enable` has a
    bit for each lane, 1 where its `a` is to be multiplied and not zero, and `enable_b`, which goes
    out as `enable_b_out`, says the same of `b`. The multipliers are part of it, or the Verilog
    module `multiplier_module`, where partial products are not merged.
    """

    def __init__(
        self, element: Element, *, chained: bool = False, multiplier_module: str = ""
    ) -> None:
        self.element, self.chained = element, chained
        self.multiplier_module = multiplier_module
        widths, bits, lanes = element.lane.operand_widths, element.sum_bits, element.lanes
        self._flags = chained and element.form.gated
        flags = {"enable": lanes, "enable_b": lanes} if self._flags else {"enable": 1}
        handed = {"a": lanes * widths.a, "b": lanes * widths.b, **flags}
        ports = {name: In(size) for name, size in handed.items()}
        ports["load" if element.form.keeps_weights else "clear"] = In(1)
        if chained or element.form.keeps_weights:
            ports |= {f"above_{word}": In(bits) for word in element.words}
        if chained:
            ports |= {f"{name}_out": Out(size) for name, size in handed.items()}
        super().__init__(ports | {word: Out(bits) for word in element.words})

    def elaborate(self, platform: object) -> Module:
        m, element, form = Module(), self.element, self.element.form
        widths, lanes = element.lane.operand_widths, range(element.lanes)
        next_a = [self.a[lane * widths.a : (lane + 1) * widths.a] for lane in lanes]
        next_b = [self.b[lane * widths.b : (lane + 1) * widths.b] for lane in lanes]
        a = [Signal(widths.a, name=f"a{lane}") for lane in lanes]
        b = [Signal(widths.b, name=f"b{lane}") for lane in lanes]
        words: list[Value] = [getattr(self, word) for word in element.words]
        clear = _clear(self, element)
        live = Signal(element.lanes if form.gated else 1, name="live")
        stage: Signal | None = None
        working: Signal | None = None
        if form.pipelined:
            stage = Signal(stage_bits(element), name="stage")
            working = Signal(name="working")
        state = _State(a, b, live, _started(self, element), clear, stage, working)

        moves_a: list[Value] = [Const(1, 1)] * element.lanes
        moves_b = moves_a
        if self._flags:
            moves_a, moves_b = list(self.enable), list(self.enable_b)
            m.d.comb += live.eq(self.enable_out & self.enable_b_out)
            m.d.sync += self.enable_out.eq(self.enable)
            with m.If(self.load if form.keeps_weights else Const(1, 1)):
                m.d.sync += self.enable_b_out.eq(self.enable_b)
        elif form.gated:
            seen_b = b if form.keeps_weights else next_b
            flags = Signal(element.lanes, name="next_live")
            m.d.comb += flags.eq(_next_live(element, next_a, seen_b, self.enable))
            moves_a = moves_b = list(flags)
            m.d.sync += live.eq(flags)
        else:
            m.d.sync += live.eq(self.enable)
        for lane in lanes:
            with m.If(moves_a[lane]):
                m.d.sync += a[lane].eq(next_a[lane])
            with m.If(self.load if form.keeps_weights else moves_b[lane]):
                m.d.sync += b[lane].eq(next_b[lane])
        if self.chained:
            m.d.comb += [self.a_out.eq(Cat(a)), self.b_out.eq(Cat(b))]
            if not self._flags:
                m.d.comb += self.enable_out.eq(live)
        holds = form.gated and element.lanes == 1
        if stage is not None and working is not None:
            with m.If(live if holds else Const(1, 1)):
                m.d.sync += stage.eq(_stage(m, element, state, self.multiplier_module))
            m.d.sync += working.eq(live.any())
        counted: Value = live if working is None else working
        with m.If(counted | clear if holds and not form.keeps_weights else Const(1, 1)):
            for word, following in zip(
                words, _next_words(m, element, state, self.multiplier_module), strict=True
            ):
                m.d.sync += word.eq(following)
        return m
