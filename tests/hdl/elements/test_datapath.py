# amaranth: UnusedElaboratable=no
"""Elements in Amaranth's simulator equal integer arithmetic; small ones are proven."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator, SimulatorContext
from numpy.typing import NDArray

from hdl.cells.library import CellLibrary
from hdl.cost.equivalence import counterexample
from hdl.cost.switching_activity import input_bits, simulate
from hdl.cost.synthesis import map_design
from hdl.cost.timing import analyze
from hdl.elements.datapath import ElementComponent, ElementDatapath, element_rtlil
from hdl.elements.element import Element
from hdl.export.any_element import expected_sums
from hdl.multipliers.elaboration import component_rtlil
from hdl.multipliers.imported import ImportedDesign
from hdl.multipliers.multiplier import Multiplier
from hdl.multipliers.netlist import NetlistDesign, NetlistGate
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths

LIBRARY = CellLibrary.load()
UNSIGNED, SIGN_MAGNITUDE, TWOS_COMPLEMENT = (
    OperandEncoding.UNSIGNED,
    OperandEncoding.SIGN_MAGNITUDE,
    OperandEncoding.TWOS_COMPLEMENT,
)


def packed(values: NDArray[np.int64], bits: int) -> int:
    return sum(int(value) << bits * i for i, value in enumerate(values))


def simulated(
    element: Element, inputs: dict[str, NDArray[Any]], widths: dict[str, int]
) -> list[int]:
    """The sum behind each clock edge for inputs (cycles,) or (cycles, lanes) of these widths."""
    component = ElementComponent(element)
    seen: list[int] = []

    async def feed(ctx: SimulatorContext) -> None:
        for cycle in range(len(inputs["enable"])):
            for port, values in inputs.items():
                bits = widths.get(port, 1)
                ctx.set(getattr(component, port), packed(np.atleast_1d(values[cycle]), bits))
            await ctx.tick()
            words = [ctx.get(getattr(component, word)) for word in element.words]
            seen.append(sum(words) % (1 << element.sum_bits))

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.run()
    return seen


def check(element: Element, a: NDArray[np.int64], b: NDArray[np.int64], seed: int = 0) -> None:
    """Runs operands (cycles, lanes) through an element; the first cycles make it known."""
    rng = np.random.default_rng(seed)
    cycles = len(a)
    operand = element.lane.operand_widths
    widths = {"a": operand.a, "b": operand.b}
    enable, clear, load = (rng.random(cycles) < share for share in (0.9, 0.1, 0.2))
    enable[:4], clear[:4], load[:4] = False, True, True
    inputs: dict[str, NDArray[Any]] = {"a": a, "b": b}
    if element.form.keeps_weights:
        enable &= ~load
        above = rng.integers(0, 1 << element.sum_bits, (cycles, len(element.words)))
        loaded = np.maximum.accumulate(np.where(load, np.arange(cycles), 0))
        expected = expected_sums(element, a, b[loaded], enable, starts=above.sum(axis=1))
        inputs |= {"load": load, "enable": enable}
        for place, word in enumerate(element.words):
            inputs[f"above_{word}"], widths[f"above_{word}"] = above[:, place], element.sum_bits
    else:
        expected = expected_sums(element, a, b, enable, clear=clear)
        inputs |= {"clear": clear, "enable": enable}
    assert simulated(element, inputs, widths)[4:] == expected[4:]


def random_operands(
    element: Element, cycles: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Operand codes of all lanes, a third of them zero."""
    rng = np.random.default_rng(seed)
    a, b = (
        rng.integers(0, 1 << width, (cycles, element.lanes))
        * (rng.random((cycles, element.lanes)) < 0.7)
        for width in element.lane.operand_widths
    )
    return a, b


