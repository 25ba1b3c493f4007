"""An element: its form, the multiplier in it, the number format, and a sum that is wide enough."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike, NDArray

from ..circuits.columns import Columns
from ..errors import InputError
from ..multipliers.elaboration import component_rtlil
from ..multipliers.identifiers import identifier
from ..multipliers.multiplier import Multiplier
from ..operands import OperandEncoding, values_of_codes
from ..tables.product_table import MAX_BITS, ProductTable
from ..yosys import gate_netlist
from .form import ElementForm
from .mac import MacSpec

__all__ = ["DEFAULT_TERMS", "Element", "added_products", "merges", "sum_bits"]

DEFAULT_TERMS = 256
#: Leaves room for what arrays and test benches put before and behind it.
_MAX_IDENTIFIER = 110
#: Bits above a product's in which partial products are added to see whether they wrap.
_ROOM = 8


@dataclass(frozen=True)
class Element:
    """What an accelerator repeats. Make one with `make`, which checks.

    Attributes:
        form: how it is built.
        lane: one multiplier with the number format of its operands, and the width of the sum.
    """

    form: ElementForm
    lane: MacSpec

    @classmethod
    def make(
        cls,
        form: ElementForm | str,
        multiplier: Multiplier,
        encoding: OperandEncoding | None = None,
        *,
        terms: int = DEFAULT_TERMS,
    ) -> Element:
        """A checked element for sums of up to `terms` products. Raises InputError.

        Where the form does not say the width of the sum, it is the smallest that holds every sum of
        so many products, by the extreme products of the multiplier, and at least a product's. None
        for the encoding means two's complement on a signed multiplier and sign and magnitude on an
        unsigned one.
        """
        form = ElementForm.parse(form) if isinstance(form, str) else form
        lane = MacSpec.make(multiplier, encoding, pipelined=form.pipelined)
        low, high = _extreme_products(lane)
        needed = max(sum_bits(low, high, terms, signed=lane.signed_sum), lane.multiplier.width_p)
        bits = form.bits or needed
        if bits < lane.multiplier.width_p:
            raise InputError(
                f"{form}: a sum of {bits} bits is narrower than the {lane.multiplier.width_p} of a "
                f"product of {multiplier}; sums of {terms} products need {needed}"
            )
        return cls(form, MacSpec(lane.multiplier, lane.encoding, bits, form.pipelined))

    @classmethod
    def of_mac(cls, lane: MacSpec) -> Element:
        """A processing element as an element of the form `mac`."""
        return cls(ElementForm("mac", pipeline=str(int(lane.pipelined))), lane)

    @property
    def multiplier(self) -> Multiplier:
        return self.lane.multiplier

    @property
    def encoding(self) -> OperandEncoding:
        return self.lane.encoding

    @property
    def lanes(self) -> int:
        """Products a cycle."""
        return self.form.lanes

    @property
    def sum_bits(self) -> int:
        """Width of the sum."""
        return self.lane.accumulator_bits

    @property
    def words(self) -> tuple[str, ...]:
        """The registers whose sum, modulo 2^sum_bits, is the sum so far."""
        return ("total", "carries") if self.form.adder == "carry_save" else ("total",)

    @property
    def merged(self) -> bool:
        """Whether partial products, not products, enter the compressor tree: where the form says so
        or leaves it open and no sign stands beside the operands, and where the multiplier has some
        that can (`merges`); where a zero weight takes a product out, it has to do so.
        """
        if self.form.kind == "mac" or self.form.rows == "products":
            return False
        signs = self.encoding is OperandEncoding.SIGN_MAGNITUDE
        if self.form.rows == "auto" and signs:
            return False
        if not merges(self.multiplier):
            return False
        return not self.form.gated or not self.multiplier.table().products[:, 0].any()

    @property
    def lane_sum_bits(self) -> int:
        """Bits of the sum of one cycle's products, as a pipelined element of several lanes
        registers it.
        """
        low, high = _extreme_products(self.lane)
        return sum_bits(low, high, self.lanes, signed=self.lane.signed_sum)

    @property
    def safe_terms(self) -> int:
        """How many products no sum of which can overflow."""
        low, high = (abs(extreme) for extreme in _extreme_products(self.lane))
        signs = int(self.lane.signed_sum)
        most = (1 << self.sum_bits - signs) - 1
        room = [most // high] if high else []
        room += [(most + 1) // low] if low and signs else []
        return min(room, default=1 << 62)

    def products(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """What a lane adds for operand codes of `lane.operand_widths`, which broadcast: the
        multiplier's products, but zero for zero operands where registers hold for those.
        """
        products = self.lane.products(a, b)
        return products * self.counts(a, b) if self.form.gated else products

    def counts(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.bool_]:
        """Whether neither operand is zero, a zero with a sign being one, too."""
        widths = self.multiplier.widths
        nonzero: NDArray[np.bool_] = ((np.asarray(a) & (1 << widths.a) - 1) != 0) & (
            (np.asarray(b) & (1 << widths.b) - 1) != 0
        )
        return nonzero

    @property
    def identifier(self) -> str:
        """Verilog identifier and file name: `dot_lanes8_gatezero_sum18_mul5x3u_exact`. Different
        elements have different ones.
        """
        form = re.sub(r"\W", "_", re.sub(r",?bits=\d+", "", str(self.form)).replace("=", ""))
        mark = "" if self.lane.signed_sum else "u"
        wanted = f"{form.strip('_')}_sum{self.sum_bits}{mark}_{self.multiplier.identifier}"
        return identifier(wanted, str(self), longest=_MAX_IDENTIFIER)

    def __str__(self) -> str:
        return f"{self.form} of {self.multiplier}, {self.encoding}, {self.sum_bits}-bit sum"


def added_products(form: ElementForm, table: ProductTable) -> ProductTable:
    """A multiplier's products as elements of a form add them: zero for zero operands where
    registers hold for those.
    """
    if not form.gated or not (table.products[0].any() or table.products[:, 0].any()):
        return table
    products = table.products.copy()
    products[0], products[:, 0] = 0, 0
    return replace(table, products=products)


def sum_bits(low: int, high: int, terms: int, *, signed: bool) -> int:
    """Bits that hold every sum of up to `terms` products between `low` and `high`."""
    least, most = min(terms * low, 0), max(terms * high, 0)
    assert signed or least == 0, "unsigned products are not negative"
    return max(max(-least - 1, 0).bit_length(), most.bit_length()) + signed


@functools.lru_cache(maxsize=256)
def _extreme_products(lane: MacSpec) -> tuple[int, int]:
    """The least and the largest product of any operand codes; past 24 bits of both operands those
    that the output can show.
    """
    bits = lane.multiplier.width_p
    if lane.multiplier.widths.product > MAX_BITS:
        largest = (1 << bits - lane.encoding.signed) - 1
        low = {
            OperandEncoding.UNSIGNED: 0,
            OperandEncoding.SIGN_MAGNITUDE: -largest,
            OperandEncoding.TWOS_COMPLEMENT: -largest - 1,
        }
        return low[lane.encoding], largest
    products = lane.multiplier.table().products
    least, most = int(products.min()), int(products.max())
    return (-most, most) if lane.encoding is OperandEncoding.SIGN_MAGNITUDE else (least, most)


@functools.lru_cache(maxsize=256)
def merges(multiplier: Multiplier) -> bool:
    """Whether a multiplier's partial products can join a wider sum: it adds an array of them, and
    for all operands they add up to the product without wrapping.

    False past 24 bits of both operands, where nobody can try all pairs.
    """
    if multiplier.widths.product > MAX_BITS:
        return False
    wide = _WideSum(multiplier)
    text = component_rtlil(wide, "multiplier")
    if not wide.merges:
        return False
    a, b = (np.arange(1 << width) for width in multiplier.widths)
    codes = gate_netlist.gates(text, subject=f"partial products of {multiplier}").evaluate(
        a[:, None], b
    )
    values = values_of_codes(codes, wide.bits, signed=True)
    return bool(np.array_equal(values, multiplier.table().products))


class _WideSum(wiring.Component):
    """The sum `p` of a multiplier's partial products, in more bits than those of its product."""

    def __init__(self, multiplier: Multiplier) -> None:
        self.multiplier = multiplier
        self.bits = multiplier.width_p + _ROOM
        self.merges = False
        super().__init__(
            {"a": In(multiplier.width_a), "b": In(multiplier.width_b), "p": Out(self.bits)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns = Columns(m, self.bits)
        added = self.multiplier.merge_into(columns, self.a, self.b)
        low, high = columns.extremes()
        half = 1 << self.bits - 1
        # Within the range of the sum, equal codes are equal integers.
        self.merges = added and -half <= low and high < half
        m.d.comb += self.p.eq(columns.sum())
        return m
