# amaranth: UnusedElaboratable=no
"""The unit that an accelerator repeats: a multiplier, an accumulator and their registers, as Amaranth RTL.

Timing of a processing element: the operands `a` and `b` and their `enable` are registered at a clock edge; at the next edge their product
is added to the sum where `enable` was 1. `clear` acts on that second edge: the sum starts again, at zero or, in a `chained` element, at
the value of `above`. Nothing has a reset: hold `clear` for one edge while `enable` is 0 and the element is in a known state.

Operands follow the encoding of a `MacSpec`: two's complement codes on a signed multiplier, unsigned codes, or a magnitude with its sign as
the highest bit on an unsigned multiplier. The sum is modulo 2^accumulator_bits: two's complement unless the operands are unsigned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike, NDArray

from .adders import ripple_add, wire
from .component import Multiplier, black_box, product
from .errors import InputError
from .operands import OperandEncoding
from .spec import MultiplierSpec

__all__ = ["MacDatapath", "MacSpec", "ProcessingElement"]

DEFAULT_EXTRA_BITS = 8
MAX_EXTRA_BITS = 24


@dataclass(frozen=True)
class MacSpec:
    """A processing element: its multiplier, how its operands are coded, and the width of its sum. Make one with `make`, which checks."""

    multiplier: MultiplierSpec
    encoding: OperandEncoding
    accumulator_bits: int

    @classmethod
    def make(cls, multiplier: MultiplierSpec, encoding: OperandEncoding | None = None, accumulator_bits: int | None = None) -> MacSpec:
        """A checked spec. Raises InputError.

        None for the encoding means two's complement on a signed multiplier and sign and magnitude on an unsigned one; None for the width of
        the sum means that of a product and 8 more bits, room for 256 products of any size.
        """
        if encoding is None:
            encoding = OperandEncoding.TWOS_COMPLEMENT if multiplier.signed else OperandEncoding.SIGN_MAGNITUDE
        if encoding.signed != multiplier.signed:
            is_, needs = ("signed", "an unsigned") if multiplier.signed else ("unsigned", "a signed")
            raise InputError(f"{multiplier}: the multiplier is {is_}, and the encoding {encoding} needs {needs} one; change signed=")
        low = 2 * multiplier.width
        bits = low + DEFAULT_EXTRA_BITS if accumulator_bits is None else accumulator_bits
        if not low <= bits <= low + MAX_EXTRA_BITS:
            raise InputError(f"{multiplier}: an accumulator of {bits} bits is outside {low}..{low + MAX_EXTRA_BITS}; give a width in bits")
        return cls(multiplier, encoding, bits)

    @property
    def operand_bits(self) -> int:
        """Bits of an operand as it travels: those of the multiplier, and the sign bit beside a magnitude."""
        return self.multiplier.width + (self.encoding is OperandEncoding.SIGN_MAGNITUDE)

    @property
    def signed_sum(self) -> bool:
        """Whether the sum reads as two's complement."""
        return self.encoding is not OperandEncoding.UNSIGNED

    def products(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """What the element adds for operand codes of `operand_bits`, by the multiplier's arithmetic rule; the arrays broadcast."""
        a, b = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
        width = self.multiplier.width
        if self.encoding is OperandEncoding.TWOS_COMPLEMENT:
            return product(self.multiplier, _signed(a, width), _signed(b, width))
        if self.encoding is OperandEncoding.UNSIGNED:
            return product(self.multiplier, a, b)
        magnitudes = (1 << width) - 1
        negative = (a ^ b) >> width
        return np.where(negative, -1, 1) * product(self.multiplier, a & magnitudes, b & magnitudes)

    def __str__(self) -> str:
        return f"MAC of {self.multiplier}, {self.encoding}, {self.accumulator_bits}-bit sum"


def _signed(codes: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    return codes - (codes >> (bits - 1) << bits)


def _start(total: Value, clear: Value, above: Value | None) -> Value:
    """What the product is added to: the sum so far, or on `clear` the value from above, or zero."""
    cleared = clear.replicate(len(total))
    return (total & ~cleared) if above is None else (total & ~cleared) | (above & cleared)


def _next_sum(m: Module, spec: MacSpec, multiplier_module: str, a: Value, b: Value, enable: Value, start: Value) -> Value:
    """`start` plus the product of a and b where `enable` is 1, by a ripple-carry adder, in two's complement.

    A negative product of magnitudes is its complement plus one, the one being the adder's carry in.
    """
    multiplier = Multiplier(spec.multiplier)
    m.submodules.multiplier = black_box(multiplier, multiplier_module) if multiplier_module else multiplier
    width, bits = spec.multiplier.width, spec.accumulator_bits
    m.d.comb += [multiplier.a.eq(a[:width]), multiplier.b.eq(b[:width])]
    addend = [wire(m, multiplier.p[i] & enable, f"used{i}") for i in range(2 * width)]
    extension: Value = Const(0, 1)
    negative: Value = Const(0, 1)
    if spec.encoding is OperandEncoding.SIGN_MAGNITUDE:
        extension = negative = wire(m, (a[width] ^ b[width]) & enable, "negative")
        addend = [wire(m, bit ^ negative, f"addend{i}") for i, bit in enumerate(addend)]
    elif spec.encoding is OperandEncoding.TWOS_COMPLEMENT:
        extension = addend[-1]
    addend += [extension] * (bits - len(addend))
    base, total = Signal(bits, name="base"), Signal(bits, name="next_total")
    m.d.comb += [base.eq(start), total.eq(Cat(ripple_add(m, [[base[i], addend[i]] for i in range(bits)], carry=negative)))]
    return total


class MacDatapath(wiring.Component):
    """What lies between the registers of a processing element: combinational, from their outputs to the next sum `p`."""

    def __init__(self, spec: MacSpec, *, chained: bool = False) -> None:
        self.spec = spec
        bits = spec.accumulator_bits
        operands = {"a": In(spec.operand_bits), "b": In(spec.operand_bits), "enable": In(1), "clear": In(1)}
        super().__init__({**operands, **({"above": In(bits)} if chained else {}), "total": In(bits), "p": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start = _start(self.total, self.clear, getattr(self, "above", None))
        m.d.comb += self.p.eq(_next_sum(m, self.spec, "", self.a, self.b, self.enable, start))
        return m


class ProcessingElement(wiring.Component):
    """A multiply-accumulate unit with registers for its operands and its sum.

    Inputs `a`, `b` (operand_bits), `enable`, `clear`, and on a `chained` element `above` (accumulator_bits); outputs `total`, the sum, and
    `a_out`, `b_out`, `enable_out`, the registered operands, for the neighbours in an array. The multiplier is part of it, or the Verilog
    module `multiplier_module`.
    """

    def __init__(self, spec: MacSpec, *, chained: bool = False, multiplier_module: str = "") -> None:
        self.spec = spec
        self.multiplier_module = multiplier_module
        operand, bits = spec.operand_bits, spec.accumulator_bits
        inputs = {"a": In(operand), "b": In(operand), "enable": In(1), "clear": In(1), **({"above": In(bits)} if chained else {})}
        super().__init__({**inputs, "a_out": Out(operand), "b_out": Out(operand), "enable_out": Out(1), "total": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start = _start(self.total, self.clear, getattr(self, "above", None))
        next_total = _next_sum(m, self.spec, self.multiplier_module, self.a_out, self.b_out, self.enable_out, start)
        m.d.sync += [self.a_out.eq(self.a), self.b_out.eq(self.b), self.enable_out.eq(self.enable), self.total.eq(next_total)]
        return m
