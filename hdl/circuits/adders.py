"""Half and full adders as gates, the ripple-carry adder made of them, and a prefix adder.

A constant input (an Amaranth `Const`) shrinks the adder: x + y + 1 is an exclusive-nor and an or.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from amaranth.hdl import Cat, Const, Module, Signal, Value

__all__ = [
    "carry_chains",
    "constant_of",
    "digit_columns",
    "full_adder",
    "half_adder",
    "prefix_add",
    "ripple_add",
    "wire",
]


_CARRY_CHAINS = ContextVar("carry chains", default=False)


def wire(m: Module, value: Value, name: str) -> Value:
    """A named one-bit wire that carries `value`; constants stay constants."""
    if isinstance(value, Const):
        return value
    signal = Signal(name=name)
    m.d.comb += signal.eq(value)
    return signal


def constant_of(bit: Value) -> int | None:
    """0 or 1 for a constant bit, None for a wire."""
    return bit.value if isinstance(bit, Const) else None


def half_adder(m: Module, x: Value, y: Value, name: str) -> tuple[Value, Value]:
    """Sum and carry of two bits."""
    if constant_of(x) is not None:
        x, y = y, x
    match constant_of(y):
        case None:
            return wire(m, x ^ y, f"{name}_sum"), wire(m, x & y, f"{name}_carry")
        case 0:
            return x, Const(0, 1)
        case _:
            return _inverted(m, x, f"{name}_sum"), x


def full_adder(m: Module, x: Value, y: Value, z: Value, name: str) -> tuple[Value, Value]:
    """Sum and carry of three bits."""
    inputs = sorted((x, y, z), key=lambda bit: constant_of(bit) is not None)
    x, y, z = inputs
    match constant_of(z):
        case None:
            propagate = wire(m, x ^ y, f"{name}_propagate")
            return wire(m, propagate ^ z, f"{name}_sum"), wire(
                m, (x & y) | (propagate & z), f"{name}_carry"
            )
        case 0:
            return half_adder(m, x, y, name)
        case _:
            if constant_of(y) is not None:
                total, carry = half_adder(m, x, y, name)
                return _inverted(m, total, f"{name}_sum"), wire(m, carry | total, f"{name}_carry")
            return wire(m, ~(x ^ y), f"{name}_sum"), wire(m, x | y, f"{name}_carry")


def digit_columns(x: Iterable[Value], y: Iterable[Value]) -> list[tuple[Value, ...]]:
    """The columns of the sum of two binary numbers of any lengths, as `ripple_add` takes them: the
    digits that there are.
    """
    return [
        tuple(digit for digit in digits if digit is not None)
        for digits in itertools.zip_longest(x, y)
    ]


def ripple_add(
    m: Module, columns: Sequence[Sequence[Value]], name: str = "add", carry: Value | None = None
) -> list[Value]:
    """One bit a column: the sum, modulo 2^len(columns), of columns that hold at most two bits each
    (least significant first).

    `carry` is one more bit in the lowest column.
    """
    if _CARRY_CHAINS.get():
        return _word_add(m, columns, name, carry)
    bits: list[Value] = []
    carry = Const(0, 1) if carry is None else carry
    for position, column in enumerate(columns):
        x, y, *more = [*column, Const(0, 1), Const(0, 1)]
        assert len(more) <= 2, "a column of the final adder holds more than two bits"
        if position == len(columns) - 1:
            present = [bit for bit in (x, y, carry) if constant_of(bit) != 0]
            bits.append(parity(m, present, f"{name}{position}"))
        else:
            total, carry = full_adder(m, x, y, carry, f"{name}{position}")
            bits.append(total)
    return bits


def prefix_add(
    m: Module, columns: Sequence[Sequence[Value]], name: str = "add", carry: Value | None = None
) -> list[Value]:
    """As :func:`ripple_add`, with carries by a parallel prefix of least depth (Sklansky, IRE
    Trans. Electronic Computers 1960): faster and larger.
    """
    generate: list[Value] = []
    propagate: list[Value] = []
    for position, column in enumerate(columns):
        x, y, *more = [*column, Const(0, 1), Const(0, 1)]
        assert len(more) <= 2, "a column of the final adder holds more than two bits"
        total, both = half_adder(m, x, y, f"{name}{position}")
        propagate.append(total)
        generate.append(both)
    halves = list(propagate)
    if carry is not None and columns:
        generate[0] = wire(m, generate[0] | (halves[0] & carry), f"{name}0_generate")
    distance = 1
    while distance < len(columns):
        for place in range(len(columns)):
            if place & distance:
                below = place // distance * distance - 1
                at = f"{name}{place}_{distance}"
                generate[place] = wire(
                    m, generate[place] | (propagate[place] & generate[below]), f"{at}_generate"
                )
                propagate[place] = wire(m, propagate[place] & propagate[below], f"{at}_propagate")
        distance *= 2
    carries = [Const(0, 1) if carry is None else carry, *generate[:-1]]
    return [
        parity(m, [half, carried], f"{name}{place}_sum")
        for place, (half, carried) in enumerate(zip(halves, carries, strict=False))
    ]


@contextmanager
def carry_chains() -> Iterator[None]:
    """What is built inside has its ripple-carry adders written as `+`: FPGA synthesis makes carry
    chains of that, but not of gates.
    """
    token = _CARRY_CHAINS.set(True)
    try:
        yield
    finally:
        _CARRY_CHAINS.reset(token)


def _word_add(
    m: Module, columns: Sequence[Sequence[Value]], name: str, carry: Value | None
) -> list[Value]:
    """As :func:`ripple_add`; columns below the first that has anything to add stay as they are."""
    start = (
        next((position for position, column in enumerate(columns) if len(column) > 1), len(columns))
        if carry is None
        else 0
    )
    low = [column[0] if column else Const(0, 1) for column in columns[:start]]
    words = [
        Cat(column[row] if len(column) > row else Const(0, 1) for column in columns[start:])
        for row in (0, 1)
    ]
    total = Signal(len(columns) - start, name=f"{name}_total")
    m.d.comb += total.eq(words[0] + words[1] + (0 if carry is None else carry))
    return [*low, *total]


def parity(m: Module, bits: Sequence[Value], name: str) -> Value:
    """Exclusive-or of any number of bits: an adder's sum where nobody needs the carry."""
    ones = sum(constant_of(bit) or 0 for bit in bits) % 2
    variable = [bit for bit in bits if constant_of(bit) is None]
    if not variable:
        return Const(ones, 1)
    total = variable[0]
    for step, bit in enumerate(variable[1:]):
        total = wire(m, total ^ bit, f"{name}_parity{step}")
    return _inverted(m, total, f"{name}_parity") if ones else total


def _inverted(m: Module, bit: Value, name: str) -> Value:
    constant = constant_of(bit)
    return wire(m, ~bit, name) if constant is None else Const(1 - constant, 1)
