"""Multipliers by what the user calls them: a spec's text, the user's own Verilog (`mul.v:top`), or
a saved table (`table.npy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdl.errors import InputError

from .formats import operand_distribution, profiled_operands

if TYPE_CHECKING:
    import hdl.multipliers
    from hdl.cost import SynthesisReport
    from hdl.tables import ErrorMetrics, ProductTable, SampledMetrics

    from ..search import Assignment

__all__ = ["SAMPLES", "Multiplier", "designs", "families", "is_assignment", "multiplier"]

#: Operand pairs that error metrics of operands past 12 bits are estimated from; the mean of
#: relative errors is then known to a thousandth.
SAMPLES = 1 << 22


@dataclass(frozen=True)
class Multiplier:
    """A multiplier and what can be asked of it. Make one with :func:`multiplier`.

    Attributes:
        design: spec, own Verilog or table: what the functions of `hdl` take.
    """

    design: hdl.multipliers.Multiplier

    @property
    def name(self) -> str:
        """The spec's text; of a file, its name, and of Verilog a digest of the circuit, too."""
        return self.design.name

    @property
    def signed(self) -> bool:
        """Whether operand codes are two's complement."""
        return self.design.signed

    def table(self) -> ProductTable:
        """The product table: as loaded, or from the circuit's gates. Raises hdl.tables.TableError
        past 24 bits of both operands.
        """
        return self.design.table()

    def in_network(
        self, network: str, *, encoding: str = "", zoo: Path | str | None = None
    ) -> Multiplier:
        """The multiplier as a network uses it: operand bits that no operand of the network has are
        tied off, as `@8x7` does. Itself where there are none, or for no network.
        """
        from hdl.multipliers import within

        if not network:
            return self
        there = profiled_operands(network, encoding, self.signed, _folder(zoo))
        return Multiplier(within(self.design, there))

    def metrics(
        self,
        network: str = "",
        *,
        encoding: str = "",
        zoo: Path | str | None = None,
        samples: int = SAMPLES,
    ) -> ErrorMetrics | SampledMetrics:
        """Error metrics under uniform operands, or, :meth:`in_network`, under the operands of a
        network of the zoo or with a profile in the folder `zoo`; past 12 bits estimated from a
        sample.
        """
        from hdl.tables import MAX_BITS, error_metrics, sampled_error_metrics
        from hdl.yosys import gates

        used = self.in_network(network, encoding=encoding, zoo=zoo)
        widths = used.design.widths
        if widths.product <= MAX_BITS:
            operands = operand_distribution(network, encoding, self.signed, widths, _folder(zoo))
            return error_metrics(used.table(), operands)
        return sampled_error_metrics(
            gates(self.design.rtlil(), subject=self.name), signed=self.signed, samples=samples
        )

    def cost(
        self,
        network: str = "",
        *,
        encoding: str = "",
        zoo: Path | str | None = None,
        liberty: Path | str | None = None,
        effort: str = "fast",
        **options: Any,
    ) -> SynthesisReport:
        """Area, delay, energy and leakage in a cell library, under uniform operands or,
        :meth:`in_network`, those of a network of the zoo or with a profile in the folder `zoo`.

        `liberty` None is the library that ships; `options` are those of `hdl.cost.synthesize`,
        which also says what is raised.
        """
        from hdl.cells import CellLibrary
        from hdl.cost import synthesize

        library = CellLibrary.load(None if liberty is None else Path(liberty))
        used = self.in_network(network, encoding=encoding, zoo=zoo).design
        operands = operand_distribution(network, encoding, self.signed, used.widths, _folder(zoo))
        return synthesize(used, library, operands, effort=effort, **options)

    def verilog(self) -> str:
        """One Verilog-2001 module with the ports a, b, p."""
        from hdl.export import verilog

        return verilog(self.design)

    def export(self, folder: Path | str) -> list[Path]:
        """Writes Verilog, a test bench that checks itself, timing constraints and what other tools
        need to build them, in this order, into a folder of their own in `folder`; returns their
        paths. Raises hdl.export.ExportError.
        """
        from hdl.export import export

        return export(self.design, folder)

    def __str__(self) -> str:
        return self.name


def _folder(zoo: Path | str | None) -> Path | None:
    return None if zoo is None else Path(zoo)


def multiplier(text: str, *, signed: bool = False) -> Multiplier:
    """The multiplier of that name: `drum:k=4`, `mul.v:top` or `table.npy`; with `@8x7` behind it,
    for operands of so many bits.

    `signed` says how the operands of Verilog and of .npy tables, which do not say it themselves,
    are meant.

    Raises:
        hdl.errors.InputError: it is neither a spec nor a file that can be used.
    """
    from hdl.multipliers import parse_multiplier

    if is_assignment(text):
        raise InputError(
            f"{text!r} is a design for every layer, no multiplier; dse emulate, correct, export "
            "and train take it"
        )
    return Multiplier(parse_multiplier(text, signed=signed))


def is_assignment(text: str) -> bool:
    """Whether a text names the file of an assignment, a design for every layer."""
    return text.endswith(".json")


def designs(texts: list[str], *, signed: bool = False) -> list[Multiplier | Assignment]:
    """What texts name: multipliers, an .npz of many tables, assignments; `signed` and errors as in
    :func:`multiplier`. Raises dse.search.AssignmentError.
    """
    from hdl.tables import ProductTable

    from ..search import Assignment

    found: list[Multiplier | Assignment] = []
    for text in texts:
        if text.endswith(".npz"):
            tables = ProductTable.load_collection(Path(text), signed=signed)
            found += [Multiplier(table) for table in tables]
        elif is_assignment(text):
            found.append(Assignment.load(Path(text)))
        else:
            found.append(multiplier(text, signed=signed))
    return found


def families() -> tuple[str, ...]:
    """Names of the multiplier families."""
    from hdl.multipliers import FAMILIES

    return tuple(FAMILIES)
