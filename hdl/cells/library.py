"""Standard-cell libraries: the combinational cells and the flip-flops of a Liberty file."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .liberty_reader import read_cells
from .liberty_syntax import LibertyError, LibertyMissingError, parse, read_text
from .standard_cell import (
    MAX_INPUTS,
    Cell,
    FlipFlop,
    InputPin,
    InternalPower,
    LookupTable,
    OutputPin,
    TimingArc,
    Unateness,
)

__all__ = [
    "MAX_INPUTS",
    "Cell",
    "CellLibrary",
    "FlipFlop",
    "InputPin",
    "InternalPower",
    "LibertyError",
    "LookupTable",
    "OutputPin",
    "TimingArc",
    "Unateness",
]

COMPACT_LIBRARY = Path(__file__).with_name("sg13g2_compact.lib.gz")


@dataclass(frozen=True, eq=False)
class CellLibrary:
    """The combinational cells and the D flip-flops of one Liberty file.

    `source` is its path as given, `sha256` that of the decompressed text.
    """

    name: str
    source: str
    sha256: str
    voltage_v: float
    cells: Mapping[str, Cell]
    flip_flops: Mapping[str, FlipFlop]

    @staticmethod
    def load(path: Path | None = None) -> CellLibrary:
        """Reads a Liberty file, plain or gzipped; None means the compact SG13G2 library that ships.
        Raises LibertyError.

        The result stays in memory: the same unchanged file is read once per process.
        """
        path = COMPACT_LIBRARY if path is None else Path(path)
        try:
            status = path.stat()
        except OSError as error:
            raise LibertyMissingError(
                f"{path}: the cell library cannot be read ({error.strerror}); give a readable "
                ".lib or .lib.gz file"
            ) from error
        return _load(path, status.st_mtime_ns, status.st_size)

    @staticmethod
    def parse(text: str, source: str) -> CellLibrary:
        """The library in a Liberty text; `source` names it in errors. Raises LibertyError."""
        found = read_cells(parse(text, source), source)
        library = CellLibrary(
            found.name,
            source,
            hashlib.sha256(text.encode()).hexdigest(),
            found.voltage_v,
            found.cells,
            found.flip_flops,
        )
        _check_complete(library)
        return library

    @functools.cached_property
    def smallest_inverter(self) -> Cell:
        inverters = [cell for cell in self.cells.values() if cell.mappable and cell.is_inverter]
        return min(inverters, key=lambda cell: (cell.area_um2, cell.inputs[0].capacitance_ff))

    @functools.cached_property
    def flip_flop(self) -> FlipFlop:
        """The smallest flip-flop: what every register bit becomes. Raises LibertyError where there
        is none.
        """
        if not self.flip_flops:
            raise LibertyError(
                f"{self.source}: no D flip-flop for rising clock edges with delay and setup "
                "tables; registers need one, "
                "give a complete standard-cell library"
            )
        return min(self.flip_flops.values(), key=lambda cell: (cell.area_um2, cell.name))

    @functools.cached_property
    def has_internal_power(self) -> bool:
        """Whether the library says what energy its cells use inside; without it, only net
        capacitances count.
        """
        return any(
            any(pin.powers for pin in cell.inputs) or any(pin.powers for pin in cell.outputs)
            for cell in self.cells.values()
        )

    @property
    def default_output_load_ff(self) -> float:
        """The load assumed on every product bit where none is given: two inputs of the smallest
        inverter.
        """
        return 2 * self.smallest_inverter.inputs[0].capacitance_ff


@functools.lru_cache(maxsize=4)
def _load(path: Path, mtime_ns: int, size: int) -> CellLibrary:
    return CellLibrary.parse(read_text(path), str(path))


def _check_complete(library: CellLibrary) -> None:
    mappable = [cell for cell in library.cells.values() if cell.mappable]
    if not mappable:
        raise LibertyError(
            f"{library.source}: no combinational cell with an area; give a Liberty file of a "
            "standard-cell library"
        )
    functions = {(len(cell.inputs), cell.outputs[0].function) for cell in mappable}
    if (1, 0b01) not in functions:
        raise LibertyError(
            f"{library.source}: no usable inverter; mapping needs one, give a complete "
            "standard-cell library"
        )
    if not functions & {(2, 0b0111), (2, 0b0001), (2, 0b1000), (2, 0b1110)}:
        raise LibertyError(
            f"{library.source}: no two-input NAND, NOR, AND or OR; mapping needs one, give a "
            "complete standard-cell library"
        )
