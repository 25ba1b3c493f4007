"""A multiplier in use for narrower operands than it was made for: the operand bits that never occur
are tied off.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import wiring
from numpy.typing import ArrayLike, NDArray

from ..circuits.columns import Columns
from ..circuits.dot_diagram import DotDiagram
from ..errors import InputError
from ..operands import Width, Widths, code_values, values_of_codes
from ..tables.product_table import MAX_BITS, ProductTable, check_widths
from .multiplier import Multiplier

__all__ = ["as_made", "narrowed", "tied_off_hint", "within"]

_DIGEST = re.compile(r"#[0-9a-f]{8}$")


def narrowed(multiplier: Multiplier, width: Width) -> Multiplier:
    """The multiplier for operands of no more than these bits: high operand bits are 0, or on a
    signed multiplier repeat the sign.

    Its table is the part of the table that occurs, and synthesis removes the logic that nothing
    needs any more. The name of `mul.v:top` becomes `mul.v:top@8x7`. Raises InputError where the
    multiplier's operands are narrower than that.
    """
    widths = Widths.of(width)
    if widths == multiplier.widths:
        return multiplier
    if min(widths) < 1 or widths.a > multiplier.width_a or widths.b > multiplier.width_b:
        have = f"{multiplier.width_a}x{multiplier.width_b}"
        raise InputError(
            f"{multiplier.name} multiplies {have} operands; it cannot stand for "
            f"{widths.a}x{widths.b}, give at most {have}"
        )
    return _Narrowed(multiplier, *widths)


def within(multiplier: Multiplier, there: Sequence[Widths]) -> Multiplier:
    """The multiplier as a network with operands of these widths uses it: operand bits beyond the
    widest of either operand are tied off. Itself where it has none, or is for one of the widths.
    """
    if multiplier.widths in there:
        return multiplier
    a, b = (max(widths) for widths in zip(*there, strict=True))
    return narrowed(multiplier, Widths(min(multiplier.width_a, a), min(multiplier.width_b, b)))


def tied_off_hint(multiplier: Multiplier, there: Iterable[Widths]) -> str:
    """How to write the multiplier for the first of these operand widths that it has the bits for:
    `, or tie operand bits off: mul.v:top@8x4`; empty where there is none.
    """
    a, b = multiplier.widths
    # As the user writes it: the name of own Verilog ends in a digest.
    text = _DIGEST.sub("", as_made(multiplier).name)
    fitting = (f"{one.a}x{one.b}" for one in there if one.a <= a and one.b <= b)
    return next((f", or tie operand bits off: {text}@{one}" for one in fitting), "")


def as_made(multiplier: Multiplier) -> Multiplier:
    """The multiplier with all the operand bits that it was made with."""
    while isinstance(multiplier, _Narrowed):
        multiplier = multiplier.wide
    return multiplier


@dataclass(frozen=True)
class _Narrowed:
    """`wide` with only `width_a` and `width_b` bits of its operands in use."""

    wide: Multiplier
    width_a: int
    width_b: int

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.wide.name}@{self.width_a}x{self.width_b}"

    @property
    def family(self) -> str:
        return self.wide.family

    @property
    def widths(self) -> Widths:
        return Widths(self.width_a, self.width_b)

    @functools.cached_property
    def width_p(self) -> int:
        """As many bits as the products need, at least those of both operands; all that there are
        where nobody can try all products.
        """
        if self.widths.product > MAX_BITS:
            return self.wide.width_p
        products = self._products
        return max(
            self.widths.product,
            *(_bits(int(extreme), self.signed) for extreme in (products.min(), products.max())),
        )

    @property
    def signed(self) -> bool:
        return self.wide.signed

    @property
    def identifier(self) -> str:
        return f"{self.wide.identifier}_for{self.width_a}x{self.width_b}"

    @property
    def description(self) -> tuple[str, ...]:
        tied = "repeat the sign" if self.signed else "are 0"
        of = f"{self.wide.width_a} x {self.wide.width_b}"
        return (
            *self.wide.description,
            (
                f"For operands of {self.width_a} x {self.width_b} of its {of} bits: the bits above "
                f"{tied}."
            ),
        )

    def rtlil(self, *, carry_chains: bool = False) -> str:
        module = f"multiplier{self.wide.width_a}x{self.wide.width_b}"
        wide = self.wide.rtlil(carry_chains=carry_chains).replace(
            "module \\multiplier\n", f"module \\{module}\n", 1
        )
        a, b = (
            self._extension(name, width, of)
            for name, width, of in zip("ab", self.widths, self.wide.widths, strict=True)
        )
        return f"""\
{wide}
module \\multiplier
  wire width {self.width_a} input 1 \\a
  wire width {self.width_b} input 2 \\b
  wire width {self.width_p} output 3 \\p
  wire width {self.wide.width_p} \\product
  cell \\{module} \\wide
    connect \\a {a}
    connect \\b {b}
    connect \\p \\product
  end
  connect \\p \\product [{self.width_p - 1}:0]
end
"""

    def _extension(self, port: str, width: int, of: int) -> str:
        """The wide operand as RTLIL, the highest bits first."""
        if width == of:
            return f"\\{port}"
        if not self.signed:
            return f"{{ {of - width}'{'0' * (of - width)} \\{port} }}"
        return f"{{ {f'{chr(92)}{port} [{width - 1}] ' * (of - width)}\\{port} }}"

    def component(self) -> wiring.Component | None:
        return None

    def merge_into(self, columns: Columns, a: Value, b: Value) -> bool:
        """The array of the wide multiplier is no sum of its own for narrow operands."""
        return False

    def multiply(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        return self.wide.multiply(
            *(self._wide_codes(codes, index) for index, codes in enumerate((a, b)))
        )

    def _wide_codes(self, codes: ArrayLike, index: int) -> NDArray[np.int64]:
        values = values_of_codes(codes, self.widths[index], signed=self.signed)
        return values & (1 << self.wide.widths[index]) - 1

    @functools.cached_property
    def _products(self) -> NDArray[np.int32]:
        if self.wide.widths.product > MAX_BITS:
            a, b = (np.arange(1 << width) for width in self.widths)
            return self.multiply(a[:, None], b).astype(np.int32)
        values = (code_values(width, signed=self.signed) for width in self.widths)
        return self.wide.table().products[
            np.ix_(*values)
        ]  # codes of negative values count from the end

    def table(self) -> ProductTable:
        check_widths(self.widths, self.name)
        return ProductTable(self._products, self.signed, self.name)

    def dots(self) -> DotDiagram | None:
        return None


def _bits(value: int, signed: bool) -> int:
    """Bits that a product takes as an unsigned or a two's complement number."""
    return (~value if value < 0 else value).bit_length() + signed
