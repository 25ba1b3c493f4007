"""Multipliers that a search made gate by gate: their gates are all there is to know of them.

A netlist is written as one line: its gates in topological order, `>`, and the bits of the product
from the lowest up. Bits of operand a are nets 0, 1, ..., those of b follow, and then the gates'
outputs in their order. `&0,8` is an AND of nets 0 and 8, `|` is OR, `^` exclusive or; `~` in front
inverts (`~&0,8`, and `~5` is an inverter). Product bits are nets, or `L` and `H` for 0 and 1.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from amaranth.hdl import Value
from numpy.typing import ArrayLike, NDArray

from ..circuits.columns import Columns
from ..errors import InputError
from ..operands import Widths, values_of_codes
from ..tables.product_table import ProductTable
from ..yosys.gate_netlist import ONE, ZERO, Gate, GateNetlist

__all__ = ["NetlistDesign", "NetlistDesignError", "NetlistGate"]

MAX_GATES = 20_000
MAX_WIDTH = 16
_PREFIX = "net:"
_KINDS = {
    "&": "$_AND_",
    "~&": "$_NAND_",
    "|": "$_OR_",
    "~|": "$_NOR_",
    "^": "$_XOR_",
    "~^": "$_XNOR_",
    "~": "$_NOT_",
}
_GATE = re.compile(r"(~?[&|^])(\d{1,5}),(\d{1,5})|(~)(\d{1,5})")


class NetlistDesignError(InputError):
    """Text that is no netlist: one line with the design, the culprit and what a gate looks like."""


class NetlistGate(NamedTuple):
    """A gate: `&`, `|` or `^`, inverted with `~` in front, of two nets; or `~` of one."""

    kind: str
    inputs: tuple[int, ...]

    def __str__(self) -> str:
        return self.kind + ",".join(map(str, self.inputs))


@dataclass(frozen=True)
class NetlistDesign:
    """A multiplier made of simple gates, named by its content: `net:` and a digest.

    Attributes:
        width_a, width_b: bits of the operands.
        signed: whether their codes are two's complement.
        netlist: the gates and the product bits, as the module describes.

    Raises:
        NetlistDesignError: the text is no netlist of such operands.
    """

    width_a: int
    width_b: int
    signed: bool
    netlist: str

    family: ClassVar[str] = "net"

    def __post_init__(self) -> None:
        _parsed(self)

    @classmethod
    def of(
        cls,
        widths: Widths,
        signed: bool,
        gates: Sequence[NetlistGate],
        product: Sequence[int | str],
    ) -> NetlistDesign:
        """The design of these gates; `product` has a net, `L` or `H` for every bit."""
        return cls(*widths, signed, " ".join([*map(str, gates), ">", *map(str, product)]))

    @functools.cached_property
    def name(self) -> str:
        """`net:` and twelve hexadecimal digits of the content's hash."""
        sign = "s" if self.signed else "u"
        content = f"{self.width_a}x{self.width_b}{sign} {self.netlist}"
        return _PREFIX + hashlib.sha256(content.encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return self.name

    @property
    def widths(self) -> Widths:
        """Bits of both operands."""
        return Widths(self.width_a, self.width_b)

    @property
    def width_p(self) -> int:
        """Bits of the product: those of both operands."""
        return self.widths.product

    @property
    def identifier(self) -> str:
        """A Verilog identifier and file name, another for each circuit."""
        kind = "s" if self.signed else "u"
        return f"mul{self.widths}{kind}_net_{self.name.removeprefix(_PREFIX)}"

    @property
    def description(self) -> tuple[str, ...]:
        """What it is, in lines."""
        return (f"Made for a network, gate by gate: {len(self.gates.gates)} simple gates.",)

    @property
    def gates(self) -> GateNetlist:
        """The gates, ready to be evaluated."""
        return _parsed(self)

    def rtlil(self, *, carry_chains: bool = False) -> str:
        """One cell a gate; there are no carry chains to see."""
        return _rtlil(self.gates)

    def component(self) -> None:
        """RTLIL text is all there is."""

    def dots(self) -> None:
        """Nobody knows its partial products."""

    def merge_into(self, columns: Columns, a: Value, b: Value) -> bool:
        """Its partial products, if there are any, are unknown."""
        return False

    def multiply(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """Product values of operand codes, which broadcast, from the gates."""
        codes = self.gates.evaluate(a, b)
        return values_of_codes(codes, self.width_p, signed=self.signed)

    def table(self) -> ProductTable:
        """All products, from the gates."""
        codes = self.gates.evaluate_all()
        values = values_of_codes(codes, self.width_p, signed=self.signed).astype(np.int32)
        return ProductTable(values, self.signed, self.name)


@functools.lru_cache(maxsize=64)
def _parsed(design: NetlistDesign) -> GateNetlist:
    if not 1 <= min(design.widths) <= max(design.widths) <= MAX_WIDTH:
        shown = f"{design.width_a}x{design.width_b}"
        raise NetlistDesignError(
            f"a netlist for operands of {shown} bits; 1 to {MAX_WIDTH} are possible"
        )
    gates, separator, product = design.netlist.partition(">")
    words, bits = gates.split(), product.split()
    if not separator or len(words) > MAX_GATES or len(bits) != design.width_p:
        raise NetlistDesignError(
            f"a netlist of {len(words)} gates with {len(bits)} product bits; up to {MAX_GATES} "
            f"gates, '>' and {design.width_p} bits are expected, as in '&0,8 ~^1,9 > 16 17 ...'"
        )
    # Nets 0 and 1 of a GateNetlist are the constants.
    first = 2 + design.width_p
    found = []
    for position, word in enumerate(words):
        match = _GATE.fullmatch(word)
        inputs = tuple(int(net) + 2 for net in re.findall(r"\d+", word))
        if match is None or max(inputs) >= first + position:
            raise NetlistDesignError(
                f"gate {position} of a netlist is {word[:40]!r}; a gate is like '~&0,8' and takes "
                f"nets before its own, {design.width_p + position}"
            )
        found.append(Gate(_KINDS[match[1] or match[4]], inputs, first + position))
    p = [_product_net(bit, first + len(found)) for bit in bits]
    a, b = range(2, 2 + design.width_a), range(2 + design.width_a, first)
    return GateNetlist(tuple(found), tuple(a), tuple(b), tuple(p))


def _product_net(bit: str, nets: int) -> int:
    if bit in ("L", "H"):
        return ONE if bit == "H" else ZERO
    if not (bit.isdecimal() and bit.isascii() and int(bit) + 2 < nets):
        raise NetlistDesignError(
            f"product bit {bit[:40]!r} of a netlist is no net of it; give a net, or L or H "
            "for 0 or 1"
        )
    return int(bit) + 2


def _rtlil(netlist: GateNetlist) -> str:
    operands = {net: f"\\a [{bit}]" for bit, net in enumerate(netlist.a)}
    operands |= {net: f"\\b [{bit}]" for bit, net in enumerate(netlist.b)}
    names = {ZERO: "1'0", ONE: "1'1"} | operands
    names |= {gate.output: f"\\n{gate.output}" for gate in netlist.gates}
    lines = ["module \\multiplier"]
    for index, (port, nets) in enumerate((("a", netlist.a), ("b", netlist.b))):
        lines.append(f"  wire width {len(nets)} input {index + 1} \\{port}")
    lines.append(f"  wire width {len(netlist.p)} output 3 \\p")
    lines += [f"  wire \\n{gate.output}" for gate in netlist.gates]
    for gate in netlist.gates:
        lines.append(f"  cell {gate.kind} \\gate{gate.output}")
        for pin, net in zip("AB", gate.inputs, strict=False):
            lines.append(f"    connect \\{pin} {names[net]}")
        lines += [f"    connect \\Y {names[gate.output]}", "  end"]
    product = " ".join(names[net] for net in reversed(netlist.p))
    lines += [f"  connect \\p {{ {product} }}", "end", ""]
    return "\n".join(lines)
