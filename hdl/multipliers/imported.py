"""A user's own Verilog as a multiplier: `mul.v:top`, inputs of m and n bits and an output of m + n
bits, whatever their names.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from amaranth.hdl import Value
from numpy.typing import ArrayLike, NDArray

from .. import yosys
from ..circuits.columns import Columns
from ..errors import InputError, MissingError
from ..files import FileError, MissingFileError, read_bytes, words
from ..operands import Widths, values_of_codes
from ..tables.product_table import ProductTable
from ..yosys import gate_netlist
from .verilog_text import modules, reaching_out

__all__ = [
    "ImportedDesign",
    "ImportedDesignError",
    "ImportedDesignMissingError",
    "import_folder",
    "import_verilog",
]

MAX_FILE_BYTES = 4 << 20
MAX_FILES = 10_000
MAX_WIDTH = 32
TIME_LIMIT_S = 20.0
_SUBJECT = "the file cannot be used"

_NAME = re.compile(r"[A-Za-z_][\w$]*", re.ASCII)
_WORD = re.compile(r"\w{1,64}", re.ASCII)
_STATEFUL = re.compile(
    r"\$(_)?(?P<latch>a?dlatch|s?r_?latch)|\$(_)?([a-z]*dff|ff|sr|mem|lut_?ram)", re.IGNORECASE
)


class ImportedDesignError(InputError):
    """A file that is no multiplier: one line with the file and module, the reason, and what a
    multiplier looks like.
    """


class ImportedDesignMissingError(ImportedDesignError, MissingError):
    """A file that cannot be read."""


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
        return cls.of_circuit(text, import_verilog(path, top), signed=signed)

    @classmethod
    def of_circuit(cls, text: str, circuit: str, *, signed: bool) -> ImportedDesign:
        """The design that `import_verilog` read from `mul.v:top`, the `text`."""
        digest = hashlib.sha256(circuit.encode()).hexdigest()[:8]
        return cls(
            f"{_shown(text)}#{digest}",
            *gate_netlist.gates(circuit, subject=text).widths,
            signed,
            circuit,
        )

    def check(self) -> None:
        """Holds the fields against the circuit, for a design that comes out of a file. Raises
        ImportedDesignError, YosysMissingError.
        """
        if not self.name.isprintable():
            raise ImportedDesignError(
                f"{_shown(self.name)}: a design is called by one line of text"
            )
        try:
            widths = gate_netlist.gates(
                self.circuit, subject=_shown(self.name), untrusted=True
            ).widths
        except yosys.YosysMissingError:
            raise
        except (yosys.YosysError, gate_netlist.NetlistError) as error:
            raise ImportedDesignError(str(error)) from error
        if widths != self.widths or max(widths) > MAX_WIDTH:
            raise ImportedDesignError(
                f"{_shown(self.name)}: its circuit multiplies operands of {widths} bits, not of "
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
            f"{_shown(folder)}: no such folder; give one with a multiplier in each Verilog file"
        )
    files = sorted(path for path in folder.iterdir() if path.suffix in (".v", ".sv"))
    if not 0 < len(files) <= MAX_FILES:
        raise ImportedDesignError(
            f"{_shown(folder)}: has {len(files) or 'no'} Verilog files; give a folder with 1 to "
            f"{MAX_FILES:,}, each with one multiplier"
        )
    return [ImportedDesign.read(f"{path}:{_top(path)}", signed=signed) for path in files]


def _top(path: Path) -> str:
    """The module of a file that is the multiplier."""
    there = modules(_read(path))
    if len(there) == 1:
        return there[0]
    if path.stem not in there:
        found = f"has the modules {words(', '.join(there[:10]))}" if there else "has no module"
        raise ImportedDesignError(
            f"{_shown(path)}: {found}; a file of a folder has one multiplier, its only module or "
            "the one that is called like the file"
        )
    return path.stem


@functools.lru_cache(maxsize=4)
def _gates(design: ImportedDesign) -> gate_netlist.GateNetlist:
    return gate_netlist.gates(design.circuit, subject=design.name)


def import_verilog(path: Path | str, top: str) -> str:
    """RTLIL text of the module `top` of a Verilog file (`.sv`: SystemVerilog), turned into the
    module `multiplier` with ports a, b, p.

    The first input becomes a, the second b, the output p, in the order in which the module lists
    them. Hierarchy is flattened and undefined bits become 0; whether the operand codes are two's
    complement is for the caller to know. The file's text is all that is read: it may not include or
    load other files. Raises ImportedDesignError, YosysMissingError.
    """
    path = Path(path)
    name = f"{_shown(path)}:{_shown(top)}"
    if not _NAME.fullmatch(top):
        raise ImportedDesignError(
            f"{name}: not the name of a Verilog module; write FILE.v:MODULE with letters, digits "
            "and '_'"
        )
    text = _read(path)
    reaching = reaching_out(text)
    if reaching:
        raise ImportedDesignError(
            f"{name}: uses {reaching.text!r} in line {reaching.line}, which reaches beyond the "
            "file; put the whole multiplier into one file"
        )
    try:
        core = _core(text, top, systemverilog=path.suffix == ".sv")
        ports = _ports(core["design.json"], name)
        rtlil = _wrapped(core["design.il"], ports)
        gate_netlist.gates(rtlil, subject=name)
    except yosys.YosysMissingError:
        raise
    except yosys.YosysError as error:
        reason = str(error).replace("design.v:", "line ", 1)
        if f"Module `{top}' not found" in reason:
            reason = (
                "there is no such module; the file has "
                f"{words(', '.join(modules(text)[:10])) or 'none'}"
            )
        raise ImportedDesignError(f"{name}: {reason}") from error
    except gate_netlist.NetlistError as error:
        raise ImportedDesignError(str(error)) from error
    return rtlil


def _read(path: Path) -> str:
    shown = _shown(path)
    try:
        return read_bytes(path, limit_bytes=MAX_FILE_BYTES).decode()
    except UnicodeDecodeError as error:
        raise ImportedDesignError(
            f"{shown}: not a text file; give a Verilog file and a module, as in mul.v:top"
        ) from error
    except MissingFileError as error:
        raise ImportedDesignMissingError(str(error)) from error
    except FileError as error:
        raise ImportedDesignError(str(error)) from error


def _core(text: str, top: str, *, systemverilog: bool) -> dict[str, str]:
    """The flat module, renamed to `core`, as RTLIL and JSON."""
    read = f"read_verilog -nodpi {'-sv ' if systemverilog else ''}design.v"
    commands = [read, f"hierarchy -check -top {top}", "proc", "flatten -noscopeinfo"]
    # Attributes and names that tell line numbers are no part of what the design does, and results
    # are cached by this text.
    commands += [
        "opt_clean",
        "setattr -unset src *",
        "setattr -mod -unset src",
        f"rename -enumerate -pattern {_unused_prefix(text)}%_",
    ]
    commands += [f"rename {top} core", "write_rtlil design.il", "write_json design.json"]
    return _yosys(commands, {"design.v": text}, ["design.il", "design.json"])


def _unused_prefix(text: str) -> str:
    """What nets without a name are called by, with a number behind it: not as any in the text."""
    prefix = "_n"
    while re.search(rf"{prefix}\d+_", text):
        prefix += "n"
    return prefix


def _yosys(commands: list[str], inputs: dict[str, str], outputs: list[str]) -> dict[str, str]:
    return yosys.run(
        commands,
        inputs=inputs,
        outputs=outputs,
        time_limit_s=TIME_LIMIT_S,
        subject=_SUBJECT,
        untrusted=True,
    )


def _ports(design: str, name: str) -> list[tuple[str, int]]:
    """Names and widths of the two inputs and the output, after checking the module."""
    module = json.loads(design)["modules"]["core"]
    for cell in module["cells"].values():
        stateful = _STATEFUL.match(cell["type"])
        if stateful:
            what = "a latch" if stateful["latch"] else "storage"
            advice = (
                "assign it in every branch"
                if stateful["latch"]
                else "a multiplier is combinational"
            )
            raise ImportedDesignError(
                f"{name}: there is {what} behind {_net_of(module, cell)}; {advice}"
            )
        if any("z" in bits for bits in cell["connections"].values()):
            raise ImportedDesignError(
                f"{name}: some bits may be left floating ('z'); a multiplier drives all of them, "
                "always"
            )
    ports = module["ports"]
    inputs = [
        (port, len(described["bits"]))
        for port, described in ports.items()
        if described["direction"] == "input"
    ]
    outputs = [
        (port, len(described["bits"]))
        for port, described in ports.items()
        if described["direction"] == "output"
    ]
    fits = len(ports) == 3 and len(inputs) == 2 and len(outputs) == 1
    if not fits or inputs[0][1] + inputs[1][1] != outputs[0][1]:
        found = (
            ", ".join(
                f"{described['direction']} {port}[{len(described['bits'])}]"
                for port, described in ports.items()
            )
            or "no ports"
        )
        raise ImportedDesignError(
            f"{name}: ports are {found}; a multiplier has inputs of m and n bits and one output of "
            "m+n bits"
        )
    if (widest := max(width for _, width in inputs)) > MAX_WIDTH:
        raise ImportedDesignError(
            f"{name}: multiplies operands of {widest} bits; {MAX_WIDTH} are the most"
        )
    if not all(_NAME.fullmatch(port) for port, _ in inputs + outputs):
        raise ImportedDesignError(
            f"{name}: a port is called {words(' or '.join(ports))}; give ports names of letters, "
            "digits and '_'"
        )
    return inputs + outputs


def _net_of(module: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    """The name that the user gave to what a storage cell drives."""
    bits = set(cell["connections"].get("Q", ()))
    named = (
        net
        for net, described in module["netnames"].items()
        if not described.get("hide_name") and bits & set(described["bits"])
    )
    return next(named, "an unnamed net")


def _wrapped(core: str, ports: list[tuple[str, int]]) -> str:
    """RTLIL of the module `multiplier`: the core inside, its ports named a, b, p from outside,
    whatever its own nets are called.
    """
    (first, width_a), (second, width_b), (product, width_p) = ports
    wrapper = f"""\
module \\multiplier
  wire width {width_a} input 1 \\a
  wire width {width_b} input 2 \\b
  wire width {width_p} output 3 \\p
  cell \\core \\core
    connect \\{first} \\a
    connect \\{second} \\b
    connect \\{product} \\p
  end
end
"""
    commands = [
        "read_rtlil core.il",
        "read_rtlil wrapper.il",
        "hierarchy -check -top multiplier",
        "flatten -noscopeinfo",
    ]
    commands += ["setundef -zero -undriven", "opt_clean", "write_rtlil out.il"]
    inputs = {"core.il": core, "wrapper.il": wrapper}
    text = _yosys(commands, inputs, ["out.il"])["out.il"]
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith("# Generated")
    )


def _shown(text: Path | str) -> str:
    """The text as one line."""
    return str(text) if str(text).isprintable() else ascii(str(text))
