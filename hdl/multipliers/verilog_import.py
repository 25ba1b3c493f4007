"""Verilog from elsewhere, read by Yosys as the circuit of a multiplier, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import yosys
from ..errors import InputError, MissingError
from ..files import FileError, MissingFileError, read_bytes, words
from ..yosys import gate_netlist
from .verilog_text import modules, reaching_out

__all__ = [
    "MAX_WIDTH",
    "ImportedDesignError",
    "ImportedDesignMissingError",
    "import_verilog",
    "shown",
    "source_text",
]

MAX_FILE_BYTES = 4 << 20
MAX_WIDTH = 32
TIME_LIMIT_S = 20.0
_SUBJECT = "the file cannot be used"
_NAME = re.compile(r"[A-Za-z_][\w$]*", re.ASCII)
_STATEFUL = re.compile(
    r"\$(_)?(?P<latch>a?dlatch|s?r_?latch)|\$(_)?([a-z]*dff|ff|sr|mem|lut_?ram)", re.IGNORECASE
)


class ImportedDesignError(InputError):
    """A file that is no multiplier: one line with the file and module, the reason, and what a
    multiplier looks like.
    """


class ImportedDesignMissingError(ImportedDesignError, MissingError):
    """A file that cannot be read."""


def import_verilog(path: Path | str, top: str, *, signed: bool = False) -> str:
    """RTLIL text of the module `top` of a Verilog file (`.sv`: SystemVerilog), turned into the
    module `multiplier` with ports a, b, p.

    The first input becomes a, the second b, the output p, in the order in which the module lists
    them. Hierarchy is flattened and undefined bits become 0; whether the operand codes are two's
    complement is for the caller to know. The file's text is all that is read: it may not include or
    load other files. Raises ImportedDesignError, YosysMissingError.

    Args:
        signed: how operand codes are meant; of unsigned ones no input may be declared signed.
    """
    path = Path(path)
    name = f"{shown(path)}:{shown(top)}"
    if not _NAME.fullmatch(top):
        raise ImportedDesignError(
            f"{name}: not the name of a Verilog module; write FILE.v:MODULE with letters, digits "
            "and '_'"
        )
    text = source_text(path)
    reaching = reaching_out(text)
    if reaching:
        raise ImportedDesignError(
            f"{name}: uses {reaching.text!r} in line {reaching.line}, which reaches beyond the "
            "file; put the whole multiplier into one file"
        )
    try:
        core = _core(text, top, systemverilog=path.suffix == ".sv")
        ports = _ports(core["design.json"], name, signed=signed)
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


def source_text(path: Path) -> str:
    """The text of a Verilog file. Raises ImportedDesignError."""
    name = shown(path)
    try:
        return read_bytes(path, limit_bytes=MAX_FILE_BYTES).decode()
    except UnicodeDecodeError as error:
        raise ImportedDesignError(
            f"{name}: not a text file; give a Verilog file and a module, as in mul.v:top"
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


def _ports(design: str, name: str, *, signed: bool) -> list[tuple[str, int]]:
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
    declared = [port for port, _ in inputs if ports[port].get("signed")]
    if declared and not signed:
        raise ImportedDesignError(
            f"{name}: input {declared[0]} is declared signed, and operands are meant as unsigned; "
            "say that they are two's complement (--signed, in a search --encoding "
            "twos_complement), or leave 'signed' out"
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


def shown(text: Path | str) -> str:
    """The text as one line."""
    return str(text) if str(text).isprintable() else ascii(str(text))