#: Every option of a form with every number format and kind of multiplier at least once; pairs of
#: options as they depend on each other.
CASES = [
    ("mac:gate=zero", "bam:h=0,v=2,width=4,comp=3", SIGN_MAGNITUDE),
    ("mac:gate=zero,pipeline=1", "mitchell:width=4,signed=1", TWOS_COMPLEMENT),
    ("mac:gate=zero,stationary=weight", "exact:width=4x3", SIGN_MAGNITUDE),
    ("mac:adder=carry_save,gate=zero", "drum:k=3,width=5", SIGN_MAGNITUDE),
    ("mac:adder=prefix,pipeline=1,stationary=weight", "exact:width=3,signed=1", TWOS_COMPLEMENT),
    ("mac:adder=carry_save,gate=zero,pipeline=1,stationary=weight", "exact:width=3", UNSIGNED),
    ("dot:lanes=3", "compressor:kind=lin,cols=4,width=4,signed=1", TWOS_COMPLEMENT),
    ("dot:lanes=4", "booth_r4:kind=r4abe1,p=3,width=5x4,signed=1", TWOS_COMPLEMENT),
    ("dot:lanes=2,rows=dots", "udm:width=4", SIGN_MAGNITUDE),
    ("dot:lanes=2,rows=dots,gate=zero", "terms:sum=00+01+10+2.11+3.01,width=3x2", SIGN_MAGNITUDE),
    ("dot:lanes=3,gate=zero", "bam:h=0,v=2,width=4,comp=3", UNSIGNED),
    ("dot:lanes=3,gate=zero,pipeline=1", "exact:width=4x3,signed=1", TWOS_COMPLEMENT),
    ("dot:lanes=3,pipeline=1,adder=carry_save", "mitchell:width=4", SIGN_MAGNITUDE),
    ("dot:lanes=2,adder=carry_save", "exact:width=4,signed=1", TWOS_COMPLEMENT),
    ("dot:lanes=2,gate=zero,stationary=weight,adder=carry_save", "exact:width=3", SIGN_MAGNITUDE),
    ("dot:lanes=2,gate=zero,pipeline=1,stationary=weight", "sdlc:width=4", UNSIGNED),
]


@pytest.mark.parametrize(("form", "text", "encoding"), CASES)
def test_elements_add_what_integers_say(form: str, text: str, encoding: OperandEncoding) -> None:
    element = Element.make(form, MultiplierSpec.parse(text), encoding)
    check(element, *random_operands(element, 40, seed=1))


@pytest.mark.parametrize("form", ["dot:lanes=2,rows=dots", "dot:lanes=2,gate=zero"])
@pytest.mark.parametrize("encoding", OperandEncoding)
def test_every_pair_of_operands_in_both_lanes(form: str, encoding: OperandEncoding) -> None:
    """2 x 2 bits, with signs 3 x 3: all operand pairs, those of one lane against a shuffle of the
    other's.
    """
    multiplier = MultiplierSpec.make("exact", width=2, signed=encoding.signed)
    element = Element.make(form, multiplier, encoding)
    widths = element.lane.operand_widths
    pairs = np.array([*itertools.product(range(1 << widths.a), range(1 << widths.b))])
    pairs = np.concatenate([np.zeros((4, 2), dtype=np.int64), pairs])
    other = np.random.default_rng(0).permutation(pairs)
    both = np.stack([pairs, other], axis=1)
    check(element, both[:, :, 0], both[:, :, 1])


def imported(folder: Path) -> Multiplier:
    (folder / "own.v").write_text(
        "module m(input [2:0] x, input [2:0] y, output [5:0] z); assign z = x * y - (&x); endmodule"
    )
    return ImportedDesign.read(f"{folder}/own.v:m", signed=False)


def netlist(folder: Path) -> Multiplier:
    gates = [NetlistGate("&", (0, 3)), NetlistGate("&", (1, 4)), NetlistGate("~&", (2, 5))]
    return NetlistDesign.of(Widths(3, 3), False, gates, [6, 7, 8, "L", "H", "L"])


