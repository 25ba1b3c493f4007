"""What SPEC means on the command line: a spec's text, the user's own Verilog (`mul.v:top`), or a saved table (`table.npy`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError

if TYPE_CHECKING:
    from hdl.multipliers import ImportedDesign, MultiplierSpec
    from hdl.tables import ProductTable

__all__ = ["Subject", "read_subject", "read_subjects"]


@dataclass(frozen=True)
class Subject:
    """A multiplier that the user named.

    Attributes:
        spec: None for the user's own Verilog or table.
        circuit: RTLIL text; None for a table, which has no circuit.
    """

    name: str
    signed: bool
    spec: MultiplierSpec | None
    circuit: str | None
    known_table: ProductTable | None = None

    def table(self) -> ProductTable:
        """The product table: as loaded, or from the circuit's gates."""
        from hdl.tables import ProductTable

        if self.known_table is not None:
            return self.known_table
        return ProductTable.of_rtlil(self.need_circuit("a table"), signed=self.signed, name=self.name)

    def need_circuit(self, purpose: str) -> str:
        if self.circuit is None:
            raise InputError(f"{self.name} is a table, and {purpose} needs a circuit; give a spec or Verilog (mul.v:top)")
        return self.circuit

    def need_design(self, purpose: str) -> MultiplierSpec | ImportedDesign:
        """The spec, or the user's own Verilog."""
        if self.spec is not None:
            return self.spec
        circuit = self.need_circuit(purpose)
        from hdl.multipliers import ImportedDesign

        return ImportedDesign.of_circuit(self.name, circuit, signed=self.signed)

    def need_spec(self, purpose: str) -> MultiplierSpec:
        if self.spec is None:
            raise InputError(f"{self.name} is not of a family, and {purpose} needs a spec; see dse families")
        return self.spec


def read_subject(text: str, *, signed: bool = False) -> Subject:
    """Reads SPEC; `signed` says how the operands of Verilog and of .npy tables, which do not say it themselves, are meant.

    Raises:
        hdl.errors.InputError: it is neither a spec nor a file that can be used.
    """
    path, colon, top = text.rpartition(":")
    if colon and path.endswith((".v", ".sv")):
        from hdl.multipliers import import_verilog

        return Subject(text, signed, None, import_verilog(path, top))
    if text.endswith((".v", ".sv")):
        raise InputError(f"{text!r}: name the module too, as in {text}:top")
    if text.endswith((".npy", ".npz")):
        from hdl.tables import ProductTable

        table = ProductTable.load(Path(text), signed=signed if signed or text.endswith(".npy") else None)
        return Subject(table.name, table.signed, None, None, table)
    from hdl.multipliers import MultiplierSpec, rtlil

    spec = MultiplierSpec.parse(text)
    return Subject(str(spec), spec.signed, spec, rtlil(spec))


def read_subjects(texts: list[str], *, signed: bool = False) -> list[Subject]:
    """Reads several SPECs, among which an .npz may hold many tables; `signed` as in :func:`read_subject`."""
    from hdl.tables import ProductTable

    subjects = []
    for text in texts:
        if text.endswith(".npz"):
            tables = ProductTable.load_collection(Path(text), signed=signed)
            subjects += [Subject(table.name, table.signed, None, None, table) for table in tables]
        else:
            subjects.append(read_subject(text, signed=signed))
    return subjects
