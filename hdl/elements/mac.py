# amaranth: UnusedElaboratable=no
"""The unit that an accelerator repeats: a multiplier, an accumulator and their registers, as
Amaranth RTL.

Timing of a processing element: the operands `a` and `b` and their `enable` are registered at a
clock edge; at the next edge their product is added to the sum where `enable` was 1. `clear` acts on
that second edge: the sum starts again at zero.
Nothing has a reset: hold `clear` for one edge while `enable` is 0 and the element is in a known
state.

A `pipelined` element registers the product, too, with its `enable`: it is added one edge later, and
`clear` acts on that third edge.

Operands follow the encoding of a `MacSpec`: two's complement codes on a signed multiplier, unsigned
codes, or a magnitude with its sign as the highest bit on an unsigned multiplier. The sum is modulo
2^accumulator_bits: two's complement unless the operands are unsigned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike, NDArray

from ..circuits.adders import ripple_add, wire
from ..errors import InputError
from ..multipliers.elaboration import add_multiplier, component_rtlil, with_multiplier
from ..multipliers.multiplier import Multiplier
from ..operands import OperandEncoding, Widths
from ..tables.product_table import MAX_BITS

__all__ = [
    "MacDatapath",
    "MacSpec",
    "ProcessingElement",
    "addend_of",
    "datapath_rtlil",
    "product_of_lane",
]

DEFAULT_EXTRA_BITS = 8
MAX_EXTRA_BITS = 24


@dataclass(frozen=True)
class MacSpec:
    """A processing element: its multiplier, how its operands are coded, and the width of its sum.
    Make one with `make`, which checks.
    """

    multiplier: Multiplier
    encoding: OperandEncoding
    accumulator_bits: int
    pipelined: bool = False

    @classmethod
    def make(
        cls,
        multiplier: Multiplier,
        encoding: OperandEncoding | None = None,
        accumulator_bits: int | None = None,
        *,
        pipelined: bool = False,
    ) -> MacSpec:
        """A checked spec. Raises InputError.

        None for the encoding means two's complement on a signed multiplier and sign and magnitude
        on an unsigned one; None for the width of the sum means that of a product and 8 more bits,
        room for 256 products of any size.
        """
        encoding = (
            OperandEncoding.fitting(signed=multiplier.signed) if encoding is None else encoding
        )
        encoding.check(signed=multiplier.signed, name=multiplier.name)
        low = multiplier.width_p
        bits = low + DEFAULT_EXTRA_BITS if accumulator_bits is None else accumulator_bits
        if not low <= bits <= low + MAX_EXTRA_BITS:
            raise InputError(
                f"{multiplier}: an accumulator of {bits} bits is outside "
                f"{low}..{low + MAX_EXTRA_BITS}; give a width in bits"
            )
        return cls(multiplier, encoding, bits, pipelined)

    @property
    def operand_widths(self) -> Widths:
        """Bits of the operands as they travel: those of the multiplier, and the sign bit beside a
        magnitude.
        """
        return Widths(
            *(
                width + (self.encoding is OperandEncoding.SIGN_MAGNITUDE)
                for width in self.multiplier.widths
            )
        )

    @property
    def product_bits(self) -> int:
        """Bits of a product as a pipelined element registers it: those of the multiplier's, and the
        sign bit beside a magnitude.
        """
        return self.multiplier.width_p + (self.encoding is OperandEncoding.SIGN_MAGNITUDE)

    @property
    def signed_sum(self) -> bool:
        """Whether the sum reads as two's complement."""
        return self.encoding is not OperandEncoding.UNSIGNED

    def products(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """What the element adds for operand codes of `operand_widths`, by the multiplier's
        arithmetic; the arrays broadcast."""
        a, b = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
        if self.encoding is not OperandEncoding.SIGN_MAGNITUDE:
            return self.multiplier.multiply(a, b)
        negative = self._negative(a, b)
        magnitudes_a, magnitudes_b = ((1 << width) - 1 for width in self.multiplier.widths)
        return np.where(negative, -1, 1) * self.multiplier.multiply(
            a & magnitudes_a, b & magnitudes_b
        )

    def check_costed(self) -> None:
        """Energies are found by products from a table of all. Raises InputError for operands that
        have too many.
        """
        widths = self.multiplier.widths
        if widths.product > MAX_BITS:
            raise InputError(
                f"{self.multiplier}: what is around a multiplier is costed for operands of up to "
                f"{MAX_BITS} bits together, not {widths.a}x{widths.b}; ask for the multiplier by "
                "itself, or for fewer bits"
            )

    def product_codes(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """The same products as codes of `product_bits`: what a pipelined element registers."""
        products, bits = self.products(a, b), self.multiplier.width_p
        if self.encoding is not OperandEncoding.SIGN_MAGNITUDE:
            return products & ((1 << bits) - 1)
        codes: NDArray[np.int64] = (
            np.abs(products) | self._negative(np.asarray(a), np.asarray(b)) << bits
        )
        return codes

    def _negative(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        """1 where the signs beside two magnitudes differ."""
        negative: NDArray[np.int64] = a >> self.multiplier.width_a ^ b >> self.multiplier.width_b
        return negative

    def __str__(self) -> str:
        return (
            f"MAC of {self.multiplier}, {self.encoding}, {self.accumulator_bits}-bit "
            f"sum{', pipelined' if self.pipelined else ''}"
        )


def datapath_rtlil(spec: MacSpec, *, chained: bool = False) -> str:
    """RTLIL text of the logic between the registers of a processing element, top module
    `multiplier` as `hdl.cost.synthesis` takes it.
    """
    return with_multiplier(
        component_rtlil(MacDatapath(spec, chained=chained), "multiplier"), spec.multiplier
    )


def _start(total: Value, clear: Value, above: Value | None) -> Value:
    """What the product is added to: the sum so far, or on `clear` the value from above, or zero."""
    cleared = clear.replicate(len(total))
    return (total & ~cleared) if above is None else (total & ~cleared) | (above & cleared)


def product_of_lane(
    m: Module, spec: MacSpec, multiplier_module: str, a: Value, b: Value, name: str = "multiplier"
) -> Value:
    """The product of a and b, with its sign as the highest bit where operands are magnitudes:
    `product_bits`.
    """
    multiplier: Any = add_multiplier(m, spec.multiplier, multiplier_module, name=name)
    widths = spec.multiplier.widths
    m.d.comb += [multiplier.a.eq(a[: widths.a]), multiplier.b.eq(b[: widths.b])]
    return (
        Cat(multiplier.p, a[widths.a] ^ b[widths.b])
        if spec.encoding is OperandEncoding.SIGN_MAGNITUDE
        else multiplier.p
    )


def addend_of(m: Module, spec: MacSpec, product: Value, enable: Value) -> tuple[list[Value], Value]:
    """A product as `product_of_lane` has it as bits to be added in two's complement where `enable`
    is 1, and a carry to go with them.

    A negative product of magnitudes is its complement plus one, the one being the carry.
    """
    width, bits = spec.multiplier.width_p, spec.accumulator_bits
    addend = [wire(m, product[i] & enable, f"used{i}") for i in range(width)]
    extension: Value = Const(0, 1)
    negative: Value = Const(0, 1)
    if spec.encoding is OperandEncoding.SIGN_MAGNITUDE:
        extension = negative = wire(m, product[width] & enable, "negative")
        addend = [wire(m, bit ^ negative, f"addend{i}") for i, bit in enumerate(addend)]
    elif spec.encoding is OperandEncoding.TWOS_COMPLEMENT:
        extension = addend[-1]
    return addend + [extension] * (bits - len(addend)), negative


def _next_sum(m: Module, spec: MacSpec, product: Value, enable: Value, start: Value) -> Value:
    """`start` plus a product where `enable` is 1, by a ripple-carry adder."""
    bits = spec.accumulator_bits
    addend, negative = addend_of(m, spec, product, enable)
    base, total = Signal(bits, name="base"), Signal(bits, name="next_total")
    m.d.comb += [
        base.eq(start),
        total.eq(Cat(ripple_add(m, [[base[i], addend[i]] for i in range(bits)], carry=negative))),
    ]
    return total


class MacDatapath(wiring.Component):
    """What lies between the registers of a processing element: combinational, from their outputs to
    the next sum `p`.

    A pipelined one also leads from the operands to `next_product`, and has the registers behind
    that, `product` and its enable `working`, as inputs.
    """

    def __init__(self, spec: MacSpec, *, chained: bool = False) -> None:
        self.spec = spec
        bits = spec.accumulator_bits
        operands = {
            "a": In(spec.operand_widths.a),
            "b": In(spec.operand_widths.b),
            "enable": In(1),
            "clear": In(1),
        }
        inputs = {**operands, **({"above": In(bits)} if chained else {})}
        if spec.pipelined:
            inputs |= {"product": In(spec.product_bits), "working": In(1)}
        outputs = {
            "p": Out(bits),
            **({"next_product": Out(spec.product_bits)} if spec.pipelined else {}),
        }
        super().__init__({**inputs, "total": In(bits), **outputs})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start = _start(self.total, self.clear, getattr(self, "above", None))
        product, enable = product_of_lane(m, self.spec, "", self.a, self.b), self.enable
        if self.spec.pipelined:
            m.d.comb += self.next_product.eq(product)
            product, enable = self.product, self.working
        m.d.comb += self.p.eq(_next_sum(m, self.spec, product, enable, start))
        return m


class ProcessingElement(wiring.Component):
    """A multiply-accumulate unit with registers for its operands and its sum.

    Inputs `a`, `b` (operand_widths), `enable`, `clear`; outputs `total`, the sum, and `a_out`,
    `b_out`, `enable_out`, the registered operands. The multiplier is part of it, or the Verilog
    module `multiplier_module`.
    """

    def __init__(self, spec: MacSpec, *, multiplier_module: str = "") -> None:
        self.spec = spec
        self.multiplier_module = multiplier_module
        widths = spec.operand_widths
        super().__init__(
            {
                "a": In(widths.a),
                "b": In(widths.b),
                "enable": In(1),
                "clear": In(1),
                "a_out": Out(widths.a),
                "b_out": Out(widths.b),
                "enable_out": Out(1),
                "total": Out(spec.accumulator_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start = _start(self.total, self.clear, None)
        product: Value = product_of_lane(
            m, self.spec, self.multiplier_module, self.a_out, self.b_out
        )
        enable: Value = self.enable_out
        if self.spec.pipelined:
            registered, working = (
                Signal(self.spec.product_bits, name="product"),
                Signal(name="working"),
            )
            m.d.sync += [registered.eq(product), working.eq(enable)]
            product, enable = registered, working
        next_total = _next_sum(m, self.spec, product, enable, start)
        m.d.sync += [
            self.a_out.eq(self.a),
            self.b_out.eq(self.b),
            self.enable_out.eq(self.enable),
            self.total.eq(next_total),
        ]
        return m