@pytest.mark.parametrize("make", [imported, netlist])
@pytest.mark.parametrize("form", ["dot:lanes=3", "mac:gate=zero"])
def test_multipliers_without_partial_products(form: str, make, tmp_path: Path) -> None:
    """Amaranth cannot simulate Verilog: the logic in cells, by all that it may add."""
    element = Element.make(form, make(tmp_path), OperandEncoding.SIGN_MAGNITUDE, terms=9)
    assert not element.merged
    mapped = map_design(element_rtlil(element), LIBRARY).netlist
    a, b = random_operands(element, 64, seed=2)
    total = np.random.default_rng(3).integers(0, 1 << element.sum_bits, 64)
    flags = element.counts(a, b) if element.form.gated else np.ones((64, 1), dtype=bool)
    ports = {f"a{lane}": a[:, lane] for lane in range(element.lanes)}
    ports |= {f"b{lane}": b[:, lane] for lane in range(element.lanes)}
    ports |= {"live": (flags << np.arange(flags.shape[1])).sum(axis=1), "total": total}
    ports |= {port: np.zeros(64, dtype=np.int64) for port in mapped.inputs if port not in ports}
    ports["clear"] = np.ones(64, dtype=np.int64)
    bits = input_bits(mapped, {**ports})
    timing = analyze(mapped)
    settled = np.array([simulate(mapped, timing, row, row).ones for row in bits[:, None]]) // 2
    nets = list(mapped.outputs["next_total"])
    np.testing.assert_array_equal(
        (settled[:, nets] << np.arange(len(nets))).sum(axis=1),
        element.products(a, b).sum(axis=1) % (1 << element.sum_bits),
    )


class _Whole(wiring.Component):
    """The logic of an element behind the ports of a multiplier: the operands of all lanes as `a`
    and `b`, with the sum so far in front of `a`.
    """

    def __init__(self, element: Element, *, behavioural: bool) -> None:
        self.element, self.behavioural = element, behavioural
        widths, lanes = element.lane.operand_widths, element.lanes
        super().__init__(
            {
                "a": In(lanes * widths.a + element.sum_bits),
                "b": In(lanes * widths.b),
                "p": Out(lanes * (widths.a + widths.b) + element.sum_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, element = Module(), self.element
        widths, lanes = element.lane.operand_widths, range(element.lanes)
        a = [self.a[lane * widths.a : (lane + 1) * widths.a] for lane in lanes]
        b = [self.b[lane * widths.b : (lane + 1) * widths.b] for lane in lanes]
        total = self.a[element.lanes * widths.a :]
        if self.behavioural:
            signed = element.encoding.signed
            products = [
                x.as_signed() * y.as_signed() if signed else x * y
                for x, y in zip(a, b, strict=True)
            ]
            formula = Signal(element.sum_bits)
            m.d.comb += [formula.eq(sum(products, start=total)), self.p.eq(formula)]
            return m
        m.submodules.inner = inner = ElementDatapath(element)
        m.d.comb += [inner.total.eq(total), inner.live.eq(1), self.p.eq(inner.next_total)]
        for lane in lanes:
            m.d.comb += [getattr(inner, f"a{lane}").eq(a[lane])]
            m.d.comb += [getattr(inner, f"b{lane}").eq(b[lane])]
        return m


@pytest.mark.parametrize(
    ("form", "text", "encoding"),
    [
        ("dot:lanes=2", "exact:width=3x2", UNSIGNED),
        ("dot:lanes=3", "exact:width=3x2,signed=1", TWOS_COMPLEMENT),
        ("dot:lanes=2,rows=products,adder=prefix", "exact:width=2,signed=1", TWOS_COMPLEMENT),
    ],
)
def test_small_elements_are_proven(form: str, text: str, encoding: OperandEncoding) -> None:
    """For all operands and all sums so far, by &cec: the mapped logic against the formula."""
    element = Element.make(form, MultiplierSpec.parse(text), encoding, terms=4)
    built, formula = (
        component_rtlil(_Whole(element, behavioural=behavioural), "multiplier")
        for behavioural in (False, True)
    )
    assert counterexample(formula, map_design(built, LIBRARY).netlist) is None


def test_the_proof_tells_wrong_elements() -> None:
    element = Element.make("dot:lanes=2", MultiplierSpec.parse("exact:width=2"), UNSIGNED, terms=4)
    wrong = Element.make("dot:lanes=2", MultiplierSpec.parse("udm:width=2"), UNSIGNED, terms=4)
    wrong = Element(wrong.form, type(wrong.lane)(wrong.multiplier, UNSIGNED, element.sum_bits))
    built = component_rtlil(_Whole(wrong, behavioural=False), "multiplier")
    formula = component_rtlil(_Whole(element, behavioural=True), "multiplier")
    assert counterexample(formula, map_design(built, LIBRARY).netlist) is not None
