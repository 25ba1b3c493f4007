"""RTLIL as one plain Verilog-2001 module that a strict linter (`verilator --lint-only -Wall`) has
nothing to say about.

What is left over by name alone is removed. Approximate multipliers read some operand bits and
carries nowhere, and a user's Verilog mixes widths as the language allows: where that is so, and
only there, the module tells the linter, with the reason.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .. import yosys

__all__ = ["FAIL_SIMULATION", "TIMESCALE", "verilog_module"]

TIMESCALE = "`timescale 1ns / 1ps\n"

FAIL_SIMULATION = """\
`ifdef __ICARUS__
      $finish_and_return(1);
`endif
`ifdef VERILATOR
      $stop;
`endif
"""
"""Statements of a test bench after which the simulator's exit code tells of the failure; Verilog
has no word of its own for it.
"""

# Yosys writes one declaration, assignment or port connection a line; an escaped name ends in a
# space.
_DECLARATION = re.compile(
    r"  (?P<kind>input|output|wire|reg)(?: signed)?(?: \[(?P<first>\d+):(?P<last>\d+)\])? "
    r"(?P<name>\\\S+ |[\w$]+);"
)
_BITS = re.compile(
    r"(?<![\w'$.])(?P<name>\\\S+ |[A-Za-z_][\w$]*)(?:\[(?P<first>\d+)(?::(?P<last>\d+))?\])?"
)
_ASSIGNMENT = re.compile(r"  assign (?P<driven>.*?) = (?P<read>.*);|    (.*?) <= (.*);")
_CONNECTION = re.compile(r"    \.(?:\\\S+ |\w+)\((?P<connected>.*)\),?")

_PLAIN_NAME = re.compile(r"\\[\w.\[\]]+", re.ASCII)
_RTLIL_NAME_OR_STRING = re.compile(r"""(?<=\s)(?:\\\S+|"(?:[^"\\]|\\.)*")""")

_COMPARISONS = {"$eq", "$ne", "$eqx", "$nex", "$lt", "$le", "$gt", "$ge"}
_SHIFTS = {"$shl", "$sshl", "$shr", "$sshr"}
_OF_ANY_WIDTH = {"$mul", "$shiftx"}  # products, and parts of a vector


def verilog_module(rtlil: str, top: str, name: str, *, subject: str) -> str:
    """The module `top` of an RTLIL text, flattened, as Verilog module `name`. Modules that the text
    instantiates without having them stay instances. `subject` is what errors are about.
    """
    commands = ["read_rtlil in.il", f"hierarchy -top {top}", "proc", "flatten -noscopeinfo"]
    commands += ["pmuxtree", "opt_clean -purge", "rename -enumerate -pattern _n%_"]
    commands += [f"rename {top} {name}"] if top != name else []
    commands += ["write_json out.json", "write_verilog -noattr -norename out.v"]
    found = yosys.run(
        commands,
        inputs={"in.il": _with_plain_names(rtlil)},
        outputs=["out.json", "out.v"],
        subject=f"Verilog of {subject}",
    )
    text = found["out.v"]
    text = text[text.index("module ") :].rstrip() + "\n"
    cells = json.loads(found["out.json"])["modules"][name]["cells"].values()
    silenced = dict(_silenced(text, any(map(_uneven, cells))))
    off = "".join(f"/* verilator lint_off {rule} */ // {why}\n" for rule, why in silenced.items())
    on = "".join(f"/* verilator lint_on {rule} */\n" for rule in silenced)
    return TIMESCALE + off + text + on


def _with_plain_names(rtlil: str) -> str:
    """The text with names that any tool reads. In others, which Verilog allows, preprocessors find
    directives and comments; they become private, and get numbers.
    """
    private: dict[str, str] = {}

    def plain(found: re.Match[str]) -> str:
        if found[0].startswith('"') or _PLAIN_NAME.fullmatch(found[0]):
            return found[0]
        return private.setdefault(found[0], f"$odd{len(private)}")

    return _RTLIL_NAME_OR_STRING.sub(plain, rtlil)


def _silenced(text: str, uneven: bool) -> Iterator[tuple[str, str]]:
    """The linter's rules that the module breaks, and why it may."""
    if _leaves_bits_out(text):
        yield "UNUSEDSIGNAL", "the design leaves bits out"
    if uneven:
        yield "WIDTH", "operands are extended and results cut by the rules of Verilog"
    if _runs_along_vectors(text):
        yield "UNOPTFLAT", "carries run along a vector, and no bit depends on itself"


def _uneven(cell: Mapping[str, Any]) -> bool:
    """Whether the operands and the result of an operator have widths that a strict linter warns
    of.
    """
    bits = {port: len(nets) for port, nets in cell["connections"].items()}
    kind = cell["type"]
    if not kind.startswith("$") or "Y" not in bits or "S" in bits or kind in _OF_ANY_WIDTH:
        return False  # among these: instances, registers, multiplexers
    if kind in _COMPARISONS:
        return bits["A"] != bits["B"] or bits["Y"] != 1
    if kind.startswith("$reduce_"):
        return bits["Y"] != 1
    if kind in _SHIFTS:
        return bits["A"] != bits["Y"]
    return len(set(bits.values())) > 1


def _leaves_bits_out(text: str) -> bool:
    """Whether some declared bit is read nowhere: by no assignment, and by no instance, whose ports
    may be outputs as well.
    """
    if " +: " in text:
        return True  # an index has more bits than what it points into needs
    declared: dict[str, range] = {}
    read: set[tuple[str, int]] = set()
    driven: set[tuple[str, int]] = set()
    connections: Counter[tuple[str, int]] = Counter()
    for line in text.splitlines()[1:]:
        if declaration := _DECLARATION.fullmatch(line):
            name, ends = declaration["name"], (declaration["first"], declaration["last"])
            low, high = sorted(int(end or 0) for end in ends)
            declared[name] = range(low, high + 1)
            if declaration["kind"] == "input":
                driven.update((name, bit) for bit in declared[name])
            elif declaration["kind"] == "output":
                read.update((name, bit) for bit in declared[name])
        elif assignment := _ASSIGNMENT.fullmatch(line):
            left, right = (group for group in assignment.groups() if group is not None)
            driven.update(_bits(left, declared))
            read.update(_bits(right, declared))
        elif connection := _CONNECTION.fullmatch(line):
            connections.update(_bits(connection["connected"], declared))
        else:
            read.update(_bits(line, declared))
    exchanged = {bit for bit, times in connections.items() if times > 1 or bit in driven}
    everything = {(name, bit) for name, bits in declared.items() for bit in bits}
    return bool(everything - read - exchanged)


def _bits(expression: str, declared: Mapping[str, range]) -> Iterator[tuple[str, int]]:
    """The bits of declared signals that an expression names."""
    for found in _BITS.finditer(expression):
        name, first = found["name"], found["first"]
        if first is not None:
            low, high = sorted((int(first), int(found["last"] or first)))
            yield from ((name, bit) for bit in range(low, high + 1))
        elif name in declared:
            yield from ((name, bit) for bit in declared[name])


def _runs_along_vectors(text: str) -> bool:
    """Whether assignments lead from a signal to itself, through other bits of it."""
    sources: dict[str, set[str]] = {}
    for line in text.splitlines():
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment is not None and assignment["driven"] is not None:
            for target in _BITS.finditer(assignment["driven"]):
                read = {source["name"] for source in _BITS.finditer(assignment["read"])}
                sources.setdefault(target["name"], set()).update(read)
    try:
        TopologicalSorter(sources).prepare()
    except CycleError:
        return True
    return False
