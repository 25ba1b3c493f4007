"""A user's own Verilog as a multiplier: `mul.v:top`, inputs of m and n bits and an output of m + n
bits, whatever their names.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from amaranth.hdl import Value
from numpy.typing import ArrayLike, NDArray

from .. import yosys
from ..circuits.columns import Columns
from ..files import words
from ..operands import Widths, values_of_codes
from ..tables.product_table import ProductTable
from ..yosys import gate_netlist
from .verilog_import import (
    MAX_WIDTH,
    ImportedDesignError,
    ImportedDesignMissingError,
    import_verilog,
    shown,
    source_text,
)
from .verilog_text import modules

__all__ = ["ImportedDesign", "import_folder"]

MAX_FILES = 10_000

_WORD = re.compile(r"\w{1,64}", re.ASCII)


@dataclass(frozen=True)
class ImportedDesign:
    """A user's own Verilog, read: what a spec is for the multipliers of the families.

    Attributes:
        name: file and module as the user wrote them, and a digest of the circuit, so that another
            circuit has another name.
        circuit: RTLIL text of the module `multiplier` with ports a, b, p.
    """

    name: str
    width_a: int
    width_b: int
    signed: bool
    circuit: str

    family: ClassVar[str] = "imported"

    @classmethod
    def read(cls, text: str, *, signed: bool) -> ImportedDesign:
        """Reads `mul.v:top`; `signed` says how operand codes are meant. Raises ImportedDesignError,
        YosysMissingError.
        """
        path, _, top = text.rpartition(":")
        return cls.of_circuit(text, import_verilog(path, top, signed=signed), signed=signed)

    @classmethod
    def of_circuit(cls, text: str, circuit: str, *, signed: bool) -> ImportedDesign:
        """The design that `import_verilog` read from `mul.v:top`, the `text`."""
        digest = hashlib.sha256(circuit.encode()).hexdigest()[:8]
        return cls(
            f"{shown(text)}#{digest}",
            *gate_netlist.gates(circuit, subject=text).widths,
            signed,
            circuit,
        )

    def check(self) -> None:
        """Holds the fields against the circuit, for a design that comes out of a file. Raises
        ImportedDesignError, YosysMissingError.
        """
        if not self.name.isprintable():
            raise ImportedDesignError(f"{shown(self.name)}: a design is called by one line of text")
        try:
            widths = gate_netlist.gates(
                self.circuit, subject=shown(self.name), untrusted=True
            ).widths
        except yosys.YosysMissingError:
            raise
        except (yosys.YosysError, gate_netlist.NetlistError) as error:
            raise ImportedDesignError(str(error)) from error
        if widths != self.widths or max(widths) > MAX_WIDTH:
            raise ImportedDesignError(
                f"{shown(self.name)}: its circuit multiplies operands of {widths} bits, not of "
                f"{self.widths}"
            )

    def __str__(self) -> str:
        return self.name

    @property
    def width_p(self) -> int:
        """Bits of the product: those of both operands."""
        return self.widths.product

    @property
    def description(self) -> tuple[str, ...]:
        """Where it is from."""
        return ("Verilog from elsewhere, flattened, its ports renamed.",)

    def rtlil(self, *, carry_chains: bool = False) -> str:
        """The text that was read; carry chains are as they are."""
        return self.circuit

    def component(self) -> None:
        """RTLIL text is all there is."""

    def dots(self) -> None:
        """Nobody knows its partial products."""

    def merge_into(self, columns: Columns, a: Value, b: Value) -> bool:
        """Its partial products, if there are any, are unknown."""
        return False

    def multiply(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """Product values of operand codes, by the gates; the arrays broadcast."""
        return values_of_codes(_gates(self).evaluate(a, b), self.width_p, signed=self.signed)

    def table(self) -> ProductTable:
        """All products. Raises TableError past 24 bits of both operands together."""
        return ProductTable.of(self)

    @property
    def widths(self) -> Widths:
        """Bits of both operands."""
        return Widths(self.width_a, self.width_b)

    @property
    def identifier(self) -> str:
        """A Verilog identifier and file name, another for each circuit: of `mul.v:mul8u_own` it is
        `mul8u_own_` and a digest.
        """
        # The name may come from anywhere; what makes files and commands does not.
        top = self.name.rpartition(":")[2].partition("#")[0]
        digest = hashlib.sha256(self.circuit.encode()).hexdigest()[:8]
        word = top if _WORD.fullmatch(top) else "imported"
        kind = f"mul{self.widths}{'s' if self.signed else 'u'}"
        return (
            f"{kind}_{digest}"
            if word == kind
            else f"{kind}_{word.removeprefix(f'{kind}_')}_{digest}"
        )


def import_folder(folder: Path | str, *, signed: bool) -> list[ImportedDesign]:
    """The multipliers of a folder: one in each Verilog file (`.v`, `.sv`), in the order of the
    files' names. A file of several modules has its multiplier in the one that is called like it.

    `signed` says how operand codes are meant. Raises ImportedDesignError, YosysMissingError.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImportedDesignMissingError(
            f"{shown(folder)}: no such folder; give one with a multiplier in each Verilog file"
        )
    files = sorted(path for path in folder.iterdir() if path.suffix in (".v", ".sv"))
    if not 0 < len(files) <= MAX_FILES:
        raise ImportedDesignError(
            f"{shown(folder)}: has {len(files) or 'no'} Verilog files; give a folder with 1 to "
            f"{MAX_FILES:,}, each with one multiplier"
        )
    return [ImportedDesign.read(f"{path}:{_top(path)}", signed=signed) for path in files]


def _top(path: Path) -> str:
    """The module of a file that is the multiplier."""
    there = modules(source_text(path))
    if len(there) == 1:
        return there[0]
    if path.stem not in there:
        found = f"has the modules {words(', '.join(there[:10]))}" if there else "has no module"
        raise ImportedDesignError(
            f"{shown(path)}: {found}; a file of a folder has one multiplier, its only module or "
            "the one that is called like the file"
        )
    return path.stem


@functools.lru_cache(maxsize=4)
def _gates(design: ImportedDesign) -> gate_netlist.GateNetlist:
    return gate_netlist.gates(design.circuit, subject=design.name)
