"""Multipliers by what the user calls them: a spec's text, the user's own Verilog (`mul.v:top`), or a saved table (`table.npy`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdl.errors import InputError

from .formats import operand_distribution

if TYPE_CHECKING:
    from hdl.cost import SynthesisReport
    from hdl.multipliers import ImportedDesign, MultiplierSpec
    from hdl.tables import ErrorMetrics, ProductTable, SampledMetrics

__all__ = ["SAMPLES", "Multiplier", "families", "multiplier", "multipliers"]

#: Operand pairs that error metrics of operands past 12 bits are estimated from; the mean of relative errors is then known to a thousandth.
SAMPLES = 1 << 22


@dataclass(frozen=True)
class Multiplier:
    """A multiplier and what can be asked of it. Make one with :func:`multiplier`.

    Attributes:
        name: the spec's text, or what the user called a file.
        signed: whether operand codes are two's complement.
        spec: None for the user's own Verilog or table.
        circuit: RTLIL text of the module `multiplier` with ports a, b, p; None for a table, which has no circuit.
    """

    name: str
    signed: bool
    spec: MultiplierSpec | None
    circuit: str | None
    known_table: ProductTable | None = None

    def table(self) -> ProductTable:
        """The product table: as loaded, or from the circuit's gates. Raises hdl.tables.TableError past 12 bits."""
        from hdl.tables import ProductTable

        if self.known_table is not None:
            return self.known_table
        return ProductTable.of_rtlil(self.need_circuit("a table"), signed=self.signed, name=self.name)

    def metrics(self, network: str = "", *, encoding: str = "", samples: int = SAMPLES) -> ErrorMetrics | SampledMetrics:
        """Error metrics under uniform operands, or under the operands of a network of the zoo; past 12 bits estimated from a sample.

        Raises InputError where the network's operands are not the multiplier's.
        """
        from hdl.tables import MAX_BITS, error_metrics, sampled_error_metrics
        from hdl.yosys import gates

        operands = operand_distribution(network, encoding, self.signed)
        if self.circuit is not None:
            circuit = gates(self.circuit, subject=self.name)
            if circuit.widths.product > MAX_BITS:
                if operands is not None:
                    raise InputError(
                        f"{self.name} multiplies operands of {circuit.widths} bits, and {operands.name!r} is of {operands.widths}; "
                        "drop --network"
                    )
                return sampled_error_metrics(circuit, signed=self.signed, samples=samples)
        return error_metrics(self.table(), operands)

    def cost(
        self, network: str = "", *, encoding: str = "", liberty: Path | str | None = None, effort: str = "fast", **options: Any
    ) -> SynthesisReport:
        """Area, delay, energy and leakage in a cell library, under uniform operands or those of a network of the zoo.

        `liberty` None is the library that ships; `options` are those of `hdl.cost.synthesize`, which also says what is raised.
        """
        from hdl.cells import CellLibrary
        from hdl.cost import synthesize

        circuit, library = self.need_circuit("synthesis"), CellLibrary.load(None if liberty is None else Path(liberty))
        operands = operand_distribution(network, encoding, self.signed)
        return synthesize(circuit, library, operands, effort=effort, subject=self.name, **options)

    def verilog(self) -> str:
        """One Verilog-2001 module with the ports a, b, p."""
        from hdl.export import imported_verilog, verilog

        return verilog(self.spec) if self.spec is not None else imported_verilog(self._imported("Verilog"))

    def export(self, folder: Path | str) -> list[Path]:
        """Writes Verilog, a test bench that checks itself, and timing constraints; returns their paths. Raises hdl.export.ExportError."""
        from hdl.export import export, export_imported

        folder = Path(folder)
        return export(self.spec, folder) if self.spec is not None else export_imported(self._imported("export"), folder)

    def need_circuit(self, purpose: str) -> str:
        """The circuit. Raises InputError, which names the purpose, where there is none."""
        if self.circuit is None:
            raise InputError(f"{self.name} is a table, and {purpose} needs a circuit; give a spec or Verilog (mul.v:top)")
        return self.circuit

    def need_design(self, purpose: str) -> MultiplierSpec | ImportedDesign:
        """The spec, or the user's own Verilog."""
        return self.spec if self.spec is not None else self._imported(purpose)

    def need_spec(self, purpose: str) -> MultiplierSpec:
        """The spec. Raises InputError, which names the purpose, where there is none."""
        if self.spec is None:
            raise InputError(f"{self.name} is not of a family, and {purpose} needs a spec; see dse families")
        return self.spec

    def _imported(self, purpose: str) -> ImportedDesign:
        from hdl.multipliers import ImportedDesign

        return ImportedDesign.of_circuit(self.name, self.need_circuit(purpose), signed=self.signed)

    def __str__(self) -> str:
        return self.name


def multiplier(text: str, *, signed: bool = False) -> Multiplier:
    """The multiplier of that name: `drum:k=4`, `mul.v:top` or `table.npy`.

    `signed` says how the operands of Verilog and of .npy tables, which do not say it themselves, are meant.

    Raises:
        hdl.errors.InputError: it is neither a spec nor a file that can be used.
    """
    path, colon, top = text.rpartition(":")
    if colon and path.endswith((".v", ".sv")):
        from hdl.multipliers import import_verilog

        return Multiplier(text, signed, None, import_verilog(path, top))
    if text.endswith((".v", ".sv")):
        raise InputError(f"{text!r}: name the module too, as in {text}:top")
    if text.endswith((".npy", ".npz")):
        from hdl.tables import ProductTable

        table = ProductTable.load(Path(text), signed=signed if signed or text.endswith(".npy") else None)
        return Multiplier(table.name, table.signed, None, None, table)
    from hdl.multipliers import MultiplierSpec, rtlil

    spec = MultiplierSpec.parse(text)
    return Multiplier(str(spec), spec.signed, spec, rtlil(spec))


def multipliers(texts: list[str], *, signed: bool = False) -> list[Multiplier]:
    """Several at once, among which an .npz may hold many tables; `signed` and errors as in :func:`multiplier`."""
    from hdl.tables import ProductTable

    found = []
    for text in texts:
        if text.endswith(".npz"):
            tables = ProductTable.load_collection(Path(text), signed=signed)
            found += [Multiplier(table.name, table.signed, None, None, table) for table in tables]
        else:
            found.append(multiplier(text, signed=signed))
    return found


def families() -> tuple[str, ...]:
    """Names of the multiplier families."""
    from hdl.multipliers import FAMILIES

    return tuple(FAMILIES)
