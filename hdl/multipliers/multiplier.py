"""What everything takes that asks for a multiplier, wherever the multiplier comes from."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import wiring
from numpy.typing import ArrayLike, NDArray

from ..circuits.columns import Columns
from ..circuits.dot_diagram import DotDiagram
from ..operands import Widths
from ..tables.product_table import ProductTable

__all__ = ["Multiplier"]


class Multiplier(Protocol):
    """A multiplier of codes a (`width_a` bits) and b (`width_b` bits): two's complement codes when
    `signed`.

    Specs of the families, the user's own Verilog, product tables, and any of them narrowed to fewer
    operand bits. `str` gives the name; equal multipliers have equal names, and
    `hdl.multipliers.parse_multiplier` reads the name of whatever text can describe.
    """

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """The text of a spec, or the file that the multiplier came from."""

    @property
    def family(self) -> str:
        """One of `hdl.multipliers.FAMILIES`, or `imported` or `table`."""

    @property
    def width_a(self) -> int:
        """Bits of the operand a, in a network the activation."""

    @property
    def width_b(self) -> int:
        """Bits of the operand b, in a network the weight."""

    @property
    def widths(self) -> Widths:
        """Bits of both operands."""

    @property
    def width_p(self) -> int:
        """Bits of the product: as many as both operands have, or more where products go beyond
        those.
        """

    @property
    def signed(self) -> bool:
        """Whether codes are two's complement."""

    @property
    def identifier(self) -> str:
        """A Verilog identifier and file name, another for each multiplier."""

    @property
    def description(self) -> tuple[str, ...]:
        """What it is, in the lines of a file's header."""

    def rtlil(self, *, carry_chains: bool = False) -> str:
        """RTLIL text whose module `multiplier` has the ports a, b, p in this order. The same
        multiplier always gives the same text.

        `carry_chains` asks for ripple-carry adders as `+`, for FPGAs. Raises hdl.tables.TableError
        where there is no circuit.
        """

    def component(self) -> wiring.Component | None:
        """The circuit as a part of other Amaranth circuits, with the ports a, b, p; None where
        RTLIL text is all there is.
        """

    def merge_into(self, columns: Columns, a: Value, b: Value) -> bool:
        """Adds the partial products of the operands a and b to the columns of a larger sum, and the
        approximate cells before them; False where the circuit does not add an array of them.

        What they add up to is the product, modulo 2^width_p.
        """

    def multiply(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """Product values of operand codes, which broadcast. Any widths."""

    def table(self) -> ProductTable:
        """All products. Raises hdl.tables.TableError where both operands have more than 24 bits
        together.
        """

    def dots(self) -> DotDiagram | None:
        """The partial products that the circuit adds; None where it does not add an array of them,
        or where nobody knows.
        """
